package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// ScanField screens one field as a build does.
func ScanField(name, value string) (json.RawMessage, []string, error) {
	f, err := newScreen(scanValue, &Order{}).field(name, json.RawMessage(value), "")
	kinds := f.inside
	if f.withheld != "" {
		kinds = []string{f.withheld}
	}
	return f.value, kinds, err
}

// IsAbout reports whether a statement about a field belongs to a column.
func IsAbout(disputed, store, column string) bool { return isAbout(disputed, store, column) }

// Harmless is what a CSV cell is made of.
func Harmless(text string) string { return harmless(text) }

// MaxLine is the limit on one record.
const MaxLine = maxLine

// BreakScan makes the content scan fail.
func (r *Room) BreakScan(scan func(value string) error) {
	r.scan = func(rules []nameRule, value string, number bool) (string, error) {
		if err := scan(value); err != nil {
			return "", err
		}
		return scanValue(rules, value, number)
	}
}

// FaultySpool makes writing to the spool fail after n bytes.
func (r *Room) FaultySpool(n int, err error) {
	r.spoolTo = func(f *os.File) writer { return &faultyWriter{w: f, left: n, err: err} }
}

type faultyWriter struct {
	w    writer
	left int
	err  error
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, w.err
	}
	w.left -= len(p)
	return w.w.Write(p)
}

// Fault is one thing that goes wrong with the shelf, once.
type Fault struct {
	Create, Write, Commit, Remove error
	// Happened makes a commit take place before its error is returned.
	Happened bool
}

// FaultyShelf wraps the shelf; faults are used up in order, one a package.
func (r *Room) FaultyShelf(faults ...Fault) { r.shelf = &faultyShelf{shelf: r.shelf, faults: faults} }

type faultyShelf struct {
	shelf
	mu     sync.Mutex
	faults []Fault
	now    Fault
}

func (s *faultyShelf) create(ctx context.Context, key string) (shelfWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = Fault{}
	if len(s.faults) > 0 {
		s.now, s.faults = s.faults[0], s.faults[1:]
	}
	if s.now.Create != nil {
		return nil, s.now.Create
	}
	w, err := s.shelf.create(ctx, key)
	return &faultyShelfWriter{shelfWriter: w, fault: s.now}, err
}

func (s *faultyShelf) remove(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Remove != nil {
		return s.now.Remove
	}
	return s.shelf.remove(ctx, key)
}

type faultyShelfWriter struct {
	shelfWriter
	fault Fault
	n     int
}

func (w *faultyShelfWriter) Write(p []byte) (int, error) {
	w.n += len(p)
	if w.fault.Write != nil && w.n > 1000 {
		return 0, w.fault.Write
	}
	return w.shelfWriter.Write(p)
}

func (w *faultyShelfWriter) commit() error {
	if w.fault.Commit == nil {
		return w.shelfWriter.commit()
	}
	if w.fault.Happened {
		return errors.Join(w.fault.Commit, w.shelfWriter.commit())
	}
	return errors.Join(w.fault.Commit, w.abort())
}

// Stored lists what is on the shelf.
func (r *Room) Stored(ctx context.Context) (keys []string, err error) {
	err = r.shelf.list(ctx, func(key string, _ time.Time) error {
		keys = append(keys, key)
		return nil
	})
	return keys, err
}

// ParseRecord reads a line without the content scan, except for its names.
func ParseRecord(line []byte) (names, values []string, err error) {
	sc := newScreen(scanValue, &Order{})
	sc.off = true
	rec, err := parseRecord(line, "", sc)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range rec.fields {
		names, values = append(names, f.name), append(values, string(f.value))
	}
	return names, values, nil
}

// Numbers are the telephone numbers in a text, as they are written there.
func Numbers(text string) (found []string) {
	for _, n := range numbersIn(text, false) {
		found = append(found, text[n.start:n.end])
	}
	return found
}

// MaskOthers masks one value of a record whose fields are JSON as an export has
// them.
func MaskOthers(own []request.Identifier, name, text, fields string) (string, []string) {
	o := newOwnership(own, nil)
	o.begin([2]string{}, []byte(fields))
	return o.mask(name, text)
}

// ReadPages has the queue read so many waiting requests at once.
func (q *Queue) ReadPages(n int) { q.page = n }
