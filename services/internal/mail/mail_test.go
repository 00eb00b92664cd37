package mail

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/request"
)

const planted = "planted.person@example.org"

func message() Message {
	return Message{ID: "challenge-1", To: request.NewSecret(planted), Subject: "Su código", Text: "El código es 123456.\n\n.punto\n", Language: "es"}
}

func TestSend(t *testing.T) {
	server := mailtest.New(t)
	s := &SMTP{Addr: server.Addr, From: "Privacy <privacy@example.com>", Plain: true}
	if err := s.Send(t.Context(), message()); err != nil {
		t.Fatal(err)
	}
	l := server.Wait(t, 1)[0]
	if l.To != planted || l.From != "privacy@example.com" || l.Subject != "Su código" || l.Language != "es" || l.MessageID != "<challenge-1@habeas.invalid>" {
		t.Errorf("the letter is %+v", l)
	}
	if !strings.Contains(l.Text, "El código es 123456.") || !strings.Contains(l.Text, "\n.punto") {
		t.Errorf("the text is %q", l.Text)
	}
}

func TestSendFails(t *testing.T) {
	for _, c := range []struct {
		name, reply string
		lose        bool
		want        error
	}{
		{"refused for good", "550 5.1.1 <" + planted + ">: no such user", false, ErrRefused},
		{"refused for now", "451 4.7.1 <" + planted + "> try later", false, ErrUnavailable},
		{"taken, but the answer was lost", "", true, ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := mailtest.New(t)
			server.Refuse(c.reply)
			server.LoseAnswers(c.lose)
			err := (&SMTP{Addr: server.Addr, From: "privacy@example.com", Plain: true}).Send(t.Context(), message())
			if !errors.Is(err, c.want) {
				t.Fatalf("the error is %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("the error carries the address: %v", err)
			}
		})
	}
}

func TestSendWithoutServer(t *testing.T) {
	server := mailtest.New(t)
	err := (&SMTP{Addr: server.Addr, From: "privacy@example.com", Timeout: time.Second}).Send(t.Context(), message())
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("a server without TLS: %v, want %v", err, ErrUnavailable)
	}
	if n := len(server.Letters()); n != 0 {
		t.Errorf("%d letters went over an open line", n)
	}
	for _, addr := range []string{"", "host", "host:port"} {
		if err := (&SMTP{Addr: addr, From: "a@b.c"}).Send(t.Context(), message()); err == nil || !strings.Contains(err.Error(), "mail.addr") {
			t.Errorf("address %q: %v, want an error that names mail.addr", addr, err)
		}
	}
}
