package keyspace

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// pattern is the form of a key's or member's name. It holds at most one
// identifier, and a wildcard is one whole segment, so that a name can be read
// in one way only: "cart:7:*" is never a key of somebody called "7:x".
type pattern struct {
	kind  sdk.Kind // of the identifier, or "" for none
	parts []part
	re    *regexp.Regexp
	wild  bool // has wildcards
}

type part struct {
	literal string
	what    byte // 0 literal, '*' wildcard, '<' identifier
}

func parsePattern(text, separator string) (*pattern, error) {
	p := &pattern{}
	if text == "" {
		return nil, errors.New("the pattern is empty")
	}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			p.parts = append(p.parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if i++; i == len(text) {
				return nil, errors.New("the pattern ends in a backslash: write two for one")
			}
			literal.WriteByte(text[i])
		case '*':
			flush()
			p.parts, p.wild = append(p.parts, part{what: c}), true
		case '<':
			kind, _, closed := strings.Cut(text[i+1:], ">")
			switch {
			case !closed || !declared.IsKind(kind):
				return nil, fmt.Errorf("after %q: want <kind>, lower-case words joined by '_'; a plain '<' is written \\<", text[:i])
			case p.kind != "":
				return nil, errors.New("two identifiers in one pattern: use one, and name the other under identifiers or in a store of its own")
			}
			flush()
			p.kind, p.parts = sdk.Kind(kind), append(p.parts, part{what: c})
			i += len(kind) + 1
		default:
			literal.WriteByte(c)
		}
	}
	flush()
	return p, p.finish(separator)
}

// finish checks that wildcards are whole segments and makes the expression.
func (p *pattern) finish(separator string) error {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for i, one := range p.parts {
		switch one.what {
		case '*':
			before := i == 0 || strings.HasSuffix(p.parts[i-1].literal, separator)
			after := i == len(p.parts)-1 || strings.HasPrefix(p.parts[i+1].literal, separator)
			if !before || !after {
				return fmt.Errorf("a '*' must be a whole segment between %q, or a name could be read in two ways", separator)
			}
			re.WriteString(`(?:` + notSeparator(separator) + `)`)
		case '<':
			re.WriteString(`(.+)`)
		default:
			re.WriteString(regexp.QuoteMeta(one.literal))
		}
	}
	re.WriteString(`\z`)
	var err error
	p.re, err = regexp.Compile(re.String())
	return err
}

// notSeparator matches one segment, which may be empty.
func notSeparator(separator string) string { return `[^` + regexp.QuoteMeta(separator) + `]*` }

// match reads a name: the identifier in it, or "" when the pattern has none.
func (p *pattern) match(name string) (value string, ok bool) {
	found := p.re.FindStringSubmatch(name)
	if found == nil {
		return "", false
	}
	if p.kind == "" {
		return "", true
	}
	return found[1], true
}

// name is the one name the pattern makes of a value; the pattern has no
// wildcards.
func (p *pattern) name(value string) string {
	var b strings.Builder
	for _, one := range p.parts {
		if one.what == '<' {
			b.WriteString(value)
			continue
		}
		b.WriteString(one.literal)
	}
	return b.String()
}

var globEscape = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// glob is what the server is to look for: with the value where the identifier
// stands, or anything when there is none to narrow it by.
func (p *pattern) glob(value string) string {
	var b strings.Builder
	for _, one := range p.parts {
		switch {
		case one.what == 0:
			b.WriteString(globEscape.Replace(one.literal))
		case one.what == '<' && value != "":
			b.WriteString(globEscape.Replace(value))
		default:
			b.WriteByte('*')
		}
	}
	return b.String()
}
