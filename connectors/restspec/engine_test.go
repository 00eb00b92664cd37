package restspec

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// her is whom the tests are about.
var her = sdk.NewPerson(sdk.ID(sdk.Email, "ada+x@example.com"), sdk.ID(sdk.Phone, "+12095550111"))

// vendor is a scripted system: handlers by "METHOD /path", and a record of
// what it was asked.
type vendor struct {
	*httptest.Server
	mu     sync.Mutex
	routes map[string]http.HandlerFunc
	asked  []string
}

func newVendor(t *testing.T, routes map[string]http.HandlerFunc) *vendor {
	t.Helper()
	v := &vendor{routes: routes}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Method + " " + r.URL.EscapedPath()
		v.mu.Lock()
		h := v.routes[key]
		v.asked = append(v.asked, key)
		v.mu.Unlock()
		if h == nil {
			http.Error(w, "no such address", http.StatusNotFound)
			return
		}
		h(w, r)
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vendor) count(key string) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, k := range v.asked {
		if k == key {
			n++
		}
	}
	return n
}

// says answers with a status and a body.
func says(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // a test server has nobody to tell
	}
}

// inTurn answers with each handler once and then with the last.
func inTurn(hs ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	i := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := hs[min(i, len(hs)-1)]
		i++
		mu.Unlock()
		h(w, r)
	}
}

func breaks(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// one is the answer to a search that finds her.
const one = `{"users":[{"id":"u1","email":"Ada+X@example.com"}]}`

// open opens a specification, given as lines after the common head, against a
// vendor.
func open(t *testing.T, v *vendor, spec string, change ...func(*Options)) sdk.Connector {
	t.Helper()
	head := "restspec: 1\nsystem: acme\nversion: \"1\"\n"
	if !strings.Contains(spec, "auth:") {
		head += "auth: {type: none}\n"
	}
	if !strings.Contains(spec, "stores:") {
		head += "stores: [{name: users, categories: [{letter: A, data: user.contact.email}]}]\n"
	}
	p, err := Parse("acme.yaml", []byte(head+spec))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Name: "acme", Base: v.URL, Secret: func(name string) (sdk.Secret, error) { return sdk.Secret("s3cr3t-" + name), nil }}
	for _, f := range change {
		f(&o)
	}
	_, c, err := p.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// search is a locate step by e-mail address, with more lines.
func search(more string) string {
	return `locate:
  - name: users
    for: email
    get: /users
    query: {email: "{{ .email }}"}
    items: users
    id: id
    match: email
    store: users
` + more
}

const eraseUsers = `erase:
  - use: locate
  - {name: drop, each: users, delete: "/users/{{ .users.id }}"}
`

func inJob(ctx context.Context, id string) context.Context {
	return sdk.WithJobInfo(ctx, sdk.JobInfo{JobID: id})
}

// quiet fails t when an error says who was asked about.
func quiet(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for _, s := range []string{"ada", "example.com", "%2B", "2095550111", "s3cr3t", "u1"} {
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(s)) {
			t.Errorf("the error shows %q: %v", s, err)
		}
	}
}

// TestAnswers plays one answer each to a search and wants its meaning.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct {
		name      string
		answer    http.HandlerFunc
		rules     string
		found     int64
		code      sdk.FailureCode
		permanent bool
		notYet    bool
	}{
		{name: "found", answer: says(200, one), found: 1},
		{name: "nobody", answer: says(200, `{"users":[]}`)},
		{name: "nobody, as null", answer: says(200, `{"users":null}`)},
		{name: "somebody else", answer: says(200, `{"users":[{"id":"u2","email":"adax@example.com"},{"id":"u3"}]}`)},
		{name: "twice the same", answer: says(200, `{"users":[{"id":"u1","email":"ada+x@example.com"},{"id":"u1","email":"ada+x@example.com"}]}`), found: 1},
		{name: "no list", answer: says(200, `{"data":[]}`), code: sdk.Configuration, permanent: true},
		{name: "a list that is text", answer: says(200, `{"users":"none"}`), code: sdk.Configuration, permanent: true},
		{name: "cut short", answer: says(200, one[:30]), code: sdk.Unavailable},
		{name: "a page for people", answer: says(200, `<html>ada+x@example.com</html>`), code: sdk.Unavailable},
		{name: "something after the end", answer: says(200, one+`{"users":[]}`), code: sdk.Unavailable},
		{name: "wrong address", answer: says(404, `{}`), code: sdk.Configuration, permanent: true},
		{name: "declared not found", answer: says(404, `{}`), rules: "    responses: [{status: 404, means: missing}]\n"},
		{name: "wrong key", answer: says(401, `{}`), code: sdk.Denied, permanent: true},
		{name: "forbidden", answer: says(403, `{}`), code: sdk.Denied, permanent: true},
		{name: "bad request", answer: says(400, `{"error":"ada+x@example.com"}`), code: sdk.Rejected, permanent: true},
		{name: "down", answer: says(500, `{}`), code: sdk.Unavailable},
		{name: "broken line", answer: breaks, code: sdk.Unavailable},
		{name: "down, then up", answer: inTurn(says(503, ""), breaks, says(200, one)), found: 1},
		{name: "error inside a good answer", answer: says(200, `{"error":{"code":"E9"},"users":[]}`), rules: "    responses: [{field: error.code, in: E9, means: retry, code: unavailable, say: the index is rebuilt}]\n", code: sdk.Unavailable},
		{name: "good answer without that error", answer: says(200, one), rules: "    responses: [{field: error.code, in: E9, means: retry}]\n", found: 1},
		{name: "not yet", answer: says(425, `{}`), rules: "    responses: [{status: 425, means: not_yet, after: 2h}]\n", notYet: true},
		{name: "too many for long", answer: says(429, ``, "Retry-After", "3600"), code: sdk.RateLimited, notYet: true},
		{name: "redirect elsewhere", answer: says(302, ``, "Location", "https://elsewhere.example/users?email=ada"), code: sdk.Configuration, permanent: true},
		{name: "redirect inside", answer: says(302, ``, "Location", "http://169.254.169.254/latest"), code: sdk.Configuration, permanent: true},
		{name: "redirect in a circle", answer: says(302, ``, "Location", "/users"), code: sdk.Configuration, permanent: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVendor(t, map[string]http.HandlerFunc{"GET /users": tt.answer})
			found, err := open(t, v, search(tt.rules)).Locate(t.Context(), her)
			quiet(t, err)
			var n int64
			for _, f := range found {
				n += f.Count
			}
			_, notYet := sdk.AsNotYet(err)
			if n != tt.found || sdk.CodeOf(err) != tt.code || sdk.IsPermanent(err) != tt.permanent || notYet != tt.notYet {
				t.Errorf("found %d, code %q, permanent %t, not yet %t: %v", n, sdk.CodeOf(err), sdk.IsPermanent(err), notYet, err)
			}
			if (tt.code == "" && !tt.notYet) != (err == nil) {
				t.Errorf("error: %v", err)
			}
		})
	}
}

// TestEraseFaultPairs breaks the deletion before and after its effect, and
// wants the next attempt to end well either way.
func TestEraseFaultPairs(t *testing.T) {
	for _, fault := range []struct {
		name   string
		effect bool
		answer http.HandlerFunc
	}{
		{"refused", false, says(503, "")},
		{"line broke before", false, breaks},
		{"line broke after", true, breaks},
		{"gateway lost the answer", true, says(502, "")},
		{"too many", false, says(429, "", "Retry-After", "0")},
	} {
		t.Run(fault.name, func(t *testing.T) {
			var mu sync.Mutex
			there, spoil := true, true
			v := newVendor(t, map[string]http.HandlerFunc{
				"GET /users": func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					defer mu.Unlock()
					if there {
						says(200, one)(w, r)
					} else {
						says(200, `{"users":[]}`)(w, r)
					}
				},
				"DELETE /users/u1": func(w http.ResponseWriter, r *http.Request) {
					mu.Lock()
					spoiled, was := spoil, there
					spoil = false
					there = there && spoiled && !fault.effect
					mu.Unlock()
					switch {
					case spoiled:
						fault.answer(w, r)
					case was:
						w.WriteHeader(http.StatusNoContent)
					default:
						w.WriteHeader(http.StatusNotFound)
					}
				},
			})
			c := open(t, v, search(eraseUsers)).(sdk.Eraser)
			var err error
			for range 3 {
				if err = c.Erase(t.Context(), her); err == nil {
					break
				}
				quiet(t, err)
				if sdk.IsPermanent(err) {
					t.Fatal(err)
				}
			}
			if err != nil || there {
				t.Errorf("there %t, %v", there, err)
			}
		})
	}
}

// TestIdempotencyKey loses the answer to a request that must not be done
// twice, and wants the same key on every try of the job and another on the
// next job's.
func TestIdempotencyKey(t *testing.T) {
	var mu sync.Mutex
	keys := map[string]int{}
	v := newVendor(t, map[string]http.HandlerFunc{
		"GET /users": says(200, one),
		"POST /erasures": func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			keys[r.Header.Get("Idempotency-Key")]++
			first := len(keys) == 1 && keys[r.Header.Get("Idempotency-Key")] == 1
			mu.Unlock()
			if first {
				breaks(w, r)
			}
			w.WriteHeader(http.StatusCreated)
		},
	})
	c := open(t, v, search(`erase:
  - use: locate
  - {name: drop, each: users, post: /erasures, json: {id: "{{ .users.id }}"}, idempotency: Idempotency-Key}
`)).(sdk.Eraser)
	for _, job := range []string{"job-1", "job-1", "job-2"} {
		if err := c.Erase(inJob(t.Context(), job), her); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) != 2 {
		t.Errorf("%d keys for two jobs", len(keys))
	}
}

// TestCancelled stops in the middle of a list.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, one[:20])
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	}})
	if _, err := open(t, v, search("")).Locate(ctx, her); err == nil || sdk.IsPermanent(err) {
		t.Errorf("a cancelled look ended with %v", err)
	}
}

// TestSilence gives up on a system that sends half an answer and no more.
func TestSilence(t *testing.T) {
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, one[:20])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}})
	_, err := open(t, v, "timeout: 50ms\n"+search("")).Locate(t.Context(), her)
	if sdk.CodeOf(err) != sdk.Unavailable || sdk.IsPermanent(err) {
		t.Errorf("silence ended with %v", err)
	}
}

// TestSharedIdentifier is a landline that two people have.
func TestSharedIdentifier(t *testing.T) {
	spec := `locate:
  - name: users
    for: phone
    get: /users
    query: {phone: "{{ .phone }}"}
    items: users
    id: id
    match: phone
    same_person: {field: email, kind: email}
    store: users
`
	two := `{"users":[{"id":"u1","email":"ada+x@example.com","phone":"+1 (209) 555-0111"},{"id":"u2","email":"bob@example.com","phone":"+12095550111"}]}`
	v := newVendor(t, map[string]http.HandlerFunc{"GET /users": says(200, two)})
	c := open(t, v, spec)
	found, err := c.Locate(t.Context(), her)
	if err != nil || len(found) != 1 || found[0].Count != 1 {
		t.Errorf("with her address: %v, %v", found, err)
	}
	_, err = c.Locate(t.Context(), her.Only(sdk.Phone))
	if sdk.CodeOf(err) != sdk.Ambiguous || !sdk.IsPermanent(err) {
		t.Errorf("by the phone alone: %v", err)
	}
	quiet(t, err)
}
