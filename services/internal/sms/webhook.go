package sms

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
)

// Webhook is a Sender through a program of the company's own, which passes
// messages on to whatever provider there is. Each message is a POST of JSON
// with id, to, text and language, signed in the header Habeas-Signature; the
// header Idempotency-Key is the id, the same for every try at one message.
type Webhook struct {
	// URL is the program's address.
	URL string
	// Secret is what both sides sign with.
	Secret room.Secret

	client *http.Client
	now    func() time.Time
}

var _ Sender = (*Webhook)(nil)

// NewWebhook checks the settings and makes a Sender. private lets it call an
// address inside the company's network, and plain one on it without TLS.
func NewWebhook(address string, secret room.Secret, private, plain bool) (*Webhook, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("sms.webhook.url: want an https address, without a password in it")
	case u.Scheme == "http" && !plain:
		return nil, errors.New("sms.webhook.url: is not https: codes would go over the wire in clear; set sms.webhook.plain for a program on the same machine")
	case plain && !private:
		return nil, errors.New("sms.webhook.plain: is for a program inside your network: set sms.webhook.private too")
	case len(secret) < minSecret:
		return nil, fmt.Errorf("sms.webhook.secret_file: want %d characters or more: without a secret anybody could have messages sent", minSecret)
	}
	return &Webhook{URL: address, Secret: secret, client: newClient(private, 0), now: time.Now}, nil
}

const minSecret = 16

// payload is what the program gets.
type payload struct {
	ID       string `json:"id"`
	To       string `json:"to"`
	Text     string `json:"text"`
	Language string `json:"language"`
}

// Sign is the signature of a body that was sent at the given second since 1970:
// t=SECONDS,v1=HMAC, where HMAC is HMAC-SHA-256, in hex, over the seconds, a
// full stop and the body.
func Sign(secret room.Secret, at int64, content []byte) string {
	seconds := strconv.FormatInt(at, 10)
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write([]byte(seconds + ".")) // a hash never fails
	mac.Write(content)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

// Send implements [Sender].
func (w *Webhook) Send(ctx context.Context, m Message) error {
	content, err := json.Marshal(payload{ID: m.ID, To: m.To.Reveal(), Text: m.Text, Language: m.Language})
	if err != nil {
		return fmt.Errorf("sending a text message by the webhook: it can't be encoded: %w", ErrRefused)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("sending a text message by the webhook: its address is none: %w", ErrUnavailable)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", m.ID)
	req.Header.Set("Habeas-Signature", Sign(w.Secret, w.now().Unix(), content))
	status, header, _, err := call(ctx, w.client, req)
	switch {
	case status/100 == 2, status == http.StatusConflict: // taken, now or by an earlier try
		return nil
	case err != nil:
		return fmt.Errorf("sending a text message by the webhook: %w", err)
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		return fmt.Errorf("sending a text message by the webhook: status %d: %w", status, ErrRefused)
	default:
		return later(fmt.Errorf("sending a text message by the webhook: status %d: %w", status, ErrUnavailable), header)
	}
}
