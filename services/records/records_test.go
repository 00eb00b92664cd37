package records_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

var now = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *litestore.Store {
	t.Helper()
	s, _ := litetest.Open(t)
	return s
}

// asked stores a request received on a local day and ended some days after at
// noon there; a negative number of days leaves it open.
func asked(t *testing.T, s store.Store, right request.Right, on string, days int, e request.Ending) request.ID {
	t.Helper()
	day, err := request.ParseDate(on)
	if err != nil {
		t.Fatal(err)
	}
	received := day.Start(time.UTC).Add(20 * time.Hour)
	r := request.Request{ID: request.NewID(), Regime: "us-ca-ccpa", Channel: request.ChannelWeb, Terms: request.Terms{
		Received: received, Due: request.Due{Regime: "us-ca-ccpa", RuleVersion: "1", Zone: "America/Los_Angeles", Received: day},
	}}
	var v request.Verification
	if right.Verifiable() {
		r.Terms.Level = request.Reasonable
		v = request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: received, By: "api"}
	}
	state, closed := request.Running, time.Time{}
	if days >= 0 {
		state, closed, r.Ending = request.Closed, received.AddDate(0, 0, days), &e
	}
	restored, err := request.Restore(r, right, state, v)
	if err != nil {
		t.Fatal(err)
	}
	created, err := s.Create(t.Context(), []store.New{{Request: store.Request{
		Request: restored, RespondBy: received.AddDate(0, 0, 45), Commitment: []byte{1}, CreatedAt: received, UpdatedAt: received, ClosedAt: closed, Version: 1,
	}}})
	if err != nil || created[0].Err != nil {
		t.Fatal(err, created[0].Err)
	}
	return r.ID
}

func denied(code string) request.Ending {
	return request.Ending{Result: request.ResultDenied, Code: code, Reason: "told to the person"}
}

var (
	done    = request.Ending{Result: request.ResultComplete}
	partial = request.Ending{Result: request.ResultPartial, Code: "partial", Reason: "told to the person"}
)

// A year whose numbers were worked out by hand.
func TestRE_4_GoldenYear(t *testing.T) {
	s := open(t)
	for _, days := range []int{3, 10, 45, 44} {
		asked(t, s, request.Delete, "2026-02-01", days, done)
	}
	asked(t, s, request.Delete, "2026-12-31", 40, partial)
	asked(t, s, request.Delete, "2026-03-01", 45, denied("unverified_delete"))
	asked(t, s, request.Delete, "2026-03-01", 5, denied("exempt"))
	asked(t, s, request.Delete, "2026-03-01", 5, denied("not_parent"))
	asked(t, s, request.Delete, "2026-03-01", 6, denied("unfounded"))
	asked(t, s, request.Delete, "2026-03-01", 1, request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "taken back"})
	asked(t, s, request.Delete, "2026-11-01", -1, done)
	asked(t, s, request.Delete, "2025-12-31", 1, done)
	asked(t, s, request.KnowSpecific, "2026-05-01", 20, request.Ending{Result: request.ResultCompleteWithExceptions})
	asked(t, s, request.KnowCategories, "2026-05-01", 11, done)
	for range 3 {
		asked(t, s, request.OptOutSaleShare, "2026-06-01", 0, done)
	}
	asked(t, s, request.OptOutSaleShare, "2026-06-01", 14, denied("fraud"))

	log := records.Log{Store: s, Now: func() time.Time { return now }}
	m, err := log.Metrics(t.Context(), auditor, 2026, "", "us-ca-ccpa")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	if err := m.WriteCSV(&got); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("testdata", "metrics-2026.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// The median and the mean are those of the sorted list, and everything received
// is accounted for once.
func TestRE_4_NumbersAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var all []int
		var tallies []store.Tally
		for days, n := range rapid.MapOf(rapid.IntRange(0, 90), rapid.IntRange(1, 5)).Draw(rt, "days") {
			result := rapid.SampledFrom([]request.Result{request.ResultComplete, request.ResultPartial, request.ResultDenied}).Draw(rt, "result")
			tallies = append(tallies, store.Tally{Right: request.Delete, Result: result, Code: rapid.SampledFrom([]string{"", "exempt", "unverified_delete", "zzz"}).Draw(rt, "code"), Days: days, N: int64(n)})
			all = append(all, slices.Repeat([]int{days}, n)...)
		}
		open := rapid.IntRange(0, 3).Draw(rt, "open")
		tallies = append(tallies, store.Tally{Right: request.Delete, Days: -1, N: int64(open)}, store.Tally{Right: request.Appeal, Result: request.ResultComplete, N: 7})
		line := records.Measure(2026, tallies).Lines[0]
		if line.Received != int64(len(all)+open) || line.Received != line.Complied()+line.Denied+line.Withdrawn+line.Open ||
			line.Denied != line.Unverified+line.NotConsumer+line.Exempt+line.Other {
			rt.Fatalf("does not add up: %+v", line)
		}
		slices.Sort(all)
		var median, mean float64
		if n := len(all); n > 0 {
			sum := 0
			for _, d := range all {
				sum += d
			}
			median, mean = float64(all[(n-1)/2]+all[n/2])/2, float64(sum)/float64(n)
		}
		if line.Median != median || line.Mean != mean {
			rt.Fatalf("median %v and mean %v of %v, want %v and %v", line.Median, line.Mean, all, median, mean)
		}
	})
}

var auditor = records.Reader{Who: "ana", Role: "auditor", Purpose: records.Compliance}

// Marketing does not read the log, nor does an auditor for a campaign; each try
// is on record.
func TestRE_2_TheLogIsForComplianceAlone(t *testing.T) {
	s := open(t)
	id := asked(t, s, request.Delete, "2026-02-01", 3, done)
	log := records.Log{Store: s, Now: func() time.Time { return now }}
	for _, c := range []struct {
		reader  records.Reader
		refused error
	}{
		{auditor, nil},
		{records.Reader{Who: "max", Role: "marketing", Purpose: records.Compliance}, records.ErrPurpose},
		{records.Reader{Who: "ana", Role: "auditor", Purpose: "campaign"}, records.ErrPurpose},
		{records.Reader{Role: "auditor", Purpose: records.Compliance}, records.ErrNobody},
	} {
		var seen []request.ID
		err := log.Read(t.Context(), c.reader, records.Year(2026, "", ""), func(e store.LogEntry) error { seen = append(seen, e.ID); return nil })
		_, metricsErr := log.Metrics(t.Context(), c.reader, 2026, "", "")
		if c.refused == nil && (err != nil || metricsErr != nil || !slices.Equal(seen, []request.ID{id})) {
			t.Errorf("%+v: read %v, %v, %v", c.reader, seen, err, metricsErr)
		}
		if c.refused != nil && (!errors.Is(err, c.refused) || !errors.Is(metricsErr, c.refused) || len(seen) > 0) {
			t.Errorf("%+v: read %v, %v, %v", c.reader, seen, err, metricsErr)
		}
	}
	looks, err := s.Accesses(t.Context(), time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	allowed := 0
	for _, a := range looks {
		if a.Allowed {
			allowed++
		}
	}
	if len(looks) != 8 || allowed != 2 {
		t.Errorf("%d looks on record, %d allowed; want 8 and 2: %v", len(looks), allowed, looks)
	}
}

// blind cannot record who looks.
type blind struct{ store.Records }

func (blind) PutAccess(context.Context, store.Access) error {
	return errors.New("the database is down")
}

func TestRE_2_NobodyReadsUnrecorded(t *testing.T) {
	s := open(t)
	asked(t, s, request.Delete, "2026-02-01", 3, done)
	log := records.Log{Store: blind{s}}
	err := log.Read(t.Context(), auditor, records.Year(2026, "", ""), func(store.LogEntry) error { t.Error("a line was shown"); return nil })
	if err == nil {
		t.Error("read without a record")
	}
}

// Every page of the log is read, and what stops the reader is told.
func TestRE_1_TheWholeLog(t *testing.T) {
	s := open(t)
	for i := range 7 {
		asked(t, s, request.Delete, fmt.Sprintf("2026-02-%02d", i+1), 3, done)
	}
	log := records.Log{Store: s}
	n := 0
	if err := log.Read(t.Context(), auditor, records.Year(2026, "", ""), func(e store.LogEntry) error {
		n++
		if e.Received.IsZero() || e.Nature == "" || e.Manner == "" || e.Responded.IsZero() || e.Response == "" {
			t.Errorf("a field is missing: %+v", e)
		}
		return nil
	}); err != nil || n != 7 {
		t.Errorf("%d lines, %v", n, err)
	}
	stop := errors.New("stop")
	if err := log.Read(t.Context(), auditor, records.Year(2026, "", ""), func(store.LogEntry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("what take said was lost: %v", err)
	}
}

// Nothing goes before 24 months and the margin; then it goes.
func TestRE_1_KeptFor24Months(t *testing.T) {
	s := open(t)
	id := asked(t, s, request.Delete, "2026-01-01", 31, done) // closed on 1 February 2026
	closed := time.Date(2026, 2, 1, 20, 0, 0, 0, time.UTC)
	if n, err := records.Purge(t.Context(), s, closed.AddDate(5, 0, 0), 23); !errors.Is(err, store.ErrTooSoon) || n != 0 {
		t.Errorf("after 23 months: %d, %v", n, err)
	}
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{closed.AddDate(0, 23, 0), 0}, {closed.AddDate(2, 0, 0), 0}, {closed.AddDate(2, 0, 30), 0}, {closed.AddDate(2, 0, 32), 1}, {closed.AddDate(3, 0, 0), 0},
	} {
		if n, err := records.Purge(t.Context(), s, c.at, 24); err != nil || n != c.want {
			t.Errorf("at %s: %d went, want %d: %v", c.at, n, c.want, err)
		}
	}
	if _, _, err := s.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the request: %v", err)
	}
}

// Who was not trained, or long ago, decides nothing.
func TestRE_5_TrainingRunsOut(t *testing.T) {
	s := open(t)
	other := errors.New("the room's own")
	gate := records.Gate{Store: s, Untrained: other}
	if err := s.PutTraining(t.Context(), store.Training{Who: "ana", Course: "ccpa", On: request.Date{Year: 2026, Month: 3, Day: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who    string
		at     time.Time
		months int
		ok     bool
	}{
		{"ana", now, 0, true}, {"ana", now.AddDate(0, 0, 1), 0, false}, {"ana", now.AddDate(0, 0, 1), 24, true},
		{"ana", now.AddDate(-2, 0, 0), 0, false}, {"max", now, 0, false}, {"", now, 0, false},
	} {
		gate.Months = c.months
		err := gate.Trained(t.Context(), c.who, c.at)
		if c.ok != (err == nil) || !c.ok && (!errors.Is(err, records.ErrUntrained) || !errors.Is(err, other)) {
			t.Errorf("%q at %s, %d months: %v", c.who, c.at, c.months, err)
		}
	}
}
