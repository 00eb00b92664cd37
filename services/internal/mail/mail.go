// Package mail sends e-mail to consumers.
//
// What it promises its callers: Send returns nil when the company's own mail
// server has taken the message over; an error says whether trying again can
// help and never carries an address, a subject or what a server said, because
// servers repeat addresses. A message has no recipient but the one it names.
package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/tries"
	"github.com/habeas-data/habeas/services/request"
)

// Message is one e-mail in plain text.
type Message struct {
	// ID makes the Message-ID, so that a message sent twice after a lost answer
	// is one message to its reader. It names nobody.
	ID string
	// To is the recipient's address.
	To request.Secret
	// Subject and Text are what is said; neither is logged. The subject names
	// nobody: it is what a stranger sees on a locked screen.
	Subject, Text string
	// Language of the text, such as "en".
	Language string
}

// IDHost is what the Message-IDs of all messages end with: a host that there is
// not (RFC 2606).
const IDHost = "habeas.invalid"

// Sender sends messages.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Errors that callers branch on.
var (
	// ErrRefused says that the server will not take this message, now or later.
	ErrRefused = errors.New("the mail server refuses the message")
	// ErrUnavailable says that the message was not taken over and sending it
	// again may help.
	ErrUnavailable = errors.New("the mail server can't take the message now")
)

// SMTP is a Sender through the company's mail server.
type SMTP struct {
	// Addr is host:port.
	Addr string
	// From is the sender's address, with or without a name.
	From string
	// User and Password are empty for a server that asks for none.
	User     string
	Password room.Secret
	// Plain allows a server without TLS, for one on the same machine.
	Plain bool
	// Timeout bounds one delivery; 0 means 20 seconds.
	Timeout time.Duration
}

var _ Sender = (*SMTP)(nil)

// Send implements [Sender].
func (s *SMTP) Send(ctx context.Context, m Message) error {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(s.From); err != nil {
		return fmt.Errorf("sending mail: mail.from is no address: %w", ErrRefused)
	}
	if err := msg.To(m.To.Reveal()); err != nil {
		return fmt.Errorf("sending mail: the recipient is no address: %w", ErrRefused)
	}
	msg.Subject(m.Subject)
	if m.ID != "" {
		msg.SetMessageIDWithValue(m.ID + "@" + IDHost)
	}
	msg.SetGenHeader(gomail.HeaderContentLang, m.Language)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer by machines, please
	msg.SetDate()
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	client, err := s.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	if err := client.DialAndSendWithContext(ctx, msg); err != nil {
		return describe(err)
	}
	return nil
}

func (s *SMTP) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return 20 * time.Second
}

func (s *SMTP) client() (*gomail.Client, error) {
	host, portText, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return nil, errors.New("sending mail: mail.addr: want host:port")
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, errors.New("sending mail: mail.addr: the port is no number")
	}
	options := []gomail.Option{gomail.WithPort(port), gomail.WithTimeout(s.timeout()), gomail.WithTLSPolicy(gomail.TLSMandatory)}
	if s.Plain {
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if s.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("sending mail: setting the client up: %w", err)
	}
	return client, nil
}

// describe says what went wrong without what the server said.
func describe(err error) error {
	var send *gomail.SendError
	if errors.As(err, &send) && !send.IsTemp() && send.ErrorCode() >= 500 {
		return fmt.Errorf("sending mail: answer %d %s: %w", send.ErrorCode(), send.EnhancedStatusCode(), ErrRefused)
	}
	return fmt.Errorf("sending mail: %w", ErrUnavailable)
}

// Watch counts the tries of a sender.
func Watch(s Sender, way *tries.Way) Sender {
	return watched{s, way}
}

type watched struct {
	Sender
	way *tries.Way
}

// Send implements [Sender].
func (w watched) Send(ctx context.Context, m Message) error {
	err := w.Sender.Send(ctx, m)
	w.way.Tried(ctx, err, errors.Is(err, ErrRefused))
	return err
}
