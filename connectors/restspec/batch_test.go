package restspec

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// forgetter is a system that takes deletions of many, cannot be searched and
// refuses a request with somebody it does not like.
type forgetter struct {
	mu       sync.Mutex
	asked    [][]string
	states   map[string]string
	polls    int
	lose     bool
	spoiling string
}

func (f *forgetter) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"POST /regulations": func(w http.ResponseWriter, r *http.Request) {
			var body struct {
				IDs []string `json:"ids"`
			}
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.spoiling != "" && slices.Contains(body.IDs, f.spoiling) {
				w.WriteHeader(http.StatusUnprocessableEntity)
				return
			}
			f.asked = append(f.asked, body.IDs)
			id := fmt.Sprintf("reg-%d", len(f.asked))
			f.states[id] = "running"
			if f.lose {
				f.lose = false
				panic(http.ErrAbortHandler)
			}
			_, _ = fmt.Fprintf(w, `{"data":{"id":%q}}`, id)
		},
		"GET /regulations/reg-1": f.look, "GET /regulations/reg-2": f.look, "GET /regulations/reg-3": f.look,
	}
}

func (f *forgetter) look(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls++
	_, _ = fmt.Fprintf(w, `{"state":%q}`, f.states[r.URL.Path[len("/regulations/"):]])
}

func (f *forgetter) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.states {
		f.states[id] = "done"
	}
}

const forgetting = `locate:
  - {name: users, for: user_id, assumed: it has no search, store: users}
erase:
  - use: locate
  - name: forget
    each: users
    post: /regulations
    batch: {size: 3, item: "{{ .user_id }}"}
    json: {ids: "{{ .batch }}"}
    async: {handle: {id: data.id}, poll: {get: "/regulations/{{ .handle.id }}"}, state: state, done: [done], failed: [broken], pending: [running], every: 1h}
`

func people(n int) (all []sdk.Person) {
	for i := range n {
		all = append(all, sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("u-%d", i+1))))
	}
	return all
}

// members puts jobs into a batch, as the runtime does.
func members(n int, received time.Time) sdk.JobInfo {
	info := sdk.JobInfo{JobID: "batch-x"}
	for i := range n {
		info.Members = append(info.Members, sdk.JobInfo{JobID: fmt.Sprintf("job-%d", i+1), Received: received})
	}
	return info
}

// TestBatchErase asks for five people in two requests, loses the first answer,
// comes back in another order and another company, and looks once for each
// piece of work.
func TestBatchErase(t *testing.T) {
	f := &forgetter{states: map[string]string{}}
	v := newVendor(t, f.routes())
	dir := t.TempDir()
	c := open(t, v, forgetting, func(o *Options) { o.Dir = dir }).(sdk.BatchEraser)
	received := time.Now().Add(-time.Hour)
	info := members(5, received)
	for i, err := range c.EraseBatch(sdk.WithJobInfo(t.Context(), info), people(5)) {
		if after, notYet := sdk.AsNotYet(err); !notYet || after != time.Hour {
			t.Errorf("person %d: %v", i+1, err)
		}
	}
	if len(f.asked) != 2 || len(f.asked[0]) != 3 || len(f.asked[1]) != 2 {
		t.Fatalf("asked for %v", f.asked)
	}
	found, err := c.LocateBatch(sdk.WithJobInfo(t.Context(), info), people(5))
	if err != nil || len(found) != 5 || found[4][0].Count != 1 {
		t.Fatalf("before the end: %v, %v", found, err)
	}
	f.finish()
	// A new process, the people in another order.
	c = open(t, v, forgetting, func(o *Options) { o.Dir = dir }).(sdk.BatchEraser)
	again, company := info, people(5)
	slices.Reverse(again.Members)
	slices.Reverse(company)
	f.polls = 0
	for i, err := range c.EraseBatch(sdk.WithJobInfo(t.Context(), again), company) {
		if err != nil {
			t.Errorf("person %d: %v", i+1, err)
		}
	}
	if len(f.asked) != 2 || f.polls != 2 {
		t.Errorf("%d requests and %d looks; want 2 and 2", len(f.asked), f.polls)
	}
	found, err = c.LocateBatch(sdk.WithJobInfo(t.Context(), again), company)
	if err != nil || slices.ContainsFunc(found, func(f []sdk.Found) bool { return len(f) > 0 }) {
		t.Errorf("after the end: %v, %v", found, err)
	}
	// A request that came in later is about data that may have come back.
	later := members(1, time.Now().Add(time.Hour))
	found, err = c.LocateBatch(sdk.WithJobInfo(t.Context(), later), company[4:])
	if err != nil || len(found[0]) != 1 {
		t.Errorf("a later request: %v, %v", found, err)
	}
}

// TestBatchOneSpoils: one the system refuses does not spare the others.
func TestBatchOneSpoils(t *testing.T) {
	f := &forgetter{states: map[string]string{}, spoiling: "u-2"}
	v := newVendor(t, f.routes())
	c := open(t, v, forgetting, func(o *Options) { o.Dir = t.TempDir() }).(sdk.BatchEraser)
	errs := c.EraseBatch(sdk.WithJobInfo(t.Context(), members(3, time.Now())), people(3))
	for i, err := range errs {
		_, notYet := sdk.AsNotYet(err)
		if notYet != (i != 1) || sdk.IsPermanent(err) != (i == 1) {
			t.Errorf("person %d: %v", i+1, err)
		}
	}
	if n := len(slices.Concat(f.asked...)); n != 2 {
		t.Errorf("%d people were taken: %v", n, f.asked)
	}
}

// TestBatchRead finds many by one search and gives each her own records.
func TestBatchRead(t *testing.T) {
	spec := `locate:
  - name: users
    for: email
    post: /search
    batch: {size: 2}
    json: {emails: "{{ .batch }}"}
    items: users
    id: id
    match: email
    store: users
`
	asked := 0
	v := newVendor(t, map[string]http.HandlerFunc{"POST /search": func(w http.ResponseWriter, r *http.Request) {
		asked++
		raw, _ := io.ReadAll(r.Body)
		out := `{"users":[{"id":"x","email":"mallory@example.com"}`
		for i, e := range []string{"a@example.com", "b@example.com", "c@example.com"} {
			if strings.Contains(string(raw), e) {
				out += fmt.Sprintf(`,{"id":"u%d","email":%q}`, i, strings.ToUpper(e))
			}
		}
		_, _ = io.WriteString(w, out+"]}")
	}})
	c := open(t, v, spec).(sdk.BatchLocator)
	var who []sdk.Person
	for _, e := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com"} {
		who = append(who, sdk.NewPerson(sdk.ID(sdk.Email, e)))
	}
	if found, err := c.Locate(t.Context(), who[1]); err != nil || len(found) != 1 || found[0].Count != 1 {
		t.Errorf("alone: %v, %v", found, err)
	}
	asked = 0
	found, err := c.LocateBatch(t.Context(), who)
	if err != nil || asked != 2 {
		t.Fatalf("%d searches, %v", asked, err)
	}
	for i, want := range []int{1, 1, 1, 0} {
		if len(found[i]) != want || want == 1 && found[i][0].Count != 1 {
			t.Errorf("person %d: %v", i, found[i])
		}
	}
}

// TestBatchInQuery joins what is asked for, and refuses a value that would be
// two.
func TestBatchInQuery(t *testing.T) {
	spec := search(`erase:
  - use: locate
  - {name: drop, each: users, delete: /users, query: {ids: "{{ .batch }}"}, batch: {size: 10, item: "{{ .users.id }}"}}
`)
	got := ""
	v := newVendor(t, map[string]http.HandlerFunc{
		"GET /users":    says(200, `{"users":[{"id":7,"email":"ada+x@example.com"},{"id":"8","email":"ada+x@example.com"}]}`),
		"DELETE /users": func(_ http.ResponseWriter, r *http.Request) { got = r.URL.Query().Get("ids") },
	})
	c := open(t, v, spec).(sdk.Eraser)
	if err := c.Erase(t.Context(), her); err != nil || got != "7,8" {
		t.Errorf("ids=%s, %v", got, err)
	}
	v = newVendor(t, map[string]http.HandlerFunc{"GET /users": says(200, `{"users":[{"id":"7,8","email":"ada+x@example.com"}]}`)})
	if err := open(t, v, spec).(sdk.Eraser).Erase(t.Context(), her); !sdk.IsPermanent(err) {
		t.Errorf("an id with a comma: %v", err)
	}
}

// TestAssumedOptOut remembers what a system took that cannot be asked.
func TestAssumedOptOut(t *testing.T) {
	spec := search(`opt_out:
  - {name: remove, for: email, post: /remove, json: {hash: "{{ .email | lower | sha256 }}"}}
opted_out:
  - {name: remove, for: email, assumed: lists cannot be read}
`)
	fail := true
	v := newVendor(t, map[string]http.HandlerFunc{"POST /remove": func(w http.ResponseWriter, _ *http.Request) {
		if fail {
			w.WriteHeader(http.StatusBadRequest)
		}
	}})
	c := open(t, v, spec, func(o *Options) { o.Dir = t.TempDir() }).(sdk.OptOuter)
	ctx := sdk.WithJobInfo(t.Context(), sdk.JobInfo{JobID: "j", Received: time.Now().Add(-time.Minute)})
	if err := c.OptOut(ctx, her); err == nil {
		t.Fatal("a refusal passed for a removal")
	}
	if yes, err := c.OptedOut(ctx, her); yes || err != nil {
		t.Errorf("in force after a refusal: %t, %v", yes, err)
	}
	fail = false
	if err := c.OptOut(ctx, her); err != nil {
		t.Fatal(err)
	}
	if yes, err := c.OptedOut(ctx, her); !yes || err != nil {
		t.Errorf("in force: %t, %v", yes, err)
	}
}
