// Package sms sends text messages to consumers' phones.
//
// What it promises its callers: Send returns nil when the company's provider
// has taken the message over; an error says whether trying again can help and
// never carries a number, a text or what a provider said, because providers
// repeat numbers. A message that may have been sent before is not sent again
// where the provider can tell.
package sms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/internal/tries"
	"github.com/habeas-data/habeas/services/request"
)

// Message is one text message.
type Message struct {
	// ID is the same for every try at one message. It names nobody.
	ID string
	// To is the recipient's number in E.164.
	To request.Secret
	// Text is what is said; it is not logged.
	Text string
	// Language of the text, such as "en".
	Language string
	// Again says that the message may have been sent already: the last try
	// ended before its answer was known.
	Again bool
}

// Sender sends messages.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Errors that callers branch on.
var (
	// ErrRefused says that the number can't be sent this message, now or later.
	ErrRefused = errors.New("the provider of text messages refuses the message")
	// ErrUnavailable says that nobody took the message over, or that nobody
	// knows, and sending it again may help.
	ErrUnavailable = errors.New("the provider of text messages can't take the message now")
)

// Later is an error of a provider that says when to come back.
type Later struct {
	Err   error
	After time.Duration
}

// Error implements error.
func (l *Later) Error() string { return fmt.Sprintf("%v; it asks for %v", l.Err, l.After) }

// Unwrap gives what went wrong.
func (l *Later) Unwrap() error { return l.Err }

// After is how long a provider wants to be left alone, 0 when it did not say.
func After(err error) time.Duration {
	if l, ok := errors.AsType[*Later](err); ok {
		return l.After
	}
	return 0
}

// longestWait bounds what a provider can ask for: a code is of use for a day.
const longestWait = time.Hour

// later adds to err what the answer says about when to come back (RFC 9110,
// 10.2.3).
func later(err error, h http.Header) error {
	text := strings.TrimSpace(h.Get("Retry-After"))
	var after time.Duration
	if seconds, e := strconv.Atoi(text); e == nil && seconds > 0 {
		after = time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
	} else if at, e := http.ParseTime(text); e == nil {
		after = min(time.Until(at), longestWait)
	}
	if after <= 0 {
		return err
	}
	return &Later{Err: err, After: after}
}

// Within is a Sender to numbers that begin with one of Prefixes alone, so that
// nobody makes the company pay for messages around the world.
type Within struct {
	Sender
	Prefixes []string
}

// Send implements [Sender].
func (w Within) Send(ctx context.Context, m Message) error {
	if !slices.ContainsFunc(w.Prefixes, func(p string) bool { return strings.HasPrefix(m.To.Reveal(), p) }) {
		return fmt.Errorf("sending a text message: the number is of a country that sms.prefixes does not name: %w", ErrRefused)
	}
	return w.Sender.Send(ctx, m)
}

// Watch counts the tries of a sender.
func Watch(s Sender, way *tries.Way) Sender {
	if in, ok := s.(Within); ok { // a number of another country is no fault of the provider
		in.Sender = Watch(in.Sender, way)
		return in
	}
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
