package sdk_test

import (
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

const ann = "ann.other@example.com"

func counts(o *habeasv1.Outcome, store string) *habeasv1.StoreCount {
	for _, c := range o.GetStores() {
		if c.GetStore() == store {
			return c
		}
	}
	return nil
}

func TestErase(t *testing.T) {
	b := newBook().put(ann, "contacts", 2).put("bob@example.com", "contacts", 1)
	r := newRig(t, b)
	r.start()
	o := r.do(r.erase("job-1", ann))
	if o.GetDone() == nil {
		t.Fatalf("outcome %v, want done", o)
	}
	want := &habeasv1.StoreCount{Store: "contacts", LocatedCount: 2}
	if diff := cmp.Diff(want, counts(o, "contacts"), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	if counts(o, "invoices") == nil {
		t.Error("a searched store without records is not mentioned")
	}
	if b.total(ann) != 0 || b.total("bob@example.com") != 1 {
		t.Error("not exactly her records are gone")
	}
	records := r.records()
	if len(records) != 2 || records[0].Type != wire.RecordLocated || records[1].Type != wire.RecordOutcome {
		t.Fatalf("records %v, want located and outcome", records)
	}
	out := records[1].Predicate.(*habeasv1.OutcomeRecord)
	job := r.erase("job-1", ann)
	if out.GetContract() != "DPA-7" || !out.GetBackupExpiryTime().IsValid() || string(out.GetPlanDigest()) != string(job.GetPlanDigest()) ||
		string(out.GetSubjectCommitment()) != string(job.GetSubjectCommitment()) || out.GetManifestDigest() != job.GetManifestDigest() {
		t.Errorf("the record lacks what the job or the manifest said: %v", out)
	}
	r.drained()
	r.wantNoTrace(ann, "ann.other")
}

// TestOutcomes drives every answer that one delivery can have.
func TestOutcomes(t *testing.T) {
	type given struct {
		b      *book
		change func(*sdk.ServeConfig)
		job    func(r *rig) *habeasv1.Job
	}
	hers := func() *book { return newBook().put(ann, "contacts", 3) }
	erase := func(r *rig) *habeasv1.Job { return r.erase("job-1", ann) }
	failing := func(err error) *book {
		b := hers()
		b.onErase = func(context.Context) error { return err }
		return b
	}
	for _, tc := range []struct {
		name  string
		given given
		want  *habeasv1.Outcome
		left  int64
	}{
		{"no_match", given{b: newBook(), job: erase}, &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}}, 0},
		{"over_limit", given{b: hers(), job: erase, change: func(c *sdk.ServeConfig) { c.Cap = 2 }},
			&habeasv1.Outcome{Result: &habeasv1.Outcome_OverLimit{OverLimit: &habeasv1.OverLimit{MatchedCount: 3, Cap: 2}}}, 3},
		{"over_limit overridden", given{b: hers(), change: func(c *sdk.ServeConfig) { c.Cap = 2 }, job: func(r *rig) *habeasv1.Job {
			j := erase(r)
			j.CapOverride = 3
			return j
		}}, &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}}, 0},
		{"needs_identifier", given{b: hers(), job: func(r *rig) *habeasv1.Job {
			return r.job("job-1", habeasv1.Action_ACTION_ERASE, sdk.ID(sdk.Phone, "+15550100"), sdk.ID(sdk.Name, "Ann Other"))
		}}, &habeasv1.Outcome{Result: &habeasv1.Outcome_NeedsIdentifier{NeedsIdentifier: &habeasv1.NeedsIdentifier{Kinds: []string{"email"}}}}, 3},
		{"not_supported", given{b: hers(), job: func(r *rig) *habeasv1.Job {
			return r.job("job-1", habeasv1.Action_ACTION_CORRECT, sdk.ID(sdk.Email, ann))
		}}, &habeasv1.Outcome{Result: &habeasv1.Outcome_NotSupported{NotSupported: &habeasv1.NotSupported{}}}, 3},
		{"permanent failure", given{b: failing(sdk.WithCode(sdk.Denied, sdk.Permanent(errors.New("role lacks DELETE, user ANN.OTHER@example.com")))), job: erase},
			&habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "denied", Permanent: true, Message: "role lacks DELETE, user [redacted]"}}}, 3},
		{"transient failure", given{b: failing(errors.New("connection refused")), job: erase},
			&habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "unavailable", Message: "connection refused"}}}, 3},
		{"panic", given{b: func() *book {
			b := hers()
			b.onErase = func(context.Context) error { panic(ann) }
			return b
		}(), job: erase},
			&habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "internal", Permanent: true, Message: "the connector panicked with a string"}}}, 3},
		{"undeclared store", given{b: hers().put(ann, "elsewhere", 1), job: erase},
			&habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "configuration", Permanent: true, Message: "store elsewhere is not in the manifest"}}}, 4},
		{"sealed by somebody else", given{b: hers(), job: func(r *rig) *habeasv1.Job {
			other, err := wire.NewSealKey()
			if err != nil {
				t.Fatal(err)
			}
			j := erase(r)
			j.SealerKey = other.Public()
			return j
		}}, &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "malformed", Permanent: true,
			Message: "job: sealer_key is not the coordinator's key this connector is pinned to"}}}, 3},
		{"sealed for another job", given{b: hers(), job: func(r *rig) *habeasv1.Job {
			j := erase(r)
			j.SealedSubject = r.erase("job-2", ann).GetSealedSubject()
			return j
		}}, &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "malformed",
			Message: "opening a subject: job_id: sealed for another reader, by another writer, or altered"}}}, 3},
		{"altered subject", given{b: hers(), job: func(r *rig) *habeasv1.Job {
			j := erase(r)
			j.SealedSubject[len(j.SealedSubject)-1] ^= 1
			return j
		}}, &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "malformed",
			Message: "opening a subject: sealed for another reader, by another writer, or altered"}}}, 3},
		{"still_there", given{b: func() *book {
			b := hers()
			b.onErase = func(context.Context) error { return nil }
			return &book{records: b.records, kept: b.kept, onErase: b.onErase, lostAnswer: func() error {
				b.put(ann, "contacts", 1) // something writes it again
				return nil
			}}
		}(), job: erase},
			&habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "still_there", Message: "the erasure succeeded and the records are still found"}}}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var change []func(*sdk.ServeConfig)
			if tc.given.change != nil {
				change = append(change, tc.given.change)
			}
			r := newRig(t, tc.given.b, change...)
			r.start()
			o := r.do(tc.given.job(r))
			if diff := cmp.Diff(tc.want, o, protocmp.Transform(), protocmp.IgnoreFields(&habeasv1.Outcome{}, "stores")); diff != "" {
				t.Error(diff)
			}
			if n := tc.given.b.total(ann); n != tc.left {
				t.Errorf("%d records left, want %d", n, tc.left)
			}
			r.drained()
			r.wantNoTrace(ann)
		})
	}
}

func TestPlanChangedErasesNothing(t *testing.T) {
	b := newBook().put(ann, "contacts", 1)
	r := newRig(t, b)
	r.start()
	j := r.erase("job-1", ann)
	j.ManifestDigest = strings.Repeat("0", 64)
	o := r.do(j)
	if o.GetPlanChanged().GetManifestDigest() != sdk.ManifestDigest(r.cfg.Manifest, b) {
		t.Errorf("outcome %v, want plan_changed with the current digest", o)
	}
	if b.total(ann) != 1 {
		t.Error("a job of another plan erased")
	}
}

func TestRetained(t *testing.T) {
	b := newBook().put(ann, "contacts", 1).put(ann, "invoices", 2)
	b.kept["invoices"] = true
	r := newRig(t, b)
	r.start()
	o := r.do(r.erase("job-1", ann))
	if o.GetRetained().GetBasis() != "ccpa-1798.105(d)(8)" || o.GetRetained().GetUntilTime().AsTime().Year() != 2033 {
		t.Errorf("outcome %v, want retained with its basis and end", o)
	}
	if c := counts(o, "invoices"); c.GetLocatedCount() != 2 || c.GetKeptCount() != 2 || c.GetRemainingCount() != 0 {
		t.Errorf("invoices %v", c)
	}
}

// TestSettling has a system that shows the old state for a while.
func TestSettling(t *testing.T) {
	b := newBook().put(ann, "contacts", 1)
	var stale atomic.Int32
	b.lostAnswer = func() error { // called with b.mu held, after the erasure
		b.records[ann]["contacts"] = 1
		stale.Store(3)
		return nil
	}
	b.onLocate = func(context.Context) error {
		if stale.Load() > 0 && stale.Add(-1) == 0 {
			b.mu.Lock()
			delete(b.records[ann], "contacts")
			b.mu.Unlock()
		}
		return nil
	}
	r := newRig(t, b, func(c *sdk.ServeConfig) { c.Manifest.Settle = 10 * time.Second })
	r.start()
	if o := r.do(r.erase("job-1", ann)); o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 1 {
		t.Errorf("outcome %v, want done with 1 located", o)
	}
}

// TestLongSettling has a system that needs longer than a job is kept in hand.
func TestLongSettling(t *testing.T) {
	b := newBook().put(ann, "contacts", 1)
	b.lostAnswer = func() error { // called with b.mu held, after the erasure
		b.records[ann]["contacts"] = 1
		return nil
	}
	r := newRig(t, b, func(c *sdk.ServeConfig) { c.Manifest.Settle = time.Hour })
	r.start()
	first := r.do(r.erase("job-1", ann)).GetDeferred()
	if first.GetReason() != "settling" || time.Until(first.GetUntilTime().AsTime()) < 50*time.Minute {
		t.Fatalf("outcome %v, want deferred by an hour", first)
	}
	// Asked too early, it gives the same time.
	early := r.erase("job-1", ann)
	early.Attempt = 2
	r.send(early)
	if second := r.outcomes("job-1", 2)[1].GetOutcome().GetDeferred(); !proto.Equal(first, second) {
		t.Errorf("deferred to %v and then to %v", first, second)
	}
	b.put(ann, "contacts", 0)
	b.mu.Lock()
	b.lostAnswer = nil
	b.mu.Unlock()
	late := r.erase("job-1", ann)
	late.Attempt = 3
	r.send(late)
	if o := r.outcomes("job-1", 3)[2].GetOutcome(); o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 1 {
		t.Errorf("outcome %v, want done with 1 located", o)
	}
}

// TestNotYet has a system that takes its time.
func TestNotYet(t *testing.T) {
	t.Run("soon: the job is delivered again", func(t *testing.T) {
		b := newBook().put(ann, "contacts", 1)
		var asked atomic.Int32
		b.onErase = func(context.Context) error {
			if asked.Add(1) < 3 {
				return sdk.NotYet(10*time.Millisecond, nil)
			}
			return nil
		}
		r := newRig(t, b)
		r.start()
		if o := r.do(r.erase("job-1", ann)); o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 1 {
			t.Errorf("outcome %v, want done with 1 located", o)
		}
		if n := len(r.records()); n != 2 {
			t.Errorf("%d records, want one located and one outcome", n)
		}
	})
	t.Run("later: deferred, and done when asked again", func(t *testing.T) {
		b := newBook().put(ann, "contacts", 1)
		b.lostAnswer = func() error { return sdk.NotYet(time.Hour, errors.New("queued for tonight")) }
		r := newRig(t, b)
		r.start()
		o := r.do(r.erase("job-1", ann))
		if until := o.GetDeferred().GetUntilTime().AsTime(); time.Until(until) < 50*time.Minute || o.GetDeferred().GetReason() != "accepted" {
			t.Fatalf("outcome %v, want deferred by an hour", o)
		}
		r.drained()
		b.mu.Lock()
		b.lostAnswer = nil
		b.mu.Unlock()
		again := r.erase("job-1", ann)
		again.Attempt = 2
		r.send(again)
		if o := r.outcomes("job-1", 2)[1].GetOutcome(); o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 1 {
			t.Errorf("outcome %v, want done with 1 located", o)
		}
	})
}

func TestLocateAndResolveAndOptOut(t *testing.T) {
	b := newBook().put(ann, "contacts", 2)
	r := newRig(t, b)
	r.start()
	if o := r.do(r.job("look", habeasv1.Action_ACTION_LOCATE, sdk.ID(sdk.Email, ann))); o.GetDone() == nil || counts(o, "contacts").GetRemainingCount() != 2 {
		t.Errorf("locate: %v", o)
	}
	if o := r.do(r.job("look-2", habeasv1.Action_ACTION_LOCATE, sdk.ID(sdk.Email, "no@example.com"))); o.GetNoMatch() == nil {
		t.Errorf("locate a stranger: %v", o)
	}
	if o := r.do(r.job("out", habeasv1.Action_ACTION_OPT_OUT, sdk.ID(sdk.Email, ann))); o.GetDone() == nil || !b.out[ann] {
		t.Errorf("opt-out: %v", o)
	}
	if o := r.do(r.job("resolve", habeasv1.Action_ACTION_RESOLVE, sdk.ID(sdk.Email, ann))); o.GetDone() == nil {
		t.Errorf("resolve: %v", o)
	}
	stream, err := r.js.Stream(t.Context(), wire.StreamDiscovered)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	d, err := wire.ParseDiscovered(msg.Header, msg.Data)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.coordinator.OpenSubject(d.GetSealedSubject(), d.GetSealerKey(), "resolve")
	if err != nil {
		t.Fatal(err)
	}
	want := &habeasv1.Subject{JobId: "resolve", Identifiers: []*habeasv1.Identifier{{Kind: "user_id", Value: "user-of-" + ann}}}
	if diff := cmp.Diff(want, s, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	r.wantNoTrace(ann)
}

func TestExport(t *testing.T) {
	b := newBook().put(ann, "contacts", 1).put(ann, "invoices", 3000)
	r := newRig(t, b)
	r.start()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	j := r.job("copy", habeasv1.Action_ACTION_EXPORT, sdk.ID(sdk.Email, ann))
	j.ExportRecipient = identity.Recipient().String()
	o := r.do(j)
	if o.GetDone() == nil || len(o.GetParts()) != 2 || counts(o, "invoices").GetExportedCount() != 3000 {
		t.Fatalf("outcome %v", o)
	}
	bucket, err := r.js.ObjectStore(t.Context(), wire.ExportBucket("book"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range o.GetParts() {
		sealed, err := bucket.GetBytes(t.Context(), p.GetObject())
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(sealed); string(sum[:]) != string(p.GetSha256()) || int64(len(sealed)) != p.GetSize() {
			t.Errorf("%s: digest or size differ from the object's", p.GetStore())
		}
		if diff := cmp.Diff([]string{"password hash"}, p.GetWithheld()); diff != "" {
			t.Error(diff)
		}
		lines := readPart(t, identity, sealed)
		if want := fmt.Sprintf(`{"store":%q,"category":""}`, p.GetStore()); lines[0] != want {
			t.Errorf("first line %s, want %s", lines[0], want)
		}
		if int64(len(lines)-1) != p.GetRecordCount() {
			t.Errorf("%s: %d lines, %d records", p.GetStore(), len(lines), p.GetRecordCount())
		}
		if want := `{"category":"","fields":[{"name":"email","value":"` + ann + `"},{"name":"n","value":0},{"name":"password","withheld":"password hash"}]}`; lines[1] != want {
			t.Errorf("line %s, want %s", lines[1], want)
		}
	}
	r.wantNoTrace(ann)
}

func readPart(t *testing.T, identity age.Identity, sealed []byte) []string {
	t.Helper()
	plain, err := age.Decrypt(strings.NewReader(string(sealed)), identity)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(plain)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("not JSON: %s", line)
		}
	}
	return lines
}

// TestExportThatMissesRecords has a connector whose copy is short.
func TestExportThatMissesRecords(t *testing.T) {
	r := newRig(t, shortExporter{newBook().put(ann, "contacts", 3)})
	r.start()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	j := r.job("copy", habeasv1.Action_ACTION_EXPORT, sdk.ID(sdk.Email, ann))
	j.ExportRecipient = identity.Recipient().String()
	if o := r.do(j); o.GetFailed().GetCode() != "internal" || o.GetFailed().GetPermanent() || len(o.GetParts()) != 0 {
		t.Errorf("outcome %v, want a failure", o)
	}
}

type shortExporter struct{ *book }

func (shortExporter) Export(ctx context.Context, _ sdk.Person, w sdk.RecordWriter) error {
	return w.Write(ctx, sdk.Record{Store: "contacts", Fields: []sdk.Field{{Name: "n", Value: 1}}})
}

// TestManifestBeats reads what the connector says of itself.
func TestManifestBeats(t *testing.T) {
	r := newRig(t, newBook(), func(c *sdk.ServeConfig) { c.Beat = 20 * time.Millisecond })
	stop := r.start()
	kv, err := r.js.KeyValue(t.Context(), wire.BucketConnectors)
	if err != nil {
		t.Fatal(err)
	}
	read := func() *habeasv1.Manifest {
		entry, err := kv.Get(t.Context(), "book")
		if err != nil {
			return nil
		}
		m := &habeasv1.Manifest{}
		if err := proto.Unmarshal(entry.Value(), m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	r.wait("the manifest", func() bool { return read().GetReady() })
	m := read()
	if m.GetDigest() != sdk.ManifestDigest(r.cfg.Manifest, r.cfg.Connector) || m.GetSealKey() != r.keys.Seal.Public() || len(m.GetAbilities()) != 5 {
		t.Errorf("manifest %v", m)
	}
	r.wait("the next beat", func() bool { return read().GetBeatTime().AsTime().After(m.GetBeatTime().AsTime()) })
	stop()
}

// batch counts calls and makes them for many.
type batch struct {
	*book
	mu              sync.Mutex
	locates, erases []int
	poison          string
	// jobs are the jobs that members of a batch were said to be for.
	jobs map[string]string
}

// note remembers whose job each of people is.
func (b *batch) note(ctx context.Context, people []sdk.Person) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jobs == nil {
		b.jobs = map[string]string{}
	}
	for i, m := range sdk.JobInfoFrom(ctx).Members {
		email := people[i].Values(sdk.Email)[0]
		if old, known := b.jobs[email]; known && old != m.JobID {
			m.JobID = "another than " + old
		}
		b.jobs[email] = m.JobID
	}
}

func (b *batch) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	b.mu.Lock()
	b.locates = append(b.locates, len(people))
	b.mu.Unlock()
	b.note(ctx, people)
	results := make([][]sdk.Found, len(people))
	for i, p := range people {
		if b.poison != "" && p.Values(sdk.Email)[0] == b.poison {
			return nil, sdk.Permanent(errors.New("one of them is unreadable"))
		}
		var err error
		if results[i], err = b.Locate(ctx, p); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (b *batch) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	b.mu.Lock()
	b.erases = append(b.erases, len(people))
	b.mu.Unlock()
	b.note(ctx, people)
	errs := make([]error, len(people))
	for i, p := range people {
		errs[i] = b.Erase(ctx, p)
	}
	return errs
}

func TestBatch(t *testing.T) {
	for _, poison := range []string{"", "person3@example.com"} {
		t.Run("poison "+poison, func(t *testing.T) {
			b := &batch{book: newBook(), poison: poison}
			r := newRig(t, b, func(c *sdk.ServeConfig) { c.Manifest.BatchSize, c.Manifest.BatchWindow = 10, 30*time.Second })
			var jobs []*habeasv1.Job
			for i := range 20 {
				email := fmt.Sprintf("person%d@example.com", i)
				if i%5 != 4 { // every fifth is unknown
					b.put(email, "contacts", 2)
				}
				jobs = append(jobs, r.erase(fmt.Sprintf("job-%d", i), email))
			}
			r.send(jobs...)
			r.start()
			for i := range 20 {
				o := r.outcome(fmt.Sprintf("job-%d", i)).GetOutcome()
				if i%5 == 4 && o.GetNoMatch() == nil || i%5 != 4 && (o.GetDone() == nil || counts(o, "contacts").GetLocatedCount() != 2) {
					t.Errorf("person %d: %v", i, o)
				}
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if len(b.erases) != 2 || b.erases[0]+b.erases[1] != 16 {
				t.Errorf("people by call of EraseBatch: %v, want 16 in two calls", b.erases)
			}
			if len(b.locates) != 4 {
				t.Errorf("people by call of LocateBatch: %v, want four calls", b.locates)
			}
			for i := range 20 {
				if got, want := b.jobs[fmt.Sprintf("person%d@example.com", i)], fmt.Sprintf("job-%d", i); got != want {
					t.Errorf("person %d was said to be of %q, want %q", i, got, want)
				}
			}
			r.drained()
		})
	}
}

// TestBatchWindow has too few jobs for a batch.
func TestBatchWindow(t *testing.T) {
	b := &batch{book: newBook().put(ann, "contacts", 1)}
	r := newRig(t, b, func(c *sdk.ServeConfig) { c.Manifest.BatchSize, c.Manifest.BatchWindow = 10, 50*time.Millisecond })
	r.start()
	if o := r.do(r.erase("job-1", ann)); o.GetDone() == nil {
		t.Errorf("outcome %v", o)
	}
}

// TestBatchShutdown stops while a job waits for company.
func TestBatchShutdown(t *testing.T) {
	b := &batch{book: newBook().put(ann, "contacts", 1)}
	r := newRig(t, b, func(c *sdk.ServeConfig) {
		c.Manifest.BatchSize, c.Manifest.BatchWindow, c.Grace = 10, time.Hour, time.Second
	})
	stop := r.start()
	r.send(r.erase("job-1", ann))
	r.wait("the job to be taken", func() bool {
		c, err := r.js.Consumer(t.Context(), wire.StreamJobs, wire.JobConsumer("book"))
		return err == nil && c.CachedInfo().NumAckPending == 1
	})
	stop()
	if b.total(ann) != 1 {
		t.Error("erased without an outcome")
	}
	r.cfg.Manifest.BatchWindow = 10 * time.Millisecond
	r.start()
	// The window is part of what plans are bound to.
	if o := r.outcome("job-1").GetOutcome(); o.GetPlanChanged() == nil {
		t.Errorf("outcome %v", o)
	}
}
