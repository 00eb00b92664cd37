package lake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Locate implements [sdk.Connector].
func (l *Lake) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	found, err := l.LocateBatch(ctx, []sdk.Person{p})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// LocateBatch implements [sdk.BatchLocator]: one pass over the files.
func (l *Lake) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	found := make([][]sdk.Found, len(people))
	q := newSought(people, l.stores)
	if !q.any {
		return found, ctx.Err()
	}
	finds, err := l.find(ctx, q)
	if err != nil {
		return nil, err
	}
	total := make(map[tally]int64)
	for _, f := range finds {
		for t, n := range f.counts {
			total[t] += n
		}
	}
	for t, n := range total {
		s := l.stores[t.store]
		found[t.person] = append(found[t.person], sdk.Found{Store: s.name, Category: t.letter, Count: n, Keep: s.keep()})
	}
	for _, of := range found {
		slices.SortFunc(of, func(a, b sdk.Found) int {
			return strings.Compare(a.Store+"\x00"+a.Category, b.Store+"\x00"+b.Category)
		})
	}
	return found, nil
}

// heldForOthers is the basis of records held as a service provider: only the
// business whose they are may have them erased (11 CCR 7050).
const heldForOthers = "role-service-provider"

// keep is why the records of a store stay: until somebody looks again, in a
// year.
func (s *store) keep() *sdk.Keep {
	if !s.provider {
		return nil
	}
	return &sdk.Keep{Basis: heldForOthers, Until: time.Now().UTC().Truncate(24*time.Hour).AddDate(1, 0, 0)}
}

// tally is what records are counted by.
type tally struct {
	person int32
	store  int
	letter string
}

// fileFind is what was found in one file.
type fileFind struct {
	file
	counts map[tally]int64 // nil when nobody was found
}

// find looks for the people in every file of every store, or fails as a whole.
func (l *Lake) find(ctx context.Context, q *sought) ([]fileFind, error) {
	files, err := l.list(ctx)
	if err != nil {
		return nil, err
	}
	lookups := make([]*lookup, len(l.stores))
	for i, s := range l.stores {
		lookups[i] = q.in(s)
	}
	finds := make([]fileFind, len(files))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	errs := l.each(ctx, len(files), func(ctx context.Context, i int) error {
		f := files[i]
		finds[i].file = f
		if q.outside(f.day) {
			return nil
		}
		counts, err := l.count(ctx, f, lookups[f.store])
		if err != nil {
			stop(errStopped) // the others need not go on
			return err
		}
		finds[i].counts = counts
		return nil
	})
	return finds, firstError(errs)
}

// errStopped is why files are not read after another file failed.
var errStopped = errors.New("stopped, because another file can't be read")

// firstError is the first error that is not a consequence of another.
func firstError(errs []error) error {
	var stopped error
	for _, err := range errs {
		switch {
		case err == nil:
		case errors.Is(err, errStopped), errors.Is(err, context.Canceled):
			stopped = err
		default:
			return err
		}
	}
	return stopped
}

// count counts the records of the people in one file.
func (l *Lake) count(ctx context.Context, f file, look *lookup) (map[tally]int64, error) {
	var counts map[tally]int64
	err := l.scan(ctx, f, look, func(rec *record, people []int32) error {
		letter, err := look.letterOf(f, rec)
		if err != nil {
			return err
		}
		if counts == nil {
			counts = make(map[tally]int64)
		}
		for _, p := range people {
			counts[tally{person: p, store: f.store, letter: letter}]++
		}
		return nil
	})
	return counts, err
}

// scan reads one file and calls visit for each record of somebody sought that
// is in their look-back window, with who they are.
func (l *Lake) scan(ctx context.Context, f file, look *lookup, visit func(rec *record, people []int32) error) (err error) {
	src, err := l.bucket.open(ctx, f.object)
	if errors.Is(err, errVanished) && f.version != "" {
		return nil // an older version that is gone has not gone anywhere else
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", f.key, err)
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var people []int32
	err = look.format.scan(ctx, f.base, src, look, func(rec *record) error {
		var err error
		people, err = look.concerned(people[:0], f, rec)
		if err != nil || len(people) == 0 {
			return err
		}
		return visit(rec, people)
	})
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("searching: %w", err)
	}
	return err
}

// concerned appends the people whose record this is, each once.
func (l *lookup) concerned(people []int32, f file, rec *record) ([]int32, error) {
	when, err := l.timeOf(f, rec)
	if err != nil {
		return nil, err
	}
	for _, h := range rec.hits {
		for _, p := range h.people {
			if !slices.Contains(people, p) && l.inWindow(p, when) {
				people = append(people, p)
			}
		}
	}
	return people, nil
}

// inWindow reports whether a record is in a person's look-back window. One
// without a date is in every window.
func (l *lookup) inWindow(person int32, when time.Time) bool {
	since := l.sought.since[person]
	return since.IsZero() || when.IsZero() || !when.Before(since)
}

// timeOf is the time of a record, or zero when it has none. A record dated by
// its partition counts as of the end of the day.
func (l *lookup) timeOf(f file, rec *record) (time.Time, error) {
	if l.sought.latest.IsZero() {
		return time.Time{}, nil // nobody's window is limited
	}
	if len(rec.when) > 0 {
		t, err := l.when.parse(string(rec.when))
		if err != nil {
			return time.Time{}, misfit("%s, %s: %w", f.key, rec.place(), err)
		}
		return t, nil
	}
	if f.day.IsZero() {
		return time.Time{}, nil
	}
	return f.day.AddDate(0, 0, 1).Add(-1), nil
}

// letterOf is the statutory category of a record.
func (l *lookup) letterOf(f file, rec *record) (string, error) {
	if l.typed {
		if letter, ok := l.letters[string(rec.typ)]; ok {
			return letter, nil
		}
	}
	if l.letter == "" {
		return "", misfit(`%s, %s: the map gives no category for this type of record: add the type, or "*" for all others`, f.key, rec.place())
	}
	return l.letter, nil
}
