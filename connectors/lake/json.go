package lake

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

var errSyntax = errors.New("not valid JSON")

// maxDepth is how deep JSON may nest before it counts as malformed.
const maxDepth = 1000

// jsonWalker reads one JSON text in one pass: it checks that the text is
// valid, to the last byte, and picks out what the map mentions. Because no
// byte is skipped, nothing can hide in a record, and because only values at
// mapped fields are looked up, the number of people sought does not matter.
type jsonWalker struct {
	*lookup
	data  []byte
	pos   int
	depth int
	rec   *record
	lists int
	elem  int // the shared element being read, or -1
	buf   []byte
}

// walk reads rec.raw, which must be one JSON object, into rec.
func (w *jsonWalker) walk(rec *record) error {
	w.data, w.pos, w.depth, w.rec, w.lists, w.elem = rec.raw, 0, 0, rec, 0, -1
	w.space()
	if w.peek() != '{' {
		// Something else than an object has no fields the map could mean.
		if err := w.value(nil); err != nil {
			return err
		}
		return errors.New("not a JSON object")
	}
	if err := w.value(w.fields); err != nil {
		return err
	}
	w.space()
	if w.pos != len(w.data) {
		return errSyntax
	}
	return nil
}

func (w *jsonWalker) peek() byte {
	if w.pos < len(w.data) {
		return w.data[w.pos]
	}
	return 0
}

func (w *jsonWalker) space() {
	for w.pos < len(w.data) {
		switch w.data[w.pos] {
		case ' ', '\t', '\r', '\n':
			w.pos++
		default:
			return
		}
	}
}

// value reads the value at pos, which is that of node n.
func (w *jsonWalker) value(n *node) error {
	start := w.pos
	var err error
	switch c := w.peek(); {
	case c == '{':
		err = w.nested(n, w.object)
	case c == '[':
		err = w.nested(n, w.array)
	case c == '"':
		var escaped bool
		if escaped, err = w.str(); err == nil && n != nil {
			err = w.scalar(n, start+1, w.pos-1, escaped, false)
		}
	case c == '-' || '0' <= c && c <= '9':
		if err = w.number(); err == nil && n != nil {
			err = w.scalar(n, start, w.pos, false, true)
		}
	case c == 't':
		err = w.literal("true")
	case c == 'f':
		err = w.literal("false")
	case c == 'n':
		err = w.literal("null")
	default:
		err = errSyntax
	}
	if err == nil && n != nil && n.withheld >= 0 && w.data[start] != 'n' {
		w.rec.hidden = append(w.rec.hidden, hidden{start: start, end: w.pos, item: n.withheld})
	}
	return err
}

func (w *jsonWalker) nested(n *node, read func(*node) error) error {
	if w.depth++; w.depth > maxDepth {
		return errSyntax
	}
	err := read(n)
	w.depth--
	return err
}

func (w *jsonWalker) object(n *node) error {
	if n != nil && n.kind >= 0 && len(n.children) == 0 {
		return fmt.Errorf("field %s is an object where the map expects an identifier", n.path)
	}
	w.pos++
	w.space()
	if w.peek() == '}' {
		w.pos++
		return nil
	}
	for {
		start := w.pos
		if w.peek() != '"' {
			return errSyntax
		}
		escaped, err := w.str()
		if err != nil {
			return err
		}
		var child *node
		if n != nil {
			key := w.data[start+1 : w.pos-1]
			if escaped {
				key = w.unescape(key)
			}
			child = n.child(key)
		}
		w.space()
		if w.peek() != ':' {
			return errSyntax
		}
		w.pos++
		w.space()
		if err := w.value(child); err != nil {
			return err
		}
		w.space()
		switch w.peek() {
		case ',':
			w.pos++
			w.space()
		case '}':
			w.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

func (w *jsonWalker) array(n *node) error {
	// Lists within a shared list belong to the element they are in.
	shared := n != nil && n.shared && w.elem < 0
	w.lists++
	list := w.lists
	w.pos++
	w.space()
	if w.peek() == ']' {
		w.pos++
		return nil
	}
	for first := true; ; first = false {
		if shared {
			w.elem = len(w.rec.elems)
			w.rec.elems = append(w.rec.elems, elem{start: w.pos, first: first, list: list})
		}
		if err := w.element(n); err != nil {
			return err
		}
		if shared {
			w.rec.elems[w.elem].end = w.pos
			w.elem = -1
		}
		w.space()
		switch w.peek() {
		case ',':
			w.pos++
			w.space()
		case ']':
			w.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

// element reads one element of a list. What the map says of the list holds for
// each element; the list as a whole is withheld once, by value.
func (w *jsonWalker) element(n *node) error {
	if n == nil || n.withheld < 0 {
		return w.value(n)
	}
	m := *n
	m.withheld = -1
	return w.value(&m)
}

// str reads a string and reports whether it has escapes.
func (w *jsonWalker) str() (escaped bool, err error) {
	for i := w.pos + 1; i < len(w.data); i++ {
		switch c := w.data[i]; {
		case c == '"':
			w.pos = i + 1
			return escaped, nil
		case c == '\\':
			escaped = true
			if i++; i >= len(w.data) {
				return false, errSyntax
			}
			switch w.data[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if _, ok := hex4(w.data[i+1:]); !ok {
					return false, errSyntax
				}
				i += 4
			default:
				return false, errSyntax
			}
		case c < ' ':
			return false, errSyntax
		}
	}
	return false, errSyntax
}

func (w *jsonWalker) number() error {
	if w.peek() == '-' {
		w.pos++
	}
	if w.peek() == '0' {
		w.pos++
	} else if !w.digits() {
		return errSyntax
	}
	if w.peek() == '.' {
		w.pos++
		if !w.digits() {
			return errSyntax
		}
	}
	if c := w.peek(); c == 'e' || c == 'E' {
		w.pos++
		if c := w.peek(); c == '+' || c == '-' {
			w.pos++
		}
		if !w.digits() {
			return errSyntax
		}
	}
	return nil
}

func (w *jsonWalker) digits() bool {
	start := w.pos
	for w.pos < len(w.data) && '0' <= w.data[w.pos] && w.data[w.pos] <= '9' {
		w.pos++
	}
	return w.pos > start
}

func (w *jsonWalker) literal(s string) error {
	if len(w.data)-w.pos < len(s) || string(w.data[w.pos:w.pos+len(s)]) != s {
		return errSyntax
	}
	w.pos += len(s)
	return nil
}

// scalar takes the string or number at node n into the record.
func (w *jsonWalker) scalar(n *node, start, end int, escaped, number bool) error {
	text := w.data[start:end]
	if escaped {
		text = w.unescape(text)
	}
	if n.kind < 0 && n.leads {
		return fmt.Errorf("field %s is a value where the map expects an object with an identifier", n.path)
	}
	if n.kind >= 0 && number {
		text = plainInteger(text)
	}
	w.take(w.rec, n, text, w.elem)
	return nil
}

// plainInteger writes a whole number as its digits, because 12345, 12345.0 and
// 1.2345e4 are the same identifier.
func plainInteger(text []byte) []byte {
	for _, c := range text {
		if c == '.' || c == 'e' || c == 'E' {
			f, err := strconv.ParseFloat(string(text), 64)
			if err == nil && f == float64(int64(f)) && -1<<53 <= f && f <= 1<<53 {
				return strconv.AppendInt(nil, int64(f), 10)
			}
			return text
		}
	}
	return text
}

// unescape gives the text of a valid string with escapes. The result is valid
// until the next call.
func (w *jsonWalker) unescape(s []byte) []byte {
	out := w.buf[:0]
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out = append(out, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(s[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				r2 := rune(-1)
				if i+2 < len(s) && s[i+1] == '\\' && s[i+2] == 'u' {
					r2, _ = hex4(s[i+3:])
				}
				if r = utf16.DecodeRune(r, r2); r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, s[i])
		}
	}
	w.buf = out
	return out
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range s[:4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}
