package console

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// troubledCompany stores four systems of which three misbehave, and a late request that
// waits for each.
func (d *desk) troubledCompany(t testing.TB) request.ID {
	t.Helper()
	d.connect(t,
		announced("adtech", nil, nil, func(m *habeasv1.Manifest) { m.BeatTime = timestamppb.New(now.Add(-3 * time.Hour)) }),
		announced("billing", nil, nil, nil),
		announced("crm", nil, nil, nil),
		announced("lake", nil, nil, func(m *habeasv1.Manifest) { m.Ready = false }),
	)
	d.pauseInStore(t, "crm")
	sent := now.Add(-2 * time.Hour)
	var late request.ID
	for i := range 3 {
		id := d.add(t, made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -50+i), attention: "failed", jobs: []store.Job{
			{Connector: "adtech", Action: request.ActionResolve, State: request.JobSent, Attempt: 1, SentAt: sent},
			{Connector: "adtech", Action: request.ActionErase, State: request.JobSent, Attempt: 1, SentAt: sent},
			{Connector: "billing", Action: request.ActionErase, State: request.JobFailed, Attempt: 3, Code: "exhausted", Message: "no such table"},
			{Connector: "crm", Action: request.ActionErase, State: request.JobPlanned, Code: store.CodePaused},
			{Connector: "lake", Action: request.ActionErase, State: request.JobDeferred, Attempt: 2, SentAt: sent, NextAt: now.Add(time.Minute), Code: "unavailable"},
		}})
		if i == 0 {
			late = id
		}
	}
	return late
}

// Today says first which systems hold requests up, how many and how late, why,
// and offers what can be done about it.
func TestTodaySaysWhatHoldsRequestsUp(t *testing.T) {
	d := newDesk(t)
	d.troubledCompany(t)
	a := d.fetch(t, "/today")
	a.decent(t, true)
	a.says(t, "Late 3", "Systems in trouble 4", "What holds requests up",
		"adtech Down 3 waiting 3 late It is down: it gave no sign of life since 15 Jun 2026, 15:00 UTC. Whoever runs it must start it again.",
		"billing Up 3 waiting 3 late 3 jobs ended badly. It failed again and again.", "Send these 3 again See them",
		"crm Paused 3 waiting 3 late It is paused since 15 Jun 2026, 17:00 UTC: The database is being moved.", "Resume crm",
		"lake Its system does not answer 3 waiting 3 late It is up, but its system does not answer.",
		"none: it is down", "adtech is down")
	// Before any listing of single requests.
	if text := a.text(); strings.Index(text, "What holds requests up") > strings.Index(text, "First to be late") {
		t.Error("what holds requests up comes after the list of those that are late")
	}
	if strings.Contains(a.text(), "exhausted") || strings.Contains(a.text(), "too slow at its pace") {
		t.Error("a raw code, or a pace of what answers nothing")
	}
	var actions []string
	for _, n := range elements(a.doc, "form") {
		actions = append(actions, attr(n, "action"))
	}
	if got := strings.Join(actions, " "); !strings.Contains(got, "/connectors/crm/resume") || !strings.Contains(got, "/letters/retry") {
		t.Errorf("forms lead to %s", got)
	}
	d.post(t, "/letters/retry", url.Values{"connector": {"billing"}, "state": {"failed"}, "code": {"exhausted"}})
	d.act.asked(t, `retry letters "billing" "failed" "exhausted" true`)
}

// A request's page says of each system that can't answer why, once for all its
// jobs there, and where to see more.
func TestARequestSaysWhichSystemIsDown(t *testing.T) {
	d := newDesk(t)
	id := d.troubledCompany(t)
	a := d.fetch(t, "/requests/"+string(id))
	a.decent(t, true)
	a.says(t, "late. This is why:", "adtech is down: it gave no sign of life since 15 Jun 2026, 15:00 UTC. Whoever runs it must start it again. Its jobs wait for it and go on by themselves. See adtech",
		"billing failed after 3 tries: no such table.", "crm is paused.", "lake is up, but its system does not answer.")
	if n := strings.Count(a.text(), "adtech is down"); n != 1 || strings.Contains(a.text(), "Nothing need be done as long as it is running") {
		t.Errorf("says %d times that adtech is down, or that nothing need be done: %s", n, a.text())
	}
}

// The page of a connector that answers nothing says why and what to do.
func TestAConnectorSaysWhyItAnswersNothing(t *testing.T) {
	d := newDesk(t)
	d.troubledCompany(t)
	for name, want := range map[string]string{
		"adtech": "Down It is down: it gave no sign of life since 15 Jun 2026, 15:00 UTC. Whoever runs it must start it again.",
		"lake":   "It is up, but its system does not answer. See whether the system is up and reached from the connector's machine.",
		"crm":    "Paused Gets no jobs since 15 Jun 2026, 17:00 UTC",
	} {
		d.fetch(t, "/connectors/"+name).says(t, want)
	}
	if text := d.fetch(t, "/connectors/billing").text(); strings.Contains(text, "It is ") {
		t.Errorf("of a connector that answers: %s", text)
	}
}

// A deadline to the minute says how much is left or over in words that are true.
func TestDueOf(t *testing.T) {
	for after, want := range map[time.Duration]string{
		-49 * time.Hour: "2 days late", -time.Hour: "late", time.Hour: "less than a day left", 25 * time.Hour: "1 day left", 10 * 24 * time.Hour: "10 days left",
	} {
		if got := dueOf(now.Add(after), now).Left; got != want {
			t.Errorf("%v: %q, want %q", after, got, want)
		}
	}
}

// What was entered long after it came in says so: that is why it is late.
func TestARequestSaysThatItWasEnteredLate(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		after int
		want  string
	}{
		{50, "It was entered here on 14 Jun 2026, 50 days after it came in. It was late already"},
		{3, "It was entered here on 28 Apr 2026, 3 days after it came in. Its clocks run from the day it came in."},
		{0, ""},
	} {
		received := now.AddDate(0, 0, -51)
		id := d.add(t, made{right: request.Delete, state: request.Running, received: received, edit: func(r *store.Request) { r.CreatedAt = received.AddDate(0, 0, c.after) }})
		a := d.fetch(t, "/requests/"+string(id))
		a.says(t, "late. This is why:", c.want)
		if c.after == 0 && strings.Contains(a.text(), "It was entered here") {
			t.Error("says of a request that was entered at once that it was not")
		}
	}
}
