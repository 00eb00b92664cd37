package vendortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Rig is an entry, opened against a fresh vendor with two other people in it.
type Rig struct {
	Vendor    Vendor
	Manifest  sdk.Manifest
	Connector sdk.Connector
	Program   *restspec.Program
	Entry     Entry
	// Her is whom the scenario is about.
	Her Planted
	// Bare is the dump before she was planted.
	Bare []string

	t    *testing.T
	name string
	dir  string
	url  string

	mu     sync.Mutex
	now    time.Time
	asked  []Asked
	faults []Fault
	others []Planted
}

// Asked is one request the vendor was sent.
type Asked struct {
	Method, Path, Query, Body string
	Header                    http.Header
}

// Is reports whether the request is one of "METHOD /path" prefixes. Where one
// path serves all, as in GraphQL, the body goes on after a space.
func (a Asked) Is(prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(a.Method+" "+a.Path+" "+a.Body, p) })
}

// Fault stands between the connector and the vendor for one request. It
// returns false to let the request through and be asked again.
type Fault func(w http.ResponseWriter, r *http.Request, vendor http.Handler) bool

const (
	numberHer = iota + 1
	numberNeighbor
	numberOther
	numberStranger
	numberMore
)

func newRig(t *testing.T, name string, e Entry) *Rig {
	t.Helper()
	load := e.Load
	if load == nil {
		load = restspec.FromCatalogue
	}
	prog, err := load(name)
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{Vendor: e.New(), Program: prog, Entry: e, t: t, name: name, dir: t.TempDir(), now: time.Now()}
	srv := httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	r.others = []Planted{r.Vendor.Plant(numberNeighbor), r.Vendor.Plant(numberOther)}
	r.Bare = r.Dump()
	r.Her = r.Vendor.Plant(numberHer)
	r.Reopen()
	return r
}

// Reopen opens the connector again, as after a restart: what it remembers is on
// disk.
func (r *Rig) Reopen() {
	r.t.Helper()
	settings := maps.Clone(r.Entry.Settings)
	for k, v := range settings {
		settings[k] = strings.ReplaceAll(v, "BASE", r.url)
	}
	var err error
	r.Manifest, r.Connector, err = r.Program.Open(restspec.Options{
		Name: r.name, Base: r.url, Settings: settings, Dir: r.dir, Unlimited: true, Now: r.Now,
		Secret: func(name string) (sdk.Secret, error) { return sdk.Secret(SecretValue(name)), nil },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.Manifest.Validate(); err != nil {
		r.t.Fatal(err)
	}
	if c, ok := r.Connector.(io.Closer); ok {
		r.t.Cleanup(func() {
			if err := c.Close(); err != nil {
				r.t.Error(err)
			}
		})
	}
}

// SecretValue is what the harness puts in for a named secret.
func SecretValue(name string) string { return "s3cr3t-" + name }

// Now is the connector's clock.
func (r *Rig) Now() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Advance lets time pass for the connector.
func (r *Rig) Advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// Inject puts faults before the next requests, one each.
func (r *Rig) Inject(f ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f...)
}

// Asked are the requests so far that are one of "METHOD /path" prefixes, or all.
func (r *Rig) Asked(prefixes ...string) []Asked {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Asked
	for _, a := range r.asked {
		if len(prefixes) == 0 || a.Is(prefixes...) {
			all = append(all, a)
		}
	}
	return all
}

// Dump is what the vendor holds, sorted.
func (r *Rig) Dump() []string { return slices.Sorted(slices.Values(r.Vendor.Dump())) }

func (r *Rig) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the client went away
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	r.mu.Lock()
	r.asked = append(r.asked, Asked{req.Method, req.URL.EscapedPath(), req.URL.RawQuery, string(body), req.Header.Clone()})
	var f Fault
	if len(r.faults) > 0 {
		f, r.faults = r.faults[0], r.faults[1:]
	}
	r.mu.Unlock()
	if f == nil {
		r.Vendor.ServeHTTP(w, req)
		return
	}
	if !f(w, req, r.Vendor) {
		r.mu.Lock()
		r.faults = append([]Fault{f}, r.faults...)
		r.mu.Unlock()
		r.Vendor.ServeHTTP(w, req)
	}
}

// InJob is a context of a job that came in an hour ago.
func (r *Rig) InJob() context.Context { return r.inJob("job-1") }

func (r *Rig) inJob(id string) context.Context {
	return sdk.WithJobInfo(r.t.Context(), r.info(id))
}

func (r *Rig) info(id string) sdk.JobInfo {
	return sdk.JobInfo{JobID: id, RequestID: "request-" + id, Right: "delete", Received: r.start().Add(-time.Hour)}
}

// start is a time before anything this rig does.
func (r *Rig) start() time.Time { return time.Now().Add(-time.Minute) }

// Locate counts a person's records, and fails the test on an error.
func (r *Rig) Locate(p sdk.Person) map[string]int64 {
	r.t.Helper()
	found, err := r.Connector.Locate(r.InJob(), p)
	if err != nil {
		r.t.Fatalf("locating: %v", err)
	}
	return counts(found)
}

func counts(found []sdk.Found) map[string]int64 {
	n := map[string]int64{}
	for _, f := range found {
		n[f.Store] += f.Count
	}
	return n
}

// Eraser is the connector as one that erases.
func (r *Rig) Eraser() sdk.BatchEraser {
	r.t.Helper()
	e, ok := r.Connector.(sdk.BatchEraser)
	if !ok {
		r.t.Fatal("the entry does not erase")
	}
	return e
}

// Erase tries to erase until it is done, as the runtime would: again after what
// may pass, and later after what is not finished. It returns how often it was
// deferred.
func (r *Rig) Erase(p sdk.Person) (deferred int) {
	r.t.Helper()
	return r.do(func(ctx context.Context) error { return r.Eraser().Erase(ctx, p) })
}

const tries = 12

func (r *Rig) do(f func(context.Context) error) (deferred int) {
	r.t.Helper()
	for try := 0; ; {
		err := f(r.InJob())
		if err == nil {
			return deferred
		}
		r.Quiet(err)
		after, notYet := sdk.AsNotYet(err)
		switch {
		case sdk.IsPermanent(err):
			r.t.Fatalf("it gave up: %v", err)
		case notYet:
			if deferred++; deferred > 60 {
				r.t.Fatalf("it never ends: %v", err)
			}
			if deferred > 1 {
				r.Vendor.Finish()
			}
			r.Advance(after + time.Second)
		default:
			if try++; try == tries {
				r.t.Fatalf("still failing: %v", err)
			}
		}
	}
}

// Quiet fails the test when an error shows an identifier or a secret.
func (r *Rig) Quiet(err error) {
	r.t.Helper()
	if err == nil {
		return
	}
	said := strings.ToLower(err.Error())
	for _, p := range append(r.others, r.Her) {
		for _, id := range p.Person.Identifiers() {
			if strings.Contains(said, strings.ToLower(id.Value.Reveal())) {
				r.t.Errorf("an error shows a person's %s", id.Kind)
			}
		}
	}
	if strings.Contains(said, "s3cr3t") {
		r.t.Error("an error shows a secret")
	}
}

// Left are the traces of a person that the vendor still holds and may not.
func (r *Rig) Left(p Planted) []string {
	dump := strings.Join(r.Vendor.Dump(), "\n")
	var left []string
	for _, trace := range p.Traces {
		if strings.Contains(dump, trace) && !slices.Contains(p.KeptTraces, trace) {
			left = append(left, trace)
		}
	}
	return left
}

// errCode is the code of an error for a message of a test.
func errCode(err error) string {
	if err == nil {
		return "no error"
	}
	_, notYet := sdk.AsNotYet(err)
	return fmt.Sprintf("code %q, permanent %t, not yet %t, cancelled %t", sdk.CodeOf(err), sdk.IsPermanent(err), notYet, errors.Is(err, context.Canceled))
}
