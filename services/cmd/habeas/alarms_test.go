package main

import (
	"context"
	"errors"
	"testing"

	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/metertest"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/request"
)

// failing sends nothing and says why.
type failing struct{ err error }

type (
	letters struct{ *failing }
	texts   struct{ *failing }
)

func (l letters) Send(context.Context, mail.Message) error { return l.err }
func (t texts) Send(context.Context, sms.Message) error    { return t.err }

// Messages that keep failing are counted until one gets away, each way by itself; a
// number of a country that nobody is to be texted in is no failure of the provider.
func TestMessagesThatFailAreMeasured(t *testing.T) {
	post, phone := &failing{}, &failing{}
	meter := metertest.New(t)
	byMail, byText, err := watchSenders(meter.Meter(), letters{post}, sms.Within{Sender: texts{phone}, Prefixes: []string{"+1"}})
	if err != nil {
		t.Fatal(err)
	}
	want := func(mails, messages int64) {
		t.Helper()
		for way, n := range map[string]int64{"mail": mails, "text": messages} {
			if got, ok := meter.Value("habeas.messages.failed", "way", way); !ok || got != n {
				t.Errorf("by %s %d failed in a row, %t, want %d", way, got, ok, n)
			}
		}
	}
	want(0, 0)
	post.err, phone.err = mail.ErrUnavailable, sms.ErrUnavailable
	for n := range int64(3) {
		if err := byMail.Send(t.Context(), mail.Message{}); !errors.Is(err, mail.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		want(n+1, 0)
	}
	text := func(number string) error {
		return byText.Send(t.Context(), sms.Message{To: request.NewSecret(number)})
	}
	if err := text("+14155550123"); !errors.Is(err, sms.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	phone.err = sms.ErrRefused
	if err := text("+14155550123"); !errors.Is(err, sms.ErrRefused) {
		t.Errorf("error %v", err)
	}
	want(3, 2)
	if err := text("+5215512345678"); !errors.Is(err, sms.ErrRefused) {
		t.Errorf("a number of another country: %v", err)
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if err := byMail.Send(given, mail.Message{}); err == nil {
		t.Error("a message without a server was sent")
	}
	want(3, 2)
	post.err, phone.err = nil, nil
	if err := errors.Join(byMail.Send(t.Context(), mail.Message{}), text("+14155550123")); err != nil {
		t.Fatal(err)
	}
	want(0, 0)
	for _, c := range []struct {
		way, outcome string
		n            int64
	}{{"mail", "unavailable", 3}, {"mail", "taken", 1}, {"text", "unavailable", 1}, {"text", "refused", 1}, {"text", "taken", 1}} {
		if got, ok := meter.Value("habeas.messages", "way", c.way, "outcome", c.outcome); !ok || got != c.n {
			t.Errorf("by %s %d were %s, want %d", c.way, got, c.outcome, c.n)
		}
	}

	none, nobody, err := watchSenders(meter.Meter(), nil, nil)
	if err != nil || none != nil || nobody != nil {
		t.Errorf("where nothing is sent: %v, %v, %v", none, nobody, err)
	}
}
