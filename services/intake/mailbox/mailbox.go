// Package mailbox is the door for requests that come by e-mail, through a
// mailbox that is read (IMAP) or a mail service that calls.
//
// What it owes its callers: a message that reaches the mailbox starts the clock
// on the day the mailbox got it, however late it is read (11 CCR 7020(e)); one
// message makes one request, even when it is read twice; what it asks is
// guessed from its words, and the message is kept sealed for staff, who decide.
// Who wrote it is not believed: a sender's address is only where the person may
// be found.
package mailbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Config says where the mailbox is.
type Config struct {
	// Addr is host:port of an IMAP server with TLS; empty reads no mailbox.
	Addr         string          `yaml:"addr"`
	User         string          `yaml:"user"`
	PasswordFile room.SecretFile `yaml:"password_file"`
	Folder       string          `yaml:"folder"`
	// Poll is how often it is looked into.
	Poll time.Duration `yaml:"poll"`
	// Plain allows a server without TLS, for one on the same machine.
	Plain bool `yaml:"plain"`
	// FallbackRight is what a message is taken for that says nothing clear.
	FallbackRight string `yaml:"fallback_right"`
}

// Defaults is a configuration without a mailbox.
func Defaults() Config {
	return Config{Folder: "INBOX", Poll: time.Minute, FallbackRight: string(request.KnowCategories)}
}

// Room takes requests from messages.
type Room struct {
	Config
	Intake *intake.Room
	Verify *verify.Room
	// Secret keys what tells a message that was read before.
	Secret []byte
	Logger *slog.Logger
}

// New makes a mailbox door.
func New(r Room) *Room {
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	return &r
}

// Errors of [Room.Take] for messages that are left to a person.
var (
	// ErrUnreadable says that a message has no sender or is no message.
	ErrUnreadable = errors.New("the message can't be read, or has no sender")
	// ErrMachine says that nobody wrote a message: it is a machine's answer, a
	// report of a message that did not arrive, or one of ours. To answer it would
	// be to talk to machines for ever (RFC 3834, 2).
	ErrMachine = errors.New("a machine wrote the message")
	// ErrMany says that so many messages came from one sender that somebody else
	// may be sending them in that name, and each would be acknowledged.
	ErrMany = errors.New("too many messages came from one sender in a day")
	// ErrLarge says that a message is larger than any request.
	ErrLarge = errors.New("the message is over 10 MiB")
)

const maxMessage = 10 << 20

// limitSender is how many messages of one sender are taken as requests.
var limitSender = verify.Limit{What: "mail", Most: 20, Window: 24 * time.Hour}

// ForAPerson reports whether an error of [Room.Take] says that the message is left
// to a person, and that trying again can't help.
func ForAPerson(err error) bool {
	var fields request.FieldErrors
	for _, one := range []error{ErrUnreadable, ErrMachine, ErrMany, ErrLarge, store.ErrConflict} {
		if errors.Is(err, one) {
			return true
		}
	}
	return errors.As(err, &fields)
}

// Take takes a request from a message (RFC 5322) that reached the company at
// received.
func (r *Room) Take(ctx context.Context, raw []byte, received time.Time) (request.ID, error) {
	m, err := read(raw)
	if err != nil {
		return "", err
	}
	right := Guess(m.subject + "\n" + m.text)
	if right == "" {
		right = request.Right(r.FallbackRight)
	}
	from := request.NewIdentifier(request.Email, m.from)
	switch err := r.Verify.Allow(ctx, limitSender, m.from); {
	case errors.Is(err, verify.ErrTooMany):
		return "", ErrMany
	case err != nil:
		return "", err
	}
	// Anybody can send a second message under the id of another, so that its
	// sender and what it asks are part of what tells them apart.
	mac := hmac.New(sha256.New, r.Secret)
	_, _ = io.WriteString(mac, "mail\x00"+m.id+"\x00"+m.from+"\x00"+string(right)) // a hash never fails
	if m.id == "" {
		mac.Write(raw)
	}
	taken, err := r.Intake.Take(ctx, []intake.Entry{{
		IdempotencyKey: "mail/" + hex.EncodeToString(mac.Sum(nil)), ReceivedAt: received,
		Submission: request.Submission{Right: right, Channel: request.ChannelEmail, Identifiers: []request.Identifier{from}},
	}}, "mailbox")
	if err == nil {
		err = taken[0].Err
	}
	if err != nil {
		return "", err
	}
	id := taken[0].ID
	req, err := r.Intake.Lookup(ctx, id)
	if err != nil {
		return "", err
	}
	if err := r.Verify.Keep(ctx, &req, "message", raw); err != nil {
		return "", err
	}
	if !right.Verifiable() {
		return id, nil
	}
	return id, r.Verify.Open(ctx, id, verify.Claimed{Language: m.language(), Anchor: from})
}

// words that say what is asked, in both languages, the clearest first. An
// opt-out wins, because it needs no proof and harms nobody.
var words = []struct {
	right request.Right
	any   []string
}{
	{request.OptOutSaleShare, []string{"do not sell", "don't sell", "don’t sell", "opt out", "opt-out", "stop selling", "stop sharing", "no vender", "no venda", "dejar de vender", "dejen de vender"}},
	{request.LimitSPI, []string{"limit the use of my sensitive", "limitar el uso"}},
	{request.Delete, []string{"delete", "erase", "deletion", "remove my", "right to be forgotten", "borrar", "borren", "eliminar", "eliminen", "supresión"}},
	{request.Correct, []string{"correct my", "correction", "rectify", "corregir", "corrijan", "rectificar"}},
	{request.KnowSpecific, []string{"copy of my", "access request", "access to my", "my data", "specific pieces", "portability", "copia de mi", "copia de mis", "acceso a mi", "mis datos"}},
	{request.KnowCategories, []string{"categories", "what information", "categorías", "qué información"}},
}

// Guess says what a text asks for; "" when it says nothing clear.
func Guess(text string) request.Right {
	text = strings.ToLower(text)
	for _, w := range words {
		for _, phrase := range w.any {
			if strings.Contains(text, phrase) {
				return w.right
			}
		}
	}
	return ""
}

// Handler is POST /v1/mail, for a mail service that hands messages over: the
// body is the message, and Habeas-Received, when set, the time it came (RFC
// 3339). It does not authenticate.
func (r *Room) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem.Write(w, http.StatusMethodNotAllowed, "use POST")
			return
		}
		received := time.Time{}
		if text := req.Header.Get("Habeas-Received"); text != "" {
			var err error
			if received, err = time.Parse(time.RFC3339, text); err != nil {
				problem.Write(w, http.StatusUnprocessableEntity, "Habeas-Received: want a time such as 2026-03-02T17:04:05Z")
				return
			}
		}
		raw, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxMessage))
		if err != nil {
			problem.Write(w, http.StatusRequestEntityTooLarge, "the message is over 10 MiB or was cut off")
			return
		}
		id, err := r.Take(req.Context(), raw, received)
		switch {
		case errors.Is(err, ErrMany): // the service keeps it and tries again
			r.Logger.WarnContext(req.Context(), "a message is put off", slog.Any("error", err))
			w.Header().Set("Retry-After", "3600")
			problem.Write(w, http.StatusTooManyRequests, err.Error()+"; send it again later")
		case ForAPerson(err):
			r.Logger.WarnContext(req.Context(), "a message that was handed over can't be taken as a request; a person must look", slog.Any("error", err))
			problem.Write(w, http.StatusUnprocessableEntity, "no request was made of this; a person must look at it: "+err.Error())
		case err != nil:
			r.Logger.ErrorContext(req.Context(), "taking a message", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the message could not be handled now; send it again")
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = fmt.Fprintf(w, `{"id":%q}`+"\n", id) // the client may be gone
		}
	})
}
