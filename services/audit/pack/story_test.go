package pack

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

const storyRequest = "01912d68-0000-7000-8000-000000000001"

// story is what happened to one request, before it is signed and logged.
type story struct {
	request                   string // its id
	coordinator, crm, billing *wire.Signer

	intake   *habeasv1.IntakeRecord
	plan     *habeasv1.PlanRecord
	located  []*habeasv1.LocatedRecord
	outcomes []*habeasv1.OutcomeRecord
	closure  *habeasv1.ClosureRecord // nil while it is open

	// signer of an outcome; nil means the connector of its plan line.
	outcomeSigner *wire.Signer
	// edit changes what a record says after everything else is settled.
	edit func(wire.Predicate)
	// after are signed and logged after the closure.
	after []wire.Predicate
}

func newSigner(t testing.TB, issuer string) *wire.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewSigner(key, issuer, issuer+"-1", "v1.2.3", "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newStory is a deletion: the CRM erases, billing keeps invoices.
func newStory(t testing.TB) *story {
	t.Helper()
	person := make([]byte, 32)
	person[0] = 7
	s := &story{request: storyRequest, coordinator: newSigner(t, "coordinator"), crm: newSigner(t, "crm"), billing: newSigner(t, "billing")}
	s.intake = &habeasv1.IntakeRecord{RequestId: storyRequest, Regime: "us-ca-ccpa", Right: "delete", Channel: "web",
		ReceiveTime: timestamppb.New(time.Date(2026, 11, 2, 18, 0, 0, 0, time.UTC)), ReceiveDate: "2026-11-02", SubjectCommitment: person}
	line := func(job string, by *wire.Signer) *habeasv1.PlanLine {
		return &habeasv1.PlanLine{JobId: job, Connector: by.Issuer(), ConnectorVersion: "v1.2.3", Action: habeasv1.Action_ACTION_ERASE,
			Kinds: []string{"email"}, Stores: []string{"contacts", "notes"}, Stage: 2, KeyId: by.KeyID()}
	}
	s.plan = &habeasv1.PlanRecord{RequestId: storyRequest, Round: 1, Lines: []*habeasv1.PlanLine{line("job-1", s.crm), line("job-2", s.billing)},
		Omissions: []*habeasv1.PlanOmission{{Connector: "lake", Reason: "needs_identifier", Kinds: []string{"device_id"}}}}
	s.located = []*habeasv1.LocatedRecord{{RequestId: storyRequest, JobId: "job-1", Action: habeasv1.Action_ACTION_ERASE, Attempt: 1,
		SubjectCommitment: person, Stores: []*habeasv1.StoreCount{{Store: "contacts", LocatedCount: 17}}}}
	until := timestamppb.New(time.Date(2031, 4, 15, 0, 0, 0, 0, time.UTC))
	outcome := func(job string, o *habeasv1.Outcome) *habeasv1.OutcomeRecord {
		return &habeasv1.OutcomeRecord{RequestId: storyRequest, JobId: job, Action: habeasv1.Action_ACTION_ERASE, Attempt: 1, Outcome: o, SubjectCommitment: person}
	}
	s.outcomes = []*habeasv1.OutcomeRecord{
		outcome("job-2", &habeasv1.Outcome{Result: &habeasv1.Outcome_Deferred{Deferred: &habeasv1.Deferred{Reason: "accepted"}}}),
		outcome("job-1", &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}},
			Stores: []*habeasv1.StoreCount{{Store: "contacts", LocatedCount: 17}, {Store: "notes", Category: "K"}}}),
		outcome("job-2", &habeasv1.Outcome{Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: "ccpa-1798.105(d)(8)", UntilTime: until}},
			Stores: []*habeasv1.StoreCount{{Store: "invoices", LocatedCount: 5, KeptCount: 3, Basis: "ccpa-1798.105(d)(8)", UntilTime: until}}}),
	}
	s.closure = &habeasv1.ClosureRecord{RequestId: storyRequest, Result: "complete_with_exceptions",
		AnswerTime: timestamppb.New(time.Date(2026, 11, 5, 9, 30, 0, 0, time.UTC))}
	return s
}

func (s *story) signerOf(job string) *wire.Signer {
	switch {
	case s.outcomeSigner != nil:
		return s.outcomeSigner
	case job == "job-1":
		return s.crm
	}
	return s.billing
}

// tell signs the story and logs it, among records of others.
func (s *story) tell(t testing.TB) *storyLog {
	t.Helper()
	l := newStoryLog(t, s.coordinator)
	for _, by := range []*wire.Signer{s.coordinator, s.crm, s.billing} {
		l.log(t, s.coordinator, &habeasv1.KeyRecord{Owner: by.Issuer(), PublicKey: wire.PublicDER(by.Public()), Fingerprint: by.KeyID(),
			NotBeforeTime: timestamppb.Now()}, "")
	}
	l.log(t, s.coordinator, &habeasv1.IntakeRecord{RequestId: "somebody-else"}, "somebody-else")
	s.tellInto(t, l, nil)
	return l
}

// tellInto signs the story and logs it; answered is called before its closure.
func (s *story) tellInto(t testing.TB, l *storyLog, answered func()) {
	t.Helper()
	var digests [][]byte
	sign := func(by *wire.Signer, p wire.Predicate) {
		p.ProtoReflect().Set(p.ProtoReflect().Descriptor().Fields().ByName("request_id"), protoreflect.ValueOfString(s.request))
		if s.edit != nil {
			s.edit(p)
		}
		rec := l.log(t, by, p, s.request)
		digests = append(digests, rec.Digest[:])
	}
	if s.plan != nil && s.plan.PlanDigest == nil {
		digest := wire.PlanDigest(s.plan)
		s.plan.PlanDigest = digest[:]
	}
	sign(s.coordinator, s.intake)
	if s.plan != nil {
		sign(s.coordinator, s.plan)
	}
	for _, p := range s.located {
		sign(s.signerOf(p.GetJobId()), p)
	}
	for _, p := range s.outcomes {
		sign(s.signerOf(p.GetJobId()), p)
	}
	if answered != nil {
		answered()
	}
	if s.closure != nil {
		s.closure.RecordDigests, s.closure.PlanDigest = digests, s.plan.GetPlanDigest()
		sign(s.coordinator, s.closure)
	}
	for _, p := range s.after {
		if p.ProtoReflect().Descriptor().Fields().ByName("request_id") == nil {
			l.log(t, s.coordinator, p, s.request)
			continue
		}
		sign(s.coordinator, p)
	}
}

// storyLog is a log and the source of packs that reads it.
type storyLog struct {
	*ledger.Log
	authorities []*wire.Signer
	// hide leaves a record out of the answer.
	hide func(*wire.Record) bool
}

func newStoryLog(t testing.TB, authorities ...*wire.Signer) *storyLog {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "audit.db")
	if err := ledger.Migrate(t.Context(), dsn, ledger.Up); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	signer, vkey, err := ledger.LoadKey(dir, "habeas.example/log")
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(t.Context(), dsn, ledger.Options{Signer: signer, VerifierKey: vkey, Heads: []ledger.Head{ledger.FileHead(dir)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return &storyLog{Log: l, authorities: authorities}
}

func (l *storyLog) log(t testing.TB, by *wire.Signer, p wire.Predicate, request string) *wire.Record {
	t.Helper()
	rec, err := by.Sign(p, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = l.Append(t.Context(), []ledger.Record{{Digest: rec.Digest, Envelope: rec.Envelope,
		RequestID: rec.RequestID(), Type: string(rec.Type), Issuer: rec.Issuer()}})
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// Records is what the audit room would answer.
func (l *storyLog) Records(ctx context.Context, request string, fn func(auditapi.Line) error) error {
	signed, err := l.Checkpoint(ctx)
	if err != nil {
		return err
	}
	head := &auditapi.Head{Origin: l.Origin(), VerifierKey: l.VerifierKey(), Checkpoint: string(signed.Note)}
	for _, a := range l.authorities {
		head.Authorities = append(head.Authorities, wire.PublicDER(a.Public()))
	}
	if err := fn(auditapi.Line{Head: head}); err != nil {
		return err
	}
	prover := l.Prover(ctx, signed)
	return l.Leaves(ctx, ledger.Query{}, func(leaf ledger.Leaf) error {
		if leaf.RequestID != request && leaf.Type != "key" {
			return nil
		}
		if rec, err := wire.ParseRecord(leaf.Envelope); err == nil && l.hide != nil && l.hide(rec) {
			return nil
		}
		proof, err := prover.Inclusion(leaf.Number)
		if err != nil {
			return err
		}
		return fn(auditapi.Line{Record: &auditapi.Record{Leaf: leaf.Number, Type: leaf.Type, Digest: leaf.Digest[:], Envelope: leaf.Envelope, Proof: string(proof)}})
	})
}

// stranger signs as the CRM with a key that nobody put on record.
func stranger() *wire.Signer {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	s, err := wire.NewSigner(key, "crm", "crm-2", "v1", "")
	if err != nil {
		panic(err)
	}
	return s
}
