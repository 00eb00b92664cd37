package restspec

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// TestSignedRequests lets the system compute the signature by itself.
func TestSignedRequests(t *testing.T) {
	spec := `auth:
  type: signed
  sign:
    header: X-Signature
    prefix: "v1="
    encoding: base64
    secret: SHARED
    timestamp: X-Time
    over: "{{ .method }}|{{ .path }}|{{ .query }}|{{ .timestamp }}|{{ .body_sha256 }}|{{ .body }}"
    headers: {X-Key: "{{ .secret.KEY_ID }}"}
` + search(`erase:
  - use: locate
  - {name: drop, each: users, post: "/users/{{ .users.id }}/erase", json: {why: asked}}
`)
	good := 0
	check := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			sum := sha256.Sum256(body)
			m := hmac.New(sha256.New, []byte("s3cr3t-SHARED"))
			m.Write([]byte(strings.Join([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("X-Time"), hex.EncodeToString(sum[:]), string(body)}, "|")))
			if r.Header.Get("X-Signature") != "v1="+base64.StdEncoding.EncodeToString(m.Sum(nil)) || r.Header.Get("X-Key") != "s3cr3t-KEY_ID" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			good++
			next(w, r)
		}
	}
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": check(says(200, one)), "POST /users/u1/erase": check(says(200, `{}`))})
	if err := open(t, v, spec).(sdk.Eraser).Erase(t.Context(), her); err != nil || good != 2 {
		t.Errorf("%d good signatures, %v", good, err)
	}
}

const calling = `erase:
  - use: locate
  - name: drop
    each: users
    post: /erasures
    json: {user: "{{ .users.id }}"}
    async:
      handle: {job: id}
      callback:
        path: /callbacks/acme
        id: data.job
        handle: job
        state: data.state
        signature: {header: X-Sign, secret: HOOK, over: "{{ .timestamp }}.{{ .body }}", timestamp: X-Time}
      done: [done]
      failed: [broken]
      pending: [running]
      every: 1h
`

// ring posts a callback to the connector and returns the status.
func ring(t *testing.T, addr, body, secret string, at time.Time) int {
	t.Helper()
	when := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(when + "." + body))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/callbacks/acme", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Time", when)
	req.Header.Set("X-Sign", hex.EncodeToString(m.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestCallback defers until the system calls: calls that are forged, old,
// early, doubled, out of order and for another instance.
func TestCallback(t *testing.T) {
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": says(200, one), "POST /erasures": says(202, `{"id":"job-1"}`)})
	dir := t.TempDir()
	p := func(o *Options) { o.Dir, o.Listen = dir, "127.0.0.1:0" }
	c, other := open(t, v, search(calling), p).(sdk.Eraser), open(t, v, search(calling), p).(sdk.Eraser)
	addr := engineOf(c).callbackAddr
	t.Cleanup(func() {
		for _, e := range []sdk.Eraser{c, other} {
			if err := engineOf(e).Close(); err != nil {
				t.Error(err)
			}
		}
	})
	erase := func(c sdk.Eraser) error { return c.Erase(inJob(t.Context(), "job"), her) }
	waits := func(what string) {
		t.Helper()
		if after, notYet := sdk.AsNotYet(erase(c)); !notYet || after != time.Hour {
			t.Fatalf("%s: it does not wait", what)
		}
	}
	now, done := time.Now(), `{"data":{"job":"job-1","state":"done"}}`
	for _, tt := range []struct {
		name, body, secret string
		at                 time.Time
		status             int
	}{
		{"forged", done, "guess", now, 401},
		{"old", done, "s3cr3t-HOOK", now.Add(-time.Hour), 401},
		{"of somebody else's work", `{"data":{"job":"job-2","state":"done"}}`, "s3cr3t-HOOK", now, 204},
		{"without sense", `{"data":[]}`, "s3cr3t-HOOK", now, 400},
		{"under way", `{"data":{"job":"job-1","state":"running"}}`, "s3cr3t-HOOK", now, 204},
		{"too long", strings.Repeat(" ", maxCallback+1), "s3cr3t-HOOK", now, 413},
	} {
		if got := ring(t, addr, tt.body, tt.secret, tt.at); got != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.status)
		}
		waits(tt.name)
	}
	for _, late := range []string{done, done, `{"data":{"job":"job-1","state":"running"}}`} {
		if got := ring(t, addr, late, "s3cr3t-HOOK", now); got != 204 {
			t.Fatalf("status %d", got)
		}
	}
	if err := erase(other); err != nil {
		t.Errorf("after the call, on another instance: %v", err)
	}
	if n := v.count("POST /erasures"); n != 1 {
		t.Errorf("started %d times", n)
	}
}

// self is the engine of a combined connector.
func (e *engine) self() *engine { return e }

// FuzzCallback posts anything under a good signature: the answer is one of the
// statuses a caller is told of, and nothing is kept of what makes no sense.
func FuzzCallback(f *testing.F) {
	for _, s := range []string{``, `{}`, `[]`, `{"data":{"job":"job-1","state":"done"}}`, `{"data":{"job":{},"state":[]}}`, `{"data":{"job":1e400,"state":true}}{`, "\x00"} {
		f.Add(s)
	}
	p, err := Parse("acme.yaml", []byte("restspec: 1\nsystem: acme\nbase: https://acme.example\nauth: {type: none}\nstores: [{name: users, categories: [{letter: A, data: user.contact.email}]}]\n"+search(calling)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		_, c, err := p.Open(Options{Name: "acme", Listen: "127.0.0.1:0", Secret: func(string) (sdk.Secret, error) { return "s3cr3t-HOOK", nil }})
		if err != nil {
			t.Fatal(err)
		}
		e := engineOf(c)
		status := ring(t, e.callbackAddr, body, "s3cr3t-HOOK", time.Now())
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if status != 204 && status != 400 && status != 413 {
			t.Errorf("status %d", status)
		}
		if kept := len(e.called.mem); (status == 204) != (kept == 1) {
			t.Errorf("status %d and %d states are kept", status, kept)
		}
	})
}

// engineOf is the engine inside an opened connector.
func engineOf(c sdk.Connector) *engine {
	return c.(interface{ self() *engine }).self()
}

// TestCorrect puts right what is named, at every record, and refuses what no
// step is for before it changes anything.
func TestCorrect(t *testing.T) {
	spec := search(`correct:
  - use: locate
  - {name: fix-phone, each: users, shows: phone, corrects: [user.contact.phone_number, phone], patch: "/users/{{ .users.id }}", json: {phone: "{{ .correction }}"}}
  - {name: fix-email, each: users, corrects: email, patch: "/users/{{ .users.id }}", json: {email: "{{ .correction }}"}}
`)
	var got []string
	v := newVendor(t, map[string]http.HandlerFunc{
		"GET /users": says(200, one),
		"PATCH /users/u1": func(_ http.ResponseWriter, r *http.Request) {
			raw, _ := io.ReadAll(r.Body)
			got = append(got, string(raw))
		},
	})
	c := open(t, v, spec).(sdk.Corrector)
	fix := func(ctx context.Context, all ...sdk.Correction) error { return c.Correct(ctx, her, all) }
	if err := fix(t.Context(), sdk.Correction{Field: "email", Value: `"a"@example.com`}, sdk.Correction{Field: "user.contact.phone_number", Value: "+1"}); err != nil {
		t.Fatal(err)
	}
	if want := `{"phone":"+1"},{"email":"\"a\"@example.com"}`; strings.Join(got, ",") != want {
		t.Errorf("sent %v, want %s", got, want)
	}
	// It is read back where it shows, and the system has not changed.
	held, wrong, err := c.(sdk.CorrectionReader).Corrected(t.Context(), her, []sdk.Correction{{Field: "email", Value: "b@example.com"}, {Field: "phone", Value: "+1"}})
	if err != nil || held != 1 || wrong != 1 {
		t.Errorf("%d held, %d wrong, %v; want the address alone, and wrong", held, wrong, err)
	}
	got = nil
	err = fix(t.Context(), sdk.Correction{Field: "email", Value: "b@example.com"}, sdk.Correction{Field: "Shoe size, 44", Value: "45"})
	if !sdk.IsPermanent(err) || len(got) > 0 || strings.Contains(err.Error(), "Shoe") {
		t.Errorf("an unknown field: sent %v, %v", got, err)
	}
}

// TestAbilities: a connector has the abilities whose operations are written,
// and no others.
func TestAbilities(t *testing.T) {
	ops := map[string]string{
		"export": "export: [{use: locate}]\n", "erase": eraseUsers,
		"correct":    "correct: [{use: locate}, {name: c, each: users, shows: x, corrects: x, put: /x, json: {x: \"{{ .correction }}\"}}]\n",
		"opt_in":     "opt_in: [{name: o, for: email, delete: /o, query: {e: \"{{ .email }}\"}}]\n",
		"opt_out":    "opt_out: [{name: o, for: email, put: /o, json: {e: \"{{ .email }}\"}}]\nopted_out: [{name: o, for: email, get: /o, query: {e: \"{{ .email }}\"}, expect: {field: out, in: true}}]\n",
		"limit_spi":  "limit_spi: [{name: l, for: email, put: /l, json: {e: \"{{ .email }}\"}}]\nlimited_spi: [{name: l, for: email, get: /l, query: {e: \"{{ .email }}\"}, expect: {field: out, in: true}}]\n",
		"lift_limit": "lift_limit: [{name: l, for: email, delete: /l, query: {e: \"{{ .email }}\"}}]\n",
		"resolve":    "resolve: [{name: r, for: email, get: /r, items: users, id: id, match: email, yields: [{kind: user_id, field: id}]}]\n",
	}
	v := newVendor(t, nil)
	for set := range 1 << len(abilityBits) {
		if set&(1<<3) == 0 && set&(1<<5) != 0 || set&(1<<6) == 0 && set&(1<<7) != 0 {
			continue // nothing to take back
		}
		spec := search("")
		for i, op := range abilityBits {
			if set&(1<<i) != 0 {
				spec += ops[op]
			}
		}
		c := open(t, v, spec)
		_, x := c.(sdk.Exporter)
		_, d := c.(sdk.Eraser)
		_, k := c.(sdk.Corrector)
		_, o := c.(sdk.OptOuter)
		_, r := c.(sdk.Resolver)
		_, u := c.(sdk.Resumer)
		_, l := c.(sdk.Limiter)
		_, b := c.(sdk.LimitLifter)
		got := 0
		for i, has := range []bool{x, d, k, o, r, u, l, b} {
			if has {
				got |= 1 << i
			}
		}
		if got != set {
			t.Errorf("set %08b has the abilities %08b", set, got)
		}
	}
}
