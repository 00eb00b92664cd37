package pack

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// quarter is a log with a period in its middle: what came before, three requests
// of it of which one is answered after it, and what came later.
type quarter struct {
	*storyLog
	coordinator   *wire.Signer
	start, closed ledger.SignedHead
	ids           []string // the period's requests
	later         string   // that of a request which came later
}

func (q *quarter) head(t testing.TB) ledger.SignedHead {
	t.Helper()
	head, err := q.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head
}

// newQuarter tells a quarter. A request that came in before has its answer in it.
func newQuarter(t testing.TB) *quarter {
	t.Helper()
	s := newStory(t)
	q := &quarter{storyLog: newStoryLog(t, s.coordinator), coordinator: s.coordinator}
	for _, by := range []*wire.Signer{s.coordinator, s.crm, s.billing} {
		q.log(t, s.coordinator, &habeasv1.KeyRecord{Owner: by.Issuer(), PublicKey: wire.PublicDER(by.Public()), Fingerprint: by.KeyID(), NotBeforeTime: timestamppb.Now()}, "")
	}
	tell := func(n int, answered func()) string {
		one := newStory(t)
		one.coordinator, one.crm, one.billing = s.coordinator, s.crm, s.billing
		for i, by := range []*wire.Signer{s.crm, s.billing} {
			one.plan.Lines[i].KeyId = by.KeyID()
		}
		one.request = fmt.Sprintf("01912d68-0000-7000-8000-%012d", n)
		one.tellInto(t, q.storyLog, answered)
		return one.request
	}
	tell(1, func() { q.start = q.head(t) })
	q.ids = append(q.ids, tell(2, nil), tell(3, nil), tell(4, func() { q.closed = q.head(t) }))
	q.later = tell(5, nil)
	return q
}

// Period is what the audit room would answer.
func (q *quarter) Period(ctx context.Context, from, to string, fn func(auditapi.Line) error) error {
	end, err := q.Checkpoint(ctx)
	if err != nil {
		return err
	}
	prover := q.Prover(ctx, end)
	var paths [2][][]byte
	for i, old := range []ledger.SignedHead{q.start, q.closed} {
		proof, err := prover.Consistency(old)
		if err != nil {
			return err
		}
		for _, h := range proof {
			paths[i] = append(paths[i], h[:])
		}
	}
	head := &auditapi.Head{
		Origin: q.Origin(), VerifierKey: q.VerifierKey(), Checkpoint: string(end.Note), Start: string(q.start.Note), Consistency: paths[0],
		Authorities: [][]byte{wire.PublicDER(q.coordinator.Public())},
		Period: &auditapi.Period{From: from, To: to, Close: string(q.closed.Note), CloseConsistency: paths[1], StartSize: q.start.Size,
			CloseSize: q.closed.Size, EndSize: end.Size, CloseRoot: hex.EncodeToString(q.closed.Root[:])},
	}
	if err := fn(auditapi.Line{Head: head}); err != nil {
		return err
	}
	return q.PeriodLeaves(ctx, ledger.Period{Start: q.start, Close: q.closed, End: end}, func(leaf ledger.Leaf) error {
		if rec, err := wire.ParseRecord(leaf.Envelope); err == nil && q.hide != nil && q.hide(rec) {
			return nil
		}
		proof, err := prover.Inclusion(leaf.Number)
		if err != nil {
			return err
		}
		return fn(auditapi.Line{Record: &auditapi.Record{Leaf: leaf.Number, Type: leaf.Type, Digest: leaf.Digest[:], Envelope: leaf.Envelope, Proof: string(proof)}})
	})
}

func exportPeriod(t testing.TB, q *quarter) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pack")
	err := ExportPeriodFolder(func(sink Sink) (*Summary, error) {
		return ExportPeriod(t.Context(), q, "2026-07-01", "2026-10-01", sink)
	}, dir, func(what string) { t.Log(what) })
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestAPeriodHolds(t *testing.T) {
	q := newQuarter(t)
	dir := exportPeriod(t, q)
	report, err := Verify(dir, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	p := report.Period
	if p.Leaves() != q.closed.Size-q.start.Size || p.Types["intake"] != 3 || p.Types["closure"] != 3 || p.Requests != 3 || p.Open != 0 || p.Results["complete_with_exceptions"] != 3 || p.Others != 1 {
		t.Errorf("period: %+v", p)
	}
	for i, a := range report.Requests {
		if a.RequestID != q.ids[i] || !a.Closed || len(a.Lines) != 2 || a.Lines[0].Stores[0].Erased != 17 {
			t.Errorf("request %d: %+v", i, a)
		}
	}
	out, err := python(t, dir, "--sample", "2", "--word", "tea")
	if err != nil || !strings.Contains(out, "population: 3 intake records, 3 rows; 0 still open") || !strings.Contains(out, fmt.Sprintf("all %d here", p.Leaves())) {
		t.Errorf("verify.py: %v\n%s", err, out)
	}
	var leaves []int64
	for _, a := range report.Requests {
		leaves = append(leaves, a.IntakeLeaf)
	}
	for _, leaf := range auditapi.Sample(p.CloseRoot, "tea", leaves, 2) {
		if !strings.Contains(out, fmt.Sprintf("sample: leaf %d, request ", leaf)) {
			t.Errorf("verify.py did not draw leaf %d:\n%s", leaf, out)
		}
	}
	rows := string(read(t, dir)[filePopulation])
	if strings.Count(rows, "\n") != 4 || strings.Contains(rows, q.later) {
		t.Errorf("population.csv:\n%s", rows)
	}
	page := string(read(t, dir)[fileCertificate])
	for _, want := range []string{"Complete by arithmetic", fmt.Sprint(p.Leaves()), "complete_with_exceptions", p.CloseRoot} {
		if !strings.Contains(page, want) {
			t.Errorf("the certificate does not say %s", want)
		}
	}
}

// A period from before the log was begun has no first head; one that holds
// nothing has no leaves but keys.
func TestPeriodsAtTheEdge(t *testing.T) {
	q := newQuarter(t)
	q.start = ledger.SignedHead{}
	report, err := Verify(exportPeriod(t, q), Trust{})
	if err != nil || report.Period.Start != 0 || report.Period.Requests != 4 {
		t.Errorf("from the beginning: %+v, %v", report, err)
	}
	q.start = q.closed
	dir := exportPeriod(t, q)
	report, err = Verify(dir, Trust{})
	if err != nil || report.Period.Leaves() != 0 || report.Period.Requests != 0 {
		t.Errorf("of nothing: %+v, %v", report, err)
	}
	if out, err := python(t, dir); err != nil {
		t.Errorf("verify.py: %v\n%s", err, out)
	}
}

// The zip has the very files of the folder.
func TestPeriodAsZip(t *testing.T) {
	q := newQuarter(t)
	var out bytes.Buffer
	archive := NewZip(&out)
	if _, err := ExportPeriod(t.Context(), q, "2026-07-01", "2026-10-01", archive); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, exportPeriod(t, q))
	if len(z.File) != len(want) {
		t.Errorf("%d files, want %d", len(z.File), len(want))
	}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want[f.Name]) {
			t.Errorf("%s differs: %v", f.Name, err)
		}
	}
}

// Whatever byte of a period's pack is altered, both verifiers refuse; and where
// the sums are made anew, the evidence itself does.
func TestAlteredPeriod_RE6(t *testing.T) {
	original := read(t, exportPeriod(t, newQuarter(t)))
	random := rand.New(rand.NewPCG(5, 6))
	readable := []string{fileCertificate, fileReadme, fileVerify, fileSums, filePeriod}
	for _, name := range slices.Sorted(maps.Keys(original)) {
		t.Run(name, func(t *testing.T) {
			if len(original[name]) == 0 {
				t.Skip("it is empty")
			}
			for i := range (*samples + 11) / 12 {
				files := maps.Clone(original)
				at := random.IntN(len(files[name]))
				files[name] = bytes.Clone(files[name])
				files[name][at] ^= 1 << random.IntN(8)
				dir := write(t, files)
				if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrAltered) {
					t.Fatalf("byte %d altered: %v", at, err)
				}
				if slices.Contains(readable, name) {
					continue
				}
				delete(files, fileSums)
				files[fileSums] = sums(files)
				dir = write(t, files)
				if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrAltered) && !errors.Is(err, ErrIncomplete) {
					t.Fatalf("byte %d altered and the sums made anew: %v", at, err)
				}
				if i == 0 {
					refusedByPython(t, dir)
				}
			}
		})
	}
}

// A pack that lacks something, and says otherwise in all its sums, is refused.
func TestPeriodThatLacksSomething_RE6(t *testing.T) {
	q := newQuarter(t)
	for name, c := range map[string]struct {
		hide func(*wire.Record) bool
		edit func(map[string][]byte)
	}{
		"an intake":        {hide: func(r *wire.Record) bool { return r.Type == wire.RecordIntake && r.RequestID() == q.ids[1] }},
		"all of a request": {hide: func(r *wire.Record) bool { return r.RequestID() == q.ids[2] }},
		"an outcome after the period": {hide: func(r *wire.Record) bool { return r.Type == wire.RecordClosure && r.RequestID() == q.ids[2] }, edit: func(f map[string][]byte) {
			// It is open then, and the list that says otherwise is refused.
			f[filePopulation] = bytes.Replace(f[filePopulation], []byte(q.ids[2]+",us-ca-ccpa,delete,web,2026-11-02,,"), []byte(q.ids[2]+",us-ca-ccpa,delete,web,2026-11-02,2026-11-05,complete"), 1)
		}},
		"a row": {edit: func(f map[string][]byte) {
			lines := bytes.SplitAfter(f[filePopulation], []byte("\n"))
			f[filePopulation] = bytes.Join(slices.Delete(lines, 2, 3), nil)
		}},
		"a consistency proof": {edit: func(f map[string][]byte) { f[fileStartProof] = nil }},
		"the first head":      {edit: func(f map[string][]byte) { delete(f, fileStart) }},
		"another's head":      {edit: func(f map[string][]byte) { f[fileStart] = newStoryLog(t).Signed().Note }},
		"its leaves": {edit: func(f map[string][]byte) {
			maps.DeleteFunc(f, func(name string, _ []byte) bool { return strings.HasPrefix(name, leavesPrefix) })
		}},
		"a record, its digest left": {edit: func(f map[string][]byte) { f[firstLeaves(f)] = withoutRecord(t, f[firstLeaves(f)]) }},
		"order": {edit: func(f map[string][]byte) {
			lines := bytes.SplitAfter(f[firstLeaves(f)], []byte("\n"))
			lines[4], lines[5] = lines[5], lines[4]
			f[firstLeaves(f)] = bytes.Join(lines, nil)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			q.hide = c.hide
			dir := filepath.Join(t.TempDir(), "pack")
			sink := folderSink(dir)
			if err := os.Mkdir(dir, 0o750); err != nil {
				t.Fatal(err)
			}
			if _, err := ExportPeriod(t.Context(), q, "2026-07-01", "2026-10-01", sink); err != nil {
				t.Fatal(err)
			}
			if c.edit != nil {
				files := read(t, dir)
				c.edit(files)
				delete(files, fileSums)
				files[fileSums] = sums(files)
				dir = write(t, files)
			}
			if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrIncomplete) && !errors.Is(err, ErrAltered) {
				t.Errorf("Verify: %v", err)
			} else {
				t.Log(err)
			}
			refusedByPython(t, dir)
		})
	}
}

func firstLeaves(files map[string][]byte) string {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasPrefix(name, leavesPrefix) {
			return name
		}
	}
	return ""
}

// withoutRecord makes the fifth line one whose record is said to be destroyed.
func withoutRecord(t *testing.T, text []byte) []byte {
	t.Helper()
	lines := bytes.SplitAfter(text, []byte("\n"))
	l, sum, err := parseLeaf(bytes.TrimSuffix(lines[4], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	l.Record, l.Digest = nil, hex.EncodeToString(sum[:])
	lines[4] = append(mustJSON(t, l), '\n')
	return bytes.Join(lines, nil)
}

// What was destroyed on record is said to be, and the rest holds.
func TestErasedWithinAPeriod(t *testing.T) {
	q := newQuarter(t)
	_, err := q.Erase(t.Context(), q.start.Size, q.start.Size+4, func(n int64) (ledger.Record, error) {
		rec, err := q.coordinator.Sign(&habeasv1.RetentionRecord{FirstLeaf: q.start.Size, LastLeaf: q.start.Size + 4, Rule: "evidence-5y", EnvelopeCount: n}, "", nil)
		if err != nil {
			return ledger.Record{}, err
		}
		return ledger.Record{Digest: rec.Digest, Envelope: rec.Envelope, Type: string(rec.Type), Issuer: rec.Issuer()}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := exportPeriod(t, q)
	report, err := Verify(dir, Trust{})
	if err != nil || report.Period.Erased != 5 || report.Period.Requests != 2 || !slices.ContainsFunc(report.Warnings, func(w string) bool { return strings.Contains(w, "the population lacks") }) {
		t.Errorf("%+v, %v", report, err)
	}
	if out, err := python(t, dir); err != nil || !strings.Contains(out, "5 records were destroyed") {
		t.Errorf("verify.py: %v\n%s", err, out)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// many is a period of n leaves about ten requests: a handful of records, over and
// over.
type many struct {
	n    int64
	recs []*wire.Record
	head *auditapi.Head
}

func (m *many) Period(_ context.Context, _, _ string, fn func(auditapi.Line) error) error {
	if err := fn(auditapi.Line{Head: m.head}); err != nil {
		return err
	}
	for leaf := range m.n {
		rec := m.recs[leaf%int64(len(m.recs))]
		proof := fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n%s\n%s", leaf, strings.Repeat("lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=\n", 24), m.head.Checkpoint)
		if err := fn(auditapi.Line{Record: &auditapi.Record{Leaf: leaf, Type: string(rec.Type), Digest: rec.Digest[:], Envelope: rec.Envelope, Proof: proof}}); err != nil {
			return err
		}
	}
	return nil
}

// scale weighs what is in memory whenever a file is written.
type scale struct {
	files int
	most  uint64
}

func (s *scale) Put(string, []byte) error {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.files, s.most = s.files+1, max(s.most, m.HeapAlloc)
	return nil
}

// A period is exported in the memory of one file, however long it is.
func TestPeriodInConstantMemory(t *testing.T) {
	q := newQuarter(t)
	m := &many{head: &auditapi.Head{Origin: q.Origin(), VerifierKey: q.VerifierKey(), Checkpoint: string(q.closed.Note), Period: &auditapi.Period{From: "2026-07-01", To: "2026-10-01", Close: string(q.closed.Note)}}}
	for i := range 10 {
		id := fmt.Sprintf("01912d68-0000-7000-8000-%012d", i)
		rec, err := q.coordinator.Sign(&habeasv1.IntakeRecord{RequestId: id, Regime: "us-ca-ccpa", Right: "delete"}, id, nil)
		if err != nil {
			t.Fatal(err)
		}
		m.recs = append(m.recs, rec)
	}
	var weighed [2]scale
	for i, n := range []int64{2 * leavesInFile, 10 * leavesInFile} {
		m.n, m.head.Period.CloseSize = n, n
		if s, err := ExportPeriod(t.Context(), m, "2026-07-01", "2026-10-01", &weighed[i]); err != nil || s.Requests != 10 || s.Leaves() != n {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if weighed[1].files-weighed[0].files != 8 {
		t.Errorf("%d and %d files", weighed[0].files, weighed[1].files)
	}
	if weighed[1].most > weighed[0].most+2<<20 {
		t.Errorf("%d bytes for five times the leaves, %d before", weighed[1].most, weighed[0].most)
	}
	t.Logf("at most %d KiB with 2048 leaves, %d KiB with 10240", weighed[0].most>>10, weighed[1].most>>10)
}
