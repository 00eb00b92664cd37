package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// of makes a record of a request.
func of(id, typ string, n int) Record {
	envelope := fmt.Appendf(nil, "%s %s %d", id, typ, n)
	return Record{Digest: sha256.Sum256(envelope), Envelope: envelope, RequestID: id, Type: typ, Issuer: "crm"}
}

func TestPeriod(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		// Number and leaf are one here: 0 key, 1 the first of b, which comes before
		// its intake, 2 to 3 a.
		appendTest(t, l, []Record{of("", "key", 0), of("b", "verified", 1), of("a", "intake", 2), of("a", "outcome", 3)})
		start := checkpointTest(t, l)
		var inside []Record
		inside = append(inside, of("b", "intake", 4), of("a", "closure", 5))
		for i := range 2 * batch { // 6 to 517
			inside = append(inside, of("b", "outcome", 6+i))
		}
		appendTest(t, l, inside)
		closed := checkpointTest(t, l)
		// 518 the closure of b, 519 an intake, 520 a key, 521 of a.
		appendTest(t, l, []Record{of("b", "closure", 518), of("c", "intake", 519), of("", "key", 520), of("a", "located", 521)})
		end := checkpointTest(t, l)
		p := Period{Start: start, Close: closed, End: end}

		var got []int64
		if err := l.PeriodLeaves(t.Context(), p, func(leaf Leaf) error {
			got = append(got, leaf.Number)
			if want := sha256.Sum256(leaf.Envelope); want != leaf.Digest {
				t.Errorf("leaf %d has another's envelope", leaf.Number)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := []int64{0, 1}
		for n := start.Size; n < closed.Size; n++ {
			want = append(want, n)
		}
		want = append(want, 518, 520)
		if !slices.Equal(got, want) {
			t.Errorf("leaves %v, want %v", got, want)
		}

		intakes, err := l.Intakes(t.Context(), p)
		if err != nil || !slices.Equal(intakes, []int64{4}) {
			t.Errorf("intakes %v, %v", intakes, err)
		}
		types, erased, err := l.Tally(t.Context(), p)
		if err != nil || erased != 0 || types["intake"] != 1 || types["closure"] != 1 || types["outcome"] != 2*batch || len(types) != 3 {
			t.Errorf("tally %v, %d, %v", types, erased, err)
		}
		rests, err := l.Rests(t.Context(), []string{"a", "b", "c"})
		if err != nil || rests["a"].Records != 4 || rests["a"].ClosureLeaf != 5 || string(rests["b"].Closure) != "b closure 518" || rests["c"].ClosureLeaf != -1 {
			t.Errorf("rests %+v, %v", rests, err)
		}
		some, err := l.At(t.Context(), []int64{519, 0})
		if err != nil || some[0].RequestID != "c" || some[1].Type != "key" {
			t.Errorf("leaves by number: %+v, %v", some, err)
		}
		if _, err := l.At(t.Context(), []int64{522}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("a leaf that is not there: %v", err)
		}
		page := 0
		if err := l.Leaves(t.Context(), Query{RequestID: "b", First: 5, Below: 518, Limit: 3}, func(leaf Leaf) error {
			page++
			if leaf.Number < 6 || leaf.Number > 8 {
				t.Errorf("leaf %d is on the page", leaf.Number)
			}
			return nil
		}); err != nil || page != 3 {
			t.Errorf("%d leaves on the page, %v", page, err)
		}
	})
}

// The heads of a period are found by when they were signed.
func TestPeriodsHeads(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		appendTest(t, l, testRecords(0, 5))
		head := checkpointTest(t, l)
		now := time.Now()
		p, err := l.Period(t.Context(), now.Add(-48*time.Hour), now.Add(24*time.Hour))
		if err != nil || p.Start.Size != 0 || p.Start.Note != nil || p.Close.Size != head.Size || p.End.Size != head.Size {
			t.Errorf("%+v, %v", p, err)
		}
		p, err = l.Period(t.Context(), now.Add(24*time.Hour), now.Add(48*time.Hour))
		if err != nil || p.Start.Size != head.Size || p.Close.Root != head.Root {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := l.Period(t.Context(), now.Add(-48*time.Hour), now.Add(-24*time.Hour)); !errors.Is(err, ErrNoPeriod) {
			t.Errorf("before the log began: %v", err)
		}
	})
}
