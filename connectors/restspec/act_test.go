package restspec

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// eraser is a system whose deletions are jobs that take days.
type eraser struct {
	mu      sync.Mutex
	jobs    int
	state   string
	lose    bool // the first answer
	known   bool // the job can be found by its record
	forgets bool // a look does not find the job
}

func (e *eraser) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /users": says(200, one),
		"POST /erasures": func(w http.ResponseWriter, r *http.Request) {
			e.mu.Lock()
			e.jobs++
			lose := e.lose
			e.lose = false
			n := e.jobs
			e.mu.Unlock()
			if lose {
				breaks(w, r)
			}
			w.WriteHeader(http.StatusAccepted)
			_, _ = fmt.Fprintf(w, `{"data":{"id":"job-%d"}}`, n)
		},
		"GET /erasures": func(w http.ResponseWriter, r *http.Request) {
			e.mu.Lock()
			defer e.mu.Unlock()
			if e.known && e.jobs > 0 && r.URL.Query().Get("user") == "u1" {
				_, _ = fmt.Fprintf(w, `{"jobs":[{"id":"job-0","state":"gone"},{"id":"job-%d","state":"running"}]}`, e.jobs)
				return
			}
			_, _ = io.WriteString(w, `{"jobs":[]}`)
		},
		"GET /erasures/job-1": e.look,
		"GET /erasures/job-2": e.look,
	}
}

func (e *eraser) look(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forgets {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = fmt.Fprintf(w, `{"data":{"state":%q}}`, e.state)
}

func (e *eraser) set(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
}

const slowErase = `erase:
  - use: locate
  - name: drop
    each: users
    post: /erasures
    json: {user: "{{ .users.id }}"}
    async:
      handle: {job: data.id}
      %s
      poll: {get: "/erasures/{{ .handle.job }}", responses: [{status: 404, means: missing}]}
      state: data.state
      done: done
      failed: failed
      pending: [queued, running]
      wait: 10d
      every: 6h
`

const findWork = `find: {get: /erasures, query: {user: "{{ .users.id }}"}, items: jobs, where: {state: [queued, running]}}`

// TestSlowErasure follows a deletion over a waiting period of ten days and a
// restart of the connector.
func TestSlowErasure(t *testing.T) {
	e := &eraser{state: "queued"}
	v := newVendor(t, e.routes())
	dir, now := t.TempDir(), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	attempt := func(job string) (time.Duration, error) {
		t.Helper()
		c := open(t, v, search(fmt.Sprintf(slowErase, "")), func(o *Options) {
			o.Dir, o.Now = dir, func() time.Time { return now }
		})
		err := c.(sdk.Eraser).Erase(inJob(t.Context(), job), her)
		quiet(t, err)
		after, notYet := sdk.AsNotYet(err)
		if err != nil && !notYet {
			return 0, err
		}
		return after, nil
	}
	want := func(days float64, after time.Duration, err error) {
		t.Helper()
		if d := time.Duration(days * 24 * float64(time.Hour)); err != nil || after != d {
			t.Errorf("come back after %s (%v), want %s", after, err, d)
		}
	}
	after, err := attempt("job-a")
	want(10, after, err)
	now = now.AddDate(0, 0, 4)
	after, err = attempt("job-a")
	want(6, after, err)
	now = now.AddDate(0, 0, 7)
	e.set(func() { e.state = "running" })
	after, err = attempt("job-a")
	want(0.25, after, err)
	if v.count("POST /erasures") != 1 {
		t.Fatalf("started %d times", v.count("POST /erasures"))
	}
	e.set(func() { e.state = "done" })
	if after, err = attempt("job-a"); after != 0 || err != nil {
		t.Errorf("done: %s, %v", after, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "started", "*")); err != nil || len(left) != 0 {
		t.Errorf("finished work is remembered: %v, %v", left, err)
	}
}

func TestSlowErasureEnds(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name, find string
		prepare    func(*eraser)
		starts     int
		code       sdk.FailureCode
		permanent  bool
	}{
		{"done", "", func(e *eraser) { e.state = "done" }, 1, "", false},
		{"failed", "", func(e *eraser) { e.state = "failed" }, 1, sdk.Rejected, true},
		{"a state nobody wrote down", "", func(e *eraser) { e.state = "PARTIAL" }, 1, sdk.Configuration, true},
		{"answer lost, found again", findWork, func(e *eraser) { e.state, e.lose, e.known = "done", true, true }, 1, "", false},
		{"answer lost, not to be found", "", func(e *eraser) { e.state, e.lose = "done", true }, 2, "", false},
		{"forgotten", "lost: restart", func(e *eraser) { e.forgets = true }, 4, sdk.Unavailable, false},
		{"forgotten when done", "lost: done", func(e *eraser) { e.forgets = true }, 1, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &eraser{state: "queued"}
			tt.prepare(e)
			v := newVendor(t, e.routes())
			spec := strings.Replace(fmt.Sprintf(slowErase, tt.find), "      wait: 10d\n", "", 1)
			c := open(t, v, search(spec), func(o *Options) { o.Dir, o.Now = t.TempDir(), func() time.Time { return now } })
			var err error
			for range 4 { // as the runtime would
				err = c.(sdk.Eraser).Erase(inJob(t.Context(), "job-a"), her)
				quiet(t, err)
				if err == nil || sdk.IsPermanent(err) {
					break
				}
			}
			if sdk.CodeOf(err) != tt.code || sdk.IsPermanent(err) != tt.permanent || (tt.code == "") != (err == nil) {
				t.Errorf("ended with %v", err)
			}
			if n := v.count("POST /erasures"); n != tt.starts {
				t.Errorf("started %d times, want %d", n, tt.starts)
			}
		})
	}
}

// TestAssumedErasure is a system that never says when it is done.
func TestAssumedErasure(t *testing.T) {
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": says(200, one), "POST /erasures": says(202, "")})
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	c := open(t, v, search(`erase:
  - use: locate
  - {name: drop, each: users, post: /erasures, async: {assume: 72h}}
`), func(o *Options) { o.Now = func() time.Time { return now } }).(sdk.Eraser)
	ctx := inJob(t.Context(), "job-a")
	after, notYet := sdk.AsNotYet(c.Erase(ctx, her))
	if !notYet || after != 72*time.Hour {
		t.Errorf("come back after %s, %t", after, notYet)
	}
	now = now.AddDate(0, 0, 3)
	if err := c.Erase(ctx, her); err != nil || v.count("POST /erasures") != 1 {
		t.Errorf("after three days: %v, started %d times", err, v.count("POST /erasures"))
	}
}

// TestRefusalSparesNobody: one record that is refused for good does not keep
// the others.
func TestRefusalSparesNobody(t *testing.T) {
	three := `{"users":[{"id":"a","email":"ada+x@example.com"},{"id":"b","email":"ada+x@example.com"},{"id":"c","email":"ada+x@example.com"}]}`
	v := newVendor(t, map[string]http.HandlerFunc{
		"GET /users": says(200, three), "DELETE /users/a": says(204, ""), "DELETE /users/b": says(409, ""), "DELETE /users/c": says(204, ""),
	})
	err := open(t, v, search(eraseUsers)).(sdk.Eraser).Erase(t.Context(), her)
	if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Rejected || v.count("DELETE /users/c") != 1 {
		t.Errorf("%v; the third was asked for %d times", err, v.count("DELETE /users/c"))
	}
	v.routes["DELETE /users/b"] = says(409, `{"code":"OPEN_TICKETS"}`)
	err = open(t, v, search(`erase:
  - use: locate
  - name: drop
    each: users
    delete: "/users/{{ .users.id }}"
    responses: [{status: 409, field: code, in: OPEN_TICKETS, means: never, say: close the tickets first}]
`)).(sdk.Eraser).Erase(t.Context(), her)
	if err == nil || !strings.Contains(err.Error(), "close the tickets first") {
		t.Errorf("got %v", err)
	}
}

// TestOAuth renews a refused token once and keeps a rotated refresh token.
func TestOAuth(t *testing.T) {
	var mu sync.Mutex
	issued, refreshes := 0, []string{}
	v := newVendor(t, nil)
	v.routes = map[string]http.HandlerFunc{
		"POST /token": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			id, secret, ok := r.BasicAuth()
			switch {
			case r.FormValue("grant_type") == "client_credentials" && ok && id == "me" && secret == "s3cr3t-CS" && r.FormValue("scope") == "read erase":
			case r.FormValue("grant_type") == "refresh_token" && r.FormValue("client_id") == "me":
				refreshes = append(refreshes, r.FormValue("refresh_token"))
			default:
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			issued++
			_, _ = fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":3600,"refresh_token":"r%d"}`, issued, issued)
		},
		"GET /users": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Authorization") != fmt.Sprintf("Bearer t%d", issued) || issued == 1 {
				w.WriteHeader(http.StatusUnauthorized) // the first token is refused: it was revoked
				return
			}
			_, _ = io.WriteString(w, one)
		},
	}
	spec := "auth: {type: oauth2, grant: client_credentials, token_url: /token, client_id: me, client_secret: CS, scopes: [read, erase]}\n" + search("")
	c := open(t, v, spec)
	for range 3 {
		if found, err := c.Locate(t.Context(), her); err != nil || len(found) != 1 {
			t.Fatalf("%v, %v", found, err)
		}
	}
	if issued != 2 {
		t.Errorf("%d tokens, want the refused one and its successor", issued)
	}
	dir := t.TempDir()
	spec = "auth: {type: oauth2, grant: refresh_token, token_url: /token, client_id: me, refresh_token: RT}\n" + search("")
	for range 2 { // a restart in between
		c := open(t, v, spec, func(o *Options) { o.Dir = dir })
		if _, err := c.Locate(t.Context(), her); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(refreshes, " "); got != "s3cr3t-RT r3" {
		t.Errorf("refresh tokens used: %s", got)
	}
	if info, err := os.Stat(filepath.Join(dir, "refresh-token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kept token: %v, %v", info, err)
	}
	v.routes["POST /token"] = says(401, `{"error":"s3cr3t"}`)
	_, err := open(t, v, spec).Locate(t.Context(), her)
	if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Denied {
		t.Errorf("refused credentials: %v", err)
	}
	quiet(t, err)
}

// TestCredentials looks at what each kind of authentication sends.
func TestCredentials(t *testing.T) {
	for auth, want := range map[string]string{
		"{type: bearer, secret: K}":                                   "Authorization: Bearer s3cr3t-K",
		"{type: api_key, header: X-Key, prefix: \"Key \", secret: K}": "X-Key: Key s3cr3t-K",
		"{type: api_key, query: api_key, secret: K}":                  "api_key=s3cr3t-K",
		"{type: basic, user: me, secret: K}":                          "Authorization: Basic bWU6czNjcjN0LUs=",
		"{type: basic, user_secret: K}":                               "Authorization: Basic czNjcjN0LUs6",
	} {
		var sent string
		v := newVendor(t, map[string]http.HandlerFunc{"GET /users": func(w http.ResponseWriter, r *http.Request) {
			sent = fmt.Sprintf("Authorization: %s\nX-Key: %s\n%s", r.Header.Get("Authorization"), r.Header.Get("X-Key"), r.URL.RawQuery)
			_, _ = io.WriteString(w, one)
		}})
		if _, err := open(t, v, "auth: "+auth+"\n"+search("")).Locate(t.Context(), her); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(sent, want) {
			t.Errorf("%s sent %q", auth, sent)
		}
		v.routes["GET /users"] = breaks
		_, err := open(t, v, "patience: 10ms\nauth: "+auth+"\n"+search("")).Locate(t.Context(), her)
		quiet(t, err)
	}
}
