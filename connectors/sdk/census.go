package sdk

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// census is one look at a person's records, summed by store and category.
type census struct {
	rows      []censusRow
	all, kept int64
}

type censusRow struct {
	store, category string
	all, kept       int64
	basis           string
	until           time.Time
	keeps           []keptRow
}

// keptRow is what is kept on one basis.
type keptRow struct {
	Keep
	n int64
}

// newCensus sums what was found. Every store of the manifest has a row: that a
// store was searched and had nothing is worth saying. Records in excluded stores
// are kept, with the basis given for the store.
func newCensus(m Manifest, found []Found, excluded []*habeasv1.StoreExclusion) (census, error) {
	var c census
	found = slices.Clone(found)
	for i := range found {
		if x := slices.IndexFunc(excluded, func(x *habeasv1.StoreExclusion) bool { return x.GetStore() == found[i].Store }); x >= 0 {
			found[i].Keep = &Keep{Basis: excluded[x].GetBasis()}
		}
	}
	for _, s := range m.Stores {
		if !slices.ContainsFunc(found, func(f Found) bool { return f.Store == s.Name }) {
			c.rows = append(c.rows, censusRow{store: s.Name})
			continue
		}
		for _, f := range found {
			if f.Store == s.Name {
				c.add(f)
			}
		}
	}
	for _, f := range found {
		if f.Count < 0 {
			return census{}, WithCode(Internal, Permanent(fmt.Errorf("store %s: a count of %d", f.Store, f.Count)))
		}
		if !slices.ContainsFunc(m.Stores, func(s Store) bool { return s.Name == f.Store }) {
			return census{}, WithCode(Configuration, Permanent(fmt.Errorf("store %s is not in the manifest", f.Store)))
		}
		if f.Keep != nil && f.Keep.Basis == "" {
			return census{}, WithCode(Configuration, Permanent(fmt.Errorf("store %s: kept without a basis", f.Store)))
		}
	}
	return c, nil
}

func (c *census) add(f Found) {
	i := slices.IndexFunc(c.rows, func(r censusRow) bool { return r.store == f.Store && r.category == f.Category })
	if i < 0 {
		i = len(c.rows)
		c.rows = append(c.rows, censusRow{store: f.Store, category: f.Category})
	}
	r := &c.rows[i]
	r.all += f.Count
	c.all += f.Count
	if f.Keep == nil {
		return
	}
	r.kept += f.Count
	c.kept += f.Count
	if r.basis == "" || f.Keep.Until.After(r.until) {
		r.basis, r.until = f.Keep.Basis, f.Keep.Until
	}
	k := slices.IndexFunc(r.keeps, func(k keptRow) bool { return k.Basis == f.Keep.Basis && k.Facts == f.Keep.Facts })
	if k < 0 {
		k = len(r.keeps)
		r.keeps = append(r.keeps, keptRow{Keep: *f.Keep})
	}
	r.keeps[k].n += f.Count
	if f.Keep.Until.After(r.keeps[k].Until) {
		r.keeps[k].Until = f.Keep.Until
	}
}

// message is the rows of what is kept.
func (r *censusRow) message() []*habeasv1.Kept {
	var out []*habeasv1.Kept
	for _, k := range r.keeps {
		m := &habeasv1.Kept{Basis: k.Basis, Count: k.n, Facts: k.Facts.named()}
		if !k.Until.IsZero() {
			m.UntilTime = timestamppb.New(k.Until)
		}
		out = append(out, m)
	}
	return out
}

// remaining is how many records are there that may go.
func (c census) remaining() int64 { return c.all - c.kept }

// located is the rows of a located record: what is there before an act.
func (c census) located() []*habeasv1.StoreCount {
	counts := c.counts(nil)
	for _, count := range counts {
		count.RemainingCount = 0
	}
	return counts
}

// counts is the rows of an outcome. What was located is taken from the record
// of the first attempt when there is one, and so is what was to be kept: records
// that are kept may lose the very identifier they were found by, and not being
// found again must not make "kept" into "erased".
func (c census) counts(first *habeasv1.LocatedRecord) []*habeasv1.StoreCount {
	var counts []*habeasv1.StoreCount
	for _, r := range c.rows {
		count := &habeasv1.StoreCount{
			Store: r.store, Category: r.category, RemainingCount: r.all - r.kept, KeptCount: r.kept, Basis: r.basis,
			Kept: r.message(),
		}
		if r.kept > 0 && !r.until.IsZero() {
			count.UntilTime = timestamppb.New(r.until)
		}
		if first == nil {
			count.LocatedCount = r.all
		}
		counts = append(counts, count)
	}
	for _, f := range first.GetStores() {
		same := func(c *habeasv1.StoreCount) bool {
			return c.GetStore() == f.GetStore() && c.GetCategory() == f.GetCategory()
		}
		if i := slices.IndexFunc(counts, same); i >= 0 {
			counts[i].LocatedCount = f.GetLocatedCount()
			if f.GetKeptCount() > counts[i].GetKeptCount() {
				counts[i].KeptCount, counts[i].Basis, counts[i].UntilTime = f.GetKeptCount(), f.GetBasis(), f.GetUntilTime()
				counts[i].Kept = f.GetKept()
			}
			continue
		}
		counts = append(counts, &habeasv1.StoreCount{
			Store: f.GetStore(), Category: f.GetCategory(), LocatedCount: f.GetLocatedCount(),
			KeptCount: f.GetKeptCount(), Basis: f.GetBasis(), UntilTime: f.GetUntilTime(), Kept: f.GetKept(),
		})
	}
	// The empty row of a store that has rows by category says nothing.
	return slices.DeleteFunc(counts, func(c *habeasv1.StoreCount) bool {
		return c.GetCategory() == "" && c.GetLocatedCount()+c.GetRemainingCount()+c.GetKeptCount() == 0 &&
			slices.ContainsFunc(counts, func(o *habeasv1.StoreCount) bool { return o.GetStore() == c.GetStore() && o.GetCategory() != "" })
	})
}

func (c census) byStore() map[string]int64 {
	n := map[string]int64{}
	for _, r := range c.rows {
		n[r.store] += r.all
	}
	return n
}
