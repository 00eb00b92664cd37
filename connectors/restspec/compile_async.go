package restspec

import (
	"maps"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func (c *checker) async(at place, in Async, known names, limits map[string]bool) *async {
	out := &async{Async: in}
	if in.Find != nil {
		out.find = c.lookup(at.with("find"), *in.Find, known, limits)
	}
	watching := known.with("handle")
	if in.Poll != nil {
		out.poll = c.lookup(at.with("poll"), *in.Poll, watching, limits)
		if out.poll.call.method != "GET" && out.poll.call.method != "POST" {
			c.fault(at.with("poll"), "looking changes nothing: want get or post")
		}
		if in.State == "" {
			c.fault(at.with("state"), "polling needs state")
		}
		c.handles(at.with("poll"), in, out.poll.list.templates(out.poll.call.templates()))
	}
	if in.Callback != nil {
		out.callback = c.callback(at.with("callback"), in)
	}
	for i, n := range in.Next {
		call := c.call(at.with("next", i), n.Call, watching, limits)
		if len(n.States) == 0 || in.Poll == nil {
			c.fault(at.with("next", i, "states"), "say in which states of a poll to send it")
		}
		c.handles(at.with("next", i), in, call.templates())
		out.next = append(out.next, next{n, call})
	}
	switch {
	case (in.Poll != nil || in.Callback != nil) && len(in.Done) == 0:
		c.fault(at.with("done"), "say which states mean that it is done")
	case in.Poll == nil && in.Callback == nil && in.Assume == 0:
		c.fault(at, "say how it ends: poll, callback, or assume after a time for a system that never tells")
	}
	if in.Lost != "" && in.Lost != "done" && in.Lost != "restart" {
		c.fault(at.with("lost"), `want "done" or "restart"`)
	}
	return out
}

// handles checks that the handles used are named.
func (c *checker) handles(at place, in Async, used []*template) {
	for _, t := range used {
		for _, path := range t.places() {
			if path[0] == "handle" && (len(path) != 2 || in.Handle[path[1]] == "" && path[1] != "started") {
				c.fault(at, "handle has no %s", strings.Join(path[1:], "."))
			}
		}
	}
}

func (c *checker) callback(at place, in Async) *Callback {
	b := in.Callback
	if !strings.HasPrefix(b.Path, "/") || strings.ContainsAny(b.Path, "{} ?#") {
		c.fault(at.with("path"), "want a plain path such as /callbacks/acme")
	}
	if b.ID == "" || b.State == "" || in.Handle[b.Handle] == "" {
		c.fault(at, "a callback needs id, state, and the handle that id equals")
	}
	c.signature(at.with("signature"), b.Signature)
	for _, t := range []string{"nonce", "secret"} {
		if strings.Contains(b.Signature.Over, "."+t) {
			c.fault(at.with("signature", "over"), "a callback has no %s", t)
		}
	}
	if len(b.Signature.Headers) > 0 {
		c.fault(at.with("signature", "headers"), "headers are for requests of ours")
	}
	return b
}

// assumed checks a step that asks nobody.
func (c *checker) assumed(op string, ps placed) {
	at := ps.at.with("assumed")
	if ps.Get+ps.Post+ps.Put+ps.Patch+ps.Delete != "" || ps.Items != "" || ps.Batch != nil || ps.Async != nil {
		c.fault(at, "what is assumed is not asked for: no request, items, batch or async beside it")
	}
	if len(ps.For) == 0 {
		c.fault(at, "say under for which identifiers the system is taken to know")
	}
	switch op {
	case "opted_out", "limited_spi":
	case "export", "resolve":
		c.fault(at, "there is nothing to read of what is assumed; leave %s out or write steps that read", op)
	default:
		if ps.Store == "" {
			c.fault(ps.at.with("store"), "name the store the system is taken to hold")
		}
	}
}

// correctionIn is where the body of a step has the value that is put right, as
// a dotted path, or "".
func correctionIn(ps placed) string {
	var find func(v any) (string, bool)
	find = func(v any) (string, bool) {
		switch v := v.(type) {
		case string:
			return "", strings.Contains(v, ".correction")
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				if rest, ok := find(v[name]); ok {
					return strings.TrimSuffix(name+"."+rest, "."), true
				}
			}
		}
		return "", false
	}
	if path, ok := find(ps.JSON); ok {
		return path
	}
	for _, name := range slices.Sorted(maps.Keys(ps.Form)) {
		if strings.Contains(ps.Form[name], ".correction") {
			return name
		}
	}
	return ""
}

// actsOnAssumed wants a request of op for every identifier that a step of where
// assumes. Otherwise it would be remembered as done without having been asked
// for.
func (c *checker) actsOnAssumed(op, where string) {
	if len(c.prog.ops[op]) == 0 {
		return
	}
	for i, s := range c.prog.ops[where] {
		if s.assumed == "" {
			continue
		}
		covered := func(k sdk.Kind) bool {
			return slices.ContainsFunc(c.prog.ops[op], func(a *step) bool {
				return !a.reads() && (slices.Contains(a.kinds, k) || where == "locate" && a.each == s.name)
			})
		}
		for _, k := range s.kinds {
			if !covered(k) {
				c.fault(place{where, i, "assumed"}, "no step of %s asks for what is assumed of %s", op, k)
			}
		}
	}
}

// batch checks a step that takes many.
func (c *checker) batch(at place, ps placed, s *step, known names) {
	b := ps.Batch
	if b == nil {
		return
	}
	at = at.with("batch")
	if b.Size < 1 {
		c.fault(at.with("size"), "say how many a request may have")
	}
	item := b.Item
	switch {
	case item == nil && len(ps.For) > 0:
		item = "{{ .value }}"
	case item == nil:
		c.fault(at.with("item"), "say what stands for one record")
	}
	if len(ps.Corrects) > 0 || ps.SamePerson != nil {
		c.fault(at, "a batch goes with neither corrects nor same_person")
	}
	if ps.Items != "" && (len(ps.For) == 0 || len(ps.Match) == 0) {
		c.fault(at, "reading for many needs for and match, to tell whose a record is")
	}
	compiled, err := parseBody(item)
	if err != nil {
		c.fault(at.with("item"), "%v", err)
		compiled = &body{}
	}
	for _, t := range compiled.templates() {
		c.template(at.with("item"), t.source, known)
	}
	s.batch = &batch{*b, compiled}
}
