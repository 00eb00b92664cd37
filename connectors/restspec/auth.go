package restspec

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// credentials put proof of who is asking on a request.
type credentials interface {
	apply(ctx context.Context, req *http.Request) error
	// renew forgets a token that was refused and reports whether another may
	// be had.
	renew() bool
}

// fixed are credentials that never change: a header or a query parameter.
type fixed struct{ header, query, value string }

func (f fixed) apply(_ context.Context, req *http.Request) error {
	switch {
	case f.header != "":
		req.Header.Set(f.header, f.value)
	case f.query != "":
		q := req.URL.Query()
		q.Set(f.query, f.value)
		req.URL.RawQuery = q.Encode()
	}
	return nil
}

func (fixed) renew() bool { return false }

// secretSource gives the value of a named secret.
type secretSource func(name string) (sdk.Secret, error)

func reveal(secrets secretSource, name string) (string, error) {
	if secrets == nil {
		return "", fmt.Errorf("there is no source for the secret %s", name)
	}
	s, err := secrets(name)
	if err != nil {
		return "", fmt.Errorf("reading the secret %s: %w", name, err)
	}
	v := strings.TrimSpace(s.Reveal())
	if v == "" {
		return "", fmt.Errorf("the secret %s is empty", name)
	}
	if strings.ContainsAny(v, "\r\n\x00") {
		return "", fmt.Errorf("the secret %s has more than one line", name)
	}
	return v, nil
}

// newCredentials reads the secrets that a needs. send makes the requests that
// fetch tokens; dir is where a rotated refresh token is kept.
func newCredentials(a Auth, secrets secretSource, send func(*http.Request) (*http.Response, error), base *url.URL, dir string) (credentials, error) {
	switch a.Type {
	case "none":
		return fixed{}, nil
	case "api_key":
		v, err := reveal(secrets, a.Secret)
		return fixed{header: a.Header, query: a.Query, value: a.Prefix + v}, err
	case "bearer":
		v, err := reveal(secrets, a.Secret)
		return fixed{header: "Authorization", value: "Bearer " + v}, err
	case "basic":
		return basic(a, secrets)
	case "signed":
		return newSigned(a, secrets, time.Now)
	case "login":
		return newLogin(a.Login, secrets, send, base)
	default:
		return newOAuth(a, secrets, send, dir)
	}
}

func basic(a Auth, secrets secretSource) (credentials, error) {
	user, password := a.User, ""
	var err error
	if a.UserSecret != "" {
		if user, err = reveal(secrets, a.UserSecret); err != nil {
			return nil, err
		}
	}
	if a.Secret != "" {
		if password, err = reveal(secrets, a.Secret); err != nil {
			return nil, err
		}
	}
	return fixed{header: "Authorization", value: "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}, nil
}

// tokens are credentials that are fetched and run out.
type tokens struct {
	header, prefix string
	fetch          func(context.Context) (token string, good time.Duration, err error)

	mu    sync.Mutex
	token string
	until time.Time
}

func (t *tokens) apply(ctx context.Context, req *http.Request) error {
	t.mu.Lock() // one fetch at a time: the others wait for its token
	defer t.mu.Unlock()
	if t.token == "" || time.Now().After(t.until) {
		token, good, err := t.fetch(ctx)
		if err != nil {
			return err
		}
		if strings.ContainsAny(token, "\r\n\x00") || token == "" {
			return sdk.WithCode(sdk.Denied, errors.New("fetching a token: the answer has none"))
		}
		t.token, t.until = token, time.Now().Add(good)
	}
	req.Header.Set(t.header, t.prefix+t.token)
	return nil
}

func (t *tokens) renew() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = ""
	return true
}

// askToken sends a token request and reads the small JSON answer. Neither the
// request nor the answer is quoted in its errors.
func askToken(req *http.Request, send func(*http.Request) (*http.Response, error)) (any, error) {
	resp, err := send(req)
	if err != nil {
		return nil, sdk.WithCode(sdk.Unavailable, fmt.Errorf("fetching a token: %w", bareError(err)))
	}
	defer func() { _ = resp.Body.Close() }() // read as far as wanted
	switch {
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		if after, err := retryAfter(resp.Header, time.Now()); err == nil && after > 0 {
			return nil, overQuota(after)
		}
		return nil, sdk.WithCode(sdk.Unavailable, fmt.Errorf("fetching a token: status %d", resp.StatusCode))
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated:
		return nil, sdk.Permanent(sdk.WithCode(sdk.Denied, fmt.Errorf("fetching a token: status %d; check the credentials", resp.StatusCode)))
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, sdk.WithCode(sdk.Unavailable, errors.New("fetching a token: the answer was cut short"))
	}
	v, err := decodeValue(raw)
	if err != nil {
		return nil, sdk.WithCode(sdk.Unavailable, errors.New("fetching a token: the answer is not JSON"))
	}
	return v, nil
}

// newLogin signs in with a JSON request.
func newLogin(l *Login, secrets secretSource, send func(*http.Request) (*http.Response, error), base *url.URL) (credentials, error) {
	values := map[string]string{}
	for name, text := range l.JSON {
		t, err := parseTemplate(text)
		if err != nil {
			return nil, err
		}
		if values[name], err = t.plain(secretScope{secrets}); err != nil {
			return nil, err
		}
	}
	payload, err := json.Marshal(values)
	if err != nil {
		return nil, errors.New("making the sign-in request")
	}
	ttl := time.Duration(l.TTL)
	if ttl == 0 {
		ttl = 10 * time.Minute
	}
	return &tokens{header: "Authorization", prefix: "Bearer ", fetch: func(ctx context.Context) (string, time.Duration, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.String()+l.Post, bytes.NewReader(payload))
		if err != nil {
			return "", 0, errors.New("making the sign-in request")
		}
		req.Header.Set("Content-Type", "application/json")
		v, err := askToken(req, send)
		if err != nil {
			return "", 0, err
		}
		token, _ := scalarText(at(v, l.Token))
		return token, ttl, nil
	}}, nil
}

type secretScope struct{ secrets secretSource }

func (s secretScope) lookup(path []string) (any, bool) {
	if len(path) != 2 || path[0] != "secret" {
		return nil, false
	}
	v, err := reveal(s.secrets, path[1])
	return v, err == nil
}

// oauth fetches tokens by RFC 6749 4.4 (client credentials) or 6 (refresh).
type oauth struct {
	auth    Auth
	secret  string
	refresh string
	send    func(*http.Request) (*http.Response, error)
	keep    string // file of a rotated refresh token
}

func newOAuth(a Auth, secrets secretSource, send func(*http.Request) (*http.Response, error), dir string) (credentials, error) {
	o := &oauth{auth: a, send: send}
	var err error
	if a.ClientSecret != "" {
		if o.secret, err = reveal(secrets, a.ClientSecret); err != nil {
			return nil, err
		}
	}
	if a.Grant == "refresh_token" {
		if o.refresh, err = reveal(secrets, a.RefreshToken); err != nil {
			return nil, err
		}
		if dir != "" {
			o.keep = filepath.Join(dir, "refresh-token")
			switch kept, err := os.ReadFile(o.keep); {
			case err == nil && len(kept) > 0:
				o.refresh = string(kept)
			case err != nil && !os.IsNotExist(err):
				return nil, fmt.Errorf("reading the kept refresh token: %w", err)
			}
		}
	}
	return &tokens{header: "Authorization", prefix: "Bearer ", fetch: o.fetch}, nil
}

func (o *oauth) fetch(ctx context.Context) (string, time.Duration, error) {
	form := url.Values{"grant_type": {o.auth.Grant}}
	for k, v := range o.auth.Params {
		form.Set(k, v)
	}
	if len(o.auth.Scopes) > 0 {
		form.Set("scope", strings.Join(o.auth.Scopes, " "))
	}
	if o.refresh != "" {
		form.Set("refresh_token", o.refresh)
	}
	if o.auth.ClientAuth == "body" || o.secret == "" {
		form.Set("client_id", o.auth.ClientID)
		if o.secret != "" {
			form.Set("client_secret", o.secret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.auth.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, errors.New("making the token request")
	}
	if o.auth.ClientAuth != "body" && o.secret != "" {
		// RFC 6749 2.3.1: both are form-encoded before they are joined.
		req.SetBasicAuth(url.QueryEscape(o.auth.ClientID), url.QueryEscape(o.secret))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	v, err := askToken(req, o.send)
	if err != nil {
		return "", 0, err
	}
	token, _ := scalarText(at(v, "access_token"))
	if next, _ := scalarText(at(v, "refresh_token")); next != "" && next != o.refresh {
		o.refresh = next
		// The old one may be dead from now on: losing the new one would lock
		// the connector out.
		if o.keep != "" {
			if err := writeFile(o.keep, []byte(next)); err != nil {
				return "", 0, fmt.Errorf("keeping the rotated refresh token: %w", err)
			}
		}
	}
	good := time.Hour
	if n, ok := at(v, "expires_in").(json.Number); ok {
		if s, err := n.Int64(); err == nil && s > 0 {
			good = time.Duration(s) * time.Second
		}
	}
	return token, good - min(good/10, time.Minute), nil
}

// writeFile replaces a file whole, readable by its owner alone.
func writeFile(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // best effort: the write error is what matters
	}
	return err
}
