package lake

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Export implements [sdk.Exporter]. All files are searched before the first
// record is written, so that a copy is never begun that can't be finished.
func (l *Lake) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	q := newSought([]sdk.Person{p}, l.stores)
	if !q.any {
		return ctx.Err()
	}
	finds, err := l.find(ctx, q)
	if err != nil {
		return err
	}
	for _, f := range finds {
		if len(f.counts) == 0 {
			continue
		}
		s := l.stores[f.store]
		look := q.in(s)
		err := l.scan(ctx, f.file, look, func(rec *record, _ []int32) error {
			letter, err := look.letterOf(f.file, rec)
			if err != nil {
				return err
			}
			look.hideOthers(rec)
			fields, err := s.format.fields(rec, look)
			if err != nil {
				return err
			}
			if f.version != "" {
				fields = append(fields, sdk.Field{Name: oldVersion, Value: f.written.UTC().Format(time.RFC3339)})
			}
			return w.Write(ctx, sdk.Record{Store: s.name, Category: letter, Fields: fields})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// oldVersion is the field that marks a record of an older version of a file,
// with when that was written: it may well be in the newest version too.
const oldVersion = "(older version of the file, written)"

// hideOthers withholds the shared elements that name other people, and puts
// what is withheld in the order of the record, outer before inner.
func (l *lookup) hideOthers(rec *record) {
	for i, e := range rec.elems {
		hers := slices.ContainsFunc(rec.hits, func(h hit) bool { return h.elem == i })
		if e.named && !hers {
			rec.hidden = append(rec.hidden, hidden{start: e.start, end: e.end, item: l.others})
		}
	}
	slices.SortFunc(rec.hidden, func(a, b hidden) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
}
