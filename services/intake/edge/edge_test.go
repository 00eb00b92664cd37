package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/edge"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

type rig struct {
	t     *testing.T
	edge  *edge.Edge
	path  string
	taken []intake.Entry
	err   error // of taking a request in
	lost  error // the same, after it happened
	many  error // of the limit
	ids   map[string]request.ID
	logs  bytes.Buffer
	optIn func() (store.Request, error)
	// chose tells who opted out by another door.
	chose func(ids []request.Identifier) (bool, error)
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ids: map[string]request.ID{}}
	s, path := litetest.Open(t)
	r.path = path
	r.edge = edge.New(edge.Config{
		Doors: s, Take: r.take,
		Chosen: func(_ context.Context, ids []request.Identifier) (bool, error) {
			if r.chose == nil {
				return false, nil
			}
			return r.chose(ids)
		},
		Lookup: func(context.Context, request.ID) (store.Request, error) { return r.optIn() },
		Identifiers: func(context.Context, *store.Request) ([]request.Identifier, error) {
			return []request.Identifier{request.NewIdentifier(request.UserID, "anna")}, nil
		}, Allow: func(context.Context, string) error { return r.many }, Secret: []byte("secret"),
		Origins: []string{"https://shop.example.com"}, Updated: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		Logger: slog.New(slog.NewTextHandler(&r.logs, nil)),
	})
	return r
}

// take takes requests in as intake does: the same key is the same request.
func (r *rig) take(_ context.Context, entries []intake.Entry, _ string) ([]intake.Taken, error) {
	if r.err != nil {
		return nil, r.err
	}
	e := entries[0]
	if _, err := e.Submission.Normalize(); err != nil && e.Submission.Regime != "" {
		return []intake.Taken{{Err: err}}, nil
	}
	id, existing := r.ids[e.IdempotencyKey]
	if !existing {
		id = request.NewID()
		r.ids[e.IdempotencyKey] = id
		r.taken = append(r.taken, e)
	}
	return []intake.Taken{{ID: id, Existing: existing}}, r.lost
}

// visit calls the endpoint of pages.
func (r *rig) visit(body string, header ...string) (edge.Standing, int) {
	r.t.Helper()
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/signal", strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	r.edge.Handler().ServeHTTP(rec, req)
	var s edge.Standing
	if rec.Code == http.StatusOK {
		if err := json.Unmarshal(rec.Body.Bytes(), &s); err != nil {
			r.t.Fatal(err)
		}
	}
	return s, rec.Code
}

func cookie(value string) string {
	return `{"kind":"cookie_id","value":"` + value + `"}`
}

func (r *rig) account(value string) string {
	id := request.NewIdentifier(request.UserID, value)
	return `{"kind":"user_id","value":"` + value + `","proof":"` + r.edge.Proof(id) + `"}`
}

func ids(parts ...string) string { return `{"identifiers":[` + strings.Join(parts, ",") + `]}` }

func (r *rig) out(body string, header ...string) {
	r.t.Helper()
	if s, code := r.visit(body, header...); !s.OptedOut || code != http.StatusOK {
		r.t.Errorf("%s is not opted out: %+v, status %d", body, s, code)
	}
}

func (r *rig) in(body string) {
	r.t.Helper()
	if s, code := r.visit(body); s.OptedOut || code != http.StatusOK {
		r.t.Errorf("%s is opted out: %+v, status %d", body, s, code)
	}
}

// OO-1: a signal with a cookie, then a login: the account is out; later
// visits without the signal, too.
func TestSignal_OO1(t *testing.T) {
	r := newRig(t)
	r.in(ids(cookie("c1")))
	r.out(ids(cookie("c1")), "Sec-GPC", "1")
	r.out(ids(cookie("c1"), r.account("anna"))) // she logs in, without the signal
	r.out(ids(r.account("anna")))
	r.out(ids(cookie("c1")))
	r.in(ids(cookie("c2")))
	if len(r.taken) != 2 {
		t.Fatalf("%d requests carry the choice, want one for the browser and one for the account", len(r.taken))
	}
	for i, kind := range []request.Kind{request.CookieID, request.UserID} {
		s := r.taken[i].Submission
		if s.Right != request.OptOutSaleShare || s.Channel != request.ChannelGPC || len(s.Identifiers) != 1 || s.Identifiers[0].Kind != kind || r.taken[i].Attested != nil {
			t.Errorf("request %d is %+v", i, s)
		}
	}
	r.out(ids(cookie("c1"), r.account("anna")), "Sec-GPC", "1")
	if len(r.taken) != 2 {
		t.Errorf("the same choice was carried again: %d requests", len(r.taken))
	}
}

// OO-4: opting out on one device holds on the others of the same person.
func TestAllDevices_OO4(t *testing.T) {
	r := newRig(t)
	r.in(ids(cookie("phone"), r.account("anna")))
	r.in(ids(cookie("laptop"), r.account("anna")))
	r.in(ids(cookie("other"), r.account("bert")))
	r.out(`{"identifiers":[` + cookie("phone") + `],"opt_out":true}`)
	r.out(ids(cookie("laptop")))
	r.out(ids(r.account("anna")))
	r.in(ids(cookie("other")))
	r.in(ids(r.account("bert")))
}

// CL-5: who opted out by a form is let alone by the pages too, on this device
// and on what is tied to it, and the device is carried to the systems. When it
// can't be known, nobody is taken for one who may be sold.
func TestOptedOutByAForm_CL5(t *testing.T) {
	r := newRig(t)
	r.in(ids(cookie("laptop"), r.account("anna")))
	r.chose = func([]request.Identifier) (bool, error) { return false, errors.New("the database is away") }
	if s, code := r.visit(ids(cookie("laptop"))); code != http.StatusServiceUnavailable || s.OptedOut {
		t.Errorf("status %d, %+v", code, s)
	}
	r.chose = func(ids []request.Identifier) (bool, error) {
		return slices.ContainsFunc(ids, func(id request.Identifier) bool { return id.Reveal() == "anna" }), nil
	}
	r.in(ids(cookie("other")))
	r.out(ids(cookie("laptop"), r.account("anna")))
	r.chose = nil
	r.out(ids(cookie("laptop"))) // it is remembered
	r.in(ids(cookie("other")))
	if len(r.taken) != 1 || len(r.taken[0].Submission.Identifiers) != 2 {
		t.Errorf("carried by %d requests: %+v", len(r.taken), r.taken)
	}
}

// CL-5: the answer to the first page load says that she is out, and it is
// stored.
func TestAtOnce_CL5(t *testing.T) {
	r := newRig(t)
	s, _ := r.visit(ids(cookie("c1")), "Sec-GPC", "1")
	if !s.OptedOut || s.Since == nil || s.Signal != "gpc" || len(r.taken) != 1 {
		t.Errorf("the first answer is %+v, with %d requests", s, len(r.taken))
	}
	r.out(ids(cookie("c1")))
}

func TestSignalsHeard(t *testing.T) {
	for _, c := range []struct {
		name, body string
		header     []string
		want       string
	}{
		{"nothing", `{}`, nil, ""},
		{"no body", ``, nil, ""},
		{"a header", `{}`, []string{"Sec-GPC", "1"}, "gpc"},
		{"two headers", `{}`, []string{"Sec-GPC", "0", "Sec-GPC", "1"}, "gpc"},
		{"no signal", `{}`, []string{"Sec-GPC", "true"}, ""},
		{"seen by the script", `{"gpc":true}`, nil, "gpc"},
		{"GPP for California", `{"gpp":"DBABBg~BVWSSSVY.YA"}`, nil, "gpp"},
		{"GPP without opt-out", `{"gpp":"DBABBg~BAAAAABA.QA"}`, nil, ""},
		{"US Privacy", `{"usp":"1YYN"}`, nil, "usp"},
		{"unreadable", `{"gpp":"%%%","usp":"2YYN"}`, nil, ""},
		{"a click", `{"opt_out":true}`, nil, "click"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			s, code := r.visit(c.body, c.header...)
			if code != http.StatusOK || s.Signal != c.want || s.OptedOut != (c.want != "") {
				t.Errorf("heard %+v, status %d; want %q", s, code, c.want)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	r := newRig(t)
	for name, body := range map[string]string{
		"an account without proof":   ids(`{"kind":"user_id","value":"anna"}`),
		"another account's proof":    ids(strings.Replace(r.account("bert"), "bert", "anna", 1)),
		"a name":                     ids(`{"kind":"name","value":"Planted Person"}`),
		"more than is asked for":     `{"birth_date":"1985-07-04"}`,
		"an address in place of one": ids(`{"kind":"email","value":"planted@example.org"}`),
		"no JSON":                    `<planted@example.org>`,
		"a malformed kind":           ids(`{"kind":"Planted@example.org","value":"x"}`),
		"too many":                   ids(strings.Split(strings.Repeat(cookie("c")+";", 9)[:len(cookie("c"))*9+8], ";")...),
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/signal", strings.NewReader(body))
		rec := httptest.NewRecorder()
		r.edge.Handler().ServeHTTP(rec, req)
		if rec.Code != http.StatusUnprocessableEntity || strings.Contains(strings.ToLower(rec.Body.String()), "planted") {
			t.Errorf("%s: status %d, %s", name, rec.Code, rec.Body)
		}
	}
	if len(r.taken) != 0 {
		t.Errorf("%d requests were taken", len(r.taken))
	}
}

// A server of the company's own may name an account.
func TestTrusted(t *testing.T) {
	r := newRig(t)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/signals", strings.NewReader(`{"identifiers":[{"kind":"email","value":"planted@example.org"}],"gpc":true}`))
	rec := httptest.NewRecorder()
	r.edge.Trusted().ServeHTTP(rec, req)
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), `"opted_out":true`) || len(r.taken) != 1 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	rec = httptest.NewRecorder()
	r.edge.Trusted().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/signals", nil))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: status %d", rec.Code)
	}
}

// A choice is stored before it is carried; what could not be carried is at the
// next visit, by the same request.
func TestCarriedAfterAFailure(t *testing.T) {
	for _, lost := range []bool{false, true} {
		r := newRig(t)
		if lost {
			r.lost = errors.New("the answer was lost")
		} else {
			r.err = errors.New("the database is down")
		}
		if _, code := r.visit(ids(cookie("c1")), "Sec-GPC", "1"); code != http.StatusServiceUnavailable {
			t.Errorf("lost %v: status %d", lost, code)
		}
		r.err, r.lost = nil, nil
		r.out(ids(cookie("c1"))) // even without the signal
		if len(r.taken) != 1 {
			t.Errorf("lost %v: %d requests, want 1", lost, len(r.taken))
		}
	}
}

// OO-6, the edge: who opted in again in two steps is in; nobody else, and a
// signal still wins.
func TestLift_OO6(t *testing.T) {
	r := newRig(t)
	r.out(ids(cookie("c1"), r.account("anna")), "Sec-GPC", "1")
	lift := func(right request.Right, end *request.Ending) int {
		t.Helper()
		id := request.NewID()
		r.optIn = func() (store.Request, error) {
			req, err := request.Restore(request.Request{ID: id, Ending: end, Terms: request.Terms{Received: time.Now(), Due: request.Due{Received: request.Date{Year: 2027, Month: 1, Day: 1}}}}, right, request.Closed, nil)
			return store.Request{Request: req}, err
		}
		rec := httptest.NewRecorder()
		r.edge.Lifting().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/signals/lift", strings.NewReader(`{"request":"`+string(id)+`"}`)))
		return rec.Code
	}
	if code := lift(request.OptOutSaleShare, &request.Ending{Result: request.ResultComplete}); code != http.StatusConflict {
		t.Errorf("by an opt-out: status %d", code)
	}
	if code := lift(request.OptInSaleShare, &request.Ending{Result: request.ResultDenied, Code: "unconfirmed", Reason: "Not confirmed."}); code != http.StatusConflict {
		t.Errorf("by an opt-in that was not confirmed: status %d", code)
	}
	r.out(ids(cookie("c1")))
	if code := lift(request.OptInSaleShare, &request.Ending{Result: request.ResultComplete}); code != http.StatusOK {
		t.Errorf("by an opt-in: status %d", code)
	}
	r.in(ids(cookie("c1")))
	r.out(ids(cookie("c1")), "Sec-GPC", "1")
}

func TestTooFast(t *testing.T) {
	r := newRig(t)
	r.many = errors.New("too many")
	r.out(ids(cookie("planted-cookie")), "Sec-GPC", "1")
	if len(r.taken) != 0 {
		t.Error("a flood becomes requests")
	}
	if strings.Contains(r.logs.String(), "planted") || !strings.Contains(r.logs.String(), "too fast") {
		t.Errorf("the log says %q", r.logs.String())
	}
}

func TestPublicFiles_OO1(t *testing.T) {
	r := newRig(t)
	get := func(path string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		r.edge.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return rec
	}
	gpc := get("/.well-known/gpc.json")
	if strings.TrimSpace(gpc.Body.String()) != `{"gpc":true,"lastUpdate":"2026-03-01"}` || gpc.Header().Get("Content-Type") != "application/json" {
		t.Errorf("gpc.json is %s", gpc.Body)
	}
	if js := get("/signal.js"); js.Body.Len() >= 4000 || js.Body.Len() == 0 {
		t.Errorf("the script has %d bytes, want fewer than 4000", js.Body.Len())
	}
}

func TestOrigins(t *testing.T) {
	r := newRig(t)
	for origin, want := range map[string]string{"https://shop.example.com": "https://shop.example.com", "https://evil.example": ""} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodOptions, "/signal", nil)
		req.Header.Set("Origin", origin)
		rec := httptest.NewRecorder()
		r.edge.Handler().ServeHTTP(rec, req)
		if got := rec.Header().Get("Access-Control-Allow-Origin"); got != want || rec.Code != http.StatusNoContent {
			t.Errorf("%s: allowed origin %q, status %d", origin, got, rec.Code)
		}
	}
}

// A device that gives no identifier away is every such device: its signal holds on
// its page and for what else is known of the visitor, and for no stranger.
func TestDeviceOfNobody(t *testing.T) {
	r := newRig(t)
	const nobodys = `{"kind":"device_id","value":"00000000-0000-0000-0000-000000000000"}`
	r.out(ids(nobodys), "Sec-GPC", "1")
	r.out(ids(nobodys, cookie("c-1")), "Sec-GPC", "1")
	r.out(ids(cookie("c-1")))
	r.in(ids(nobodys))
}
