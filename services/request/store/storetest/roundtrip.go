package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// The generators draw every field of what is stored. Text is any text but one
// with a NUL, for which see testHostileText.
var (
	anyText  = rapid.StringOfN(rapid.Rune().Filter(func(r rune) bool { return r != 0 }), 0, 12, -1)
	anyBytes = rapid.SliceOfN(rapid.Byte(), 0, 20)
	someByte = rapid.SliceOfN(rapid.Byte(), 1, 20)
	anyName  = rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`)
	anyKind  = rapid.StringMatching(`[a-z][a-z0-9_]{0,8}`)
	anyTime  = rapid.Custom(func(t *rapid.T) time.Time {
		return start.Add(time.Duration(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "µs")) * time.Microsecond)
	})
	maybeTime = rapid.OneOf(rapid.Just(time.Time{}), anyTime)
	anyDate   = rapid.Custom(func(t *rapid.T) request.Date { return request.DateOf(anyTime.Draw(t, "date"), time.UTC) })
	maybeDate = rapid.OneOf(rapid.Just(request.Date{}), anyDate)
	anyJSON   = rapid.OneOf(rapid.Just([]byte(nil)), rapid.Custom(func(t *rapid.T) []byte {
		text, err := json.Marshal(map[string]any{
			anyText.Draw(t, "key"): anyText.Draw(t, "value"), "n": rapid.Int32().Draw(t, "n"), "list": rapid.SliceOfN(anyText, 0, 3).Draw(t, "list"),
		})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}))
	// someText is never empty: the log of requests has no field without.
	someText    = anyText.Filter(func(s string) bool { return s != "" })
	anyCalendar = rapid.Custom(func(t *rapid.T) request.CalendarRef {
		return request.CalendarRef{ID: anyText.Draw(t, "calendar"), Version: anyText.Draw(t, "version")}
	})
)

func genTerms(t *rapid.T, right request.Right) request.Terms {
	date := func() request.Date { return maybeDate.Draw(t, "clock") }
	out := request.Terms{
		// Not cut to microseconds, and in a zone of its own.
		Received: anyTime.Draw(t, "received").Add(7 * time.Nanosecond).In(time.FixedZone("", -7*3600)),
		Due: request.Due{
			Regime: anyText.Draw(t, "regime"), RuleVersion: anyText.Draw(t, "rules"), Zone: "America/Los_Angeles", Received: anyDate.Draw(t, "day"),
			Acknowledge: date(), AcknowledgeAlarm: date(), Stop: date(), StopAlarm: date(), Respond: date(), RespondAlarm: date(),
			RespondRolled: date(), Extended: date(), LookBackFrom: date(), LookBackFloor: date(), NoReask: date(), KeepUntil: date(),
			Calendar: anyCalendar.Draw(t, "calendar"), AlarmCalendar: anyCalendar.Draw(t, "alarm calendar"), RollCalendar: anyCalendar.Draw(t, "roll calendar"),
		},
		Since: date(), Clipped: rapid.Bool().Draw(t, "clipped"),
		DeleteScope: rapid.SampledFrom([]request.DeleteScope{"", request.CollectedFrom, request.AboutAny}).Draw(t, "scope"),
	}
	if right.Verifiable() {
		out.Level = rapid.SampledFrom([]request.Level{request.Reasonable, request.ReasonablyHigh}).Draw(t, "level")
	}
	return out
}

// genDomain draws a request of the domain in a state its right has.
func genDomain(t *rapid.T, base request.Request, right request.Right) *request.Request {
	states := make([]request.State, 0, 8)
	for _, s := range request.States() {
		if right.Has(s) {
			states = append(states, s)
		}
	}
	state := rapid.SampledFrom(states).Draw(t, "state")
	if rapid.Bool().Draw(t, "extended") {
		base.Extension = &request.Extension{On: maybeDate.Draw(t, "on"), Reason: anyText.Draw(t, "reason")}
	}
	if state == request.Closing || state == request.Closed {
		base.Ending = &request.Ending{
			Result: rapid.SampledFrom(request.Results()).Draw(t, "result"), Code: anyText.Draw(t, "code"), Reason: anyText.Draw(t, "reason"),
		}
		if base.Ending.Result == request.ResultDenied {
			base.Ending.Code, base.Ending.Reason = someText.Draw(t, "basis"), someText.Draw(t, "words")
		}
	}
	var v request.Verification
	if right.Verifiable() {
		v = request.Unverified{}
		waiting := state == request.Received || state == request.AwaitingVerification || base.Ending != nil
		if !waiting || rapid.Bool().Draw(t, "verified") {
			v = request.Verified{
				Method: anyKind.Draw(t, "method"), Level: request.ReasonablyHigh, At: anyTime.Draw(t, "at").Add(3),
				By: rapid.StringMatching(`[a-zé]{1,9}`).Draw(t, "by"),
			}
		}
	}
	r, err := request.Restore(base, right, state, v)
	if err != nil {
		t.Fatalf("the generator is wrong: %v", err)
	}
	return r
}

func genRequest(t *rapid.T) store.Request {
	right := rapid.SampledFrom(request.Rights()).Draw(t, "right")
	r := store.Request{
		Request: &request.Request{
			ID: request.NewID(), Tenant: anyText.Draw(t, "tenant"), Regime: anyText.Draw(t, "regime"),
			Channel: request.Channel(someText.Draw(t, "channel")), Terms: genTerms(t, right),
		},
		Commitment: someByte.Draw(t, "commitment"), Fingerprint: anyBytes.Draw(t, "fingerprint"), CreatedAt: anyTime.Draw(t, "created"), Version: 1,
	}
	if rapid.Bool().Draw(t, "keyed") {
		r.IdempotencyKey = string(r.ID) + anyText.Draw(t, "key")
	}
	genMutable(t, &r, right)
	return r
}

// genMutable draws the fields that may change in a request's life.
func genMutable(t *rapid.T, r *store.Request, right request.Right) {
	r.Request = genDomain(t, request.Request{ID: r.ID, Tenant: r.Tenant, Regime: r.Regime, Channel: r.Channel, Terms: r.Terms}, right)
	r.RespondBy, r.UpdatedAt, r.ClosedAt = anyTime.Draw(t, "respond by"), anyTime.Draw(t, "updated"), maybeTime.Draw(t, "closed")
	r.WrappedKey, r.Sealed = anyBytes.Draw(t, "wrapped"), anyBytes.Draw(t, "sealed")
	r.Kinds = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Kind {
		return store.Kind{Name: anyKind.Draw(t, "kind"), Round: rapid.IntRange(0, 9).Draw(t, "round"), By: rapid.OneOf(rapid.Just(""), anyName).Draw(t, "by")}
	}), 0, 4).Draw(t, "kinds")
	r.Round, r.Attention, r.Assignee = rapid.IntRange(0, 1000).Draw(t, "round"), anyText.Draw(t, "attention"), anyText.Draw(t, "assignee")
	r.PlanDigest, r.Plan = anyBytes.Draw(t, "plan digest"), anyJSON.Draw(t, "plan")
	r.RecordDigests, r.ClosureDigest = anyBytes.Draw(t, "digests"), anyBytes.Draw(t, "closure")
	r.Package = store.Package{}
	if rapid.Bool().Draw(t, "packaged") {
		r.Package = store.Package{
			Key: "p" + anyText.Draw(t, "key"), Identity: anyBytes.Draw(t, "identity"), SHA256: anyBytes.Draw(t, "sha"), Size: rapid.Int64().Draw(t, "size"),
		}
	}
}

func testRequestRoundTrip(t *testing.T, s store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		want := genRequest(rt)
		if _, err := s.Create(t.Context(), []store.New{{Request: want}}); err != nil {
			rt.Fatal(err)
		}
		got, _ := get(t, s, want.ID)
		sameDrawn(rt, "stored", want, got)
		// A change may touch every field that is not set once.
		snap := change(t, s, want.ID, func(snap *store.Snapshot) {
			genMutable(rt, &snap.Request, want.Right())
			snap.Changed = true
		})
		if snap.Request.Version != 2 {
			rt.Errorf("version %d after the first change, want 2", snap.Request.Version)
		}
		got, _ = get(t, s, want.ID)
		sameDrawn(rt, "changed", snap.Request, got)
	})
}

func genJob(t *rapid.T, id request.ID) store.Job {
	j := store.Job{
		ID: request.NewID(), RequestID: id, Connector: anyName.Draw(t, "connector"),
		Action: rapid.SampledFrom([]request.Action{request.ActionErase, request.ActionResolve, request.ActionExport}).Draw(t, "action"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "after") {
		j.After = append(j.After, request.NewID())
	}
	genMutableJob(t, &j)
	return j
}

func genMutableJob(t *rapid.T, j *store.Job) {
	j.ConnectorVersion, j.ManifestDigest, j.KeyID = anyText.Draw(t, "version"), anyText.Draw(t, "manifest"), anyText.Draw(t, "key")
	j.Kinds = rapid.SliceOfN(anyKind, 0, 3).Draw(t, "kinds")
	j.State = rapid.SampledFrom(request.JobStates()).Draw(t, "state")
	j.Attempt, j.Round = rapid.IntRange(0, 1000).Draw(t, "attempt"), rapid.IntRange(0, 1000).Draw(t, "round")
	j.PlanDigest, j.LocatedEnvelope = someByte.Draw(t, "plan"), anyBytes.Draw(t, "envelope")
	j.Located, j.Outcome = anyJSON.Draw(t, "located"), anyJSON.Draw(t, "outcome")
	j.Discovered = rapid.Bool().Draw(t, "discovered")
	j.Code, j.Message, j.CapOverride = anyText.Draw(t, "code"), anyText.Draw(t, "message"), rapid.Int64().Draw(t, "cap")
	j.SentAt, j.NextAt, j.UpdatedAt = maybeTime.Draw(t, "sent"), maybeTime.Draw(t, "next"), anyTime.Draw(t, "updated")
}

func testJobRoundTrip(t *testing.T, s store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		n := sample(request.Running, 0)
		add(t, s, n)
		id := n.Request.ID
		added := change(t, s, id, func(snap *store.Snapshot) {
			for range rapid.IntRange(1, 4).Draw(rt, "jobs") {
				snap.Jobs = append(snap.Jobs, genJob(rt, id))
			}
		})
		_, jobs := get(t, s, id)
		sameDrawn(rt, "added", added.Jobs, jobs)
		changed := change(t, s, id, func(snap *store.Snapshot) {
			for i := range snap.Jobs {
				genMutableJob(rt, &snap.Jobs[i])
				snap.Touch(i)
			}
		})
		_, jobs = get(t, s, id)
		sameDrawn(rt, "changed", changed.Jobs, jobs)
	})
}

func testRecordRoundTrip(t *testing.T, s store.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		n := sample(request.Running, 0)
		n.Records = nil
		for range rapid.IntRange(1, 4).Draw(rt, "records") {
			n.Records = append(n.Records, store.Record{
				Digest: digest(), RequestID: n.Request.ID, JobID: rapid.SampledFrom([]request.ID{"", request.NewID()}).Draw(rt, "job"),
				Type: anyText.Draw(rt, "type"), Issuer: anyName.Draw(rt, "issuer"), Envelope: someByte.Draw(rt, "envelope"),
				CreatedAt: start.Add(time.Duration(len(n.Records)) * time.Microsecond),
			})
		}
		add(t, s, n)
		got, err := s.Unlogged(t.Context(), start.Add(time.Hour), 10)
		ok(t, err)
		sameDrawn(rt, "records", n.Records, got)
		var digests [][]byte
		for _, r := range got {
			digests = append(digests, r.Digest)
		}
		ok(t, s.Logged(t.Context(), digests))
	})
}

func sameDrawn(t *rapid.T, what string, want, got any) {
	t.Helper()
	if diff := diffOf(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// testZeroValues keeps what is not there apart from what is.
func testZeroValues(t *testing.T, s store.Store) {
	n := sample(request.Received, 0)
	n.Request.WrappedKey, n.Request.Sealed, n.Request.Kinds = nil, nil, nil
	n.Request.Plan = []byte{} // no plan, however it is written
	add(t, s, n)
	j := job(n.Request.ID, "crm", request.JobPlanned)
	j.NextAt, j.Outcome, j.Located, j.Kinds = time.Time{}, []byte{}, []byte{}, nil
	change(t, s, n.Request.ID, withJobs(j))
	got, jobs := get(t, s, n.Request.ID)
	same(t, "request", n.Request, got)
	same(t, "jobs", []store.Job{j}, jobs)
	if !got.ClosedAt.IsZero() || got.Ending != nil || got.Extension != nil || got.Package.Key != "" || len(got.Plan) > 0 || len(jobs[0].Outcome) > 0 || !jobs[0].SentAt.IsZero() || !jobs[0].NextAt.IsZero() {
		t.Error("something came of nothing")
	}
	if v, _ := got.Verification(); v != (request.Unverified{}) {
		t.Errorf("verification is %v", v)
	}
}

// testHostileText stores what a connector may say. A NUL, which PostgreSQL
// can't keep, must not stop the batch it comes in.
func testHostileText(t *testing.T, s store.Store) {
	n := sample(request.Running, 0)
	add(t, s, n)
	const text = "'; DROP TABLE job; --\x01\n\\u0000 \"<script>\" \u202e é 😀"
	outcome, err := json.Marshal(map[string]string{"message": text + "\x00end"})
	ok(t, err)
	j := job(n.Request.ID, "crm", request.JobFailed)
	j.Code, j.Message, j.Outcome, j.Located = "fai\x00led", text+"\x00end", outcome, outcome
	change(t, s, n.Request.ID, withJobs(j))
	_, jobs := get(t, s, n.Request.ID)
	j.Code, j.Message = "fai\ufffdled", text+"\ufffdend"
	j.Outcome, err = json.Marshal(map[string]string{"message": j.Message})
	ok(t, err)
	j.Located = j.Outcome
	same(t, "job", []store.Job{j}, jobs)
}
