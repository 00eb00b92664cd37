package smstest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Secret is what the webhook's player is signed to with.
const Secret = "a secret of both sides"

// Webhook plays a company's program: it checks the signature with code of its
// own, and takes a message of one key once.
type Webhook struct {
	provider
	// URL is its address.
	URL string
}

// NewWebhook starts a player that stops when the test ends.
func NewWebhook(t testing.TB) *Webhook {
	t.Helper()
	p := &Webhook{}
	p.URL = p.start(t, p.serve).URL
	return p
}

// Fail answers calls with a status; 0 takes messages again. header is pairs of
// names and values.
func (p *Webhook) Fail(status int, header ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = nil
	if status != 0 {
		p.fail = func(w http.ResponseWriter) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
}

func (p *Webhook) serve(w http.ResponseWriter, r *http.Request) {
	if p.troubled(w) {
		return
	}
	content, err := io.ReadAll(r.Body)
	seconds, signature, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("Habeas-Signature"), "t="), ",v1=")
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write([]byte(seconds + "." + string(content))) // a hash never fails
	if err != nil || !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(signature)) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var got struct{ ID, To, Text, Language string }
	if json.Unmarshal(content, &got) != nil || got.ID == "" || got.ID != r.Header.Get("Idempotency-Key") {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for _, t := range p.Texts() {
		if t.ID == got.ID {
			w.WriteHeader(http.StatusConflict)
			return
		}
	}
	if !p.take(r, Text{ID: got.ID, To: got.To, Body: got.Text, Language: got.Language}) {
		hangUp()
	}
	w.WriteHeader(http.StatusAccepted)
}
