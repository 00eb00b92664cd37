package restspec

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// target is one identifier or one record that a step runs for.
type target struct {
	kind  sdk.Kind
	value string
	item  *item
}

// id tells targets of one step apart; it never leaves the process in clear.
func (t target) id() string {
	if t.item == nil {
		return string(t.kind) + "\x00" + t.value
	}
	var b strings.Builder
	for i := t.item; i != nil; i = i.parent {
		raw, err := json.Marshal(i.fields) // keys in order: the same record, the same text
		if err != nil {
			return ""
		}
		b.Write(raw)
	}
	return b.String()
}

// rootOf is the identifier t is or was found by.
func (t target) rootOf() target {
	if t.item != nil {
		return t.item.root
	}
	return t
}

func (r *run) targets(s *step) []target {
	if s.found != "" && !slices.ContainsFunc(r.cols[s.found], func(i *item) bool { return r.kept(s.found, i) == nil }) {
		return nil
	}
	var all []target
	if s.each == "" {
		for _, k := range s.kinds {
			for _, v := range r.person.Values(k) {
				all = append(all, target{kind: k, value: v})
			}
		}
		return all
	}
	for _, i := range r.cols[s.each] {
		kept := r.kept(s.each, i) != nil
		if s.only == "free" && kept || s.only == "kept" && !kept {
			continue
		}
		all = append(all, target{item: i})
	}
	return all
}

// values is what a step's templates see.
type values struct {
	r      *run
	t      target
	effect string
	handle map[string]string
	extra  string // ".value" of a question about one value
	batch  []any  // ".batch": what stands for each of many
	// correction is what is put right, for steps that correct.
	correction *sdk.Correction
}

func (v values) lookup(path []string) (any, bool) {
	switch path[0] {
	case "settings":
		if len(path) == 2 {
			s, ok := v.r.e.settings[path[1]]
			return s, ok
		}
	case "effect":
		return v.effect, v.effect != ""
	case "now":
		return v.r.now.UTC().Format(time.RFC3339), true
	case "today":
		return v.r.now.UTC().Format(time.DateOnly), true
	case "handle":
		if len(path) == 2 && v.handle != nil {
			s, ok := v.handle[path[1]]
			return s, ok
		}
	case "batch":
		return v.batch, v.batch != nil
	case "correction":
		if v.correction == nil {
			return nil, false
		}
		return v.correction.Value.Reveal(), true
	case "value":
		if v.extra != "" {
			return v.extra, true
		}
		return v.t.value, v.t.item == nil
	}
	if v.t.item == nil && len(path) == 1 && path[0] == string(v.t.kind) {
		return v.t.value, true
	}
	if v.t.item != nil && len(path) == 1 && path[0] == string(v.t.item.root.kind) {
		return v.t.item.root.value, true
	}
	for i := v.t.item; i != nil; i = i.parent {
		if i.name == path[0] {
			f, ok := i.fields[strings.Join(path[1:], ".")]
			return f, ok
		}
	}
	return nil, false
}
