package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/keyring"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// verifyPeriod checks the pack of a period. It reads the leaves file by file and
// remembers of a record where it is; the records of a request are read again
// when it is its turn.
func verifyPeriod(dir string, trust Trust) (*Report, error) {
	v := &periodVerifier{dir: dir, refs: map[string][]leafRef{}, destroyed: map[digest]bool{}}
	if err := v.readFolder(); err != nil {
		return nil, err
	}
	report, trust, end, err := open(v.small, trust)
	if err != nil {
		return nil, err
	}
	v.end, v.ring = end, keyring.New(trust.Authorities)
	s := &Summary{Origin: report.Origin, Types: map[string]int64{}, Results: map[string]int{}}
	report.Period, v.summary = s, s
	if err := v.readPeriod(trust.LogKey); err != nil {
		return nil, err
	}
	v.next = s.Start
	for _, name := range v.files {
		if err := v.readLeaves(name); err != nil {
			return nil, err
		}
	}
	if len(v.problems) > 0 {
		return nil, errors.Join(v.problems...)
	}
	report.Records = v.records
	problems := v.complete()
	wrong, err := v.judge(report)
	if err != nil {
		return nil, err
	}
	return report, errors.Join(append(problems, wrong...)...)
}

// leafRef is where a record is.
type leafRef struct {
	leaf         int64
	file         int
	offset, size int64
}

type periodVerifier struct {
	dir     string
	small   map[string][]byte // all files that are not leaves
	files   []string          // those that are, in their order
	end     ledger.SignedHead
	ring    *keyring.Ring
	summary *Summary

	last      int64 // the leaf before
	next      int64 // the leaf of the period that must come next
	refs      map[string][]leafRef
	order     []string // the requests of the period, by their intake's leaf
	records   int
	erased    []int64
	destroyed map[digest]bool
	retained  []destruction
	problems  []error
}

// readFolder holds all files against SHA256SUMS and the layout.
func (v *periodVerifier) readFolder() error {
	v.small = map[string][]byte{}
	have := map[string]digest{}
	err := eachFile(v.dir, func(name string, content []byte) error {
		have[name] = sha256.Sum256(content)
		if strings.HasPrefix(name, leavesPrefix) {
			v.files = append(v.files, name)
		} else {
			v.small[name] = content
		}
		return nil
	})
	if err != nil {
		return err
	}
	listed, ok := v.small[fileSums]
	if !ok {
		return fmt.Errorf("%s is missing: %w", fileSums, ErrAltered)
	}
	delete(v.small, fileSums)
	delete(have, fileSums)
	if err := checkSums(listed, have); err != nil {
		return err
	}
	for _, name := range fixedOfPeriod {
		if _, ok := v.small[name]; !ok {
			return fmt.Errorf("%s is missing: %w", name, ErrAltered)
		}
	}
	for name := range v.small {
		if name != fileStart && !slices.Contains(fixedOfPeriod, name) {
			return fmt.Errorf("%q does not belong into the pack of a period: %w", name, ErrAltered)
		}
	}
	slices.Sort(v.files)
	return nil
}

// readPeriod reads the days and the heads, and checks that each head begins with
// the one before.
func (v *periodVerifier) readPeriod(vkey string) error {
	var days span
	if err := parseStrict(v.small[filePeriod], &days, func() ([]byte, error) { return formatJSON(days) }); err != nil {
		return fmt.Errorf("%s: %w", filePeriod, err)
	}
	for _, day := range []string{days.From, days.To} {
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("%s: a day is malformed: %w", filePeriod, ErrAltered)
		}
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("%s: log key: %w: %w", fileKeys, ErrAltered, err)
	}
	begins := func(file, proofFile string) (ledger.SignedHead, error) {
		older := ledger.SignedHead{}
		if text, ok := v.small[file]; ok {
			if older, err = parseHead(text, verifier); err != nil {
				return older, fmt.Errorf("%s: %w: %w", file, ErrAltered, err)
			}
		}
		path, err := parseProof(v.small[proofFile])
		if err != nil {
			return older, fmt.Errorf("%s: %w", proofFile, err)
		}
		if older.Size == 0 { // every log begins with nothing
			if len(path) > 0 || older.Note != nil && older.Root != sha256.Sum256(nil) {
				return older, fmt.Errorf("%s: an empty log is proven by nothing: %w", proofFile, ErrAltered)
			}
			return older, nil
		}
		if err := checkConsistency(path, older.Size, older.Root, v.end.Size, v.end.Root); err != nil {
			return older, fmt.Errorf("%s: %w: %w", proofFile, ErrAltered, err)
		}
		return older, nil
	}
	start, err := begins(fileStart, fileStartProof)
	if err != nil {
		return err
	}
	closed, err := begins(fileClose, fileCloseProof)
	if err != nil {
		return err
	}
	if start.Size > closed.Size || days.From >= days.To {
		return fmt.Errorf("%s: the period ends before it begins: %w", filePeriod, ErrAltered)
	}
	s := v.summary
	s.From, s.To, s.Start, s.Close, s.End = days.From, days.To, start.Size, closed.Size, v.end.Size
	s.CloseRoot = hex.EncodeToString(closed.Root[:])
	v.last = -1
	return nil
}

// readLeaves checks every line of a file by itself: its form, its place in the
// tree and who signed it.
func (v *periodVerifier) readLeaves(name string) error {
	text, err := os.ReadFile(filepath.Join(v.dir, filepath.FromSlash(name)))
	if err != nil {
		return fmt.Errorf("reading the evidence pack: %w", err)
	}
	offset := int64(0)
	for n := 1; len(text) > 0; n++ {
		line, rest, found := bytes.Cut(text, []byte("\n"))
		if err := v.readLine(name, n, line, found, offset); err != nil {
			v.problems = append(v.problems, fmt.Errorf("%s, line %d: %w", name, n, err))
			const enough = 20 // what is altered often is told often enough
			if len(v.problems) >= enough {
				return errors.Join(v.problems...)
			}
		}
		offset, text = offset+int64(len(line))+1, rest
	}
	return nil
}

func parseLeaf(line []byte) (l leafLine, d digest, err error) {
	if err := parseStrict(line, &l, func() ([]byte, error) { return json.Marshal(l) }); err != nil {
		return l, d, err
	}
	if l.Record != nil {
		return l, sha256.Sum256(l.Record), nil
	}
	raw, err := hex.DecodeString(l.Digest)
	if err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != l.Digest {
		return l, d, fmt.Errorf("neither a record nor a digest: %w", ErrAltered)
	}
	return l, digest(raw), nil
}

func (v *periodVerifier) readLine(name string, n int, line []byte, found bool, offset int64) error {
	l, sum, err := parseLeaf(line)
	switch {
	case err != nil:
		return err
	case !found, l.Record != nil && l.Digest != "", n == 1 && name != leavesFile(l.Leaf), l.Leaf <= v.last:
		return fmt.Errorf("leaf %d is not in its place: %w", l.Leaf, ErrAltered)
	}
	v.last = l.Leaf
	path := make([]tlog.Hash, len(l.Path))
	for i, h := range l.Path {
		if len(h) != tlog.HashSize {
			return fmt.Errorf("leaf %d: a hash is malformed: %w", l.Leaf, ErrAltered)
		}
		path[i] = tlog.Hash(h)
	}
	if err := checkInclusion(path, l.Leaf, tlog.RecordHash(ledger.Entry(sum)), v.end.Size, v.end.Root); err != nil {
		return fmt.Errorf("leaf %d: %w: %w", l.Leaf, ErrAltered, err)
	}
	inside := l.Leaf >= v.summary.Start && l.Leaf < v.summary.Close
	if inside {
		if l.Leaf != v.next {
			return fmt.Errorf("leaf %d of the period is missing: %w", v.next, ErrIncomplete)
		}
		v.next++
		v.summary.Types[l.Type]++
	}
	if l.Record == nil {
		if typ := wire.RecordType(l.Type); typ == wire.RecordKey || typ == wire.RecordRetention {
			return fmt.Errorf("leaf %d: a %s record is never destroyed, and it is missing: %w", l.Leaf, typ, ErrIncomplete)
		}
		v.destroyed[sum] = true
		v.erased = append(v.erased, l.Leaf)
		if inside {
			v.summary.Erased++
		}
		return nil
	}
	return v.readRecord(l, inside, leafRef{l.Leaf, slices.Index(v.files, name), offset, int64(len(line))})
}

func (v *periodVerifier) readRecord(l leafLine, inside bool, ref leafRef) error {
	rec, err := wire.ParseRecord(l.Record)
	if err == nil && string(rec.Type) != l.Type {
		err = fmt.Errorf("it is a %s record", rec.Type)
	}
	if err != nil {
		return fmt.Errorf("leaf %d: %w: %w", l.Leaf, ErrAltered, err)
	}
	if v.ring, err = checkedBy(v.ring, entry{l.Leaf, fmt.Sprintf("leaf %d", l.Leaf), rec}); err != nil {
		return err
	}
	v.records++
	// The first leaf is a key, which is never destroyed: a record with no place at
	// all is of what was destroyed elsewhere.
	if p, ok := rec.Predicate.(*habeasv1.RetentionRecord); ok && p.GetLastLeaf() > 0 {
		v.retained = append(v.retained, destruction{p.GetFirstLeaf(), p.GetLastLeaf(), p.GetEnvelopeCount()})
	}
	id := rec.RequestID()
	if id == "" {
		return nil
	}
	if rec.Type == wire.RecordIntake && inside {
		v.order = append(v.order, id)
	}
	v.refs[id] = append(v.refs[id], ref)
	return nil
}

// checkedBy is checkSignature that keeps the keys it had when a record is
// refused.
func checkedBy(ring *keyring.Ring, e entry) (*keyring.Ring, error) {
	next, err := checkSignature(ring, e)
	if err != nil {
		return ring, err
	}
	return next, nil
}

// complete sees that no leaf of the period is missing, and that what was
// destroyed was destroyed on record.
func (v *periodVerifier) complete() (problems []error) {
	if v.next != v.summary.Close {
		problems = append(problems, fmt.Errorf("leaves %d to %d of the period are missing: %w", v.next, v.summary.Close-1, ErrIncomplete))
	}
	return append(problems, v.checkDestroyed()...)
}

// judge reads what became of each request of the period, and holds the lists
// for reading against it.
func (v *periodVerifier) judge(report *Report) (problems []error, err error) {
	s := v.summary
	seen := map[string]bool{}
	for _, id := range v.order {
		if seen[id] {
			continue // two intakes: its account says so
		}
		seen[id] = true
		entries, err := v.entries(v.refs[id])
		if err != nil {
			return nil, err
		}
		a, wrong := accountOf(id, entries, v.destroyed)
		report.Requests, problems = append(report.Requests, a), append(problems, wrong...)
		report.Warnings = append(report.Warnings, a.warnings...)
		if a.Closed {
			s.Results[a.Result]++
		} else {
			s.Open++
		}
	}
	s.Requests = len(report.Requests)
	for id, refs := range v.refs {
		if !seen[id] {
			for _, r := range refs {
				if r.leaf >= s.Start && r.leaf < s.Close {
					s.Others++
				}
			}
		}
	}
	if n := s.Types[string(wire.RecordIntake)]; int64(len(v.order)) != n {
		report.Warnings = append(report.Warnings, fmt.Sprintf("%d of the period's %d intake records were destroyed at the end of their retention: the population lacks their requests", n-int64(len(v.order)), n))
	}
	if s.Erased > 0 {
		report.Warnings = append(report.Warnings, fmt.Sprintf("of what kind the %d destroyed records of the period were is not proven: the pack says it", s.Erased))
	}
	want, err := periodReadable(report, s)
	if err != nil {
		return nil, err
	}
	return append(problems, report.checkReadable(v.small, want)...), nil
}

// entries reads records again.
func (v *periodVerifier) entries(refs []leafRef) (entries []entry, err error) {
	open := map[int]*os.File{}
	defer func() {
		for _, f := range open {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, r := range refs {
		f := open[r.file]
		if f == nil {
			if f, err = os.Open(filepath.Join(v.dir, filepath.FromSlash(v.files[r.file]))); err != nil {
				return nil, fmt.Errorf("reading the evidence pack: %w", err)
			}
			open[r.file] = f
		}
		line := make([]byte, r.size)
		if _, err := io.ReadFull(io.NewSectionReader(f, r.offset, r.size), line); err != nil {
			return nil, fmt.Errorf("reading the evidence pack: %w", err)
		}
		l, _, err := parseLeaf(line)
		if err != nil {
			return nil, err
		}
		rec, err := wire.ParseRecord(l.Record)
		if err != nil {
			return nil, fmt.Errorf("leaf %d: %w: %w", r.leaf, ErrAltered, err)
		}
		entries = append(entries, entry{r.leaf, fmt.Sprintf("the %s record at leaf %d", rec.Type, r.leaf), rec})
	}
	return entries, nil
}

// ExportPeriodFolder writes a period's pack into the new folder dir, which
// appears whole or not at all, and checks it. A pack that does not add up is
// written too: it is what an auditor must see. progress, when not nil, is told
// what goes on.
func ExportPeriodFolder(source func(Sink) (*Summary, error), dir string, progress func(string)) (err error) {
	if progress == nil {
		progress = func(string) {}
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("writing the evidence pack: %s exists already; name a new folder", dir)
	}
	temp, err := tempFolder(dir)
	if err != nil {
		return fmt.Errorf("writing the evidence pack: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	s, err := source(folderSink(temp))
	if err != nil {
		return err
	}
	progress(fmt.Sprintf("leaves: %d, intakes among them: %d, requests: %d", s.Leaves(), s.Types[string(wire.RecordIntake)], s.Requests))
	report, err := Verify(temp, Trust{})
	if err != nil && (report == nil || !errors.Is(err, ErrIncomplete)) {
		return err
	}
	if err != nil {
		progress("it does not add up; habeas verify says where")
	}
	if err := os.Chmod(temp, 0o750); err != nil { //nolint:gosec // a folder needs its x
		return err
	}
	if err := os.Rename(temp, dir); err != nil {
		return err
	}
	progress("written to " + dir)
	return nil
}

// folderSink writes files below a folder.
type folderSink string

// Put implements [Sink].
func (f folderSink) Put(name string, content []byte) error {
	path := filepath.Join(string(f), filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return writeFile(path, content)
}
