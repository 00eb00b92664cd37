package restspec

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const defaultMaxItems = 100_000

// item is one collected record: only the fields that later requests name, and
// what hangs above it.
type item struct {
	name   string
	fields map[string]any
	parent *item
	keep   *sdk.Keep
	old    bool     // before the look-back window: gone through and not counted
	inner  []keptIn // kept records found under it, by collection
	root   target   // the identifier it was found by, at the end of the chain
}

type keptIn struct {
	name string
	keep sdk.Keep
}

// run is one operation for one person.
type run struct {
	e      *engine
	person sdk.Person
	info   sdk.JobInfo
	now    time.Time
	// began is when what this run does began, perhaps in an earlier attempt.
	began time.Time
	// corrections are what a correction puts right.
	corrections []sdk.Correction
	cols        map[string][]*item
	seen        map[string]map[[16]byte]bool
	counts      *tally
	// acting is set when what is collected is going to be changed.
	acting bool
	// write is set when records are copied out.
	write func(ctx context.Context, s *step, raw json.RawMessage) error
	// learn is set when identifiers are wanted.
	learn func(ctx context.Context, s *step, v any) error
}

func (e *engine) newRun(p sdk.Person, info sdk.JobInfo) *run {
	now := e.now()
	return &run{
		e: e, person: p, info: info, now: now, began: now, cols: map[string][]*item{},
		seen: map[string]map[[16]byte]bool{}, counts: newTally(),
	}
}

// read runs the steps of an operation that only reads.
func (r *run) read(ctx context.Context, steps []*step) error {
	for _, s := range steps {
		if err := r.readStep(ctx, s); err != nil {
			return err
		}
	}
	r.finish(steps)
	return nil
}

// readStep runs one reading step over everything it runs over.
func (r *run) readStep(ctx context.Context, s *step) error {
	if s.assumed != "" {
		if err := r.assume(s); err != nil {
			return fmt.Errorf("step %s: %w", s.name, err)
		}
		return ctx.Err()
	}
	if s.batch != nil {
		tm := &team{e: r.e, runs: []*run{r}, errs: make([]error, 1)}
		tm.readBatch(ctx, s)
		return tm.errs[0]
	}
	for _, t := range r.targets(s) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.readOne(ctx, s, t); err != nil {
			return fmt.Errorf("step %s: %w", s.name, err)
		}
	}
	return nil
}

// readOne reads the records one target leads to.
func (r *run) readOne(ctx context.Context, s *step, t target) error {
	guard := newPersonGuard(s.same, r.person)
	var held []heldRecord
	take := func(raw json.RawMessage, v any) error {
		if !r.hers(s, t, v) {
			return nil
		}
		switch verdict, err := guard.judge(v); {
		case err != nil:
			return err
		case !verdict:
			return nil
		}
		if guard.undecided() {
			// Whose it is shows only when all have been seen.
			if len(held) >= r.e.maxItems {
				return r.tooMany()
			}
			held = append(held, heldRecord{raw, v})
			return nil
		}
		return r.take(ctx, s, t, raw, v)
	}
	if err := r.e.list(ctx, s.call, s.list, values{r: r, t: t}, take); err != nil {
		return err
	}
	for _, h := range held {
		if err := r.take(ctx, s, t, h.raw, h.v); err != nil {
			return err
		}
	}
	return nil
}

type heldRecord struct {
	raw json.RawMessage
	v   any
}

// hers reports whether a record found by an identifier really has it: many
// systems search more loosely than they are asked to.
func (r *run) hers(s *step, t target, v any) bool {
	if len(s.match) == 0 || t.item != nil {
		return true
	}
	for _, field := range s.match {
		for _, value := range all(v, field) {
			if sameIdentifier(t.kind, value, t.value) {
				return true
			}
			for part := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ';' || c == ',' }) {
				if t.kind == sdk.Email && sameIdentifier(t.kind, part, t.value) {
					return true // several addresses in one text
				}
			}
		}
	}
	return false
}

// take counts, copies or collects one record of the person's.
func (r *run) take(ctx context.Context, s *step, t target, raw json.RawMessage, v any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !r.unseen(s, v) {
		return nil
	}
	old := r.tooOld(s, v)
	if old && r.acting {
		return nil
	}
	keep := r.keepOf(s, v)
	if keep != nil {
		for i := t.item; i != nil; i = i.parent {
			i.inner = append(i.inner, keptIn{s.name, *keep})
		}
	}
	if s.collect {
		if len(r.cols[s.name]) >= r.e.maxItems {
			return r.tooMany()
		}
		fields := make(map[string]any, len(s.fields))
		for _, f := range s.fields {
			fields[f] = at(v, f)
		}
		r.cols[s.name] = append(r.cols[s.name], &item{name: s.name, fields: fields, parent: t.item, root: t.rootOf(), keep: keep, old: old})
	}
	if r.learn != nil && len(s.yields) > 0 {
		if err := r.learn(ctx, s, v); err != nil {
			return err
		}
	}
	if s.store == "" || old {
		return nil
	}
	if r.write != nil {
		return r.write(ctx, s, raw)
	}
	if !s.collect { // collected records are counted at the end, when it is clear which are kept
		r.counts.add(s.store, keep)
	}
	return nil
}

func (r *run) tooMany() error {
	return sdk.Permanent(sdk.WithCode(sdk.Configuration,
		fmt.Errorf("more than %d records to go through; raise max_items if that is plausible", r.e.maxItems)))
}

// unseen reports whether a record was not met before, by another identifier or
// on a page that shifted.
func (r *run) unseen(s *step, v any) bool {
	if s.list.ID == "" {
		return true
	}
	id, ok := scalarText(at(v, s.list.ID))
	if !ok || id == "" {
		return true
	}
	key := idKey(id)
	if r.seen[s.name] == nil {
		r.seen[s.name] = map[[16]byte]bool{}
	}
	if r.seen[s.name][key] {
		return false
	}
	r.seen[s.name][key] = true
	return true
}

// met reports whether unseen was asked about a record of that id.
func (r *run) met(s *step, id string) bool { return r.seen[s.name][idKey(id)] }

// idKey keeps the memory per record small and the same.
func idKey(id string) [16]byte {
	sum := sha256.Sum256([]byte(id))
	return [16]byte(sum[:16])
}

func (r *run) tooOld(s *step, v any) bool {
	if s.time == "" || r.person.Since().IsZero() {
		return false
	}
	t, ok := timeOf(at(v, s.time))
	return ok && t.Before(r.person.Since())
}

// keepOf says whether the law wants a record kept by its own fields.
func (r *run) keepOf(s *step, v any) *sdk.Keep {
	if s.keep == nil || len(s.keep.With) > 0 {
		return nil
	}
	if s.keep.Field != "" && !slices.ContainsFunc(all(v, s.keep.Field), func(x string) bool { return slices.Contains(s.keep.In, x) }) {
		return nil
	}
	until, ok := timeOf(at(v, s.keep.Until))
	if s.keep.From != "" {
		until, ok = timeOf(at(v, s.keep.From))
		until = until.Add(time.Duration(s.keep.For))
	}
	if !ok || !until.After(r.now) {
		return nil
	}
	return &sdk.Keep{Basis: s.keep.Basis, Until: until, Facts: s.keep.Facts}
}

// kept says whether a collected record is kept, by itself or for what hangs
// under it; the longest basis counts.
func (r *run) kept(name string, i *item) *sdk.Keep {
	keep := i.keep
	for _, s := range r.e.keepers[name] {
		for _, in := range i.inner {
			if slices.Contains(s, in.name) && (keep == nil || in.keep.Until.After(keep.Until)) {
				keep = &sdk.Keep{Basis: in.keep.Basis, Until: in.keep.Until, Facts: in.keep.Facts}
			}
		}
	}
	return keep
}

// finish counts the collected records.
func (r *run) finish(steps []*step) {
	counted := map[string]bool{}
	for _, s := range steps {
		if !s.reads() || !s.collect || s.store == "" || counted[s.name] {
			continue
		}
		counted[s.name] = true
		for _, i := range r.cols[s.name] {
			if !i.old {
				r.counts.add(s.store, r.kept(s.name, i))
			}
		}
	}
}
