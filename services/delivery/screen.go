package delivery

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// withheldBasis is the rule under which items are withheld by their type.
const withheldBasis = "11 CCR 7024(d)"

// withheldValue stands in JSON for an item that is never disclosed.
type withheldValue struct {
	Collected bool   `json:"collected"`
	Withheld  string `json:"withheld"`
	Kind      string `json:"kind"`
}

func withheldJSON(kind, basis string) json.RawMessage {
	text, err := json.Marshal(withheldValue{Collected: true, Withheld: cmp.Or(basis, basisOf(kind)), Kind: kind})
	if err != nil {
		panic(err) // two strings and a bool can always be marshalled
	}
	return text
}

// scanner returns the type of an item that may never be disclosed in the value
// of a field, or "".
type scanner func(rules []nameRule, value string, number bool) (string, error)

// screen is the second look for items that may never be disclosed; the first
// is the connectors'. One screen serves one build; it is not safe for
// concurrent use.
type screen struct {
	scan  scanner
	rules map[string][]nameRule // by dotted name
	names map[string]string     // by their JSON
	// own tells what in the values is somebody else's, and withholdings are
	// what exceptions leave out.
	own          ownership
	withholdings []Withholding
	// at are the connector and store of the records at hand.
	at [2]string
	// off passes everything: for parts that were screened whole before and
	// had nothing to withhold.
	off bool
}

// maxNames bounds the cache of names: nested values may have any number.
const maxNames = 20_000

func newScreen(scan scanner, o *Order) *screen {
	own := newOwnership(o.Own, o.NamesOthers)
	own.masked = newMasker(o.Masked)
	return &screen{scan: scan, rules: map[string][]nameRule{}, names: map[string]string{}, own: own, withholdings: o.Withholdings}
}

// scanValue is the scanner of every room.
func scanValue(rules []nameRule, value string, number bool) (string, error) {
	labelled := false
	for _, r := range rules {
		if r.shape(value, number) {
			return r.kind, nil
		}
		labelled = labelled || r.kind == kindSSN || r.kind == kindTaxID
	}
	if number {
		value = wholePart(value)
	}
	return scanText(value, labelled), nil
}

// wholePart writes a JSON number without exponent and without its fraction,
// whose digits are no number of anything.
func wholePart(v string) string {
	if strings.ContainsAny(v, "eE") {
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			v = strconv.FormatFloat(f, 'f', -1, 64)
		}
	}
	whole, _, _ := strings.Cut(v, ".")
	return whole
}

// selfCheck proves that the scan finds what it must, before any package is made.
func (s *screen) selfCheck() error {
	for value, want := range map[string]string{
		`"card 4111 1111 1111 1111"`:       kindCard,
		`"078-05-1120"`:                    kindSSN,
		`{"a":["DE89370400440532013000"]}`: kindAccount,
		`5555555555554444`:                 kindCard,
		`"passport no. X1234567"`:          kindPassport,
	} {
		f, err := s.field("note", json.RawMessage(value), "")
		if err != nil {
			return err
		}
		if f.withheld != want && (len(f.inside) != 1 || f.inside[0] != want) {
			return fmt.Errorf("%w: it does not find a %s", ErrScan, want)
		}
	}
	f, err := s.field("userPassword", json.RawMessage(`"x"`), "")
	if err == nil && f.withheld != kindPassword {
		return fmt.Errorf("%w: it does not find a password by its name", ErrScan)
	}
	return err
}

// field screens one field of a record. An error wraps [ErrScan] when the look
// could not be taken.
func (s *screen) field(name string, value json.RawMessage, withheld string) (f field, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: it panicked with %T", ErrScan, v)
		}
	}()
	if s.off {
		return field{name: name, value: value, withheld: withheld}, nil
	}
	inName, err := s.run(nil, name, false)
	if err != nil {
		return field{}, err
	}
	if inName != "" { // a name made of somebody's number
		return field{name: "withheld", withheld: inName, scanned: true}, nil
	}
	if withheld != "" {
		inKind, err := s.run(nil, withheld, false)
		if err != nil {
			return field{}, err
		}
		if inKind != "" { // the connector named the item by the item itself
			return field{name: name, withheld: inKind, scanned: true}, nil
		}
		return field{name: name, withheld: withheld}, nil
	}
	clean, kinds, err := s.value(name, value)
	if err != nil {
		return field{}, err
	}
	f = field{name: name, value: clean, scanned: len(kinds) > 0}
	switch {
	case clean == nil:
		f.withheld = kinds[0]
	case len(kinds) > 0:
		f.inside = kinds
	}
	return f, nil
}

func (s *screen) run(rules []nameRule, value string, number bool) (string, error) {
	kind, err := s.scan(rules, value, number)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrScan, err)
	}
	return kind, nil
}

// nameOf decodes a field's name. Records repeat theirs, so it remembers them.
func (s *screen) nameOf(raw []byte) (name string, ok bool) {
	if name, ok = s.names[string(raw)]; ok {
		return name, true
	}
	if name, ok = textOf(raw); ok && len(s.names) < maxNames && len(name) <= maxName {
		s.names[string(raw)] = name
	}
	return name, ok
}

func (s *screen) rulesOf(name string) []nameRule {
	rules, ok := s.rules[name]
	if !ok {
		if len(s.rules) >= maxNames {
			clear(s.rules)
		}
		rules = rulesFor(name)
		if len(name) <= maxName {
			s.rules[name] = rules
		}
	}
	return rules
}

var errNotJSON = errors.New("the value is not JSON")

// value screens a JSON value: nil and one kind when all of it is withheld, the
// value with kinds when something inside was replaced.
func (s *screen) value(name string, raw json.RawMessage) (json.RawMessage, []string, error) {
	switch {
	case len(raw) == 0:
		return nil, nil, errNotJSON
	case raw[0] == '{' || raw[0] == '[':
		return s.nested(name, raw)
	case raw[0] == 't' || raw[0] == 'f' || raw[0] == 'n':
		return raw, nil, nil
	}
	text, isText := textOf(raw)
	number := !isText
	if number {
		text = string(raw)
	}
	kind, err := s.run(s.rulesOf(name), text, number)
	if err != nil {
		return nil, nil, err
	}
	if kind != "" {
		return nil, []string{kind}, nil
	}
	if number {
		return raw, nil, nil
	}
	clean, kinds, err := s.text(name, text)
	switch {
	case err != nil || len(kinds) == 0:
		return raw, nil, err
	case clean == nil:
		return nil, kinds[:1], nil
	}
	raw, err = marshal(*clean)
	return raw, kinds, err
}

// nested screens every name and value inside an object or array. Untouched
// values keep their bytes.
func (s *screen) nested(name string, raw json.RawMessage) (json.RawMessage, []string, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	w := &nestedScreen{screen: s, dec: dec}
	if err := w.value(name); err != nil {
		return nil, nil, err
	}
	if len(w.kinds) == 0 {
		return raw, nil, nil
	}
	return w.out.Bytes(), w.kinds, nil
}

type nestedScreen struct {
	*screen
	dec   *json.Decoder
	out   bytes.Buffer
	kinds []string
}

func (w *nestedScreen) value(name string) error {
	tok, err := w.dec.Token()
	if err != nil {
		return errNotJSON
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '{' {
			return w.object(name)
		}
		return w.array(name)
	case string:
		return w.leaf(name, t, false, t)
	case json.Number:
		return w.leaf(name, t.String(), true, t)
	default: // true, false, null
		return w.write(t)
	}
}

func (w *nestedScreen) object(name string) error {
	w.out.WriteByte('{')
	for first := true; w.dec.More(); first = false {
		tok, err := w.dec.Token()
		if err != nil {
			return errNotJSON
		}
		key, _ := tok.(string) // a name in an object is a string
		if !first {
			w.out.WriteByte(',')
		}
		kind, err := w.run(nil, key, false)
		if err != nil {
			return err
		}
		if kind != "" {
			w.kinds = append(w.kinds, kind)
			key = fmt.Sprintf("withheld %d", len(w.kinds))
		}
		if err := w.write(key); err != nil {
			return err
		}
		w.out.WriteByte(':')
		if err := w.value(inner(name, key)); err != nil {
			return err
		}
	}
	return w.end('}')
}

// inner is the dotted name of a member. Of deep ones only the end counts.
func inner(name, key string) string {
	if len(name) > 100 {
		_, name, _ = strings.Cut(name[len(name)-100:], ".")
	}
	return name + "." + key
}

func (w *nestedScreen) array(name string) error {
	w.out.WriteByte('[')
	for first := true; w.dec.More(); first = false {
		if !first {
			w.out.WriteByte(',')
		}
		if err := w.value(name); err != nil {
			return err
		}
	}
	return w.end(']')
}

func (w *nestedScreen) end(delim byte) error {
	if _, err := w.dec.Token(); err != nil && !errors.Is(err, io.EOF) {
		return errNotJSON
	}
	w.out.WriteByte(delim)
	return nil
}

func (w *nestedScreen) leaf(name, text string, number bool, token any) error {
	kind, err := w.run(w.rulesOf(name), text, number)
	if err != nil {
		return err
	}
	if kind == "" {
		if number {
			return w.write(token)
		}
		clean, kinds, err := w.text(name, text)
		switch {
		case err != nil:
			return err
		case len(kinds) == 0:
			return w.write(token)
		case clean != nil:
			w.kinds = append(w.kinds, kinds...)
			return w.write(*clean)
		}
		kind = kinds[0]
	}
	w.kinds = append(w.kinds, kind)
	w.out.Write(withheldJSON(kind, ""))
	return nil
}

func (w *nestedScreen) write(v any) error {
	text, err := marshal(v)
	w.out.Write(text)
	return err
}

// marshal is json.Marshal without the escapes meant for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
