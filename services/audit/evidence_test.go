package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/pack"
)

// From the bus to a pack that somebody else checks: what is published in any
// order is logged, exported over HTTP and holds.
func TestFromTheBusToThePack_RE8(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := newScene(t, dsn, 2*time.Second)
		person := make([]byte, 32)
		plan := &habeasv1.PlanRecord{RequestId: "r1", Round: 1, Lines: []*habeasv1.PlanLine{{
			JobId: "j1", Connector: "crm", Action: habeasv1.Action_ACTION_ERASE, KeyId: s.crm.KeyID()}}}
		digest := wire.PlanDigest(plan)
		plan.PlanDigest = digest[:]
		records := []*wire.Record{
			s.sign(s.coordinator, &habeasv1.IntakeRecord{RequestId: "r1", Regime: "us-ca-ccpa", Right: "delete", Channel: "api",
				ReceiveDate: "2026-11-02", ReceiveTime: timestamppb.Now(), SubjectCommitment: person}, "r1"),
			s.sign(s.coordinator, plan, "r1"),
			s.sign(s.crm, &habeasv1.OutcomeRecord{RequestId: "r1", JobId: "j1", Action: habeasv1.Action_ACTION_ERASE, Attempt: 1, SubjectCommitment: person,
				Outcome: &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}},
					Stores: []*habeasv1.StoreCount{{Store: "contacts", LocatedCount: 17}}}}, "r1"),
		}
		closure := &habeasv1.ClosureRecord{RequestId: "r1", Result: "complete", PlanDigest: plan.GetPlanDigest(), AnswerTime: timestamppb.Now()}
		for _, rec := range records {
			closure.RecordDigests = append(closure.RecordDigests, rec.Digest[:])
		}
		end := s.sign(s.coordinator, closure, "r1")
		// The end first, the key last.
		from := time.Now().UTC()
		form := func(name, text string, after time.Duration) *wire.Record {
			return s.sign(s.coordinator, &habeasv1.VersionRecord{Kind: "form", Name: name, TextSha256: []byte(text), EffectTime: timestamppb.New(from.Add(after))}, "")
		}
		seen := []*wire.Record{form("choice", "second", -time.Hour), form("delete", "first", -time.Hour)}
		texts := append([]*wire.Record{form("choice", "first", -2*time.Hour), form("choice", "third", time.Hour)}, seen...)
		s.publish(texts...)
		s.wantLogged(texts...)
		s.publish(end, records[2], records[1], records[0], s.keyOf(s.coordinator, nil), s.keyOf(s.crm, nil))
		s.wantLogged(append(records, end)...)

		dir := filepath.Join(t.TempDir(), "evidence")
		if err := pack.Export(t.Context(), s.api, "r1", dir, nil); err != nil {
			t.Fatal(err)
		}
		report, err := pack.Verify(dir, pack.Trust{LogKey: s.room.VerifierKey()})
		if err != nil {
			t.Fatal(err)
		}
		if a := report.Requests[0]; !a.Closed || a.Lines[0].Stores[0].Erased != 17 || report.Records != 8 {
			t.Errorf("%d records, account %+v", report.Records, a)
		}
		// RE-8: of the forms there are those that the request saw.
		for _, rec := range texts {
			files, err := filepath.Glob(filepath.Join(dir, "records", "*-version.dsse.json"))
			if err != nil || len(files) != len(seen) {
				t.Fatalf("%d version records, %v; want %d", len(files), err, len(seen))
			}
			there := slices.ContainsFunc(files, func(name string) bool {
				content, err := os.ReadFile(name)
				return err == nil && bytes.Equal(content, rec.Envelope)
			})
			if there != slices.Contains(seen, rec) {
				t.Errorf("%v is in the pack: %v", rec.Predicate, there)
			}
		}
	})
}
