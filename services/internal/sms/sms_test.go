package sms_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/internal/sms/smstest"
	"github.com/habeas-data/habeas/services/request"
)

const number = "+14155550123"

func message(again bool) sms.Message {
	return sms.Message{ID: "A1", To: request.NewSecret(number), Text: "Example Inc.: your code is 123456.", Language: "en", Again: again}
}

func twilio(t *testing.T, p *smstest.Twilio) *sms.Twilio {
	t.Helper()
	s, err := sms.NewTwilio(sms.Twilio{Account: smstest.Account, Secret: smstest.Token, From: "+15005550006"}, p.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// silent fails the test when an error tells of whom it is about, what was said
// or what the provider said.
func silent(t *testing.T, err error) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		for _, secret := range []string{"4155550123", "123456", "good enough", smstest.Token, smstest.Secret} {
			if err != nil && strings.Contains(fmt.Sprintf(verb, err), secret) {
				t.Errorf("an error says %q: %v", secret, err)
			}
		}
	}
}

func TestTwilioTakesAMessage(t *testing.T) {
	p := smstest.NewTwilio(t)
	if err := twilio(t, p).Send(t.Context(), message(false)); err != nil {
		t.Fatal(err)
	}
	want := smstest.Text{To: number, From: "+15005550006", Body: "Example Inc.: your code is 123456.", Status: "queued"}
	if got := p.Texts(); len(got) != 1 || got[0] != want {
		t.Errorf("Twilio took %+v, want %+v", got, want)
	}
	if p.Calls() != 1 {
		t.Errorf("a first try made %d calls, want 1", p.Calls())
	}
}

// What Twilio answers when it does not take a message, and what that means:
// whether another try can help, and when.
func TestTwilioRefuses(t *testing.T) {
	for _, c := range []struct {
		status, code int
		after        string
		want         error
		wait         time.Duration
		says         string
	}{
		{400, 21211, "", sms.ErrRefused, 0, "code 21211"},
		{400, 21610, "", sms.ErrRefused, 0, "code 21610"},
		{400, 21614, "", sms.ErrRefused, 0, "code 21614"},
		{400, 21606, "", sms.ErrUnavailable, 0, "from or service"},
		{401, 20003, "", sms.ErrUnavailable, 0, "check sms.twilio"},
		{429, 20429, "7", sms.ErrUnavailable, 7 * time.Second, "answer 429"},
		{429, 20429, "999999999", sms.ErrUnavailable, time.Hour, "answer 429"},
		{429, 20429, "soon", sms.ErrUnavailable, 0, "answer 429"},
		{503, 20503, "", sms.ErrUnavailable, 0, "answer 503"},
	} {
		p := smstest.NewTwilio(t)
		p.Fail(c.status, c.code, c.after)
		err := twilio(t, p).Send(t.Context(), message(false))
		if !errors.Is(err, c.want) || sms.After(err) != c.wait || !strings.Contains(err.Error(), c.says) {
			t.Errorf("answer %d, code %d, after %q: %v, wait %v; want %v, wait %v, saying %q", c.status, c.code, c.after, err, sms.After(err), c.want, c.wait, c.says)
		}
		silent(t, err)
	}
	p := smstest.NewTwilio(t)
	s, err := sms.NewTwilio(sms.Twilio{Account: smstest.Account, Secret: "another token altogether", From: "+15005550006"}, p.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), message(false)); !errors.Is(err, sms.ErrUnavailable) || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong token: %v", err)
	}
}

// The pair: Twilio did not get it, or took it and its answer was lost, by a
// connection that broke or by one that was waited for too long. The second try
// sends what is not there and nothing else.
func TestTwilioLosesAnswers(t *testing.T) {
	for _, c := range []struct {
		name   string
		fail   func(*smstest.Twilio, *sms.Twilio)
		before int
	}{
		{"it did not happen", func(p *smstest.Twilio, _ *sms.Twilio) { p.Fail(502, 0, "") }, 0},
		{"it happened and the connection broke", func(p *smstest.Twilio, _ *sms.Twilio) { p.LoseAnswers(true) }, 1},
		{"it happened and the answer took too long", func(p *smstest.Twilio, s *sms.Twilio) { p.Hang(true); s.Wait(300 * time.Millisecond) }, 1},
		{"it happened by a trial account", func(p *smstest.Twilio, _ *sms.Twilio) { p.Trial = true; p.LoseAnswers(true) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := smstest.NewTwilio(t)
			s := twilio(t, p)
			c.fail(p, s)
			err := s.Send(t.Context(), message(false))
			if !errors.Is(err, sms.ErrUnavailable) {
				t.Fatalf("a lost answer: %v", err)
			}
			silent(t, err)
			p.Wait(t, c.before)
			p.Fail(0, 0, "")
			p.LoseAnswers(false)
			p.Hang(false)
			s.Wait(time.Minute)
			for range 2 {
				if err := s.Send(t.Context(), message(true)); err != nil {
					t.Fatal(err)
				}
			}
			if got := p.Texts(); len(got) != 1 {
				t.Errorf("%d messages were sent, want 1: %+v", len(got), got)
			}
		})
	}
}

// A message that did not arrive is sent again, and so is one that Twilio does
// not let us look for: twice is better than never. While Twilio can't say, the
// message waits.
func TestTwilioSendsAgain(t *testing.T) {
	for name, prepare := range map[string]func(*smstest.Twilio){
		"undelivered":        func(p *smstest.Twilio) { p.Settle("undelivered") },
		"no right to look":   func(p *smstest.Twilio) { p.Shut = true },
		"a code before this": func(*smstest.Twilio) {},
	} {
		t.Run(name, func(t *testing.T) {
			p := smstest.NewTwilio(t)
			s, m := twilio(t, p), message(false)
			if name == "a code before this" {
				m.Text = "Example Inc.: your code is 654321."
			}
			if err := s.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			prepare(p)
			if err := s.Send(t.Context(), message(true)); err != nil {
				t.Fatal(err)
			}
			if n := len(p.Texts()); n != 2 {
				t.Errorf("%d messages were sent, want 2", n)
			}
		})
	}
	p := smstest.NewTwilio(t)
	p.Fail(503, 0, "30")
	if err := twilio(t, p).Send(t.Context(), message(true)); !errors.Is(err, sms.ErrUnavailable) || sms.After(err) != 30*time.Second || p.Calls() != 1 {
		t.Errorf("Twilio can't say: %v after %d calls, want it to wait", err, p.Calls())
	}
}

func webhook(t *testing.T, address string) *sms.Webhook {
	t.Helper()
	s, err := sms.NewWebhook(address, smstest.Secret, true, true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The pair at the webhook: its key makes a second try harmless.
func TestWebhook(t *testing.T) {
	for name, c := range map[string]struct {
		fail   func(*smstest.Webhook)
		before int
	}{
		"it did not happen":                    {func(p *smstest.Webhook) { p.Fail(http.StatusBadGateway) }, 0},
		"it happened and the connection broke": {func(p *smstest.Webhook) { p.LoseAnswers(true) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := smstest.NewWebhook(t)
			s := webhook(t, p.URL)
			c.fail(p)
			if err := s.Send(t.Context(), message(false)); c.before == 0 && !errors.Is(err, sms.ErrUnavailable) {
				t.Fatalf("nobody took it: %v", err)
			}
			p.Wait(t, c.before)
			p.Fail(0)
			p.LoseAnswers(false)
			if err := s.Send(t.Context(), message(true)); err != nil {
				t.Fatal(err)
			}
			want := smstest.Text{ID: "A1", To: number, Body: "Example Inc.: your code is 123456.", Language: "en"}
			if got := p.Texts(); len(got) != 1 || got[0] != want {
				t.Errorf("the program took %+v, want %+v once", got, want)
			}
		})
	}
	for status, want := range map[int]error{400: sms.ErrRefused, 422: sms.ErrRefused, 401: sms.ErrUnavailable, 404: sms.ErrUnavailable, 500: sms.ErrUnavailable} {
		p := smstest.NewWebhook(t)
		p.Fail(status)
		err := webhook(t, p.URL).Send(t.Context(), message(false))
		if !errors.Is(err, want) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		}
		silent(t, err)
	}
	p := smstest.NewWebhook(t)
	p.Fail(429, "Retry-After", "12")
	if err := webhook(t, p.URL).Send(t.Context(), message(false)); sms.After(err) != 12*time.Second {
		t.Errorf("a busy program: %v, wait %v", err, sms.After(err))
	}
}

// Nothing is carried to where nobody meant it to go: not after a redirect, and
// not to an address inside the network by a name that leads there.
func TestNothingGoesElsewhere(t *testing.T) {
	other := smstest.NewWebhook(t)
	way := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(way.Close)
	if err := webhook(t, way.URL).Send(t.Context(), message(false)); !errors.Is(err, sms.ErrUnavailable) || !strings.Contains(err.Error(), "307") {
		t.Errorf("a redirect: %v", err)
	}
	inside := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(inside.Close)
	s, err := sms.NewWebhook(strings.Replace(inside.URL, "127.0.0.1", "localhost", 1), smstest.Secret, false, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), message(false)); !errors.Is(err, sms.ErrUnavailable) || !strings.Contains(err.Error(), "not a public one") {
		t.Errorf("an address inside: %v", err)
	}
	if n := other.Calls(); n != 0 {
		t.Errorf("another program was called %d times", n)
	}
	for address, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true,
		"127.0.0.1": false, "10.1.2.3": false, "192.168.0.1": false, "169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false,
		"::1": false, "fe80::1": false, "fd00:ec2::254": false, "::ffff:10.0.0.1": false, "64:ff9b::a9fe:a9fe": false, "2002:7f00:1::": false,
	} {
		if got := sms.Public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is public: %v, want %v", address, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	folder := t.TempDir()
	secret, short := room.SecretFile(filepath.Join(folder, "secret")), room.SecretFile(filepath.Join(folder, "short"))
	for file, text := range map[room.SecretFile]string{secret: "a secret of both sides\n", short: "x\n"} {
		if err := os.WriteFile(string(file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	twilio := sms.TwilioConfig{Account: smstest.Account, SecretFile: secret, From: "+15005550006"}
	with := func(change func(*sms.TwilioConfig)) sms.Config {
		c := twilio
		change(&c)
		return sms.Config{Twilio: c}
	}
	for _, c := range []struct {
		config    sms.Config
		developer bool
		want      string // what the error names; empty for none
	}{
		{sms.Config{Twilio: twilio}, false, ""},
		{sms.Config{Webhook: sms.WebhookConfig{URL: "https://texts.example.com/send", SecretFile: secret}}, false, ""},
		{sms.Config{File: filepath.Join(folder, "texts")}, true, ""},
		{sms.Config{File: filepath.Join(folder, "texts")}, false, "sms.file"},
		{sms.Config{Twilio: twilio, File: "x"}, true, "one of"},
		{sms.Config{Twilio: twilio, Prefixes: []string{"1"}}, false, "sms.prefixes[0]"},
		{with(func(c *sms.TwilioConfig) { c.Account = "me" }), false, "sms.twilio.account"},
		{with(func(c *sms.TwilioConfig) { c.Key = "me" }), false, "sms.twilio.key"},
		{with(func(c *sms.TwilioConfig) { c.SecretFile = "" }), false, "sms.twilio.secret_file"},
		{with(func(c *sms.TwilioConfig) { c.Service = "MG1" }), false, "one of from"},
		{with(func(c *sms.TwilioConfig) { c.API = "http://api.example.com" }), false, "sms.twilio.api"},
		{sms.Config{Webhook: sms.WebhookConfig{URL: "http://texts.example.com", SecretFile: secret}}, false, "sms.webhook.url"},
		{sms.Config{Webhook: sms.WebhookConfig{URL: "http://texts.example.com", SecretFile: secret, Plain: true}}, false, "sms.webhook.plain"},
		{sms.Config{Webhook: sms.WebhookConfig{URL: "https://texts.example.com", SecretFile: short}}, false, "sms.webhook.secret_file"},
	} {
		s, err := c.config.Sender(c.developer)
		if (err == nil) != (c.want == "") || err == nil && s == nil || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, %v; want an error that names %q", c.config, s, err, c.want)
		}
	}
	if s, err := (sms.Config{}).Sender(false); s != nil || err != nil {
		t.Errorf("no settings: %v, %v; want no sender", s, err)
	}
}

// A developer reads messages in a file; abroad none goes.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "texts.jsonl")
	s, err := sms.Config{File: path}.Sender(true)
	if err != nil {
		t.Fatal(err)
	}
	abroad := message(false)
	abroad.To = request.NewSecret("+4930123456")
	if err := s.Send(t.Context(), abroad); !errors.Is(err, sms.ErrRefused) {
		t.Errorf("a number abroad: %v", err)
	}
	if err := s.Send(t.Context(), message(false)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	var got struct{ To, Text string }
	if err != nil || json.Unmarshal(text, &got) != nil || got.To != number || got.Text != message(false).Text {
		t.Errorf("the file says %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the file: %v, %v", info.Mode(), err)
	}
}
