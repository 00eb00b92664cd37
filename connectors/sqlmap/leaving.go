package sqlmap

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// A reference to a dataset behind another connector becomes an identifier
// kind: one side yields it, the other accepts it. Both derive its name from
// the field that is referred to, so that neither map has to be written for the
// other.

// noWord is what a kind's name can't have.
var noWord = regexp.MustCompile(`[^a-z0-9]+`)

// longest is the most characters of a kind's name.
const longest = 40

// leavingKind names the kind of a reference to a field of another connector's
// dataset.
func leavingKind(ref Reference) sdk.Kind {
	full := ref.Dataset + "." + ref.Field
	name := strings.Trim(noWord.ReplaceAllString(strings.ToLower(full), "_"), "_")
	if name == "" || name[0] < 'a' {
		name = "ref_" + name
	}
	if len(name) > longest {
		sum := sha256.Sum256([]byte(full))
		name = name[:longest-9] + "_" + hex.EncodeToString(sum[:4])
	}
	return sdk.Kind(name)
}

// kindAliases are the peer's names of kinds that have another name here.
var kindAliases = map[string]sdk.Kind{"phone_number": sdk.Phone}

// identityKind is the kind of identifier that an identity stands for.
func identityKind(name string) sdk.Kind {
	if k, ok := kindAliases[name]; ok {
		return k
	}
	return sdk.Kind(noWord.ReplaceAllString(strings.ToLower(name), "_"))
}

// outside reports whether a dataset is known to live behind another connector.
func (g *graph) outside(dataset string) bool {
	for _, d := range g.m.Datasets {
		if slices.Contains(d.Habeas.Beside, dataset) {
			return true
		}
	}
	for _, n := range g.m.neighbours {
		if slices.ContainsFunc(n.Datasets, func(d Dataset) bool { return d.Key == dataset }) {
			return true
		}
	}
	return false
}

// addLeaving makes a kind of a reference that f has to another connector.
func (g *graph) addLeaving(f *field, ref Reference, path string) error {
	kind := leavingKind(ref)
	switch ref.Direction {
	case "to":
		g.yield(f, kind)
	case "from":
		g.addLink(&link{kind: kind, to: f, declared: f})
	case "":
		g.yield(f, kind)
		g.addLink(&link{kind: kind, to: f, declared: f})
	default:
		return g.m.errorAt(path+".direction", "direction must be to or from, not %q", ref.Direction)
	}
	return nil
}

func (g *graph) yield(f *field, kind sdk.Kind) {
	if !slices.Contains(f.yields, kind) {
		f.yields = append(f.yields, kind)
		f.c.carryField(f)
	}
}

// addNeighbours makes kinds of the references that other connectors' maps have
// to fields of this one.
func (g *graph) addNeighbours() error {
	for _, n := range g.m.neighbours {
		for _, d := range n.Datasets {
			for _, c := range d.Collections {
				if c.meta().SkipProcessing {
					continue
				}
				if err := g.addReferring(n.File, d.Key+":"+c.Name, c.Fields); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *graph) addReferring(file, collection string, fields []Field) error {
	for i := range fields {
		for _, ref := range fields[i].meta().References {
			if !slices.ContainsFunc(g.m.Datasets, func(d Dataset) bool { return d.Key == ref.Dataset }) {
				continue
			}
			name, inner, _ := strings.Cut(ref.Field, ".")
			c := g.byName(ref.Dataset + ":" + name)
			if c == nil || c.field(inner) == nil {
				return fmt.Errorf("%s: field %s of collection %s refers to %s:%s, which %s does not have", file, fields[i].Name, collection, ref.Dataset, ref.Field, g.m.File)
			}
			f, kind := c.field(inner), leavingKind(ref)
			if ref.Direction != "to" { // our field feeds theirs
				g.yield(f, kind)
			}
			if ref.Direction != "from" && !slices.ContainsFunc(c.in, func(l *link) bool { return l.kind == kind && l.to == f }) {
				g.addLink(&link{kind: kind, to: f, declared: f})
			}
		}
		if err := g.addReferring(file, collection, fields[i].Fields); err != nil {
			return err
		}
	}
	return nil
}
