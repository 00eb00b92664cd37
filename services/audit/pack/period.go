package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
)

// Names in the pack of a period, besides those that every pack has.
const (
	filePeriod      = "period.json"
	fileStart       = "checkpoints/start"
	fileClose       = "checkpoints/close"
	fileStartProof  = "consistency/start"
	fileCloseProof  = "consistency/close"
	leavesPrefix    = "leaves/"
	leavesSuffix    = ".jsonl"
	leavesInFile    = 1024
	leavesFileBytes = 4 << 20 // a file ends after the line that reaches it
)

// fixedOfPeriod are the files that every period's pack has besides its leaves.
var fixedOfPeriod = []string{
	filePeriod, fileKeys, filePolicy, fileCheckpoint, fileClose, fileStartProof, fileCloseProof,
	fileCertificate, filePopulation, fileMetrics, fileReadme, fileVerify,
}

// span is period.json.
type span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// leafLine is a line of a file of leaves: a signed record, or what is left of one
// that was destroyed, and its audit path to the head in checkpoints/end.
type leafLine struct {
	Leaf   int64    `json:"leaf"`
	Type   string   `json:"type"`
	Record []byte   `json:"record,omitempty"`
	Digest string   `json:"digest,omitempty"`
	Path   [][]byte `json:"path"`
}

func leavesFile(first int64) string {
	return fmt.Sprintf("%s%012d%s", leavesPrefix, first, leavesSuffix)
}

// PeriodSource gives the records of a period with their proofs;
// [auditapi.Client] is one.
type PeriodSource interface {
	Period(ctx context.Context, from, to string, fn func(auditapi.Line) error) error
}

// Sink takes the files of a pack, one after the other.
type Sink interface {
	Put(name string, content []byte) error
}

// Summary is what a period comes to.
type Summary struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Origin is the log's name.
	Origin string `json:"origin"`
	// Start, Close and End are the sizes of the three heads. The period's leaves
	// are those from Start on and below Close.
	Start int64 `json:"start"`
	Close int64 `json:"close"`
	End   int64 `json:"end"`
	// CloseRoot is the root of the head that ends the period, in hex.
	CloseRoot string `json:"close_root"`
	// Types counts the period's leaves by type, and Erased those of them whose
	// record was destroyed.
	Types  map[string]int64 `json:"types"`
	Erased int64            `json:"erased"`
	// Requests came in during the period; Open of them have no answer yet.
	Requests int `json:"requests"`
	Open     int `json:"open"`
	// Results counts the others by how they were answered.
	Results map[string]int `json:"results"`
	// Others are records of the period about requests that came in before it.
	Others int64 `json:"others"`
}

// Leaves is how many leaves the period has.
func (s *Summary) Leaves() int64 { return s.Close - s.Start }

// ExportPeriod hands the files of a period's pack to a sink: everything logged
// between the last head signed before from and the last one signed before to
// (days, UTC, yyyy-mm-dd), with what became of the requests that came in. In
// memory it has one file of leaves and a line for each of those requests,
// whatever the period's size. An error leaves a sink with a part of a pack.
func ExportPeriod(ctx context.Context, source PeriodSource, from, to string, sink Sink) (*Summary, error) {
	w := &periodWriter{sink: sink, rows: map[string]*Account{}, sums: map[string]digest{}}
	err := source.Period(ctx, from, to, func(line auditapi.Line) error {
		switch {
		case line.Head != nil:
			return w.begin(line.Head)
		case line.Record != nil:
			return w.add(line.Record)
		}
		return nil
	})
	if err == nil {
		err = w.end()
	}
	if err != nil {
		return nil, fmt.Errorf("exporting the evidence of a period: %w", err)
	}
	return &w.summary, nil
}

// periodWriter is a period's pack in the making.
type periodWriter struct {
	sink    Sink
	summary Summary
	head    string // the checkpoint that all proofs are against
	rows    map[string]*Account
	order   []string // requests, by their intake's leaf
	pending map[string]*Account
	file    bytes.Buffer
	first   int64 // of file
	lines   int   // of file
	sums    map[string]digest
}

func (w *periodWriter) put(name string, content []byte) error {
	w.sums[name] = sha256.Sum256(content)
	return w.sink.Put(name, content)
}

func (w *periodWriter) begin(head *auditapi.Head) error {
	p := head.Period
	if p == nil || w.head != "" {
		return errors.New("the audit room sent no head of a period, or two")
	}
	w.head, w.pending = head.Checkpoint, map[string]*Account{}
	w.summary = Summary{
		From: p.From, To: p.To, Origin: head.Origin, Start: p.StartSize, Close: p.CloseSize, End: p.EndSize, CloseRoot: p.CloseRoot,
		Types: map[string]int64{}, Results: map[string]int{},
	}
	text, err := formatJSON(span{p.From, p.To})
	if err != nil {
		return err
	}
	common := map[string][]byte{}
	if err := addHead(common, head); err != nil {
		return err
	}
	common[filePeriod], common[fileClose] = text, []byte(p.Close)
	common[fileStartProof], common[fileCloseProof] = proofText(head.Consistency), proofText(p.CloseConsistency)
	if head.Start != "" {
		common[fileStart] = []byte(head.Start)
	}
	for _, name := range slices.Sorted(maps.Keys(common)) {
		if err := w.put(name, common[name]); err != nil {
			return err
		}
	}
	return nil
}

// proofText is a consistency proof: one hash a line, in base64.
func proofText(hashes [][]byte) []byte {
	var out []byte
	for _, h := range hashes {
		out = append(base64.StdEncoding.AppendEncode(out, h), '\n')
	}
	return out
}

func (w *periodWriter) add(r *auditapi.Record) error {
	var p proof.TLogProof
	if err := p.Unmarshal([]byte(r.Proof)); err != nil || string(p.Checkpoint) != w.head {
		return fmt.Errorf("leaf %d: its proof is not one against the head: %w", r.Leaf, ErrAltered)
	}
	line := leafLine{Leaf: r.Leaf, Type: r.Type, Record: r.Envelope, Path: make([][]byte, len(p.Hashes))}
	for i, h := range p.Hashes {
		line.Path[i] = h[:]
	}
	inside := r.Leaf >= w.summary.Start && r.Leaf < w.summary.Close
	if inside {
		w.summary.Types[r.Type]++
	}
	if r.Envelope == nil {
		line.Digest = hex.EncodeToString(r.Digest)
		if inside {
			w.summary.Erased++
		}
	} else if err := w.count(r, inside); err != nil {
		return err
	}
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if w.lines == 0 {
		w.first = r.Leaf
	}
	w.file.Write(text)
	w.file.WriteByte('\n')
	if w.lines++; w.lines >= leavesInFile || w.file.Len() >= leavesFileBytes {
		return w.flush()
	}
	return nil
}

func (w *periodWriter) flush() error {
	if w.lines == 0 {
		return nil
	}
	err := w.put(leavesFile(w.first), w.file.Bytes())
	w.file.Reset()
	w.lines = 0
	return err
}

// count takes a record into the rows. Records of a request that come before its
// intake wait for it; what waits in the end is of earlier requests.
func (w *periodWriter) count(r *auditapi.Record, inside bool) error {
	rec, err := wire.ParseRecord(r.Envelope)
	if err != nil {
		return fmt.Errorf("leaf %d: %w", r.Leaf, err)
	}
	id := rec.RequestID()
	if id == "" {
		return nil
	}
	row := w.rows[id]
	if row == nil {
		row = w.pending[id]
	}
	if row == nil {
		row = &Account{RequestID: id, IntakeLeaf: -1, ClosureLeaf: -1}
		w.pending[id] = row
	}
	row.Records++
	if inside {
		row.inside++
	}
	switch p := rec.Predicate.(type) {
	case *habeasv1.IntakeRecord:
		row.takeIntake(p, r.Leaf)
		if inside && w.rows[id] == nil {
			w.rows[id], w.order = row, append(w.order, id)
			delete(w.pending, id)
		}
	case *habeasv1.ClosureRecord:
		row.takeClosure(p, r.Leaf)
	}
	return nil
}

// end writes what is for reading, and the sums.
func (w *periodWriter) end() error {
	if w.head == "" {
		return errors.New("the audit room sent no head")
	}
	if err := w.flush(); err != nil {
		return err
	}
	s := &w.summary
	report := &Report{}
	for _, id := range w.order {
		a := w.rows[id]
		report.Requests = append(report.Requests, *a)
		if a.Closed {
			s.Results[a.Result]++
		} else {
			s.Open++
		}
	}
	s.Requests = len(w.order)
	for _, a := range w.pending {
		s.Others += a.inside
	}
	readable, err := periodReadable(report, s)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(readable)) {
		if err := w.put(name, readable[name]); err != nil {
			return err
		}
	}
	return w.sink.Put(fileSums, sumsText(w.sums))
}

func periodReadable(report *Report, s *Summary) (map[string][]byte, error) {
	files := map[string][]byte{fileReadme: periodReadme, fileVerify: verifyScript}
	var err error
	if files[filePopulation], err = population(report); err != nil {
		return nil, err
	}
	if files[fileMetrics], err = metrics(report); err != nil {
		return nil, err
	}
	files[fileCertificate], err = periodCertificate(s)
	return files, err
}

// takeIntake fills in what the intake record says.
func (a *Account) takeIntake(p *habeasv1.IntakeRecord, leaf int64) {
	a.IntakeLeaf, a.Regime, a.Right, a.Channel = leaf, p.GetRegime(), p.GetRight(), p.GetChannel()
	a.ReceiveDate, a.ReceiveTime = p.GetReceiveDate(), p.GetReceiveTime().AsTime()
}

// takeClosure fills in what the closure record says.
func (a *Account) takeClosure(p *habeasv1.ClosureRecord, leaf int64) {
	a.ClosureLeaf, a.Closed, a.Result, a.ReasonCode, a.Reason = leaf, true, p.GetResult(), p.GetReasonCode(), p.GetReason()
	a.AnswerTime = p.GetAnswerTime().AsTime()
}

// formatJSON is the one right form of a small JSON file.
func formatJSON(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}

// parseStrict reads JSON into v and accepts only the bytes that form writes.
func parseStrict(text []byte, v any, form func() ([]byte, error)) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrAltered, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("there is more than one document: %w", ErrAltered)
	}
	if again, err := form(); err != nil || !bytes.Equal(again, text) {
		return fmt.Errorf("it is not in its one right form: %w", ErrAltered)
	}
	return nil
}

// parseProof reads a consistency proof in its one right form.
func parseProof(text []byte) ([]tlog.Hash, error) {
	var path []tlog.Hash
	var again [][]byte
	for line := range strings.Lines(string(text)) {
		h, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSuffix(line, "\n"))
		if err != nil || len(h) != tlog.HashSize {
			return nil, fmt.Errorf("a hash is malformed: %w", ErrAltered)
		}
		path, again = append(path, tlog.Hash(h)), append(again, h)
	}
	if !bytes.Equal(proofText(again), text) {
		return nil, fmt.Errorf("it is not in its one right form: %w", ErrAltered)
	}
	return path, nil
}
