package restspec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// A Program is a specification that was checked and can be opened.
type Program struct {
	spec    *Spec
	file    string
	digest  string
	stores  map[string]*store
	ops     map[string][]*step
	rules   []rule
	headers []pair
	hide    map[string]string // data category to the words shown instead
}

// Load reads the specification in file. The error lists every fault, each with
// the file, the line and the field.
func Load(file string) (*Program, error) {
	name, src, err := declared.Read(file, "specification")
	if err != nil {
		return nil, err
	}
	return Parse(name, src)
}

// Parse is [Load] for a specification in memory; name stands in its errors.
func Parse(name string, src []byte) (*Program, error) {
	sum := sha256.Sum256(src)
	src, err := declared.Text(name, src)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseBytes(src, 0)
	if err != nil {
		return nil, declared.Located(name, err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return nil, fmt.Errorf("%s: want one YAML document", name)
	}
	var spec Spec
	if err := yaml.NewDecoder(bytes.NewReader(src), yaml.Strict()).Decode(&spec); err != nil {
		return nil, declared.Located(name, err)
	}
	p := &Program{spec: &spec, file: name, digest: hex.EncodeToString(sum[:])}
	c := &checker{file: name, root: tree.Docs[0].Body, prog: p}
	c.program()
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	return p, nil
}

// System is the name of the system the specification describes.
func (p *Program) System() string { return p.spec.System }

// Facts says where the specification's knowledge comes from.
func (p *Program) Facts() Facts { return p.spec.Facts }

// Description is a line about what the system holds.
func (p *Program) Description() string { return p.spec.Description }

// Settings are the settings a deployment may give, with their defaults; an
// empty one has to be given.
func (p *Program) Settings() map[string]string { return maps.Clone(p.spec.Settings) }

// Corrects are the fields the specification can put right, sorted.
func (p *Program) Corrects() []string {
	var fields []string
	for _, s := range p.ops["correct"] {
		fields = append(fields, s.corrects...)
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// Secrets are the names of the secrets the specification needs, sorted.
func (p *Program) Secrets() []string {
	a := p.spec.Auth
	names := []string{a.Secret, a.UserSecret, a.ClientSecret, a.RefreshToken}
	templates := map[string]string{}
	if a.Login != nil {
		maps.Copy(templates, a.Login.JSON)
	}
	if a.Sign != nil {
		names = append(names, a.Sign.Secret)
		maps.Copy(templates, a.Sign.Headers)
	}
	for _, text := range templates {
		if t, err := parseTemplate(text); err == nil {
			for _, path := range t.places() {
				if path[0] == "secret" && len(path) == 2 {
					names = append(names, path[1])
				}
			}
		}
	}
	for _, steps := range p.ops {
		for _, s := range steps {
			if s.async != nil && s.async.callback != nil {
				names = append(names, s.async.callback.Signature.Secret)
			}
		}
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return n == "" })
}

// checker turns a Spec into a Program and gathers what is wrong with it.
type checker struct {
	file string
	root ast.Node
	prog *Program
	errs []error

	// Of the operation that is being checked: by collection, the kinds its
	// records are found by, and whether they are only assumed.
	roots map[string][]sdk.Kind
	blind map[string]bool
}

// at is the place of a fault: keys and list positions from the root.
type place []any

func (p place) with(more ...any) place { return append(slices.Clip(p), more...) }

func (p place) String() string {
	var b strings.Builder
	for _, w := range p {
		switch w := w.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", w)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, w)
		}
	}
	return b.String()
}

func (c *checker) fault(at place, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s:%d: %s: %s", c.file, lineOf(c.root, at), at, fmt.Sprintf(format, args...)))
}

// lineOf is the line of the node at p, or of the last one on the way that
// exists.
func lineOf(n ast.Node, p place) int {
	line := lineOfToken(n.GetToken())
	for _, word := range p {
		var next ast.Node
		switch v := n.(type) {
		case *ast.MappingNode:
			for _, kv := range v.Values {
				if kv.Key.String() == fmt.Sprint(word) {
					next, line = kv.Value, lineOfToken(kv.Key.GetToken())
				}
			}
		case *ast.MappingValueNode:
			if v.Key.String() == fmt.Sprint(word) {
				next, line = v.Value, lineOfToken(v.Key.GetToken())
			}
		case *ast.SequenceNode:
			if i, ok := word.(int); ok && i < len(v.Values) {
				next = v.Values[i]
				line = lineOfToken(next.GetToken())
			}
		}
		if next == nil {
			return line
		}
		n = next
	}
	return line
}

func lineOfToken(t *token.Token) int {
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}
