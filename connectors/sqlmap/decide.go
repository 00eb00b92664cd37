package sqlmap

import (
	"cmp"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// The bases of this engine's own for keeping a row, beside those of the map.
const (
	// SharedRecord is the basis of rows that other people reach as well
	// (Civ. Code 1798.145(k), the rights of others). Until is the day to look
	// again.
	SharedRecord = "shared-record"
	// HeldForOthers is the basis of rows held as a service provider
	// (11 CCR 7050): only whose data it is may have them erased.
	HeldForOthers = "role-service-provider"
	// NotCovered is for stores that the job leaves alone; the runtime says why.
	NotCovered = "not-asked"
)

// look is how long until a record that is kept without an end is due for
// another look.
const lookAgain = 365

// decide settles for every row of the reach whether it stays, why and until
// when, and what of it is emptied.
func (p *plan) decide(r *reach) {
	var kept []*visit
	keep := func(v *visit, k sdk.Keep, changes []change) {
		v.keep, v.changes = &k, changes
		kept = append(kept, v)
	}
	for _, v := range r.order {
		c := v.row.c
		switch {
		case !c.counted:
		case !r.covers(c.store):
			keep(v, sdk.Keep{Basis: NotCovered, Until: p.today().AddDate(0, 0, lookAgain)}, nil)
		case c.rules.Role == string(sdk.ServiceProvider):
			keep(v, sdk.Keep{Basis: HeldForOthers, Until: p.today().AddDate(0, 0, lookAgain)}, nil)
		case v.held:
			keep(v, sdk.Keep{Basis: SharedRecord, Until: p.today().AddDate(0, 0, lookAgain), Facts: c.shared}, nil)
		default:
			if i, k := p.retained(v.row); k != nil {
				keep(v, *k, p.changes[c].retain[i])
			} else if v.pinned && c.method() == Delete {
				v.anchor = true
				keep(v, sdk.Keep{Basis: SharedRecord, Until: p.today().AddDate(0, 0, lookAgain), Facts: c.shared}, p.changes[c].anchor)
			}
		}
	}
	for n := -1; n != len(kept); {
		n = len(kept)
		for _, v := range r.order {
			if i, k := inherited(v); v.row.c.counted && v.keep == nil && k != nil {
				keep(v, *k, p.changes[v.row.c].retain[i])
			}
		}
	}
	// What a kept row refers to must stay as long, if the database says so.
	for ; len(kept) > 0; kept = kept[1:] {
		for _, parent := range anchors(kept[0]) {
			switch {
			case !parent.row.c.counted || parent.row.c.method() != Delete:
			case parent.keep == nil:
				parent.anchor = true
				keep(parent, *kept[0].keep, p.changes[parent.row.c].anchor)
			case parent.anchor && parent.keep.Until.Before(kept[0].keep.Until):
				*parent.keep = *kept[0].keep
				kept = append(kept, parent)
			}
		}
	}
}

func (p *plan) today() time.Time { return p.now().UTC().Truncate(24 * time.Hour) }

// retained applies the retention rules of the row's collection and returns the
// first that holds.
func (p *plan) retained(r *row) (int, *sdk.Keep) {
	for i, rule := range r.c.retain {
		if rule.with != nil || rule.when != nil && !conditionMatches(r.first(rule.when), rule.in) {
			continue
		}
		start, ok := parseTime(r.first(rule.from))
		if !ok {
			// The period has not begun, so a whole one is ahead at least.
			start = p.today()
		}
		if until := rule.spec.Period.After(start); until.After(p.now()) {
			return i, &sdk.Keep{Basis: rule.spec.Basis, Until: until, Facts: rule.spec.Facts}
		}
	}
	return 0, nil
}

// inherited applies the rules that keep a row as long as another: the row a
// reference leads to is kept for a basis of its own.
func inherited(v *visit) (int, *sdk.Keep) {
	for i, rule := range v.row.c.retain {
		if rule.with == nil {
			continue
		}
		for _, s := range slices.Concat(v.from, v.next) {
			same := s.link == rule.with || rule.with.twin != nil && s.link == rule.with.twin
			if same && s.v.keep != nil && !s.v.anchor && !s.v.held {
				return i, s.v.keep
			}
		}
	}
	return 0, nil
}

// anchors returns the rows that v refers to by foreign keys the database
// enforces and that erasing does not cut.
func anchors(v *visit) []*visit {
	var parents []*visit
	add := func(s step, up bool) {
		k := s.link.fk
		if k == nil || up == s.link.down || k.setNull {
			return
		}
		child := s.link.from
		if s.link.down {
			child = s.link.to
		}
		if !slices.ContainsFunc(v.changes, func(ch change) bool { return ch.f == child }) {
			parents = append(parents, s.v)
		}
	}
	for _, s := range v.from {
		add(s, false)
	}
	for _, s := range v.next {
		add(s, true)
	}
	return parents
}

// found sums the reach up, store by store, free rows before kept ones. Rows
// dated before since are left out.
func (p *plan) found(r *reach, since time.Time) []sdk.Found {
	type group struct {
		c     *collection
		basis string
		until time.Time
		facts sdk.Facts
	}
	counts := map[group]int64{}
	for _, v := range r.order {
		if !v.row.c.counted || !v.row.since(since) {
			continue
		}
		g := group{c: v.row.c}
		if v.keep != nil {
			g.basis, g.until, g.facts = v.keep.Basis, v.keep.Until, v.keep.Facts
		}
		counts[g]++
	}
	groups := make([]group, 0, len(counts))
	for g := range counts {
		groups = append(groups, g)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.c.index, b.c.index), cmp.Compare(a.basis, b.basis), a.until.Compare(b.until))
	})
	var found []sdk.Found
	for _, g := range groups {
		f := sdk.Found{Store: g.c.store, Count: counts[g]}
		if g.basis != "" {
			f.Keep = &sdk.Keep{Basis: g.basis, Until: g.until, Facts: g.facts}
		}
		found = append(found, f)
	}
	return found
}

// since reports whether the row is dated on or after t. A row without a date
// is never too old.
func (r *row) since(t time.Time) bool {
	if t.IsZero() || r.c.time == nil {
		return true
	}
	at, ok := parseTime(r.first(r.c.time))
	return !ok || !at.Before(t)
}
