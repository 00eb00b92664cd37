package portal_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func (r *rig) probe(address string) *portal.Probe {
	return &portal.Probe{URL: address + "/", Base: "/privacy", Secret: []byte("secret"), Lookup: r.intake.Lookup, Now: r.clock}
}

// only returns the one request there is.
func (r *rig) only() store.Request {
	r.t.Helper()
	list, err := r.store.List(r.t.Context(), store.Filter{})
	if err != nil || len(list) != 1 {
		r.t.Fatalf("%d requests, %v; want one", len(list), err)
	}
	return list[0]
}

func (r *rig) end(id request.ID, as request.Result) {
	r.t.Helper()
	_, err := r.store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		req := &snaps[0].Request
		snaps[0].Changed = true
		ending := request.Ending{Result: as, Code: "systems", Reason: "a system did not answer"}
		return errors.Join(req.Move(request.Running), req.Close(ending), req.Move(request.Closed))
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// IN-7: once a day a made-up request goes the whole way, once however often and
// by how many it is tried, and raises the alarm when it is not closed in an hour.
func TestProbe_IN7(t *testing.T) {
	r := newRig(t)
	site := r.site()
	p, other := r.probe(site.URL), r.probe(site.URL)
	for _, one := range []*portal.Probe{p, p, other} {
		if err := one.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	made := r.only()
	if made.Channel != request.ChannelProbe || made.Right() != request.OptOutSaleShare || made.State() != request.Accepted || made.Case.Undesignated {
		t.Errorf("made %+v", made)
	}
	r.pass(61 * time.Minute)
	if err := p.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "should be closed") {
		t.Errorf("after an hour: %v", err)
	}
	r.end(made.ID, request.ResultComplete)
	for range 2 {
		if err := p.Step(t.Context()); err != nil {
			t.Errorf("closed: %v", err)
		}
	}
	r.pass(24 * time.Hour)
	if err := p.Step(t.Context()); err != nil {
		t.Error(err)
	}
	if list, err := r.store.List(t.Context(), store.Filter{}); err != nil || len(list) != 2 {
		t.Errorf("on the second day there are %d requests, %v", len(list), err)
	}
}

// IN-7: nobody keeps the day's request from being made by having used its key.
func TestProbeKeyIsTaken_IN7(t *testing.T) {
	r := newRig(t)
	site := r.site()
	b := r.browser()
	for range 2 { // the form works all the same
		if a := b.post("/privacy/opt-out", "email", "stranger@example.org", "key", "probe-"+r.clock().Format(time.DateOnly)); a.code != http.StatusOK {
			t.Fatalf("status %d", a.code)
		}
	}
	p := r.probe(site.URL)
	if err := p.Step(t.Context()); err != nil {
		t.Errorf("the day's request: %v", err)
	}
}

// IN-7: a request that ends without every system is no success.
func TestProbeInPart_IN7(t *testing.T) {
	r := newRig(t)
	p := r.probe(r.site().URL)
	if err := p.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.end(r.only().ID, request.ResultPartial)
	if err := p.Step(t.Context()); err == nil || !strings.Contains(err.Error(), "not carried out in every system") {
		t.Errorf("carried out in part: %v", err)
	}
}

// IN-7: a form that looks well and takes nothing in is found out.
func TestProbeFindsADeadForm_IN7(t *testing.T) {
	r := newRig(t)
	for name, dead := range map[string]http.HandlerFunc{
		"an error":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"a page of thanks": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>Thank you</h1>")) }, // the client may be gone
	} {
		site := httptest.NewServer(dead)
		if err := r.probe(site.URL).Step(t.Context()); err == nil || !strings.Contains(err.Error(), "no request came of it") {
			t.Errorf("%s: %v", name, err)
		}
		site.Close()
	}
}

// RE-1: nobody can hide a request from the log by calling it made up: not
// without the day's proof, and not for another person with it.
func TestOnlyTheWatchMakesUp_RE1(t *testing.T) {
	r := newRig(t)
	var proof http.Header
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		proof = req.Header.Clone()
		http.NotFound(w, req)
	}))
	defer site.Close()
	if err := r.probe(site.URL).Step(t.Context()); err == nil {
		t.Fatal("nobody took the request in")
	}
	door := r.site()
	day := r.clock().UTC().Format(time.DateOnly)
	for name, h := range map[string]http.Header{"no proof": {}, "a guess": {"Habeas-Probe": {"0123"}}, "another person": proof} {
		form := url.Values{"email": {planted}, "key": {"probe-" + day}, "lang": {"en"}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, door.URL+"/privacy/opt-out", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = h.Clone()
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Del("Content-Length")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close() // nothing of it is read
		if made := r.only(); made.Channel != request.ChannelWeb {
			t.Errorf("%s: it came by %s", name, made.Channel)
		}
	}
}
