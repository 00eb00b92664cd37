package mailbox_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake/mailbox"
	"github.com/habeas-data/habeas/services/request"
)

func from(sender, header, text string) string {
	return "From: " + sender + "\r\nTo: privacy@example.com\r\n" + header + "Subject: x\r\nContent-Type: text/plain\r\n\r\n" + text + "\r\n"
}

// Whoever sends a second message under the id of another holds nothing up and
// takes nobody's request away.
func TestMessagesUnderOneID(t *testing.T) {
	r := newRig(t)
	user := server(t, r)
	for _, sender := range []string{planted, "other@example.org"} {
		put(t, user, from(sender, "Message-ID: <same@example.org>\r\n", "Please delete my data"), r.now)
	}
	put(t, user, from(planted, "Message-ID: <same@example.org>\r\n", "Do not sell my data"), r.now)
	put(t, user, letter("after", "Privacy", "Send me a copy of my data"), r.now)
	if n, err := r.box.Look(t.Context()); err != nil || n != 4 {
		t.Fatalf("%d messages, %v", n, err)
	}
	if n := len(r.requests()); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

// What machines send is no request: to answer it would have them answer again.
func TestMachinesAreNotAnswered(t *testing.T) {
	r := newRig(t)
	user := server(t, r)
	messages := []string{
		from(planted, "Auto-Submitted: auto-replied (vacation)\r\n", "I am away. Please delete my data"),
		from(planted, "Auto-Submitted: Auto-Replied; owner-email=\"x@example.org\"\r\n", "I am away"),
		from(planted, "Precedence: auto_reply\r\n", "I am away"),
		from("mailer-daemon@example.org", "Return-Path: <>\r\n", "It did not arrive"),
		"From: mailer-daemon@example.org\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
		from("privacy@example.com", "Message-ID: <notice-1@habeas.invalid>\r\n", "We have your request"),
	}
	for _, m := range messages {
		if _, err := r.box.Take(t.Context(), []byte(m), r.now); !errors.Is(err, mailbox.ErrMachine) {
			t.Errorf("%.60q: %v", m, err)
		}
		put(t, user, m, r.now)
	}
	put(t, user, from(planted, "Auto-Submitted: auto-generated\r\n", "Please delete my data"), r.now) // an agent's program may ask
	if n, err := r.box.Look(t.Context()); err != nil || n != len(messages)+1 {
		t.Fatalf("%d messages, %v", n, err)
	}
	if n := len(r.requests()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if n := strings.Count(r.logs.String(), "a person must look"); n != len(messages) {
		t.Errorf("a person is told of %d, want %d", n, len(messages))
	}
}

// A sender's name can be forged, and every request is acknowledged: nobody is
// buried in messages by somebody else.
func TestOneSendersFlood(t *testing.T) {
	r := newRig(t)
	flood := func(sender string) error {
		for i := range 30 {
			if _, err := r.box.Take(t.Context(), []byte(from(sender, fmt.Sprintf("Message-ID: <%d-%s>\r\n", i, sender), "Do not sell my data")), r.now); err != nil {
				return err
			}
		}
		return nil
	}
	if err := flood(planted); !errors.Is(err, mailbox.ErrMany) {
		t.Errorf("30 messages of one sender: %v", err)
	}
	many := len(r.requests())
	if err := flood(strings.ToUpper(planted)); !errors.Is(err, mailbox.ErrMany) || len(r.requests()) != many {
		t.Errorf("the same sender in capitals: %v", err)
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/mail", strings.NewReader(from(planted, "Message-ID: <w@x>\r\n", "x")))
	rec := httptest.NewRecorder()
	if r.box.Handler().ServeHTTP(rec, req); rec.Code != http.StatusTooManyRequests || rec.Header().Get("Retry-After") == "" || strings.Contains(rec.Body.String(), "planted") {
		t.Errorf("by the service: status %d, %s", rec.Code, rec.Body)
	}
	r.now = r.now.Add(48 * time.Hour)
	if _, err := r.box.Take(t.Context(), []byte(letter("later", "x", "Do not sell my data")), r.now); err != nil {
		t.Errorf("days later: %v", err)
	}
	if strings.Contains(r.logs.String(), planted) {
		t.Error("the log names the sender")
	}
}

// What is larger than any request is not read into memory, and holds nothing up.
func TestLargeMessage(t *testing.T) {
	r := newRig(t)
	user := server(t, r)
	put(t, user, letter("large", "x", strings.Repeat(strings.Repeat("x", 70)+"\r\n", 160_000)), r.now)
	put(t, user, letter("small", "x", "Please delete my data"), r.now)
	if n, err := r.box.Look(t.Context()); err != nil || n != 2 {
		t.Fatalf("%d messages, %v", n, err)
	}
	if list := r.requests(); len(list) != 1 || !strings.Contains(r.logs.String(), mailbox.ErrLarge.Error()) {
		t.Errorf("%d requests; the log says %s", len(list), r.logs.String())
	}
}

// nested is a text so deep in parts.
func nested(depth int, text string) string {
	var open strings.Builder
	open.WriteString("From: " + planted + "\r\nMessage-ID: <" + fmt.Sprint(depth) + "@x>\r\n")
	for i := range depth {
		fmt.Fprintf(&open, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	return open.String() + "Content-Type: text/plain\r\n\r\n" + text + "\r\n"
}

// A message is read in time that grows with its size, whatever its parts are.
func TestPartsWithoutEnd(t *testing.T) {
	r := newRig(t)
	rights := func(text string) request.Right {
		t.Helper()
		id, err := r.box.Take(t.Context(), []byte(text), r.now)
		if err != nil {
			t.Fatal(err)
		}
		req, err := r.intake.Lookup(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return req.Right()
	}
	many := func(n int) string {
		return "From: " + planted + "\r\nMessage-ID: <many-" + fmt.Sprint(n) + "@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
			strings.Repeat("--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n", n) + "--b\r\nContent-Type: text/plain\r\n\r\nPlease delete my data\r\n--b--\r\n"
	}
	for name, c := range map[string]struct {
		text string
		want request.Right
	}{
		"deep":       {nested(5, "Please delete my data"), request.Delete},
		"too deep":   {nested(2000, "Please delete my data"), request.KnowCategories},
		"parts":      {many(50), request.Delete},
		"too many":   {many(100_000), request.KnowCategories},
		"long":       {from(planted, "Message-ID: <long@x>\r\n", strings.Repeat("hello\r\n", 1000)+"Please delete my data"), request.Delete},
		"too long":   {from(planted, "Message-ID: <longer@x>\r\n", strings.Repeat("hello\r\n", 100_000)+"Please delete my data"), request.KnowCategories},
		"attached":   {"From: " + planted + "\r\nMessage-ID: <att@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=x\r\n\r\nPlease delete my data\r\n--b--\r\n", request.KnowCategories},
		"no charset": {"From: " + planted + "\r\nMessage-ID: <cs@x>\r\nContent-Type: text/plain; charset=no-such\r\n\r\nPlease delete my data\r\n", request.Delete},
	} {
		if got := rights(c.text); got != c.want {
			t.Errorf("%s: taken for %s, want %s", name, got, c.want)
		}
	}
}
