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
	"bytes"
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

	"github.com/emersion/go-message/mail"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
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

// ErrUnreadable says that a message has no sender or is no message.
var ErrUnreadable = errors.New("the message can't be read, or has no sender")

const (
	maxMessage = 10 << 20
	maxText    = 256 << 10
)

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
	mac := hmac.New(sha256.New, r.Secret)
	_, _ = io.WriteString(mac, "mail\x00"+m.id) // a hash never fails
	if m.id == "" {
		mac.Write(raw)
	}
	from := request.NewIdentifier(request.Email, m.from)
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

type message struct{ id, from, subject, text string }

// read reads the parts of a message that matter.
func read(raw []byte) (message, error) {
	mr, err := mail.CreateReader(bytes.NewReader(raw))
	if mr == nil {
		return message{}, ErrUnreadable
	}
	_ = err                           // an unknown charset leaves what can be read
	defer func() { _ = mr.Close() }() // it reads from memory
	var m message
	from, err := mr.Header.AddressList("From")
	if err != nil || len(from) == 0 {
		return message{}, ErrUnreadable
	}
	m.from = from[0].Address
	if _, err := request.NewIdentifier(request.Email, m.from).Normalize(); err != nil {
		return message{}, ErrUnreadable
	}
	m.subject, _ = mr.Header.Subject()
	m.id, _ = mr.Header.MessageID()
	for {
		part, err := mr.NextPart()
		if err != nil {
			return m, nil // the end, or a broken part: what was read counts
		}
		header, inline := part.Header.(*mail.InlineHeader)
		if !inline {
			continue
		}
		if kind, _, err := header.ContentType(); err == nil && strings.HasPrefix(kind, "text/") {
			text, _ := io.ReadAll(io.LimitReader(part.Body, maxText)) // what was read counts
			m.text += string(text) + "\n"
		}
	}
}

func (m message) language() string {
	text := strings.ToLower(m.subject + " " + m.text)
	spanish := 0
	for _, word := range []string{"mis datos", "información", "solicito", "borrar", "eliminar", "privacidad", "quiero", "gracias", "por favor"} {
		if strings.Contains(text, word) {
			spanish++
		}
	}
	if spanish >= 2 {
		return "es"
	}
	return "en"
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
		var fields request.FieldErrors
		switch {
		case errors.Is(err, ErrUnreadable):
			problem.Write(w, http.StatusUnprocessableEntity, ErrUnreadable.Error())
		case errors.As(err, &fields):
			problem.Write(w, http.StatusUnprocessableEntity, fields.Error())
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
