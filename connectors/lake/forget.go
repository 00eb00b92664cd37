package lake

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// rewriteAttempts is how often one file is tried again within a pass when
// another writer keeps changing it. After that the job is retried later.
const rewriteAttempts = 5

// Erase implements [sdk.Eraser].
func (l *Lake) Erase(ctx context.Context, p sdk.Person) error {
	if errs := l.EraseBatch(ctx, []sdk.Person{p}); errs != nil {
		return errs[0]
	}
	return nil
}

// EraseBatch implements [sdk.BatchEraser]: one pass that finds everybody, then
// one rewriting of each file that holds somebody. When the finding fails,
// nothing is rewritten and everybody gets the error; when a rewriting fails,
// those who are in that file get it. Files held as a service provider are
// searched and left alone.
func (l *Lake) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	q := newSought(people, l.stores)
	if !q.any {
		return forEverybody(len(people), ctx.Err())
	}
	if err := l.tidy(ctx); err != nil {
		return forEverybody(len(people), err)
	}
	finds, err := l.find(ctx, q)
	if err != nil {
		return forEverybody(len(people), err)
	}
	var with []fileFind
	for _, f := range finds {
		if len(f.counts) > 0 && !l.stores[f.store].provider {
			with = append(with, f)
		}
	}
	failed := l.each(ctx, len(with), func(ctx context.Context, i int) error {
		return l.forget(ctx, with[i].file, q)
	})
	var errs []error
	for i, err := range failed {
		if err == nil {
			continue
		}
		if errs == nil {
			errs = make([]error, len(people))
		}
		for t := range with[i].counts {
			if errs[t.person] == nil {
				errs[t.person] = err
			}
		}
	}
	return errs
}

// tidy removes what replacements that failed halfway have left behind.
func (l *Lake) tidy(ctx context.Context) error {
	if err := l.ready(ctx); err != nil {
		return err
	}
	if err := l.recover(ctx, l.bucket); err != nil {
		return fmt.Errorf("cleaning up after a failure: %w", err)
	}
	return nil
}

func forEverybody(n int, err error) []error {
	if err == nil {
		return nil
	}
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// forget rewrites one file without the people, or removes an older version
// that holds any of them. Doing it again changes nothing.
func (l *Lake) forget(ctx context.Context, f file, q *sought) error {
	if f.key != f.base {
		// Left behind by a crash and not cleaned up: somebody else is at it.
		return fmt.Errorf("rewriting %s: %w", f.base, errBusy)
	}
	defer l.hold(f.key)()
	if f.version != "" {
		return l.discard(ctx, f)
	}
	look := q.in(l.stores[f.store])
	done, again, err := l.rewrite(ctx, f, look)
	if err != nil {
		return fmt.Errorf("rewriting %s: %w", f.key, err)
	}
	if done.otherNames > 0 {
		l.logger.WarnContext(ctx, "an older version of a rewritten file can still be read", "file", f.key, "versions", done.otherNames)
	}
	if again {
		// What failed at first may have happened, and have left what it replaced.
		return l.forgetOlder(ctx, f, look)
	}
	return nil
}

// rewrite replaces the file, if there is still something to take out of it, and
// reports whether it took more than one attempt.
func (l *Lake) rewrite(ctx context.Context, f file, look *lookup) (done replaced, again bool, err error) {
	for attempt := range rewriteAttempts {
		done, err = l.bucket.replace(ctx, f.key, func(src source, dst io.Writer) error {
			same := true
			err := look.format.rewrite(ctx, f.key, src, dst, look, func(rec *record) (fate, error) {
				what, err := look.judge(f, rec)
				same = same && !what.drop && len(what.cut) == 0
				return what, err
			})
			if err == nil && same {
				return errSame
			}
			return err
		})
		again = attempt > 0
		switch {
		case errors.Is(err, errSame):
			return replaced{}, true, nil
		case !errors.Is(err, errConflict):
			return done, again, err
		}
	}
	return done, again, err
}

func (l *Lake) discard(ctx context.Context, f file) error {
	if err := l.bucket.discard(ctx, f.object); err != nil {
		return fmt.Errorf("removing an older version of %s: %w", f.key, err)
	}
	return nil
}

// forgetOlder removes those older versions of a file that hold the people.
func (l *Lake) forgetOlder(ctx context.Context, f file, look *lookup) error {
	older, err := l.bucket.older(ctx, f.key)
	if err != nil {
		return fmt.Errorf("rewriting %s: %w", f.key, err)
	}
	for _, o := range older {
		old := f
		old.object = o
		counts, err := l.count(ctx, old, look)
		if err != nil {
			return err
		}
		if len(counts) == 0 {
			continue
		}
		if err := l.discard(ctx, old); err != nil {
			return err
		}
	}
	return nil
}

// judge says what becomes of a record that names somebody sought. A record is
// theirs whole when it names them outside of shared elements. One that names
// them only in elements loses these, and goes when nobody else is left in it.
func (l *lookup) judge(f file, rec *record) (fate, error) {
	when, err := l.timeOf(f, rec)
	if err != nil {
		return fate{}, err
	}
	theirs := make([]bool, len(rec.elems))
	named := false
	for _, h := range rec.hits {
		for _, p := range h.people {
			if !l.inWindow(p, when) {
				continue
			}
			if h.elem < 0 {
				return fate{drop: true}, nil
			}
			theirs[h.elem], named = true, true
		}
	}
	if !named {
		return fate{}, nil
	}
	var what fate
	others := rec.owners > 0
	for i, e := range rec.elems {
		if theirs[i] {
			what.cut = append(what.cut, i)
		} else if e.named {
			others = true
		}
	}
	if !others {
		return fate{drop: true}, nil
	}
	return what, nil
}
