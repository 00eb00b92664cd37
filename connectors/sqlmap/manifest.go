package sqlmap

import (
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Manifest derives the manifest from the map; the database is not asked.
func (c *Connector) Manifest() (sdk.Manifest, error) {
	g, err := compile(c.config.Map)
	if err != nil {
		return sdk.Manifest{}, err
	}
	m := sdk.Manifest{
		Name: c.config.Name, Version: c.config.Version, Digest: c.config.Map.Digest,
		Accepts: g.kinds(), Yields: g.yields(),
	}
	for i := range g.m.Datasets {
		rules := &g.m.Datasets[i].Habeas
		m.After = append(m.After, rules.After...)
		m.Cap = max(m.Cap, rules.Cap)
		m.BackupExpiry = max(m.BackupExpiry, rules.BackupExpiry.Duration())
		if rules.Contract != "" {
			m.Contract = rules.Contract
		}
		if rules.Batch.Size > 0 {
			m.BatchSize, m.BatchWindow = rules.Batch.Size, rules.Batch.Window
		}
		if t, ok := tiers[rules.Tier]; ok {
			m.Tier = t
		}
	}
	for _, t := range g.collections {
		if !t.counted {
			continue
		}
		s := sdk.Store{Name: t.store, Categories: t.categories(nil), Role: sdk.Role(t.rules.Role), Retains: t.retentions(nil), Deidentifies: t.rules.Erase == Deidentify}
		s.Empties, s.Masks = t.empties()
		if t.rules.Source == "third_party" {
			s.Source = sdk.Acquired
		}
		m.Stores = append(m.Stores, s)
	}
	return m, nil
}

// empties reports whether erasing leaves rows of the collection with nothing in them
// about the person, or with made-up values where something was. A constant tells
// nothing; what keeps the shape of a value, or differs from row to row, may.
func (c *collection) empties() (empties, masks bool) {
	if c.method() != Null && c.method() != Mask {
		return false, false
	}
	made := func(f *field) bool {
		if !f.personal {
			return false
		}
		if o := f.meta.Masking; o != nil {
			return o.Strategy != "null_rewrite" && o.Strategy != "string_rewrite" && o.Strategy != "preserve"
		}
		return f.spec.Habeas.Erase == Mask
	}
	masks = c.method() == Mask || slices.ContainsFunc(c.all(), made)
	return !masks, masks
}

var tiers = map[string]sdk.Tier{"own": sdk.OwnStore, "third_party": sdk.ThirdParty, "identity": sdk.IdentityStore}

// categories lists what the collection holds. One that names no personal
// category of its own, such as order items, holds what its parents do.
func (c *collection) categories(seen []*collection) []sdk.Category {
	var list []sdk.Category
	add := func(letter, data string) {
		if k := (sdk.Category{Letter: letter, Data: data}); letter != "" && !slices.Contains(list, k) {
			list = append(list, k)
		}
	}
	one := func(data, letter string) {
		switch {
		case !personal(data):
		case letter != "":
			add(letter, data)
		case len(c.rules.Letters) == 0:
			add(letterOf(data), data)
		}
	}
	for _, data := range c.spec.DataCategories {
		one(data, "")
	}
	for _, f := range c.fields {
		for _, data := range f.categories {
			one(data, f.spec.Habeas.Letter)
		}
	}
	for _, letter := range c.rules.Letters {
		add(letter, "")
	}
	if len(list) > 0 || slices.Contains(seen, c) {
		return list
	}
	for _, l := range c.in {
		if !l.seed() && l.dependent() {
			for _, k := range l.from.c.categories(append(seen, c)) {
				add(k.Letter, k.Data)
			}
		}
	}
	return list
}

// retentions lists the bases on which rows of the collection may be kept: those
// of its own rules, and of the collections whose rows they are kept with.
func (c *collection) retentions(seen []*collection) []sdk.Retention {
	var list []sdk.Retention
	add := func(k sdk.Retention) {
		if !slices.Contains(list, k) {
			list = append(list, k)
		}
	}
	for _, r := range c.retain {
		if r.with == nil {
			add(sdk.Retention{Basis: r.spec.Basis, Ends: true, Facts: r.spec.Facts})
			continue
		}
		for _, other := range []*field{r.with.from, r.with.to} {
			if other != nil && other.c != c && !slices.Contains(seen, other.c) {
				for _, k := range other.c.retentions(append(seen, c)) {
					add(k)
				}
			}
		}
	}
	return list
}
