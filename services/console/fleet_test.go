package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func (a *actor) Pause(ctx context.Context, connector, reason string) (bool, error) {
	return true, a.note("pause %s %q by %s", connector, reason, request.ActorOf(ctx))
}

func (a *actor) Resume(ctx context.Context, connector string) (bool, error) {
	return true, a.note("resume %s by %s", connector, request.ActorOf(ctx))
}

func (a *actor) RetryLetters(_ context.Context, f store.LetterFilter) (int, error) {
	return 3, a.note("retry letters %q %q %q %v", f.Connector, f.State, f.Code, f.HasCode)
}

// announced is a connector's manifest as it was last heard.
func announced(name string, accepts, yields []string, change func(*habeasv1.Manifest)) *habeasv1.Manifest {
	m := &habeasv1.Manifest{
		Name: name, Version: "1.4.0", Digest: "digest-of-" + name, Accepts: accepts, Yields: yields, Ready: true,
		Abilities: []habeasv1.Action{habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_ERASE}, Tier: habeasv1.Tier_TIER_OWN_STORE,
		Stores:   []*habeasv1.Store{{Name: name + ".people", Categories: []*habeasv1.Category{{Letter: "A", Data: "user.contact.email"}}, Role: habeasv1.Role_ROLE_BUSINESS}},
		BeatTime: timestamppb.New(now.Add(-2 * time.Second)), StartTime: timestamppb.New(now.Add(-50 * time.Hour)),
	}
	if change != nil {
		change(m)
	}
	return m
}

// sites are the manifests of a company in every condition a connector can be in.
func sites() []*habeasv1.Manifest {
	return []*habeasv1.Manifest{
		announced("crm", []string{"email", "phone"}, []string{"user_id", "customer_id"}, func(m *habeasv1.Manifest) {
			m.Abilities = append(m.Abilities, habeasv1.Action_ACTION_RESOLVE)
			m.Quotas = []*habeasv1.Quota{
				{Counts: "requests", Limit: 600, Per: durationpb.New(time.Minute), Used: 90},
				{Name: "erasures", Counts: "people", Limit: 100, Per: durationpb.New(24 * time.Hour), Used: 88},
			}
			m.Activity = &habeasv1.Activity{Window: durationpb.New(time.Hour), Outcomes: map[string]int64{"done": 118, "no_match": 40, "failed": 2}, Failures: map[string]int64{"rate_limited": 2}, InHand: 4}
			m.Conformance = &habeasv1.Conformance{Time: timestamppb.New(now.AddDate(0, 0, -3)), Kept: 24, ManifestDigest: m.GetDigest(), Version: "1.4.0"}
			m.Facts, m.Notes = "secondary", []string{"Deleting a contact leaves its tickets."}
		}),
		announced("billing", []string{"email", "customer_id"}, nil, func(m *habeasv1.Manifest) {
			m.Activity = &habeasv1.Activity{Window: durationpb.New(time.Hour), Outcomes: map[string]int64{"retained": 31}, InHand: 1}
			m.Drift = &habeasv1.Drift{CheckTime: timestamppb.New(now.Add(-time.Hour)), Findings: 3, Examples: []string{"customers.birth_name looks like user.name"}}
			m.BackupExpiry, m.Cap = durationpb.New(35*24*time.Hour), 5000
		}),
		announced("analytics", []string{"user_id"}, nil, func(m *habeasv1.Manifest) {
			m.Ready = false
			m.BatchSize, m.BatchWindow = 500, durationpb.New(15*time.Minute)
		}),
		announced("adtech", []string{"cookie_id", "device_id"}, nil, func(m *habeasv1.Manifest) {
			m.Tier, m.Contract = habeasv1.Tier_TIER_THIRD_PARTY, "DPA 2024-11"
		}),
		announced("warehouse", []string{"customer_id"}, nil, func(m *habeasv1.Manifest) { m.BeatTime = timestamppb.New(now.Add(-3 * time.Hour)) }),
	}
}

// connect makes connectors known to the database and heard on the bus.
func (d *desk) connect(t testing.TB, manifests ...*habeasv1.Manifest) {
	t.Helper()
	d.room.fleets.age = 0
	if err := wire.EnsureStreams(t.Context(), d.bus.JS, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	kv, err := d.bus.JS.KeyValue(t.Context(), wire.BucketConnectors)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range manifests {
		if err := wire.EnsureConnector(t.Context(), d.bus.JS, m.GetName(), wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
		body, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.store.PutConnector(t.Context(), store.Connector{Name: m.GetName(), Manifest: body, KeyID: "SHA256:key", Key: []byte("key"), SeenAt: now, UpdatedAt: now}); err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), m.GetName(), body); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *desk) pauseInStore(t testing.TB, name string) {
	t.Helper()
	rec := store.Record{Digest: []byte("pause of " + name), Type: "connector", Issuer: "intake", Envelope: []byte("{}"), CreatedAt: now}
	if fresh, err := d.store.Pause(t.Context(), store.Pause{Connector: name, Since: now.Add(-time.Hour), By: "ana", Reason: "The database is being moved."}, rec); err != nil || !fresh {
		t.Fatalf("pausing: %v, %v", fresh, err)
	}
}

// queued puts jobs for a connector on the bus.
func (d *desk) queued(t testing.TB, name string, n int) {
	t.Helper()
	for i := range n {
		if _, err := d.bus.JS.Publish(t.Context(), wire.JobSubject(name), fmt.Appendf(nil, "job %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	// A consumer counts what is stored a moment after it is.
	for end := time.Now().Add(time.Minute); ; {
		c, err := d.bus.JS.Consumer(t.Context(), wire.StreamJobs, wire.JobConsumer(name))
		if err != nil {
			t.Fatal(err)
		}
		pending := c.CachedInfo().NumPending
		if pending >= uint64(n) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d jobs of %d are counted", pending, n)
		}
	}
}

func TestConnectorsTell(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/connectors").says(t, "No connector has announced itself yet")
	d.company(t)
	d.connect(t, sites()...)
	d.pauseInStore(t, "billing")
	d.queued(t, "warehouse", 7)
	a := d.fetch(t, "/connectors")
	a.decent(t, true)
	a.says(t, "crm 1.4.0 Up 0 0 160 2 1 12 % left Tested", "billing 1.4.0 Up Paused 0 0 31 0 0 – Drift: 3 to settle",
		"analytics 1.4.0 Its system does not answer", "adtech 1.4.0 Up", "warehouse 1.4.0 Down 7 0 – – 1",
		"1 system can't be reached from these identifiers",
		"crm email, phone user_id, customer_id At once", "analytics user_id – After 1 other system", "adtech cookie_id, device_id – Can't be reached")
	a = d.fetch(t, "/connectors?from=cookie_id")
	a.says(t, "4 systems can't be reached", "adtech cookie_id, device_id – At once", "crm email, phone user_id, customer_id Can't be reached")
	if a := d.fetch(t, "/connectors/live"); !strings.Contains(a.body, `data-part="fleet"`) {
		t.Error("there is no part to keep up to date")
	}
}

func TestConnectorTells(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	d.connect(t, sites()...)
	d.pauseInStore(t, "billing")
	a := d.fetch(t, "/connectors/crm")
	a.decent(t, true)
	if !strings.Contains(a.body, `data-live="/connectors/crm/live" data-events="/events"`) {
		t.Error("the page is not kept up to date")
	}
	a.says(t, "160 answers an hour, counted over 1 hour; 4 in hand", "Done 118", "Nothing held 40", "The system's quota is used up 2",
		"all calls 90 600 requests", "erasures 88 100 people", "12 % left", "24 kept, 0 broken, 0 could not be checked", "It makes no comparison",
		"Deleting a contact leaves its tickets.", "Somebody else's word", "Failed It failed again and again 1", "crm.people A user.contact.email Ours The person")
	if a := d.fetch(t, "/connectors/crm/live"); a.status != http.StatusOK || !strings.Contains(a.body, `data-part="health"`) {
		t.Errorf("the live part: status %d", a.status)
	}
	d.fetch(t, "/connectors/billing").says(t, "Gets no jobs since", "The database is being moved.", "(ana)", "Resume billing", "3 to settle",
		"customers.birth_name looks like user.name", "and 2 more", "Backups forget in 35 days", "Limit 5 000 records for one person", "still")
	d.fetch(t, "/connectors/analytics").says(t, "500 people at once, gathered for 15 minutes", "The connector does not tell what it did lately", "No test is known")
	if a := d.fetch(t, "/connectors/nobody"); a.status != http.StatusNotFound {
		t.Errorf("status %d for a connector nobody knows", a.status)
	}
}

func TestPauseFromTheConsole(t *testing.T) {
	d := newDesk(t)
	d.connect(t, sites()...)
	a := d.post(t, "/connectors/crm/pause", url.Values{"reason": {" moved "}})
	if a.path != "/connectors/crm" || a.status != http.StatusOK {
		t.Errorf("led to %s with %d", a.path, a.status)
	}
	d.post(t, "/connectors/crm/resume", nil)
	if got := strings.Join(d.act.calls, "; "); got != `pause crm "moved" by console; resume crm by console` {
		t.Errorf("did %s", got)
	}
	d.act.err = request.FieldErrors{{Field: "reason", Problem: "is missing", Fix: "say why"}}
	a = d.post(t, "/connectors/crm/pause", url.Values{"reason": {"typed before"}})
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "typed before") {
		t.Errorf("status %d, and what was typed is gone", a.status)
	}
	a.says(t, "Reason is missing; say why. Nothing was changed.")
	d.act.err = store.ErrNotFound
	if a := d.post(t, "/connectors/nobody/pause", url.Values{"reason": {"x"}}); a.status != http.StatusNotFound {
		t.Errorf("status %d", a.status)
	}
}

// A page whose source is away says so, and shows the rest.
func TestConnectorsWithoutASource(t *testing.T) {
	t.Run("bus", func(t *testing.T) {
		d := newDesk(t)
		d.company(t)
		d.connect(t, sites()...)
		d.bus.Conn.Close()
		a := d.fetch(t, "/connectors")
		a.decent(t, true)
		a.says(t, "The bus does not answer", "crm 1.4.0 Not known now – – – – 1", "Who is found by what")
		d.fetch(t, "/connectors/crm").says(t, "The bus does not answer", "Failed It failed again and again 1", "crm.people")
	})
	t.Run("database", func(t *testing.T) {
		d := newDesk(t)
		d.connect(t, sites()...)
		d.fetch(t, "/connectors")
		if err := d.store.Close(); err != nil {
			t.Fatal(err)
		}
		a := d.fetch(t, "/connectors")
		a.decent(t, true)
		a.says(t, "The database does not answer", "crm 1.4.0 Up 0 0 160 2 –", "Who is found by what")
		d.fetch(t, "/connectors/crm").says(t, "The database does not answer", "160 answers an hour")
		if a := d.fetch(t, "/letters"); a.status != http.StatusServiceUnavailable {
			t.Errorf("dead letters: status %d", a.status)
		}
	})
}

func TestRequestsSayThatTheyWaitForAPause(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -2), jobs: []store.Job{
		{Connector: "crm", Action: request.ActionErase, State: request.JobPlanned, Code: store.CodePaused, Message: "the connector is paused"},
	}})
	d.fetch(t, "/requests/"+string(id)).says(t, "Waits because the connector crm is paused", "Waiting for crm (paused)")
	d.fetch(t, "/").says(t, "crm (paused)")
}

func TestLettersTell(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/letters").says(t, "No job has come to a dead end")
	ids := d.company(t)
	a := d.fetch(t, "/letters")
	a.decent(t, true)
	a.says(t, "crm 1 job Failed exhausted", "It failed again and again. Next: Read the message and mend the cause", "Send it again",
		"analytics 1 job Over the limit, not done over_limit", "Lifting the limit takes two people", "Send all again",
		"Deletion "+string(ids["late"])+" crm, Erase Failed exhausted the CRM answers 500 attempt 10", "late")
	a = d.fetch(t, "/letters?connector=warehouse&state=failed&code=denied")
	a.says(t, "the credentials are not allowed to delete from events", "Show all")
	if strings.Contains(a.body, "the CRM answers 500") {
		t.Error("a letter of another connector is listed")
	}
	for _, bad := range []string{"?state=nonsense", "?after=nonsense", "?connector=" + strings.Repeat("x", 41), "?after=2026-01-01T00:00:00Z_x"} {
		if a := d.fetch(t, "/letters"+bad); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", bad, a.status)
		}
	}
}

func TestRetryLettersFromTheConsole(t *testing.T) {
	d := newDesk(t)
	a := d.post(t, "/letters/retry", url.Values{"connector": {"crm"}, "state": {"failed"}, "code": {""}})
	a.says(t, "3 jobs are sent again.")
	d.post(t, "/letters/retry", nil)
	if got := strings.Join(d.act.calls, "; "); got != `retry letters "crm" "failed" "" true; retry letters "" "" "" false` {
		t.Errorf("did %s", got)
	}
	for text, want := range map[string]string{"0": "Nothing was left to send again.", "1": "1 job is sent again.", "500+": "500 jobs are sent again. There were more than could be done at once: press again.", "<b>": "", "": "", "9999999999": ""} {
		if got := sentText(text); got != want {
			t.Errorf("%q says %q", text, got)
		}
	}
}

// Every failure code of the contract has words and advice of its own.
func TestEveryCodeHasAdvice(t *testing.T) {
	for code := range strings.FieldsSeq("unavailable denied rate_limited configuration rejected still_there ambiguous internal exhausted malformed withdrawn") {
		what, next := adviceFor(request.JobFailed, code)
		if what == "" || what == "It failed for a reason of its own" || next == "" {
			t.Errorf("%s has no advice", code)
		}
	}
	for _, state := range []request.JobState{request.JobOverLimit, request.JobPlanChanged} {
		if what, next := adviceFor(state, ""); what == "" || next == "" || what == "It failed for a reason of its own" {
			t.Errorf("%s has no advice", state)
		}
	}
	if what, next := adviceFor(request.JobFailed, "of_another_language"); what == "" || next == "" {
		t.Error("an unknown code has no advice")
	}
}

// Only who may operate is offered to, and does.
func TestFleetIsForOperators(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	d.connect(t, sites()...)
	d.pauseInStore(t, "billing")
	for _, c := range []struct {
		role access.Role
		may  bool
	}{{access.Viewer, false}, {access.Auditor, false}, {access.Approver, false}, {access.Operator, true}, {access.Admin, true}} {
		client := d.as(t, "ana", c.role)
		var offered []string
		for _, path := range []string{"/connectors/crm", "/connectors/billing", "/letters"} {
			a := d.do(t, client, http.MethodGet, path, nil, nil)
			a.decent(t, true)
			for _, form := range elements(a.doc, "form") {
				if action := attr(form, "action"); strings.HasPrefix(action, "/connectors/") || strings.HasPrefix(action, "/letters/") {
					offered = append(offered, action)
				}
			}
		}
		for _, action := range []string{"/connectors/crm/pause", "/connectors/billing/resume", "/letters/retry"} {
			if slices.Contains(offered, action) != c.may {
				t.Errorf("%s is offered %v", c.role, offered)
			}
			a := d.do(t, client, http.MethodPost, action, url.Values{"reason": {"x"}}, nil)
			if (a.status == http.StatusForbidden) == c.may {
				t.Errorf("%s, %s: status %d", c.role, action, a.status)
			}
		}
	}
}

// However many pages are open, the bus and the database are asked once a second.
func TestFleetIsReadOnceForAll(t *testing.T) {
	d := newDesk(t)
	d.connect(t, sites()...)
	d.room.fleets.age = time.Hour
	first := d.room.fleet(t.Context())
	d.pauseInStore(t, "crm")
	if d.room.fleet(t.Context()) != first {
		t.Error("it was read again at once")
	}
	d.room.fleets.forget()
	if f := d.room.fleet(t.Context()); f == first || f.Members[3].Pause == nil {
		t.Error("a decision does not show")
	}
}
