package audit

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/pack"
)

// quarterly is a room with three requests, and the first and last day that a
// period needs to have them.
func quarterly(t *testing.T) (s *scene, from, to string) {
	t.Helper()
	s = newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	var recs []*wire.Record
	for _, id := range []string{"r1", "r2", "r3"} {
		in := s.sign(s.coordinator, &habeasv1.IntakeRecord{RequestId: id, Right: "delete", Regime: "us-ca-ccpa", Channel: "web", ReceiveDate: "2026-11-01"}, id)
		recs = append(recs, in)
		if id != "r3" {
			recs = append(recs, s.sign(s.coordinator, &habeasv1.ClosureRecord{RequestId: id, Result: "denied", ReasonCode: "exempt", RecordDigests: [][]byte{in.Digest[:]}}, id))
		}
	}
	s.publish(recs...)
	s.wantLogged(recs...)
	s.eventually("a head covers them", func() bool {
		l, err := s.room.log()
		if err != nil {
			return false
		}
		size, err := l.Size(t.Context())
		return err == nil && l.Signed().Size == size
	})
	return s, time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly), time.Now().UTC().AddDate(0, 0, 2).Format(time.DateOnly)
}

// A pack made of what the room answers holds.
func TestPeriodOverHTTP(t *testing.T) {
	s, from, to := quarterly(t)
	dir := filepath.Join(t.TempDir(), "pack")
	err := pack.ExportPeriodFolder(func(sink pack.Sink) (*pack.Summary, error) {
		return pack.ExportPeriod(t.Context(), s.api, from, to, sink)
	}, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	report, err := pack.Verify(dir, pack.Trust{})
	if err != nil || report.Period.Requests != 3 || report.Period.Open != 1 || report.Period.Results["denied"] != 2 {
		t.Errorf("%+v, %v", report, err)
	}
	for _, days := range [][2]string{{to, from}, {"yesterday", to}, {from, ""}} {
		if err := s.api.Period(t.Context(), days[0], days[1], nil); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("from %s to %s: %v", days[0], days[1], err)
		}
	}
	if err := s.api.Period(t.Context(), "2020-01-01", "2020-02-01", nil); !errors.Is(err, auditapi.ErrNotFound) {
		t.Errorf("before the log: %v", err)
	}
}

func TestIntakesByPage(t *testing.T) {
	s, from, to := quarterly(t)
	var rows []auditapi.Request
	after := int64(-1)
	for range 2 {
		var head *auditapi.Head
		err := s.api.Intakes(t.Context(), from, to, after, 2, func(l auditapi.Line) error {
			if l.Head != nil {
				head = l.Head
			}
			if l.Request != nil {
				rows, after = append(rows, *l.Request), l.Request.IntakeLeaf
			}
			return nil
		})
		if err != nil || head.Period.Types["intake"] != 3 || head.Period.CloseRoot == "" {
			t.Fatalf("%+v, %v", head, err)
		}
	}
	if len(rows) != 3 || rows[0].RequestID != "r1" || rows[0].Result != "denied" || rows[0].ReasonCode != "exempt" || rows[2].ClosureLeaf != -1 || rows[2].Records != 1 {
		t.Errorf("rows: %+v", rows)
	}
	leaves := []int64{rows[0].IntakeLeaf, rows[1].IntakeLeaf, rows[2].IntakeLeaf}
	var root string
	var drawn []int64
	err := s.api.Sample(t.Context(), from, to, 2, "tea", func(l auditapi.Line) error {
		if l.Head != nil {
			root = l.Head.Period.CloseRoot
		}
		if l.Request != nil {
			drawn = append(drawn, l.Request.IntakeLeaf)
		}
		return nil
	})
	want := auditapi.Sample(root, "tea", leaves, 2)
	if err != nil || len(drawn) != 2 || drawn[0] != want[0] || drawn[1] != want[1] {
		t.Errorf("drawn %v, want %v: %v", drawn, want, err)
	}
}

func TestConsistencyBetweenHeads(t *testing.T) {
	s, _, _ := quarterly(t)
	l, err := s.room.log()
	if err != nil {
		t.Fatal(err)
	}
	older := l.Signed()
	more := s.sign(s.coordinator, &habeasv1.IntakeRecord{RequestId: "r4", Right: "delete"}, "r4")
	s.publish(more)
	s.wantLogged(more)
	newer, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A head that the log's key signed over leaves it never had.
	fork, err := note.Sign(&note.Note{Text: "habeas.example/log\n2\nBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA=\n"}, s.room.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.ParseHead(fork); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		older, newer string
		want         error
	}{
		"older and newest": {string(older.Note), "", nil},
		"both":             {string(older.Note), string(newer.Note), nil},
		"the other way":    {string(newer.Note), string(older.Note), nil},
		"the same":         {string(newer.Note), "", nil},
		"a fork":           {string(fork), "", auditapi.ErrInconsistent},
		"a newer fork":     {string(fork), string(older.Note), auditapi.ErrInconsistent},
		"no head":          {"hello", "", auditapi.ErrNoHead},
		"another's head":   {strings.Replace(string(older.Note), "habeas.example", "other.example", 1), "", auditapi.ErrNoHead},
	} {
		var head *auditapi.Head
		err := s.api.Consistency(t.Context(), c.older, c.newer, func(l auditapi.Line) error { head = l.Head; return nil })
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if c.want == nil && (head == nil || len(head.Consistency) == 0 && older.Size != newer.Size && name != "the same") {
			t.Errorf("%s: no proof: %+v", name, head)
		}
	}
}
