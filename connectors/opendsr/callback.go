package opendsr

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

const maxCallback = 64 << 10

// ServeHTTP takes a processor's callback: a signed report of a request's
// status. It answers
//
//	202 recorded, or already known
//	400 signed, but not a status report
//	401 from a domain that is not configured, or under a certificate that is not to be trusted
//	403 the signature does not match the bytes, or it is meant for another address
//	404 signed, about a request this controller did not send to this processor
//	405, 413, 503 not a POST, too large, or the certificate or the ledger is out of reach
//
// The signature is checked over the raw bytes before anything in them is read.
func (c *Controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	w.WriteHeader(c.callback(r, body))
}

func (c *Controller) callback(r *http.Request, body []byte) int {
	domain, _ := signed(r.Header)
	client := c.byDomain(domain)
	if client == nil {
		return http.StatusUnauthorized
	}
	if err := client.Verify(r.Context(), r.Header, body); err != nil {
		switch {
		case errors.Is(err, ErrCertificate):
			return http.StatusUnauthorized
		case errors.Is(err, ErrSignature):
			return http.StatusForbidden
		}
		return http.StatusServiceUnavailable
	}
	p, err := parseProgress(body)
	if err != nil {
		return http.StatusBadRequest
	}
	if p.CallbackURL != c.settings.CallbackURL {
		return http.StatusForbidden
	}
	_, err = c.ledger.Advance(r.Context(), client.Name(), p, c.settings.Now())
	if errors.Is(err, ErrNoEntry) {
		return http.StatusNotFound
	}
	if err != nil {
		return http.StatusServiceUnavailable
	}
	c.wake(p.ID)
	return http.StatusAccepted
}

// byDomain finds the client for a domain among those configured.
func (c *Controller) byDomain(domain string) *Client {
	for _, client := range c.clients {
		if strings.EqualFold(client.Domain(), domain) {
			return client
		}
	}
	return nil
}
