package restspec

import (
	"maps"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// placed is a step with where it is written.
type placed struct {
	Step
	at place
}

// flatten writes the steps that "use" stands for in its place.
func (c *checker) flatten(op string, steps []Step) []placed {
	var all []placed
	for i, s := range steps {
		at := place{op, i}
		if s.Use == "" {
			all = append(all, placed{s, at})
			continue
		}
		if op == "locate" {
			c.fault(at.with("use"), "locate cannot use itself")
			continue
		}
		source, name, one := strings.Cut(s.Use, ".")
		if source != "locate" {
			c.fault(at.with("use"), `want "locate" or "locate.NAME"`)
			continue
		}
		wanted := map[string]bool{}
		if one {
			wanted[name] = true
			for _, l := range slices.Backward(c.prog.spec.Locate) {
				if wanted[l.Name] && l.Each != "" {
					wanted[l.Each] = true
				}
			}
		}
		found := false
		for j, l := range c.prog.spec.Locate {
			if !one || wanted[l.Name] {
				found = true
				all = append(all, placed{l, place{"locate", j}})
			}
		}
		if !found {
			c.fault(at.with("use"), "locate has no step %q", name)
		}
	}
	return all
}

// operation compiles the steps of one operation.
func (c *checker) operation(op string, in []Step, limits map[string]bool) []*step {
	var steps []*step
	c.roots, c.blind = map[string][]sdk.Kind{}, map[string]bool{}
	parents := map[string]string{} // collection to the one it hangs under
	for _, ps := range c.flatten(op, in) {
		s := c.step(op, ps, parents, limits)
		if prev, dup := parents[s.name]; dup && prev != s.each {
			c.fault(ps.at.with("name"), "steps that share a name hang under the same collection")
		}
		if s.reads() {
			parents[s.name] = s.each
			c.roots[s.name] = append(c.roots[s.name], s.kinds...)
			if s.each != "" {
				c.roots[s.name] = append(c.roots[s.name], c.roots[s.each]...)
			}
			c.blind[s.name] = s.assumed != "" || c.blind[s.each]
		}
		s.blind = c.blind[s.each]
		steps = append(steps, s)
	}
	for _, s := range steps {
		for _, t := range s.templates() {
			for _, path := range t.places() {
				for _, owner := range steps {
					if owner.reads() && owner.name == path[0] && len(path) > 1 {
						owner.fields = append(owner.fields, strings.Join(path[1:], "."))
					}
				}
			}
		}
		for _, owner := range steps {
			if owner.reads() && (owner.name == s.each || owner.name == s.found) {
				owner.collect = true
			}
		}
	}
	for _, s := range steps {
		for _, owner := range steps {
			if s.shows != "" && owner.reads() && owner.name == s.each {
				owner.fields = append(owner.fields, s.shows)
			}
		}
	}
	for _, s := range steps {
		slices.Sort(s.fields)
		s.fields = slices.Compact(s.fields)
	}
	return steps
}

// templates are all templates of s and of the requests inside it.
func (s *step) templates() []*template {
	all := s.list.templates(s.call.templates())
	for _, y := range s.yields {
		if y.alone != nil {
			all = append(all, y.alone.list.templates(y.alone.call.templates())...)
		}
	}
	if s.batch != nil {
		all = append(all, s.batch.item.templates()...)
	}
	if s.async != nil {
		for _, l := range []*lookup{s.async.find, s.async.poll} {
			if l != nil {
				all = append(all, l.list.templates(l.call.templates())...)
			}
		}
		for _, n := range s.async.next {
			all = append(all, n.call.templates()...)
		}
	}
	return all
}

// templates adds those of l, which may be nil.
func (l *listing) templates(all []*template) []*template {
	if l != nil {
		for _, w := range l.where {
			all = append(all, w.value)
		}
	}
	return all
}

func (c *call) templates() []*template {
	all := []*template{}
	if c == nil {
		return all
	}
	if c.path != nil {
		all = append(all, c.path)
	}
	for _, list := range [][]pair{c.query, c.headers, c.form} {
		for _, p := range list {
			all = append(all, p.value)
		}
	}
	if c.json != nil {
		all = append(all, c.json.templates()...)
	}
	return all
}

func (c *checker) step(op string, ps placed, parents map[string]string, limits map[string]bool) *step {
	at := ps.at
	s := &step{
		name: ps.Name, each: ps.Each, only: ps.Only, found: ps.WhenFound, match: ps.Match,
		same: ps.SamePerson, store: ps.Store, time: ps.Time, keep: ps.Keep, expect: ps.Expect,
		assumed: ps.Assumed, corrects: ps.Corrects, shows: ps.Shows,
	}
	if !namePattern.MatchString(ps.Name) {
		c.fault(at.with("name"), "a step needs a name of lower-case letters, digits and hyphens")
	}
	known := c.known(ps, s, parents)
	reads := ps.Items != "" || ps.Store != "" || ps.ID != "" || len(ps.Yields) > 0
	if s.assumed != "" {
		c.assumed(op, ps)
	} else {
		c.batch(at, ps, s, known)
		calling := known
		if s.batch != nil {
			calling = names{"batch": true, "settings": true, "effect": true, "today": true, "now": true}
		}
		if len(s.corrects) > 0 {
			calling = calling.with("correction")
		}
		s.call = c.call(at, ps.Call, calling, limits)
		if reads {
			s.list = c.listing(at, ps.Listing, known)
		}
		c.does(op, at, ps, s)
	}
	c.records(at, ps, s)
	c.keeping(at, ps)
	switch ps.Only {
	case "":
		s.only = "free"
		if reads || op == "correct" {
			s.only = "all"
		}
	case "free", "kept", "all":
	default:
		c.fault(at.with("only"), `want "free", "kept" or "all"`)
	}
	for i, y := range ps.Yields {
		s.yields = append(s.yields, c.yield(at.with("yields", i), y, ps.ID, limits))
	}
	if ps.Async != nil {
		if s.batch != nil {
			known = names{"settings": true, "today": true, "now": true}
		}
		s.async = c.async(at.with("async"), *ps.Async, known, limits)
		if s.batch != nil && s.async.find != nil {
			c.fault(at.with("async", "find"), "one search cannot find the work of many: a step with batch has no find")
		}
	}
	return s
}

// does checks that the step's request is fit for its operation.
func (c *checker) does(op string, at place, ps placed, s *step) {
	reads := s.list != nil
	switch op {
	case "locate", "export", "resolve":
		if !reads {
			c.fault(at, "a step of %s reads records: it needs items or store", op)
		}
		if reads && s.call.method != "GET" && s.call.method != "POST" {
			c.fault(at, "%s changes nothing: want get, or post for a search", op)
		}
	case "opted_out", "limited_spi":
		if ps.Expect == nil || ps.Expect.Field == "" || len(ps.Expect.In) == 0 {
			c.fault(at.with("expect"), "%s needs expect, with field and in, or assumed", op)
		}
	default:
		if !reads && s.call.method == "GET" {
			c.fault(at, "a step that acts does not get")
		}
	}
	switch {
	case op == "correct" && !reads && len(ps.Corrects) == 0:
		c.fault(at.with("corrects"), "name the fields this step puts right")
	case (op != "correct" || reads) && len(ps.Corrects) > 0:
		c.fault(at.with("corrects"), "only acting steps of correct put fields right")
	case len(ps.Corrects) > 0 && s.shows == "":
		s.shows = correctionIn(ps)
	}
	if len(ps.Corrects) > 0 && (s.shows == "" || ps.Each == "") {
		c.fault(at.with("shows"), "say with each and shows which field of which record has the value afterwards")
	}
}

// known are the names a step's templates may use: what it runs over and
// everything that hangs above it.
func (c *checker) known(ps placed, s *step, parents map[string]string) names {
	known := names{"settings": true, "effect": true, "today": true, "now": true}
	for _, k := range ps.For {
		if !kindPattern.MatchString(k) {
			c.fault(ps.at.with("for"), "%q is not a kind of identifier", k)
		}
		s.kinds = append(s.kinds, sdk.Kind(k))
		known["value"] = true
	}
	if len(ps.For) == 1 {
		known[ps.For[0]] = true
	}
	if len(ps.For) > 0 && ps.Each != "" {
		c.fault(ps.at.with("for"), "a step runs for identifiers or for each record, not both")
	}
	if len(ps.For) == 0 && ps.Each == "" {
		c.fault(ps.at, "say what the step runs over: for (identifiers) or each (records of an earlier step)")
	}
	if roots := slices.Compact(slices.Sorted(slices.Values(c.roots[ps.Each]))); len(roots) > 0 {
		known["value"] = true
		if len(roots) == 1 {
			known[string(roots[0])] = true
		}
	}
	for name := ps.Each; name != ""; name = parents[name] {
		if _, ok := parents[name]; !ok {
			c.fault(ps.at.with("each"), "no earlier step reads records named %q", name)
			break
		}
		known[name] = true
	}
	if _, ok := parents[ps.WhenFound]; ps.WhenFound != "" && !ok {
		c.fault(ps.at.with("when_found"), "no earlier step reads records named %q", ps.WhenFound)
	}
	return known
}

// records checks what is said of the records a step reads.
func (c *checker) records(at place, ps placed, s *step) {
	if ps.Store != "" && c.prog.stores[ps.Store] == nil {
		c.fault(at.with("store"), "no store is named %q", ps.Store)
	}
	if s.list != nil && len(ps.For) > 0 && len(ps.Match) == 0 && ps.Exact == "" {
		c.fault(at.with("match"), "name the field that has to equal the identifier, or say under exact why the search needs no second look")
	}
	if ps.SamePerson != nil {
		if ps.SamePerson.Field == "" || !kindPattern.MatchString(string(ps.SamePerson.Kind)) {
			c.fault(at.with("same_person"), "same_person needs field and kind")
		}
		if len(ps.For) == 0 {
			c.fault(at.with("same_person"), "same_person goes with for")
		}
	}
}

func (c *checker) keeping(at place, ps placed) {
	k := ps.Keep
	switch {
	case k == nil:
	case len(k.With) > 0 && (k.Field != "" || k.Until != "" || k.From != "" || k.Basis != "" || k.Facts != sdk.Facts{}):
		c.fault(at.with("keep"), "with stands alone: basis and end come from the records under it")
	case len(k.With) > 0:
	case k.Basis == "" || (k.Until == "") == (k.From == "") || (k.From == "") != (k.For == 0):
		c.fault(at.with("keep"), "keeping needs a basis and an end: until, or from and for")
	case (k.Field == "") != (len(k.In) == 0):
		c.fault(at.with("keep", "field"), "field and in come together")
	}
}

func (c *checker) listing(at place, l Listing, known names) *listing {
	out := &listing{Listing: l}
	for _, field := range slices.Sorted(maps.Keys(l.Where)) {
		for _, text := range l.Where[field] {
			out.where = append(out.where, pair{field, c.template(at.with("where", field), text, known)})
		}
	}
	p := l.Page
	if p == nil {
		return out
	}
	at = at.with("page")
	ways := 0
	for _, set := range []bool{p.Cursor != nil, p.Offset != nil, p.Number != nil, p.After != nil, p.Next != "", p.Link} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		c.fault(at, "want one of cursor, offset, number, after, next and link")
	}
	switch {
	case p.Cursor != nil && (p.Cursor.Next == "" || p.Cursor.Param == ""):
		c.fault(at.with("cursor"), "a cursor needs next and param")
	case p.Cursor != nil && p.Cursor.In != "" && p.Cursor.In != "query" && p.Cursor.In != "json":
		c.fault(at.with("cursor", "in"), `want "query" or "json"`)
	case p.Offset != nil && p.Offset.Param == "":
		c.fault(at.with("offset"), "an offset needs param")
	case p.Number != nil && p.Number.Param == "":
		c.fault(at.with("number"), "page numbers need param")
	case p.After != nil && (p.After.Field == "" || p.After.Param == ""):
		c.fault(at.with("after"), "after needs field and param")
	}
	if l.Items == "" {
		c.fault(at, "an answer that is one record has no pages: name items")
	}
	return out
}

func (c *checker) yield(at place, y Yield, id string, limits map[string]bool) yield {
	if !kindPattern.MatchString(string(y.Kind)) || y.Field == "" {
		c.fault(at, "yielding needs a kind and a field")
	}
	out := yield{Yield: y}
	if y.Alone != nil {
		if id == "" || y.Alone.ID == "" {
			c.fault(at.with("alone"), "asking who else has a value needs id, in the step and in alone")
		}
		out.alone = c.lookup(at.with("alone"), *y.Alone, names{"settings": true, "value": true}, limits)
	}
	return out
}

func (c *checker) lookup(at place, l Lookup, known names, limits map[string]bool) *lookup {
	return &lookup{call: c.call(at, l.Call, known, limits), list: c.listing(at, l.Listing, known)}
}
