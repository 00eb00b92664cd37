package catalogue_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// fake is what the vendors' fakes have in common: a lock, a record of who is in
// them, and answers in JSON. A vendor embeds it and adds its routes.
type fake struct {
	mu  sync.Mutex
	mux *http.ServeMux
	// allowed says whether a request is by somebody with the right key.
	allowed func(*http.Request) bool
	// records are what the vendor holds: by collection, by id.
	records map[string]map[string]map[string]any
	order   []string // of all ids, as planted
	works   map[string]*work
}

// work is something the vendor has accepted and not done yet.
type work struct {
	state string
	run   func()
}

func newFake(allowed func(*http.Request) bool) *fake {
	return &fake{mux: http.NewServeMux(), allowed: allowed, records: map[string]map[string]map[string]any{}, works: map[string]*work{}}
}

func bearer(secret string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Header.Get("Authorization") == "Bearer "+vendortest.SecretValue(secret)
	}
}

func basicAuth(user, secret string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		u, p, ok := r.BasicAuth()
		return ok && u == user && p == vendortest.SecretValue(secret)
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.allowed(r) {
		answer(w, http.StatusUnauthorized, map[string]any{"error": "unauthorized"})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mux.ServeHTTP(w, r)
}

// on adds a route; the handler runs under the lock.
func (f *fake) on(pattern string, h func(w http.ResponseWriter, r *http.Request)) {
	f.mux.HandleFunc(pattern, h)
}

// add puts a record into a collection.
func (f *fake) add(collection, id string, fields map[string]any) {
	if f.records[collection] == nil {
		f.records[collection] = map[string]map[string]any{}
	}
	f.records[collection][id] = fields
	f.order = append(f.order, id)
}

// list are the records of a collection, in the order they were planted.
func (f *fake) list(collection string, want func(map[string]any) bool) []map[string]any {
	all := []map[string]any{}
	for _, id := range f.order {
		if rec := f.records[collection][id]; rec != nil && want(rec) {
			all = append(all, rec)
		}
	}
	return all
}

func (f *fake) remove(collection string, want func(map[string]any) bool) {
	for id, rec := range f.records[collection] {
		if want(rec) {
			delete(f.records[collection], id)
		}
	}
}

// Dump implements [vendortest.Vendor].
func (f *fake) Dump() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var lines []string
	for collection, records := range f.records {
		for id, rec := range records {
			raw, err := json.Marshal(rec)
			if err != nil {
				panic(err) // fakes hold plain values
			}
			lines = append(lines, fmt.Sprintf("%s/%s %s", collection, id, raw))
		}
	}
	return lines
}

// accept begins work under an id of its own.
func (f *fake) accept(prefix, state string, run func()) string {
	id := fmt.Sprintf("%s%d", prefix, len(f.works)+1)
	f.works[id] = &work{state: state, run: run}
	return id
}

// end ends all accepted work in the given state.
func (f *fake) end(state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.works {
		if w.state != state {
			w.state = state
			w.run()
		}
	}
}

// Finish implements [vendortest.Vendor] for vendors that work at once.
func (f *fake) Finish() {}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may have gone
}

// read decodes a request's JSON; a broken one is an empty object.
func read(r *http.Request) map[string]any {
	v := map[string]any{}
	_ = json.NewDecoder(r.Body).Decode(&v) // an empty object fails what follows
	return v
}

// words are the strings of a JSON list.
func words(v any) []string {
	var all []string
	list, _ := v.([]any)
	for _, e := range list {
		all = append(all, fmt.Sprint(e))
	}
	return all
}

func is(field string, value any) func(map[string]any) bool {
	return func(rec map[string]any) bool { return fmt.Sprint(rec[field]) == fmt.Sprint(value) }
}

// email is an address of person n, never a part of another's.
func email(n int) string { return fmt.Sprintf("person.%d.pl+us@example.com", n) }

func userID(n int) string { return fmt.Sprintf("user-%d-x", n) }

// cut is one page of a list, and whether there is more.
func cut(all []map[string]any, after func(map[string]any) bool, size int) ([]map[string]any, bool) {
	start := 0
	for i, rec := range all {
		if after(rec) {
			start = i + 1
		}
	}
	rest := all[start:]
	if len(rest) > size {
		return rest[:size], true
	}
	return rest, false
}

func byUser(n int) sdk.Person {
	return sdk.NewPerson(sdk.ID(sdk.UserID, userID(n)))
}

func byEmail(n int) sdk.Person {
	return sdk.NewPerson(sdk.ID(sdk.Email, email(n)))
}

// lower compares as most systems compare addresses.
func lower(v any) string { return strings.ToLower(fmt.Sprint(v)) }

func person(address string) sdk.Person { return sdk.NewPerson(sdk.ID(sdk.Email, address)) }

// httpPath is a text as one segment of a path.
type httpPath struct{ text string }

func (p *httpPath) String() string { return url.PathEscape(p.text) }
