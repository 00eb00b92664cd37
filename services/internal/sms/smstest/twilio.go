// Package smstest plays the providers of text messages, as far as their
// documents say what they do: Twilio's Messages resource, and a program behind
// the webhook. They can refuse, be busy, take a message and hang up before they
// say so, and keep a caller waiting.
package smstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Credentials of the account that Twilio plays.
const (
	Account = "AC00000000000000000000000000000001"
	Token   = "a token of sixteen or more" //nolint:gosec // G101: it opens nothing
)

// Text is a message that was taken.
type Text struct{ ID, To, From, Body, Language, Status string }

// provider is what the players share: what was taken, and what goes wrong.
type provider struct {
	mu       sync.Mutex
	texts    []Text
	calls    int
	arrived  chan struct{}
	fail     func(w http.ResponseWriter) bool
	lose     bool
	hang     bool
	released chan struct{}
}

// Texts returns what was taken so far.
func (p *provider) Texts() []Text {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Text(nil), p.texts...)
}

// Calls returns how often the player was called.
func (p *provider) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// Wait returns the messages once there are n, and fails the test when that
// takes more than a minute.
func (p *provider) Wait(t testing.TB, n int) []Text {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		p.mu.Lock()
		texts, arrived := append([]Text(nil), p.texts...), p.arrived
		p.mu.Unlock()
		if len(texts) >= n {
			return texts
		}
		select {
		case <-arrived:
		case <-deadline:
			t.Fatalf("%d text messages arrived, want %d", len(texts), n)
		}
	}
}

// LoseAnswers takes messages and hangs up before saying so.
func (p *provider) LoseAnswers(lose bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = lose
}

// Hang takes messages and keeps the caller waiting.
func (p *provider) Hang(hang bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hang = hang
}

// take keeps a message and reports whether to say so.
func (p *provider) take(r *http.Request, t Text) bool {
	p.mu.Lock()
	p.texts = append(p.texts, t)
	close(p.arrived)
	p.arrived = make(chan struct{})
	lose, hang := p.lose, p.hang
	p.mu.Unlock()
	if hang {
		select {
		case <-r.Context().Done():
		case <-p.released:
		}
	}
	return !lose && !hang
}

func (p *provider) start(t testing.TB, h http.HandlerFunc) *httptest.Server {
	p.arrived, p.released = make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		close(p.released)
		s.Close()
	})
	return s
}

// troubled counts a call and plays what goes wrong with it.
func (p *provider) troubled(w http.ResponseWriter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	return p.fail != nil && p.fail(w)
}

// hangUp ends a connection without an answer.
func hangUp() { panic(http.ErrAbortHandler) }

// Twilio plays Twilio's Messages resource.
type Twilio struct {
	provider
	// URL is its address.
	URL string
	// Trial puts a trial account's words before each text.
	Trial bool
	// Shut keeps everybody from reading the list of messages.
	Shut bool
}

// NewTwilio starts a player that stops when the test ends.
func NewTwilio(t testing.TB) *Twilio {
	t.Helper()
	p := &Twilio{}
	p.URL = p.start(t, p.serve).URL
	return p
}

// Fail answers calls with a status and a code of Twilio's, and the words that
// come with it, which name the number; status 0 takes messages again. after is
// the header Retry-After, empty for none.
func (p *Twilio) Fail(status, code int, after string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = nil
	if status != 0 {
		p.fail = func(w http.ResponseWriter) bool {
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			problem(w, status, code, "The 'To' number +14155550123 is not good enough.")
			return true
		}
	}
}

func problem(w http.ResponseWriter, status, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // the caller may be gone
		"code": code, "message": message, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code), "status": status,
	})
}

func (p *Twilio) serve(w http.ResponseWriter, r *http.Request) {
	if p.troubled(w) {
		return
	}
	user, password, ok := r.BasicAuth()
	switch {
	case !ok || user != Account || password != Token:
		problem(w, http.StatusUnauthorized, 20003, "Authenticate")
	case r.URL.Path != "/2010-04-01/Accounts/"+Account+"/Messages.json":
		problem(w, http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found")
	case r.Method == http.MethodGet && p.Shut:
		problem(w, http.StatusForbidden, 20403, "Forbidden")
	case r.Method == http.MethodGet:
		p.list(w, r.URL.Query().Get("To"))
	case r.Method == http.MethodPost:
		p.create(w, r)
	default:
		problem(w, http.StatusMethodNotAllowed, 20004, "Method not allowed")
	}
}

func (p *Twilio) list(w http.ResponseWriter, to string) {
	out := []map[string]string{}
	for _, t := range p.Texts() {
		if t.To == to {
			out = append([]map[string]string{{"to": t.To, "body": t.Body, "status": t.Status, "direction": "outbound-api"}}, out...)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"messages": out, "page": 0, "page_size": 50}) // the caller may be gone
}

func (p *Twilio) create(w http.ResponseWriter, r *http.Request) {
	to, from, service, text := r.PostFormValue("To"), r.PostFormValue("From"), r.PostFormValue("MessagingServiceSid"), r.PostFormValue("Body")
	switch {
	case to == "":
		problem(w, http.StatusBadRequest, 21604, "A 'To' phone number is required.")
		return
	case from == "" && service == "":
		problem(w, http.StatusBadRequest, 21603, "A 'From' phone number is required.")
		return
	case !strings.HasPrefix(to, "+") || len(to) < 9:
		problem(w, http.StatusBadRequest, 21211, "Invalid 'To' Phone Number: "+to)
		return
	case text == "":
		problem(w, http.StatusBadRequest, 21602, "Message body is required.")
		return
	}
	if p.Trial {
		text = "Sent from your Twilio trial account - " + text
	}
	if !p.take(r, Text{To: to, From: from + service, Body: text, Status: "queued"}) {
		hangUp()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"sid": "SM00000000000000000000000000000001", "status": "queued", "to": to, "body": text}) // the caller may be gone
}

// Settle gives every message a status, such as "undelivered".
func (p *Twilio) Settle(status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.texts {
		p.texts[i].Status = status
	}
}
