package coordinator

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// fataler is what *testing.T and *rapid.T have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

var simStart = time.Date(2026, 3, 2, 17, 4, 5, 0, time.UTC)

// simRules are easy to reckon with.
var simRules = Rules{Patience: 15 * time.Second, Lease: 30 * time.Second, Retry: 5 * time.Second, RetryMost: time.Hour, Attempts: 4, Rounds: 6}

// sim carries one request through the pure decision, without store, bus and
// clock. Every run of it is one committed transaction.
type sim struct {
	t       fataler
	room    *Room
	w       *world
	s       *store.Snapshot
	records []store.Record
	// sent are copies of the jobs as they went out, oldest first.
	sent []store.Job
	// given is what the ledger says when it is asked; silent is a ledger that
	// does not answer.
	given  []disclosure.Entry
	silent bool
}

// signers are test keys by issuer, the same in every test.
func signer(t fataler, issuer string) *wire.Signer {
	t.Helper()
	seed := sha256.Sum256([]byte(issuer))
	s, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), issuer, "test", "1", "")
	if err != nil {
		t.Fatalf("making a signer: %v", err)
	}
	return s
}

func simTerms(right request.Right) request.Terms {
	day := request.DateOf(simStart, time.UTC)
	terms := request.Terms{Received: simStart, Due: request.Due{
		Regime: "us-ca-ccpa", RuleVersion: "1", Zone: "America/Los_Angeles", Received: day, Respond: day.AddDays(45), Extended: day.AddDays(90),
	}}
	if right.Verifiable() {
		terms.Level = request.Reasonable
	}
	return terms
}

// accepted is a request that waits to be planned.
func accepted(t fataler, right request.Right, kinds ...string) store.Request {
	t.Helper()
	r := request.Request{ID: request.NewID(), Regime: "us-ca-ccpa", Channel: request.ChannelAPI, Terms: simTerms(right)}
	var v request.Verification
	if right.Verifiable() {
		v = request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: simStart, By: "api"}
	}
	restored, err := request.Restore(r, right, request.Accepted, v)
	if err != nil {
		t.Fatalf("making a request: %v", err)
	}
	out := store.Request{Request: restored, RespondBy: simStart.AddDate(0, 0, 45), Commitment: make([]byte, 32), CreatedAt: simStart, Version: 1}
	for _, k := range kinds {
		out.Kinds = append(out.Kinds, store.Kind{Name: k})
	}
	return out
}

func newSim(t fataler, right request.Right, kinds []string, connectors ...Connector) *sim {
	t.Helper()
	slices.SortFunc(connectors, func(a, b Connector) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return &sim{
		t: t, room: &Room{Config: Config{Signer: signer(t, Name), Rules: simRules}},
		w: &world{now: simStart, connectors: connectors, rules: simRules},
		s: &store.Snapshot{Request: accepted(t, right, kinds...)},
	}
}

// connector makes one that erases, looks and accepts the given kinds.
func connector(name string, accepts ...string) Connector {
	return Connector{
		Name: name, Version: "1", Digest: "sha256:" + name, KeyID: "SHA256:" + name, Tier: 2, Accepts: accepts, Stores: []string{"t"},
		Abilities: []request.Action{request.ActionLocate, request.ActionErase, request.ActionExport, request.ActionOptOut, request.ActionCorrect, request.ActionLimit},
	}
}

func (c Connector) tier(n int) Connector                       { c.Tier = n; return c }
func (c Connector) after(names ...string) Connector            { c.After = names; return c }
func (c Connector) only(abilities ...request.Action) Connector { c.Abilities = abilities; return c }
func (c Connector) resolves(yields ...string) Connector {
	c.Abilities, c.Yields = append(slices.Clip(c.Abilities), request.ActionResolve), yields
	return c
}

// run decides once and commits. It reports whether anything changed.
func (m *sim) run(before func(*step)) bool {
	m.t.Helper()
	m.w = &world{now: m.w.now, connectors: m.w.connectors, rules: m.w.rules, lost: m.w.lost, book: m.w.book, paused: m.w.paused, bases: m.w.bases}
	st := &step{w: m.w, s: m.s}
	err := m.room.decide(st, func(st *step) error {
		if before != nil {
			before(st)
		}
		return nil
	})
	if err != nil {
		m.t.Fatalf("deciding: %v", err)
	}
	for _, i := range st.send {
		m.sent = append(m.sent, m.s.Jobs[i])
	}
	changed := m.s.Changed || len(m.s.ChangedJobs) > 0 || len(m.s.Records) > 0 || len(m.s.Jobs) > m.s.Stored
	if m.s.Changed {
		m.s.Request.Version++
	}
	m.records = append(m.records, m.s.Records...)
	m.s.Stored, m.s.Changed, m.s.ChangedJobs, m.s.Records = len(m.s.Jobs), false, nil, nil
	m.s.StoredOnward, m.s.ChangedOnward = len(m.s.Onward), nil
	if st.ask && !m.silent {
		m.run(func(st *step) { st.given = &m.given })
	}
	return changed
}

// step decides once.
func (m *sim) step() { m.t.Helper(); m.run(nil) }

// pass lets time go by and decides.
func (m *sim) pass(d time.Duration) {
	m.t.Helper()
	m.w.now = m.w.now.Add(d)
	m.step()
}

// job returns a connector's newest job, resolving or acting.
func (m *sim) job(name string, resolving bool) *store.Job {
	m.t.Helper()
	i := (&step{w: m.w, s: m.s}).last(name, resolving)
	if i < 0 {
		m.t.Fatalf("%s has no job", name)
	}
	return &m.s.Jobs[i]
}

func (m *sim) act(name string) *store.Job     { m.t.Helper(); return m.job(name, false) }
func (m *sim) resolve(name string) *store.Job { m.t.Helper(); return m.job(name, true) }

// answer is the record of an outcome for a job as it was sent.
func (m *sim) answer(j *store.Job, o *habeasv1.Outcome) *wire.Record {
	m.t.Helper()
	return m.sign(j.Connector, &habeasv1.OutcomeRecord{
		RequestId: string(j.RequestID), JobId: string(j.ID), Action: wireAction(j.Action), Attempt: int32(j.Attempt),
		Outcome: o, PlanDigest: j.PlanDigest, ManifestDigest: j.ManifestDigest,
	})
}

func (m *sim) located(j *store.Job, n int64) *wire.Record {
	m.t.Helper()
	return m.sign(j.Connector, &habeasv1.LocatedRecord{
		RequestId: string(j.RequestID), JobId: string(j.ID), Action: wireAction(j.Action), Attempt: int32(j.Attempt),
		Stores: stores(n),
	})
}

func (m *sim) sign(issuer string, p wire.Predicate) *wire.Record {
	m.t.Helper()
	rec, err := signer(m.t, issuer).Sign(p, string(m.s.Request.ID), nil)
	if err != nil {
		m.t.Fatalf("signing: %v", err)
	}
	return rec
}

// take applies records and decides.
func (m *sim) take(records ...*wire.Record) {
	m.t.Helper()
	m.run(func(st *step) {
		for _, rec := range records {
			st.apply(rec)
		}
	})
}

// ends answers a connector's newest acting job.
func (m *sim) ends(name string, o *habeasv1.Outcome) {
	m.t.Helper()
	m.take(m.answer(m.act(name), o))
}

// finds delivers the identifiers of a resolve job.
func (m *sim) finds(j *store.Job, kinds ...string) {
	m.t.Helper()
	id := j.ID
	m.run(func(st *step) { st.discovered(id, kinds) })
}

func (m *sim) state(want request.State) {
	m.t.Helper()
	if got := m.s.Request.State(); got != want {
		m.t.Fatalf("the request is %s, want %s; jobs %s; attention %q", got, want, m.jobs(), m.s.Request.Attention)
	}
}

func (m *sim) jobState(j *store.Job, want request.JobState) {
	m.t.Helper()
	if j.State != want {
		m.t.Fatalf("%s of %s is %s, want %s; all: %s", j.Action, j.Connector, j.State, want, m.jobs())
	}
}

func (m *sim) jobs() string {
	var b bytes.Buffer
	for _, j := range m.s.Jobs {
		fmt.Fprintf(&b, "[%s %s %s attempt %d round %d]", j.Connector, j.Action, j.State, j.Attempt, j.Round)
	}
	return b.String()
}

func (m *sim) attention(want string) {
	m.t.Helper()
	if got := m.s.Request.Attention; got != want {
		m.t.Fatalf("attention is %q, want %q; jobs %s", got, want, m.jobs())
	}
}

func (m *sim) closes(want request.Result) {
	m.t.Helper()
	m.state(request.Closing)
	if got := m.s.Request.Ending.Result; got != want {
		m.t.Fatalf("the result is %s, want %s", got, want)
	}
	m.closureIsWhole()
}

// closureIsWhole checks that there is one closure and that it names every
// other record once.
func (m *sim) closureIsWhole() {
	m.t.Helper()
	var closure *habeasv1.ClosureRecord
	want := make(map[string]bool)
	for _, r := range m.records {
		if r.Type != string(wire.RecordClosure) {
			want[string(r.Digest)] = true
			continue
		}
		if closure != nil {
			m.t.Fatalf("there are two closures")
		}
		rec, err := wire.ParseRecord(r.Envelope)
		if err != nil {
			m.t.Fatalf("reading the closure: %v", err)
		}
		closure = rec.Predicate.(*habeasv1.ClosureRecord)
		if !bytes.Equal(r.Digest, m.s.Request.ClosureDigest) {
			m.t.Fatalf("the request names another closure")
		}
	}
	if closure == nil {
		m.t.Fatalf("there is no closure")
	}
	if closure.GetResult() != string(m.s.Request.Ending.Result) {
		m.t.Fatalf("the closure says %s, the request %s", closure.GetResult(), m.s.Request.Ending.Result)
	}
	for _, d := range closure.GetRecordDigests() {
		if !want[string(d)] {
			m.t.Fatalf("the closure names a record twice or one that is not there")
		}
		delete(want, string(d))
	}
	if len(want) > 0 {
		m.t.Fatalf("the closure leaves out %d records", len(want))
	}
}

func stores(n int64) []*habeasv1.StoreCount {
	return []*habeasv1.StoreCount{{Store: "t", LocatedCount: n}}
}

func done(n int64) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: stores(n)}
}

func noMatch() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}}
}

func retained() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: "tax"}}, Stores: stores(2)}
}

func failed(permanent bool) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "unavailable", Permanent: permanent, Message: "it is away"}}}
}

func deferred(until time.Time) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Deferred{Deferred: &habeasv1.Deferred{UntilTime: timestamppb.New(until), Reason: "accepted"}}}
}

func planChanged() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_PlanChanged{PlanChanged: &habeasv1.PlanChanged{ManifestDigest: "sha256:new"}}}
}

func overLimit() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_OverLimit{OverLimit: &habeasv1.OverLimit{MatchedCount: 900, Cap: 100}}, Stores: stores(900)}
}

func partial() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Partial{Partial: &habeasv1.Partial{Reason: "one store is away"}}}
}

func notSupported() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_NotSupported{NotSupported: &habeasv1.NotSupported{}}}
}

func needsIdentifier() *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_NeedsIdentifier{NeedsIdentifier: &habeasv1.NeedsIdentifier{Kinds: []string{"phone"}}}}
}

// mustNot fails a test on a condition.
func mustNot(t testing.TB, bad bool, format string, args ...any) {
	t.Helper()
	if bad {
		t.Errorf(format, args...)
	}
}
