package intake

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// enrol makes a connector known.
func (r *rig) enrol(name string) {
	r.t.Helper()
	if err := r.store.PutConnector(r.t.Context(), store.Connector{Name: name, KeyID: "SHA256:key", Key: []byte("key"), Manifest: []byte{}, SeenAt: now, UpdatedAt: now}); err != nil {
		r.t.Fatal(err)
	}
}

// said are the decisions about connectors that are on record.
func (r *rig) said() (out []string) {
	r.t.Helper()
	records, err := r.store.Unlogged(r.t.Context(), now.AddDate(1, 0, 0), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, stored := range records {
		rec, err := wire.ParseRecord(stored.Envelope)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := rec.Verify(r.room.Signer.Public()); err != nil {
			r.t.Fatal(err)
		}
		if p, ok := rec.Predicate.(*habeasv1.ConnectorRecord); ok {
			out = append(out, p.GetConnector()+" "+p.GetDecision()+" "+p.GetReason())
		}
	}
	return out
}

func TestPauseAndResume(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.enrol("crm")
		changed := func(a answer) bool {
			t.Helper()
			a.want(http.StatusOK)
			var out struct{ Changed bool }
			if err := json.Unmarshal(a.body, &out); err != nil {
				t.Fatal(err)
			}
			return out.Changed
		}
		r.post("/v1/connectors/nobody/pause", `{"reason":"moved"}`).problem(http.StatusNotFound)
		r.post("/v1/connectors/crm/pause", `{}`).problem(http.StatusUnprocessableEntity)
		r.post("/v1/connectors/crm/pause", `{"reason":"  "}`).problem(http.StatusUnprocessableEntity).names(t, "body.reason")
		r.post("/v1/connectors/crm/pause", `{"reason":"two\nlines"}`).problem(http.StatusUnprocessableEntity).names(t, "body.reason")
		if changed(r.post("/v1/connectors/crm/resume", ``)) || len(r.said()) != 0 {
			t.Errorf("nothing was paused, and on record is %v", r.said())
		}
		if !changed(r.post("/v1/connectors/crm/pause", `{"reason":"it is being moved"}`, HeaderActor, "ana")) {
			t.Error("the first pause changes nothing")
		}
		if changed(r.post("/v1/connectors/crm/pause", `{"reason":"another"}`, HeaderActor, "ben")) {
			t.Error("the second pause changes something")
		}
		var list struct{ Connectors []ConnectorView }
		a := r.call(http.MethodGet, "/v1/connectors", "")
		a.want(http.StatusOK)
		if err := json.Unmarshal(a.body, &list); err != nil {
			t.Fatal(err)
		}
		if p := list.Connectors[0].Paused; p == nil || p.By != "ana" || p.Reason != "it is being moved" || !p.Since.Equal(now) {
			t.Errorf("paused: %+v", p)
		}
		if !changed(r.post("/v1/connectors/crm/resume", ``, HeaderActor, "ben")) {
			t.Error("resuming changes nothing")
		}
		if got := strings.Join(r.said(), "; "); got != "crm paused it is being moved; crm resumed " && got != "crm resumed ; crm paused it is being moved" {
			t.Errorf("on record: %s", got)
		}
	})
}

func TestRetryLetters(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		var ids []request.ID
		for range 3 {
			id := r.submit(deletion)
			r.running(id,
				store.Job{Connector: "crm", State: request.JobFailed, Code: "denied"}, store.Job{Connector: "ads", State: request.JobFailed, Code: "exhausted"},
				store.Job{Connector: "shop", State: request.JobOverLimit, Code: "over_limit"}, store.Job{Connector: "lake", State: request.JobDone})
			ids = append(ids, id)
		}
		r.room.Now = func() time.Time { return now.Add(time.Minute) }
		count := func(connector string, state request.JobState) (n int) {
			for _, id := range ids {
				_, jobs := r.get(id)
				for _, j := range jobs {
					if j.Connector == connector && j.State == state {
						n++
					}
				}
			}
			return n
		}
		retry := func(body string) (sent int) {
			t.Helper()
			a := r.post("/v1/dead-letters:retry", body)
			a.want(http.StatusOK)
			var out struct{ Sent int }
			if err := json.Unmarshal(a.body, &out); err != nil {
				t.Fatal(err)
			}
			return out.Sent
		}
		r.post("/v1/dead-letters:retry", `{"state":"done"}`).problem(http.StatusUnprocessableEntity).names(t, "body.state")
		if n := retry(`{"connector":"crm","code":"other"}`); n != 0 {
			t.Errorf("%d jobs of another code were sent again", n)
		}
		if n := retry(`{"connector":"crm","code":"denied"}`); n != 3 || count("crm", request.JobPlanned) != 3 || count("ads", request.JobFailed) != 3 {
			t.Errorf("%d were sent again; %d of crm are planned, %d of ads failed", n, count("crm", request.JobPlanned), count("ads", request.JobFailed))
		}
		if n := retry(`{}`); n != 3 || count("ads", request.JobPlanned) != 3 || count("shop", request.JobOverLimit) != 3 || count("lake", request.JobDone) != 3 {
			t.Errorf("%d were sent again by the second call", n)
		}
		if n := retry(`{}`); n != 0 {
			t.Errorf("%d were sent again although none is left", n)
		}
		a := r.call(http.MethodGet, "/v1/dead-letters", "")
		a.want(http.StatusOK)
		if !strings.Contains(string(a.body), `"connector":"shop","state":"over_limit","code":"over_limit","jobs":3`) || strings.Contains(string(a.body), "crm") {
			t.Errorf("left are %s", a.body)
		}
	})
}

// What was done stays done when the answer is lost, and doing it again is
// harmless; a call that has no time says so.
func TestRetryLettersIsCutOff(t *testing.T) {
	r := newRig(t)
	id := r.submit(deletion)
	r.running(id, store.Job{Connector: "crm", State: request.JobFailed, Code: "denied"})
	r.room.Now = func() time.Time { return now.Add(time.Minute) }
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := r.room.RetryLetters(over, store.LetterFilter{}); err == nil || n != 0 {
		t.Errorf("%d sent again, %v", n, err)
	}
	r.store.down = true
	if _, err := r.room.RetryLetters(t.Context(), store.LetterFilter{}); !errors.Is(err, errDown) {
		t.Errorf("%v", err)
	}
	r.store.down, r.store.lost = false, true
	if _, err := r.room.RetryLetters(t.Context(), store.LetterFilter{}); !errors.Is(err, errDown) {
		t.Errorf("%v", err)
	}
	r.store.lost = false
	if n, err := r.room.RetryLetters(t.Context(), store.LetterFilter{}); err != nil || n != 0 {
		t.Errorf("%d sent again, %v", n, err)
	}
	if _, jobs := r.get(id); jobs[0].State != request.JobPlanned {
		t.Errorf("the job is %s", jobs[0].State)
	}
}
