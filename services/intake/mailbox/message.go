package mailbox

import (
	"bytes"
	"io"
	"strings"

	gomessage "github.com/emersion/go-message"
	"github.com/emersion/go-message/mail"

	sent "github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/request"
)

// Bounds on what is read of a message. A person's has a few parts; each part
// inside a part is read through all those around it.
const (
	maxText  = 256 << 10
	maxParts = 100
	maxDepth = 8
)

type message struct{ id, from, subject, text string }

// read reads the parts of a message that matter. Errors are [ErrUnreadable] and
// [ErrMachine].
func read(raw []byte) (message, error) {
	e, err := gomessage.Read(bytes.NewReader(raw))
	if e == nil {
		return message{}, ErrUnreadable
	}
	_ = err // an unknown charset leaves what can be read
	header := mail.Header{Header: e.Header}
	var m message
	from, err := header.AddressList("From")
	if err != nil || len(from) == 0 {
		return message{}, ErrUnreadable
	}
	sender, err := request.NewIdentifier(request.Email, from[0].Address).Normalize()
	if err != nil {
		return message{}, ErrUnreadable
	}
	m.from = sender.Reveal()
	m.subject, _ = header.Subject()
	m.id, _ = header.MessageID()
	if machine(header, m.id) {
		return message{}, ErrMachine
	}
	g := &gathered{parts: maxParts, left: maxText}
	g.gather(e, 0)
	m.text = g.text.String()
	return m, nil
}

// machine reports whether no person wrote a message (RFC 3834, 2 and 5; RFC 5321,
// 4.5.5; RFC 6522).
func machine(h mail.Header, id string) bool {
	kind, _, _ := h.ContentType()
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted"))), "auto-replied") ||
		strings.EqualFold(strings.TrimSpace(h.Get("Precedence")), "auto_reply") ||
		strings.TrimSpace(h.Get("Return-Path")) == "<>" ||
		strings.EqualFold(kind, "multipart/report") || strings.HasSuffix(id, "@"+sent.IDHost)
}

// gathered is the text of a message as far as it was read.
type gathered struct {
	text        strings.Builder
	parts, left int
}

// gather reads an entity's text. What is broken or beyond the bounds is left out:
// what was read counts.
func (g *gathered) gather(e *gomessage.Entity, depth int) {
	if parts := e.MultipartReader(); parts != nil {
		for depth < maxDepth && g.left > 0 {
			part, _ := parts.NextPart() // an unknown charset leaves what can be read
			if g.parts--; part == nil || g.parts < 0 {
				return
			}
			g.gather(part, depth+1)
		}
		return
	}
	kind, _, err := e.Header.ContentType()
	disposition, _, _ := e.Header.ContentDisposition()
	if err != nil || !strings.HasPrefix(kind, "text/") || disposition == "attachment" {
		return
	}
	text, _ := io.ReadAll(io.LimitReader(e.Body, int64(g.left))) // what was read counts
	g.left -= len(text)
	g.text.Write(text)
	g.text.WriteByte('\n')
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
