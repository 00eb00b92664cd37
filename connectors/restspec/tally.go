package restspec

import "github.com/habeas-data/habeas/connectors/sdk"

// tally counts records by store and by the basis they are kept on.
type tally struct {
	order []tallyKey
	found map[tallyKey]*sdk.Found
}

type tallyKey struct {
	store, basis string
	facts        sdk.Facts
}

func newTally() *tally { return &tally{found: map[tallyKey]*sdk.Found{}} }

func (t *tally) add(store string, keep *sdk.Keep) {
	key := tallyKey{store: store}
	if keep != nil {
		key.basis, key.facts = keep.Basis, keep.Facts
	}
	f := t.found[key]
	if f == nil {
		f = &sdk.Found{Store: store}
		if keep != nil {
			f.Keep = &sdk.Keep{Basis: keep.Basis, Until: keep.Until, Facts: keep.Facts}
		}
		t.found[key] = f
		t.order = append(t.order, key)
	}
	f.Count++
	if keep != nil && keep.Until.After(f.Keep.Until) {
		f.Keep.Until = keep.Until
	}
}

func (t *tally) result() []sdk.Found {
	var out []sdk.Found
	for _, k := range t.order {
		out = append(out, *t.found[k])
	}
	return out
}
