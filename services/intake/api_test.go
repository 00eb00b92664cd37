package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func TestSubmit(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		v := r.post("/v1/requests", deletion).view(http.StatusCreated)
		if v.State != request.Accepted || v.Right != request.Delete || v.AnswerBy != "2026-04-16" || v.Verified == nil || v.Verified.Level != request.ReasonablyHigh {
			t.Errorf("taken as %+v", v)
		}
		if !slices.Equal(v.Kinds, []string{"email"}) {
			t.Errorf("kinds %v", v.Kinds)
		}
		req, _ := r.get(v.ID)
		key, err := r.room.Vault.Unwrap(t.Context(), req.WrappedKey)
		if err != nil {
			t.Fatal(err)
		}
		ids, err := key.OpenIdentifiers(v.ID, req.Sealed)
		if err != nil || len(ids) != 1 || ids[0].Reveal() != "jane@example.com" {
			t.Errorf("sealed are %d identifiers, %v", len(ids), err)
		}
		records, err := r.store.Unlogged(t.Context(), now.AddDate(1, 0, 0), 10)
		if err != nil {
			t.Fatal(err)
		}
		var types []string
		for _, rec := range records {
			types = append(types, rec.Type)
		}
		slices.Sort(types)
		if !slices.Equal(types, []string{string(wire.RecordIntake), string(wire.RecordVerified)}) {
			t.Errorf("on record: %v", types)
		}
		if shown := r.call(http.MethodGet, "/v1/requests/"+string(v.ID), "").view(http.StatusOK); shown.ID != v.ID {
			t.Errorf("shown is %s", shown.ID)
		}
	})
}

func TestOptOutIsNeverVerified(t *testing.T) {
	r := newRig(t)
	v := r.post("/v1/requests", optOut).view(http.StatusCreated)
	if v.State != request.Accepted || v.Verified != nil {
		t.Errorf("an opt-out is %s", v.State)
	}
	r.post("/v1/requests", strings.TrimSuffix(optOut, "}")+`,"verification":{"method":"account_login","level":"reasonable"}}`).
		problem(http.StatusUnprocessableEntity).names(t, "body.verification")
	r.post("/v1/requests/"+string(v.ID)+"/verification", `{"method":"account_login","level":"reasonable"}`).problem(http.StatusConflict)
	if n := r.stored(); n != 1 {
		t.Errorf("%d requests are stored", n)
	}
}

func TestVerification(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		const copyOf = `{"right":"know_specific","identifiers":[{"kind":"email","value":"jane@example.com"}]}`
		id := r.submit(copyOf)
		path := "/v1/requests/" + string(id) + "/verification"
		if v := r.call(http.MethodGet, "/v1/requests/"+string(id), "").view(http.StatusOK); v.State != request.AwaitingVerification {
			t.Errorf("it is %s", v.State)
		}
		r.post(path, `{"method":"account_login","level":"reasonable"}`).problem(http.StatusUnprocessableEntity).names(t, "body.verification")
		r.post(path, `{"method":"Account Login","level":"reasonably_high"}`).problem(http.StatusUnprocessableEntity).names(t, "body.verification")
		r.post(path, `{"method":"account_login","level":"certain"}`).problem(http.StatusUnprocessableEntity).names(t, "body.level")
		if req, _ := r.get(id); req.State() != request.AwaitingVerification || req.Version != 1 {
			t.Errorf("a refused attestation left it %s in version %d", req.State(), req.Version)
		}
		const good = `{"method":"account_login","level":"reasonably_high"}`
		for range 2 { // the answer may have been lost
			if v := r.post(path, good).view(http.StatusOK); v.State != request.Accepted || v.Version != 2 {
				t.Errorf("it is %s in version %d", v.State, v.Version)
			}
		}
		r.post(path, `{"method":"in_person","level":"reasonably_high"}`).problem(http.StatusConflict)
		r.post("/v1/requests", strings.TrimSuffix(copyOf, "}")+`,"verification":{"method":"account_login","level":"reasonable"}}`).
			problem(http.StatusUnprocessableEntity).names(t, "body.verification")
	})
}

// Handing requests in is not vouching for who asks.
func TestVouchingTakesMore(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		ctx := request.WithoutAttesting(t.Context())
		attested := Entry{
			Submission: request.Submission{Right: request.Delete, Identifiers: []request.Identifier{request.NewIdentifier(request.Email, "jane@example.com")}},
			Attested:   &request.Verified{Method: "account_login", Level: request.ReasonablyHigh},
		}
		taken, err := r.room.Take(ctx, []Entry{attested}, "api")
		if err != nil || !errors.Is(taken[0].Err, request.ErrAttest) || r.stored() != 0 {
			t.Errorf("%v, %v: %d requests are stored", taken, err, r.stored())
		}
		attested.Attested = nil
		if taken, err = r.room.Take(ctx, []Entry{attested}, "api"); err != nil || taken[0].Err != nil {
			t.Fatal(taken, err)
		}
		if err := r.room.Attest(ctx, taken[0].ID, request.Verified{Method: "account_login", Level: request.ReasonablyHigh}, "api"); !errors.Is(err, request.ErrAttest) {
			t.Errorf("attesting afterwards: %v", err)
		}
		if req, _ := r.get(taken[0].ID); req.State() != request.AwaitingVerification {
			t.Errorf("it is %s", req.State())
		}
	})
}

func TestIdempotency(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		first := r.post("/v1/requests", deletion, "Idempotency-Key", "k1").view(http.StatusCreated)
		again := r.post("/v1/requests", strings.Replace(deletion, "Jane@Example.com", " jane@example.COM ", 1), "Idempotency-Key", "k1").view(http.StatusCreated)
		if again.ID != first.ID {
			t.Error("the same key made another request")
		}
		r.post("/v1/requests", optOut, "Idempotency-Key", "k1").problem(http.StatusConflict).names(t, "header.Idempotency-Key")
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := make(map[request.ID]bool)
		for range 10 {
			wg.Go(func() {
				id := r.submitKeyed("k2")
				mu.Lock()
				defer mu.Unlock()
				ids[id] = true
			})
		}
		wg.Wait()
		if len(ids) != 1 || r.stored() != 2 {
			t.Errorf("ten at once made %d requests; %d are stored", len(ids), r.stored())
		}
		for _, key := range []string{"tab\tin it", "\xff\xfe", strings.Repeat("k", 201)} {
			r.post("/v1/requests", deletion, "Idempotency-Key", key).problem(http.StatusUnprocessableEntity)
		}
		if n := r.stored(); n != 2 {
			t.Errorf("%d requests are stored", n)
		}
	})
}

func (r *rig) submitKeyed(key string) request.ID {
	return r.post("/v1/requests", deletion, "Idempotency-Key", key).view(http.StatusCreated).ID
}

func TestBulk(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		item := func(key, body string) string {
			return fmt.Sprintf(`{"idempotency_key":%q,`, key) + strings.TrimPrefix(body, "{")
		}
		body := `{"requests":[` + strings.Join([]string{
			item("a", deletion), item("b", optOut), item("a", deletion), item("b", waiting),
			`{"right":"delete","identifiers":[{"kind":"email","value":"planted no address"}]}`, `{"right":"fly","identifiers":[]}`,
			`{"idempotency_key":"\u0000","right":"delete","identifiers":[{"kind":"email","value":"jane@example.com"}]}`, waiting,
		}, ",") + `]}`
		a := r.post("/v1/requests:bulk", body)
		a.want(http.StatusOK)
		var out struct{ Results []bulkResult }
		if err := json.Unmarshal(a.body, &out); err != nil {
			t.Fatal(err)
		}
		got := out.Results
		if len(got) != 8 {
			t.Fatalf("%d results: %s", len(got), a.body)
		}
		field := func(i int) string {
			if len(got[i].Errors) == 0 {
				return ""
			}
			return got[i].Errors[0].Field
		}
		switch {
		case got[0].ID == "" || got[0].Existing, got[1].ID == "", got[7].ID == "":
			t.Errorf("good ones were refused: %s", a.body)
		case got[2].ID != got[0].ID || !got[2].Existing:
			t.Errorf("a repeat is %+v", got[2])
		case field(3) != "idempotency_key" || field(4) != "identifiers[0]" || field(5) != "right" || field(6) != "idempotency_key":
			t.Errorf("bad ones: %s", a.body)
		}
		for _, i := range []int{3, 4, 5, 6} {
			if got[i].ID != "" {
				t.Errorf("a bad one has id %s", got[i].ID)
			}
		}
		if n := r.stored(); n != 3 {
			t.Errorf("%d are stored, want 3", n)
		}
		if strings.Contains(string(a.body), "planted") {
			t.Errorf("a value came back: %s", a.body)
		}
		r.post("/v1/requests:bulk", `{"requests":[]}`).problem(http.StatusUnprocessableEntity).names(t, "body.requests")
		r.post("/v1/requests:bulk", `{"requests":[`+strings.TrimSuffix(strings.Repeat(optOut+",", MaxBulk+1), ",")+`]}`).
			problem(http.StatusUnprocessableEntity).names(t, "body.requests")
	})
}

func TestStopping(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		for verb, want := range map[string]request.Result{"cancel": request.ResultCancelled, "deny": request.ResultDenied} {
			id := r.submit(waiting)
			path := "/v1/requests/" + string(id) + "/" + verb
			for _, body := range []string{`{"code":"","reason":""}`, `{"code":"withdrawn","reason":""}`, `{"code":"Not A Code","reason":"x"}`, `{"code":"withdrawn","reason":"a\u0000b"}`} {
				r.post(path, body).problem(http.StatusUnprocessableEntity).names(t, "body.code")
			}
			r.post(path, `{}`).problem(http.StatusUnprocessableEntity)
			if req, _ := r.get(id); req.State() != request.AwaitingVerification || req.Version != 1 {
				t.Errorf("a refused %s left it %s", verb, req.State())
			}
			code := map[string]string{"cancel": "withdrawn", "deny": "unverified_delete"}[verb]
			v := r.post(path, `{"code":"`+code+`","reason":"as you wished"}`).view(http.StatusOK)
			if v.State != request.Closing || v.Result != want || v.ReasonCode != code || v.Reason != "as you wished" {
				t.Errorf("%s made it %+v", verb, v)
			}
			r.post(path, `{"code":"`+code+`","reason":"again"}`).problem(http.StatusConflict)
			r.post("/v1/requests/"+string(id)+"/verification", `{"method":"account_login","level":"reasonably_high"}`).problem(http.StatusConflict)
			r.post("/v1/requests/"+string(id)+"/retry", `{}`).problem(http.StatusConflict)
		}
	})
}

func TestRetryAndApprove(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(deletion)
		path := "/v1/requests/" + string(id)
		r.post(path+"/retry", `{}`).problem(http.StatusConflict)
		r.running(id,
			store.Job{Connector: "crm", State: request.JobDone}, store.Job{Connector: "ads", State: request.JobFailed},
			store.Job{Connector: "shop", State: request.JobOverLimit}, store.Job{Connector: "lake", State: request.JobDeferred, NextAt: now.AddDate(0, 1, 0)},
			store.Job{Connector: "old", State: request.JobOverLimit}, store.Job{Connector: "old", State: request.JobOverLimit})
		state := func() (out []string) {
			_, jobs := r.get(id)
			for _, j := range jobs {
				out = append(out, fmt.Sprintf("%s %s %d", j.Connector, j.State, j.CapOverride))
			}
			return out
		}
		before := state()
		r.post(path+"/retry", `{"connector":"crm"}`).problem(http.StatusConflict)
		r.post(path+"/retry", `{"connector":"nobody"}`).problem(http.StatusConflict)
		r.post(path+"/approve", `{"connector":"ads","cap":10}`).problem(http.StatusConflict)
		r.post(path+"/approve", `{"connector":"","cap":10}`).problem(http.StatusUnprocessableEntity).names(t, "body.connector")
		r.post(path+"/approve", `{"connector":"shop","cap":0}`).problem(http.StatusUnprocessableEntity).names(t, "body.cap")
		if got := state(); !slices.Equal(got, before) {
			t.Errorf("refused, and changed to %v", got)
		}
		r.post(path+"/approve", `{"connector":"shop","cap":900}`).problem(http.StatusUnprocessableEntity).names(t, "header.Habeas-Actor")
		for _, connector := range []string{`{"connector":"shop","cap":900}`, `{"connector":"old","cap":5}`} {
			r.post(path+"/approve", connector, HeaderActor, "ana").view(http.StatusOK)
			if got := state(); slices.Contains(got, "shop planned 900") && connector[14] == 's' {
				t.Errorf("one person lifted a cap: %v", got)
			}
			r.post(path+"/approve", connector, HeaderActor, "ana").problem(http.StatusConflict)
			r.post(path+"/approve", connector, HeaderActor, "ben").view(http.StatusOK)
		}
		r.post(path+"/retry", `{"connector":"ads"}`).view(http.StatusOK)
		want := []string{"crm done 0", "ads planned 0", "shop planned 900", "lake deferred 0", "old over_limit 0", "old planned 5"}
		if got := state(); !slices.Equal(got, want) {
			t.Errorf("have %v, want %v", got, want)
		}
		r.post(path+"/retry", `{}`).view(http.StatusOK)
		if _, jobs := r.get(id); !jobs[3].NextAt.Equal(now) || jobs[4].State != request.JobOverLimit {
			t.Errorf("after a retry of all: %v, lake at %s", state(), jobs[3].NextAt)
		}
	})
}

func TestListing(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var want []request.ID
		for range 7 {
			want = append(want, r.submit(waiting))
		}
		opt := r.submit(optOut)
		slices.Reverse(want)
		list := func(query string) (ids []request.ID, next string) {
			a := r.call(http.MethodGet, "/v1/requests"+query, "")
			a.want(http.StatusOK)
			var page struct {
				Requests []View
				Next     string
			}
			if err := json.Unmarshal(a.body, &page); err != nil {
				t.Fatal(err)
			}
			for _, v := range page.Requests {
				ids = append(ids, v.ID)
			}
			return ids, page.Next
		}
		var got []request.ID
		query := "?state=awaiting_verification&limit=3"
		ids, next := list(query)
		for got = ids; next != ""; got = append(got, ids...) {
			r.submit(waiting) // what comes meanwhile shifts nothing
			ids, next = list(query + "&cursor=" + next)
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages hold %v, want %v", got, want)
		}
		if ids, _ := list("?right=opt_out_sale_share"); !slices.Equal(ids, []request.ID{opt}) {
			t.Errorf("opt-outs: %v", ids)
		}
		if ids, _ := list("?attention=true"); len(ids) != 0 {
			t.Errorf("attention: %v", ids)
		}
		for query, field := range map[string]string{
			"?state=lost": "query.state", "?right=%00": "query.right", "?cursor=***": "query.cursor", "?cursor=aGVsbG8": "query.cursor",
			"?limit=0": "query.limit", "?limit=501": "query.limit", "?limit=x": "query.limit", "?email=planted@example.com": "query",
		} {
			a := r.call(http.MethodGet, "/v1/requests"+query, "")
			a.problem(http.StatusUnprocessableEntity).names(t, field)
			if strings.Contains(string(a.body), "planted") {
				t.Errorf("a value came back: %s", a.body)
			}
		}
	})
}

func TestNotFound(t *testing.T) {
	r := newRig(t)
	unknown := string(request.NewID())
	const stop = `{"code":"withdrawn","reason":"x"}`
	for _, id := range []string{unknown, "planted@example.com", "1", strings.ToUpper(unknown)} {
		for _, c := range [][3]string{
			{http.MethodGet, "", ""}, {http.MethodPost, "/cancel", stop}, {http.MethodPost, "/deny", stop}, {http.MethodPost, "/retry", `{}`},
			{http.MethodPost, "/approve", `{"connector":"crm","cap":1}`}, {http.MethodPost, "/verification", `{"method":"account_login","level":"reasonable"}`},
		} {
			a := r.call(c[0], "/v1/requests/"+id+c[1], c[2])
			a.problem(http.StatusNotFound)
			if strings.Contains(string(a.body), "planted") {
				t.Errorf("a value came back: %s", a.body)
			}
		}
	}
	r.call(http.MethodGet, "/v1/nothing", "").problem(http.StatusNotFound)
	r.call(http.MethodDelete, "/v1/requests", "").problem(http.StatusNotFound)
}

func TestStoreIsDown(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(waiting)
		r.store.down = true
		path := "/v1/requests/" + string(id)
		for _, c := range [][3]string{
			{http.MethodPost, "/v1/requests", deletion}, {http.MethodPost, "/v1/requests:bulk", `{"requests":[` + deletion + `]}`},
			{http.MethodGet, "/v1/requests", ""}, {http.MethodGet, path, ""}, {http.MethodGet, "/v1/connectors", ""},
			{http.MethodPost, path + "/cancel", `{"code":"withdrawn","reason":"x"}`}, {http.MethodPost, path + "/retry", `{}`},
			{http.MethodPost, path + "/verification", `{"method":"account_login","level":"reasonably_high"}`},
		} {
			p := r.call(c[0], c[1], c[2]).problem(http.StatusServiceUnavailable)
			if strings.Contains(p.Detail, "down") {
				t.Errorf("the inside is shown: %s", p.Detail)
			}
		}
		r.store.down = false
		if req, _ := r.get(id); req.Version != 1 || r.stored() != 1 {
			t.Errorf("something half done: version %d, %d stored", req.Version, r.stored())
		}
		// The answer was lost: saying it again with the same key is safe.
		r.store.lost = true
		r.post("/v1/requests", deletion, "Idempotency-Key", "k").problem(http.StatusServiceUnavailable)
		r.post(path+"/verification", `{"method":"account_login","level":"reasonably_high"}`).problem(http.StatusServiceUnavailable)
		r.store.lost = false
		first := r.submitKeyed("k")
		if second := r.submitKeyed("k"); first != second || r.stored() != 2 {
			t.Errorf("repeats made %s and %s, %d stored", first, second, r.stored())
		}
		if v := r.post(path+"/verification", `{"method":"account_login","level":"reasonably_high"}`).view(http.StatusOK); v.State != request.Accepted {
			t.Errorf("it is %s", v.State)
		}
	})
}

func TestClockOfTheSender(t *testing.T) {
	r := newRig(t)
	with := func(at string) answer {
		return r.post("/v1/requests", strings.TrimSuffix(waiting, "}")+`,"received_at":"`+at+`"}`)
	}
	with("2026-03-02T17:06:00Z").problem(http.StatusUnprocessableEntity).names(t, "body.received_at")
	with("2999-01-01T00:00:00Z").problem(http.StatusUnprocessableEntity).names(t, "body.received_at")
	with("1999-01-01T00:00:00Z").problem(http.StatusUnprocessableEntity).names(t, "body.regime") // not in force then
	with("planted@example.com").problem(http.StatusUnprocessableEntity).names(t, "body.received_at")
	if n := r.stored(); n != 0 {
		t.Errorf("%d are stored", n)
	}
	// Clocks start at receipt, in the regime's zone: it is still 22 February there.
	if v := with("2026-02-23T07:59:59Z").view(http.StatusCreated); v.AnswerBy != "2026-04-08" {
		t.Errorf("answer by %s", v.AnswerBy)
	}
	with("2026-03-02T17:05:00Z").view(http.StatusCreated) // clocks differ a little
}

func TestOpenAPI(t *testing.T) {
	r := newRig(t)
	a := r.call(http.MethodGet, "/v1/openapi.json", "")
	a.want(http.StatusOK)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	want := map[string]string{
		"/v1/requests": "get,post", "/v1/requests:bulk": "post", "/v1/requests/{id}": "get", "/v1/requests/{id}/verification": "post", "/v1/requests/{id}/cancel": "post",
		"/v1/requests/{id}/confirm": "post", "/v1/requests/{id}/extension": "post", "/v1/requests/{id}/verification-failure": "post",
		"/v1/requests/{id}/holds": "post", "/v1/requests/{id}/holds/{hold}/end": "post", "/v1/requests/{id}/holds/{hold}/renew": "post",
		"/v1/requests/{id}/narrow": "post", "/v1/requests/{id}/opt-out": "post", "/v1/requests/{id}/appeal": "post", "/v1/requests/{id}/grant": "post",
		"/v1/requests/{id}/statements": "post", "/v1/choices": "post",
		"/v1/requests/{id}/deny": "post", "/v1/requests/{id}/retry": "post", "/v1/requests/{id}/approve": "post", "/v1/connectors": "get",
		"/v1/connectors/{name}/pause": "post", "/v1/connectors/{name}/resume": "post", "/v1/dead-letters": "get", "/v1/dead-letters:retry": "post",
		"/v1/requests/{id}/approve-plan": "post", "/v1/requests/{id}/copy": "post", "/v1/requests:approve-plans": "post", "/v1/requests:deny": "post",
	}
	for path, methods := range want {
		var have []string
		for m, op := range doc.Paths[path] {
			have = append(have, m)
			if op.OperationID == "" || len(op.Responses) < 2 {
				t.Errorf("%s %s is described by %+v", m, path, op)
			}
		}
		slices.Sort(have)
		if strings.Join(have, ",") != methods {
			t.Errorf("%s has %v, want %s", path, have, methods)
		}
	}
	if len(doc.Paths) != len(want) {
		t.Errorf("%d paths are described, want %d", len(doc.Paths), len(want))
	}
}

// The coordinator is told at once, and the bus being away holds nobody up.
func TestTakingTellsTheCoordinator(t *testing.T) {
	r := newRig(t)
	hints, err := r.bus.Conn.SubscribeSync(wire.HintSubject("coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	id := r.submit(waiting)
	if m, err := hints.NextMsgWithContext(t.Context()); err != nil || len(m.Data) != 0 {
		t.Errorf("a new request hints %q, %v", m.Data, err)
	}
	r.post("/v1/requests/"+string(id)+"/verification", `{"method":"account_login","level":"reasonably_high"}`).view(http.StatusOK)
	if m, err := hints.NextMsgWithContext(t.Context()); err != nil || string(m.Data) != `["`+string(id)+`"]` {
		t.Errorf("an attested request hints %q, %v", m.Data, err)
	}
	r.bus.Conn.Close()
	r.submit(deletion)
	if n := r.stored(); n != 2 {
		t.Errorf("%d are stored", n)
	}
}
