package restspec

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // some vendors sign with it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

var hmacs = map[string]func() hash.Hash{
	"": sha256.New, "hmac-sha256": sha256.New, "hmac-sha1": sha1.New, "hmac-sha512": sha512.New,
}

var encodings = map[string]func([]byte) string{
	"": hex.EncodeToString, "hex": hex.EncodeToString, "base64": base64.StdEncoding.EncodeToString,
	"base64url": base64.RawURLEncoding.EncodeToString,
}

// signNames are what the text that is signed may be made of.
var signNames = names{"method": true, "path": true, "query": true, "host": true, "body": true, "body_sha256": true, "timestamp": true, "nonce": true}

// signature is a Signature, ready to sign.
type signature struct {
	Signature
	over *template
	key  []byte
}

// mac is the signature of the parts in s, as it is sent.
func (g *signature) mac(s scope) (string, error) {
	text, err := g.over.verbatim(s)
	if err != nil {
		return "", err
	}
	m := hmac.New(hmacs[g.Algorithm], g.key)
	m.Write([]byte(text))
	return g.Prefix + encodings[g.Encoding](m.Sum(nil)), nil
}

// signScope gives the parts of one request.
type signScope map[string]string

func (s signScope) lookup(path []string) (any, bool) {
	v, ok := s[path[0]]
	return v, ok && len(path) == 1
}

// signed signs every request with a shared secret.
type signed struct {
	signature
	headers []pair
	secrets secretScope
	now     func() time.Time
}

func newSigned(a Auth, secrets secretSource, now func() time.Time) (credentials, error) {
	g, err := openSignature(*a.Sign, secrets)
	if err != nil {
		return nil, err
	}
	s := &signed{signature: g, secrets: secretScope{secrets}, now: now}
	for name, text := range a.Sign.Headers {
		t, err := parseTemplate(text)
		if err != nil {
			return nil, err
		}
		s.headers = append(s.headers, pair{name, t})
	}
	return s, nil
}

func openSignature(spec Signature, secrets secretSource) (signature, error) {
	g := signature{Signature: spec}
	var err error
	if g.over, err = parseTemplate(spec.Over); err != nil {
		return g, err
	}
	key, err := reveal(secrets, spec.Secret)
	g.key = []byte(key)
	return g, err
}

func (s *signed) renew() bool { return false }

func (s *signed) apply(_ context.Context, req *http.Request) error {
	body, err := bodyOf(req)
	if err != nil {
		return err
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand.Read never fails
	sum := sha256.Sum256(body)
	parts := signScope{
		"method": req.Method, "path": req.URL.EscapedPath(), "query": req.URL.RawQuery, "host": req.URL.Host,
		"body": string(body), "body_sha256": hex.EncodeToString(sum[:]),
		"timestamp": strconv.FormatInt(s.now().Unix(), 10), "nonce": hex.EncodeToString(nonce[:]),
	}
	for _, h := range s.headers {
		v, err := h.value.header(eitherScope{parts, s.secrets})
		if err != nil {
			return fmt.Errorf("signing: %w", err)
		}
		req.Header.Set(h.name, v)
	}
	mac, err := s.mac(parts)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	if s.Timestamp != "" {
		req.Header.Set(s.Timestamp, parts["timestamp"])
	}
	req.Header.Set(s.Header, mac)
	return nil
}

// eitherScope looks in one scope and then in the other.
type eitherScope struct{ first, second scope }

func (e eitherScope) lookup(path []string) (any, bool) {
	if v, ok := e.first.lookup(path); ok {
		return v, true
	}
	return e.second.lookup(path)
}

// bodyOf reads a request's body and leaves it as it was.
func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	raw, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the body to sign: %w", err)
	}
	req.Body = io.NopCloser(bytes.NewReader(raw))
	return raw, nil
}

// verify reports whether a request that came in is signed by whoever shares
// the secret, and recently when the signature has a time.
func (g *signature) verify(r *http.Request, body []byte, now time.Time) bool {
	sum := sha256.Sum256(body)
	parts := signScope{
		"method": r.Method, "path": r.URL.EscapedPath(), "query": r.URL.RawQuery, "host": r.Host,
		"body": string(body), "body_sha256": hex.EncodeToString(sum[:]),
	}
	if g.Timestamp != "" {
		parts["timestamp"] = r.Header.Get(g.Timestamp)
		sec, err := strconv.ParseInt(parts["timestamp"], 10, 64)
		tolerance := orTime(g.Tolerance, 5*time.Minute)
		if err != nil || time.Unix(sec, 0).Before(now.Add(-tolerance)) || time.Unix(sec, 0).After(now.Add(tolerance)) {
			return false
		}
	}
	want, err := g.mac(parts)
	got := r.Header.Get(g.Header)
	if g.Encoding == "" || g.Encoding == "hex" {
		want, got = strings.ToLower(want), strings.ToLower(got)
	}
	return err == nil && hmac.Equal([]byte(want), []byte(got))
}
