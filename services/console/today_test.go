package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func TestTodayTells(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/today").says(t, "No request is open", "No system is waited for", "The last 30 days Arrived: 0")
	ids := d.company(t)
	if err := d.store.PutIncidents(t.Context(), []store.Incident{
		{ID: "one", Kind: store.Resurrected, Connector: "warehouse", Store: "events", Records: 3, OpenedAt: now},
		{ID: "two", Kind: store.Resurrected, Connector: "warehouse", Store: "events", Records: 4, OpenedAt: now},
	}); err != nil {
		t.Fatal(err)
	}
	a := d.fetch(t, "/today")
	a.says(t, "What went wrong after an answer", "warehouse, events Erased records came back 2 7")
	a.says(t, "Late 1", "Due within 7 days 2", "Systems in trouble 4", "Lifting the limit takes two people, one request at a time. See it", "Need a person 4", "Awaiting verification 1", "Open 9",
		"Arrived: 11 at most 2 a day", "Closed: 4, 0 of them late", "Age when closed: 2.1 days on average, 2.1 days on the worst day", "Time left when closed: 37.0 days on average",
		"adtech 2 nothing in 24 hours – 0 now, 1 by then", "adtech will be too slow at its pace",
		"warehouse Failed The system refused our credentials 1", "crm Failed It failed again and again 1", "analytics Waiting The system did not answer 1", "analytics Over the limit, not done – 1")
	var order []string
	for _, n := range elements(a.doc, "a") {
		if id := attr(n, "id"); strings.HasPrefix(id, "p-") {
			order = append(order, strings.TrimPrefix(id, "p-"))
		}
	}
	if len(order) != 9 || order[0] != string(ids["late"]) {
		t.Errorf("%d requests press, the first is %v", len(order), order)
	}
}

func TestFind(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, waiting())
	a := d.fetch(t, "/find?id="+url.QueryEscape(" "+strings.ToUpper(string(id))))
	if a.path != "/requests/"+string(id) || a.status != http.StatusOK {
		t.Errorf("led to %s with %d", a.path, a.status)
	}
	for _, unknown := range []string{"", "nonsense", string(request.NewID()), "//example.net"} {
		a := d.fetch(t, "/find?id="+url.QueryEscape(unknown))
		if a.status != http.StatusNotFound {
			t.Errorf("%q: status %d", unknown, a.status)
		}
	}
}

// broken is a store that can't tell what is stuck.
type broken struct{ store.Store }

func (broken) Stuck(context.Context) ([]store.Stuck, error) {
	return nil, errors.New("lost the database of " + planted)
}

// One part that can't be read says so, and the others are there.
func TestTodayWithoutAPart(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	d.room.config.Store = broken{d.store}
	a := d.fetch(t, "/today")
	a.decent(t, true)
	if a.status != http.StatusOK || strings.Count(a.text(), "does not answer for this part") != 2 {
		t.Errorf("status %d, it says %s", a.status, a.text())
	}
	a.says(t, "Late 1", "Systems in trouble –", "First to be late", "Arrived: 11", "Too many records for one person")
}

// A system that answers ten jobs an hour needs two hours for twenty.
func TestForecast(t *testing.T) {
	d := newDesk(t)
	d.connect(t, announced("crm", nil, nil, nil))
	jobs := func(n int, state request.JobState) (out []store.Job) {
		for range n {
			out = append(out, store.Job{Connector: "crm", Action: request.ActionErase, State: state})
		}
		return out
	}
	d.add(t, made{right: request.Delete, state: request.Running, received: now, jobs: jobs(20, request.JobPlanned)})
	id := d.add(t, made{right: request.Delete, state: request.Running, received: now, jobs: jobs(20, request.JobDone)})
	soonDue := made{right: request.Delete, state: request.Running, received: now, jobs: jobs(20, request.JobPlanned), edit: func(r *store.Request) { r.RespondBy = now.Add(time.Hour) }}
	d.add(t, soonDue)
	// They were answered over the last two hours: ten an hour.
	if _, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		for i := range snaps[0].Jobs {
			snaps[0].Jobs[i].UpdatedAt = now.Add(-time.Duration(i) * 2 * time.Hour / 19)
			snaps[0].Touch(i)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/today").says(t, "crm 40 10 an hour 15 Jun 2026, 22:00 UTC 0 now, 1 by then", "It answers 10 an hour, and so would be done only on 15 Jun 2026, 22:00 UTC.", "crm will be too slow at its pace")
}
