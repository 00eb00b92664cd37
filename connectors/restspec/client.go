package restspec

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const (
	maxRedirects = 5
	maxTries     = 4       // of one request inside one attempt
	maxErrorBody = 1 << 16 // bytes of an error answer that are looked at
)

// client sends the requests of one program to one system.
type client struct {
	prog    *Program
	guard   *guard
	http    *http.Client
	creds   credentials
	quota   *quota
	timeout time.Duration
}

// answer is a system's answer that a rule said something about.
type answer struct {
	status int
	header http.Header
	body   io.ReadCloser // set for a 2xx answer; the caller closes it
	means  string        // "done", "missing", "accepted" or "not_yet"
	rule   *rule
	url    *url.URL
}

func (a *answer) close() {
	if a.body != nil {
		_ = a.body.Close() // the answer was used as far as it was wanted
	}
}

// change adjusts a request for a further page.
type change struct {
	url   *url.URL          // instead of the step's own
	query map[string]string // added to it
	json  map[string]any    // put into the body, by dotted path
	// people is how many people the request is about, for limits that count
	// them; 0 counts as one.
	people int
}

// send fills c from s and sends it until the answer means something. Errors
// carry the template of the path, never what was put into it.
func (cl *client) send(ctx context.Context, c *call, s scope, ch change, effect string) (*answer, error) {
	req, payload, err := cl.build(ctx, c, s, ch, effect)
	if err != nil {
		return nil, sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("%s: %w", c.label, err)))
	}
	// A request that may be sent again: it has no effect, or it carries its
	// effect's key, or its method says so (RFC 9110 9.2.2).
	again := effect == "" || c.idem != "" || c.method != http.MethodPost && c.method != http.MethodPatch
	waited := time.Duration(0)
	for try := 1; ; try++ {
		a, err := cl.once(ctx, c, req, payload, ch.people)
		if err == nil {
			return a, nil
		}
		var r *retryable
		if !errors.As(err, &r) || ctx.Err() != nil {
			return nil, cl.fail(ctx, c, err)
		}
		if r.after > 0 {
			if err := cl.quota.hold(ctx, r.after); err != nil {
				return nil, cl.fail(ctx, c, err)
			}
		}
		pause := max(r.after, time.Duration(1<<try)*50*time.Millisecond)
		waited += pause
		if try == maxTries || waited > cl.quota.patience || !again && !r.refused {
			if r.after > 0 && r.refused {
				return nil, fmt.Errorf("%s: %w", c.label, overQuota(r.after))
			}
			return nil, cl.fail(ctx, c, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, fmt.Errorf("%s: %w", c.label, err)
		}
	}
}

// fail is err as the caller sees it: coded, and cancelled when it was.
func (cl *client) fail(ctx context.Context, c *call, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", c.label, ctx.Err())
	}
	return fmt.Errorf("%s: %w", c.label, err)
}

// retryable is a failure that may pass.
type retryable struct {
	err     error
	after   time.Duration // what the system asked for, or nothing
	refused bool          // the system said it did nothing (429, 503 with Retry-After)
}

func (r *retryable) Error() string { return r.err.Error() }
func (r *retryable) Unwrap() error { return r.err }

// build makes the request and its body.
func (cl *client) build(ctx context.Context, c *call, s scope, ch change, effect string) (*http.Request, []byte, error) {
	u := ch.url
	if u == nil {
		path, err := c.path.urlPath(s)
		if err != nil {
			return nil, nil, err
		}
		if strings.HasPrefix(path, "/") {
			path = cl.guard.base.String() + path
		}
		if u, err = url.Parse(path); err != nil {
			return nil, nil, errors.New("the address is not a URL") // the error would quote it
		}
		q := url.Values{}
		for _, p := range c.query {
			v, err := p.value.plain(s)
			if err != nil {
				return nil, nil, err
			}
			q.Set(p.name, v)
		}
		u.RawQuery = q.Encode()
	}
	if len(ch.query) > 0 {
		q := u.Query()
		for k, v := range ch.query {
			q.Set(k, v)
		}
		u.RawQuery = q.Encode()
	}
	payload, kind, err := c.payload(s, ch)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), nil)
	if err != nil {
		return nil, nil, errors.New("the address is not a URL")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "habeas-restspec")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for _, p := range slices.Concat(cl.prog.headers, c.headers) {
		v, err := p.value.header(s)
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set(p.name, v)
	}
	if c.idem != "" && effect != "" {
		req.Header.Set(c.idem, effect)
	}
	return req, payload, nil
}

// payload is the body of c and its content type.
func (c *call) payload(s scope, ch change) ([]byte, string, error) {
	switch {
	case c.json != nil:
		v, err := c.json.fill(s)
		if err != nil {
			return nil, "", err
		}
		if m, ok := v.(map[string]any); ok {
			for path, value := range ch.json {
				setAt(m, path, value)
			}
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, "", errors.New("making the body")
		}
		return raw, "application/json", nil
	case c.form != nil:
		form := url.Values{}
		for _, p := range c.form {
			v, err := p.value.plain(s)
			if err != nil {
				return nil, "", err
			}
			form.Set(p.name, v)
		}
		return []byte(form.Encode()), "application/x-www-form-urlencoded", nil
	}
	return nil, "", nil
}

// setAt puts a value into nested objects.
func setAt(m map[string]any, path string, value any) {
	words := strings.Split(path, ".")
	for _, w := range words[:len(words)-1] {
		next, ok := m[w].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[w] = next
		}
		m = next
	}
	m[words[len(words)-1]] = value
}

// once sends a request through redirects and a renewed token, and classifies
// the answer.
func (cl *client) once(ctx context.Context, c *call, tmpl *http.Request, payload []byte, people int) (*answer, error) {
	target := tmpl.URL
	renewed := false
	for hop := 0; ; {
		if err := cl.guard.check(target); err != nil {
			return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, err))
		}
		if err := cl.quota.wait(ctx, c.limits, people); err != nil {
			return nil, err
		}
		reqCtx, stop := context.WithCancel(ctx)
		req := tmpl.Clone(reqCtx)
		req.URL, req.Host = cloneURL(target), target.Host
		if payload != nil {
			req.Body = io.NopCloser(bytes.NewReader(payload))
			req.ContentLength = int64(len(payload))
		}
		if cl.guard.home(target) {
			if err := cl.creds.apply(reqCtx, req); err != nil {
				stop()
				if after, notYet := sdk.AsNotYet(err); notYet {
					err = errors.Join(err, cl.quota.hold(ctx, after))
				}
				return nil, err
			}
		}
		resp, err := cl.roundTrip(req, stop)
		if err != nil {
			return nil, &retryable{err: sdk.WithCode(sdk.Unavailable, err)}
		}
		switch {
		case resp.StatusCode == http.StatusUnauthorized && !renewed && cl.guard.home(target) && cl.creds.renew():
			renewed = true
			_ = resp.Body.Close()
			continue
		case isRedirect(resp.StatusCode) && resp.Header.Get("Location") != "":
			_ = resp.Body.Close()
			next, err := cl.redirect(c, target, resp.Header.Get("Location"), hop)
			if err != nil {
				return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, err))
			}
			target, hop = next, hop+1
			continue
		}
		return cl.classify(c, resp, target)
	}
}

func cloneURL(u *url.URL) *url.URL { v := *u; return &v }

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirect says where to go on. Only reading follows one: what was meant to
// change something must not be turned into something else on the way.
func (cl *client) redirect(c *call, from *url.URL, location string, hop int) (*url.URL, error) {
	if c.method != http.MethodGet {
		return nil, fmt.Errorf("the system redirects a %s; put its new address into the specification", c.method)
	}
	if hop == maxRedirects {
		return nil, errors.New("the system redirects in a circle")
	}
	return cl.resolve(from, location)
}

// resolve makes an address found in an answer into one that may be asked.
func (cl *client) resolve(from *url.URL, ref string) (*url.URL, error) {
	u, err := from.Parse(ref)
	if err != nil {
		return nil, errors.New("the answer has a link that is not a URL")
	}
	u.Fragment = ""
	if err := cl.guard.check(u); err != nil {
		return nil, fmt.Errorf("following a link in the answer: %w", err)
	}
	return u, nil
}

// roundTrip sends req with a time limit on every silence: for the headers, and
// for each read of the body. stop is called when the body is closed.
func (cl *client) roundTrip(req *http.Request, stop context.CancelFunc) (*http.Response, error) {
	alarm := time.AfterFunc(cl.timeout, stop)
	resp, err := cl.http.Do(req)
	if err != nil {
		late := !alarm.Stop()
		stop()
		if late {
			return nil, fmt.Errorf("no answer in %s", cl.timeout)
		}
		return nil, bareError(err)
	}
	alarm.Stop()
	resp.Body = &watched{ReadCloser: resp.Body, alarm: alarm, limit: cl.timeout, stop: stop}
	return resp, nil
}

// watched is a body that may not be silent for longer than limit.
type watched struct {
	io.ReadCloser
	alarm *time.Timer
	limit time.Duration
	stop  context.CancelFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.alarm.Reset(w.limit)
	n, err := w.ReadCloser.Read(p)
	w.alarm.Stop()
	return n, err
}

func (w *watched) Close() error {
	w.alarm.Stop()
	w.stop()
	return w.ReadCloser.Close()
}

// bareError is a transport's error without the address that was asked for,
// which may hold identifiers.
func bareError(err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	switch {
	case errors.Is(err, errPrivate):
		return sdk.Permanent(sdk.WithCode(sdk.Configuration, errPrivate))
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return errors.New("the system's certificate cannot be trusted")
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("connecting: %s: %w", op.Op, op.Err)
	}
	return errors.New("the connection broke before the answer was complete")
}
