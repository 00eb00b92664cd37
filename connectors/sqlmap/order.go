package sqlmap

import (
	"fmt"
	"strings"
)

// checkOrder refuses unknown names and circles in after and erase_after.
func (g *graph) checkOrder() (err error) {
	if g.reading, err = g.ordered("after", func(m CollectionMeta) []string { return m.After }, g.datasetsBefore); err != nil {
		return err
	}
	_, err = g.ordered("erase_after", func(m CollectionMeta) []string { return m.EraseAfter }, nil)
	return err
}

// ordered sorts the collections by the names under a key, and by what else
// goes before each.
func (g *graph) ordered(key string, list func(CollectionMeta) []string, more func(*collection) ([]*collection, error)) ([]*collection, error) {
	edges := make([][]*collection, len(g.collections))
	for _, c := range g.collections {
		for _, name := range list(c.spec.meta()) {
			other := g.byName(strings.Replace(name, ".", ":", 1))
			if other == nil {
				return nil, g.m.errorAt(c.path+".fides_meta."+key, "%s: there is no collection %s; want dataset.collection", key, name)
			}
			edges[c.index] = append(edges[c.index], other)
		}
		if more != nil {
			before, err := more(c)
			if err != nil {
				return nil, err
			}
			edges[c.index] = append(edges[c.index], before...)
		}
	}
	sorted, circle := order(g.collections, edges)
	if circle != nil {
		return nil, g.m.errorAt(circle.path+".fides_meta."+key, "the values of %s make a circle: collection %s could not be reached in the given order", key, circle.spec.Name)
	}
	return sorted, nil
}

// datasetsBefore are the collections of the datasets that the collection's
// dataset comes after.
func (g *graph) datasetsBefore(c *collection) (before []*collection, err error) {
	for di := range g.m.Datasets {
		d := &g.m.Datasets[di]
		if !strings.HasPrefix(c.name, d.Key+":") {
			continue
		}
		for i, key := range d.meta().After {
			n := len(before)
			for _, other := range g.collections {
				if strings.HasPrefix(other.name, key+":") {
					before = append(before, other)
				}
			}
			if len(before) == n && !g.outside(key) {
				return nil, g.m.errorAt(fmt.Sprintf("$.dataset[%d].fides_meta.after[%d]", di, i), "after: there is no dataset %s", key)
			}
		}
	}
	return before, nil
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
