package restspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// errUnsafe says that a value has no form in which it would be only a value.
// It never says which.
var errUnsafe = errors.New("a value cannot be put there safely")

// errEmpty says that a value is missing where the request would mean something
// else without it.
var errEmpty = errors.New("a value is empty")

// template is text with places for values: "{{ .email }}", "{{ .contacts.id }}"
// or with filters, "{{ .email | lower | md5 }}".
type template struct {
	source string
	parts  []part
}

// part is either literal text or a place.
type part struct {
	literal string
	path    []string // nil for literal text
	filters []string
}

// scope gives values to places.
type scope interface {
	// lookup returns a string, json.Number, bool or nil, and whether the path
	// names anything.
	lookup(path []string) (any, bool)
}

// parseTemplate reads text with places.
func parseTemplate(text string) (*template, error) {
	t := &template{source: text}
	for rest := text; rest != ""; {
		open := strings.Index(rest, "{{")
		if open < 0 {
			if strings.Contains(rest, "}}") {
				return nil, errors.New(`"}}" without "{{"`)
			}
			t.parts = append(t.parts, part{literal: rest})
			break
		}
		if open > 0 {
			t.parts = append(t.parts, part{literal: rest[:open]})
		}
		rest = rest[open+2:]
		end := strings.Index(rest, "}}")
		if end < 0 {
			return nil, errors.New(`"{{" without "}}"`)
		}
		p, err := parsePlace(rest[:end])
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, p)
		rest = rest[end+2:]
	}
	return t, nil
}

func parsePlace(text string) (part, error) {
	words := strings.Split(text, "|")
	name, ok := strings.CutPrefix(strings.TrimSpace(words[0]), ".")
	if !ok || name == "" {
		return part{}, fmt.Errorf("{{%s}} has to start with a dot and a name, as in {{ .email }}", text)
	}
	p := part{path: strings.Split(name, ".")}
	for _, w := range p.path {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool {
			return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
		}) {
			return part{}, fmt.Errorf("{{%s}} does not name a value", text)
		}
	}
	for _, w := range words[1:] {
		f := strings.TrimSpace(w)
		if filters[f] == nil {
			return part{}, fmt.Errorf("{{%s}} has an unknown filter %q", text, f)
		}
		p.filters = append(p.filters, f)
	}
	return p, nil
}

// places returns the paths t asks for.
func (t *template) places() [][]string {
	var paths [][]string
	for _, p := range t.parts {
		if p.path != nil {
			paths = append(paths, p.path)
		}
	}
	return paths
}

// checkQuoting refuses a value written between another language's quotes or
// operators without a filter that makes it safe there.
func (t *template) checkQuoting() error {
	var literal strings.Builder
	for _, p := range t.parts {
		literal.WriteString(p.literal)
	}
	if !strings.ContainsAny(literal.String(), "'\"`(){}[]<>=&|\\;%*") {
		return nil
	}
	for _, p := range t.parts {
		if p.path == nil || p.path[0] == "settings" {
			continue
		}
		if len(p.filters) == 0 || !slices.Contains(quoting, p.filters[len(p.filters)-1]) {
			return fmt.Errorf("the value %s stands inside another language: end it with one of the filters %s",
				strings.Join(p.path, "."), strings.Join(quoting, ", "))
		}
	}
	return nil
}

// text is the value of p in s after its filters.
func (p part) text(s scope) (string, error) {
	v, ok := s.lookup(p.path)
	if !ok {
		return "", fmt.Errorf("nothing is known of %s here", strings.Join(p.path, "."))
	}
	str, ok := joined(v)
	if !ok {
		return "", fmt.Errorf("%s is not a single value", strings.Join(p.path, "."))
	}
	if !utf8.ValidString(str) {
		return "", fmt.Errorf("putting %s into a request: %w", strings.Join(p.path, "."), errUnsafe)
	}
	for _, f := range p.filters {
		var err error
		if str, err = filters[f](str); err != nil {
			return "", fmt.Errorf("putting %s through %s: %w", strings.Join(p.path, "."), f, err)
		}
	}
	if strings.TrimSpace(str) == "" {
		// A request without the value would mean more people, not fewer.
		return "", fmt.Errorf("putting %s into a request: %w", strings.Join(p.path, "."), errEmpty)
	}
	return str, nil
}

// joined is a scalar as text, or a list of scalars with commas between them. An
// element with a comma of its own would be two.
func joined(v any) (string, bool) {
	list, ok := v.([]any)
	if !ok {
		return scalarText(v)
	}
	words := make([]string, len(list))
	for i, e := range list {
		s, ok := scalarText(e)
		if !ok || strings.Contains(s, ",") || s == "" {
			return "", false
		}
		words[i] = s
	}
	return strings.Join(words, ","), true
}

// fill is t with what value makes of each of its places.
func (t *template) fill(value func(part) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.path == nil {
			b.WriteString(p.literal)
			continue
		}
		str, err := value(p)
		if err != nil {
			return "", err
		}
		b.WriteString(str)
	}
	return b.String(), nil
}

// verbatim fills t with values as they are, empty ones too: a text that is
// signed is no request.
func (t *template) verbatim(s scope) (string, error) {
	return t.fill(func(p part) (string, error) {
		v, ok := s.lookup(p.path)
		str, scalar := scalarText(v)
		if !ok || !scalar {
			return "", fmt.Errorf("nothing is known of %s here", strings.Join(p.path, "."))
		}
		for _, f := range p.filters {
			var err error
			if str, err = filters[f](str); err != nil {
				return "", err
			}
		}
		return str, nil
	})
}

// plain fills t with no escaping, for positions that escape as a whole: query
// values, form values, JSON strings.
func (t *template) plain(s scope) (string, error) {
	return t.fill(func(p part) (string, error) { return p.text(s) })
}

// urlPath fills t as the path of a URL, each value within its own segment. One
// with dot segments would climb out of it even when escaped, because servers
// unescape before they clean; it is refused.
func (t *template) urlPath(s scope) (string, error) {
	return t.fill(func(p part) (string, error) {
		str, err := p.text(s)
		if err != nil {
			return "", err
		}
		if !safeInPath(str) {
			return "", fmt.Errorf("putting %s into a path: %w", strings.Join(p.path, "."), errUnsafe)
		}
		return url.PathEscape(str), nil
	})
}

func safeInPath(s string) bool {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return false
	}
	for range 3 { // as often as careless servers unescape
		for _, seg := range strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '\\' }) {
			if seg == "." || seg == ".." {
				return false
			}
		}
		once, err := url.PathUnescape(s)
		if err != nil || once == s {
			break
		}
		s = once
	}
	return true
}

// header fills t as a header's value.
func (t *template) header(s scope) (string, error) {
	v, err := t.plain(s)
	if err != nil {
		return "", err
	}
	if strings.ContainsFunc(v, unicode.IsControl) {
		return "", fmt.Errorf("putting a value into a header: %w", errUnsafe)
	}
	return v, nil
}

// jsonValue fills t as a JSON value. A template that is one place and nothing
// else keeps the value's own type, so that a number stays a number.
func (t *template) jsonValue(s scope) (any, error) {
	if len(t.parts) == 1 && t.parts[0].path != nil && len(t.parts[0].filters) == 0 {
		if v, ok := s.lookup(t.parts[0].path); ok {
			switch v.(type) {
			case json.Number, bool, []any:
				return v, nil
			}
		}
	}
	return t.plain(s)
}

// body is a JSON body with templates at its strings.
type body struct {
	object map[string]*body
	list   []*body
	text   *template
	value  any // anything else, as it is
}

// parseBody compiles what YAML made of a body.
func parseBody(v any) (*body, error) {
	switch v := v.(type) {
	case map[string]any:
		b := &body{object: map[string]*body{}}
		for k, e := range v {
			c, err := parseBody(e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			b.object[k] = c
		}
		return b, nil
	case []any:
		b := &body{list: []*body{}}
		for i, e := range v {
			c, err := parseBody(e)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			b.list = append(b.list, c)
		}
		return b, nil
	case string:
		t, err := parseTemplate(v)
		if err != nil {
			return nil, err
		}
		return &body{text: t}, t.checkQuoting()
	default:
		return &body{value: v}, nil
	}
}

// templates returns the templates in b.
func (b *body) templates() []*template {
	if b.text != nil {
		return []*template{b.text}
	}
	var all []*template
	for _, c := range b.object {
		all = append(all, c.templates()...)
	}
	for _, c := range b.list {
		all = append(all, c.templates()...)
	}
	return all
}

// fill makes the value that is then marshalled as a whole.
func (b *body) fill(s scope) (any, error) {
	switch {
	case b.object != nil:
		m := make(map[string]any, len(b.object))
		for k, c := range b.object {
			v, err := c.fill(s)
			if err != nil {
				return nil, err
			}
			m[k] = v
		}
		return m, nil
	case b.list != nil:
		l := make([]any, len(b.list))
		for i, c := range b.list {
			v, err := c.fill(s)
			if err != nil {
				return nil, err
			}
			l[i] = v
		}
		return l, nil
	case b.text != nil:
		return b.text.jsonValue(s)
	default:
		return b.value, nil
	}
}
