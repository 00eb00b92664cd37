package sqlmap

import "strings"

// checkOrder refuses unknown names and cycles in after and erase_after.
func (g *graph) checkOrder() error {
	for _, kind := range []struct {
		key  string
		list func(CollectionMeta) []string
	}{
		{"after", func(m CollectionMeta) []string { return m.After }},
		{"erase_after", func(m CollectionMeta) []string { return m.EraseAfter }},
	} {
		edges := make([][]*collection, len(g.collections))
		for _, c := range g.collections {
			for _, name := range kind.list(c.spec.meta()) {
				other := g.byName(strings.Replace(name, ".", ":", 1))
				if other == nil {
					return g.m.errorAt(c.path+".fides_meta."+kind.key, "%s: there is no collection %s; want dataset.collection", kind.key, name)
				}
				edges[c.index] = append(edges[c.index], other)
			}
		}
		if _, cycle := order(g.collections, edges); cycle != nil {
			return g.m.errorAt(cycle.path+".fides_meta."+kind.key, "the values of %s make a circle: collection %s could not be reached in the given order", kind.key, cycle.spec.Name)
		}
	}
	return nil
}

// order sorts collections so that each comes after those its edges name.
// When that can't be done it returns a collection of the circle.
func order(all []*collection, edges [][]*collection) (sorted []*collection, cycle *collection) {
	state := make([]int, len(all)) // 1 under way, 2 done
	var visit func(c *collection)
	visit = func(c *collection) {
		switch state[c.index] {
		case 1:
			cycle = c
			return
		case 2:
			return
		}
		state[c.index] = 1
		for _, before := range edges[c.index] {
			if before != c && cycle == nil {
				visit(before)
			}
		}
		state[c.index] = 2
		sorted = append(sorted, c)
	}
	for _, c := range all {
		if cycle == nil {
			visit(c)
		}
	}
	return sorted, cycle
}
