package delivery

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// text screens a text of which no scan has found anything, for what is wrapped in
// it and for what belongs to others: nil and its kinds when all of it is withheld,
// the text with kinds when something inside was replaced, and no kinds when nothing
// was found.
//
// Systems keep JSON, whose names say what its values are, in columns of text. Every
// further wrapping of JSON doubles its escapes and that of base64 adds a third, so
// that unwrapping to the end costs little more than the first time.
func (s *screen) text(name, text string) (clean *string, kinds []string, err error) {
	trimmed := strings.TrimSpace(text)
	switch {
	case looksLikeJSON(trimmed):
		inside, found, err := s.value(name, json.RawMessage(trimmed))
		if err != nil {
			return nil, nil, err
		}
		if inside == nil {
			return nil, found, nil
		}
		if kinds = found; len(kinds) > 0 {
			text = string(inside)
		}
	default:
		plain, ok := fromBase64(trimmed)
		if !ok {
			break
		}
		value, err := marshal(plain)
		if err != nil {
			return nil, nil, err
		}
		if _, found, err := s.value(name, value); err != nil || len(found) > 0 {
			return nil, found, err
		}
	}
	masked, others := s.own.mask(name, text)
	if len(others) > 0 {
		text, kinds = masked, append(kinds, others...)
	}
	if len(kinds) == 0 {
		return nil, nil, nil
	}
	return &text, kinds, nil
}

// looksLikeJSON reports whether a text is a JSON object, array or string.
func looksLikeJSON(text string) bool {
	if len(text) < 2 {
		return false
	}
	switch [2]byte{text[0], text[len(text)-1]} {
	case [2]byte{'{', '}'}, [2]byte{'[', ']'}, [2]byte{'"', '"'}:
		return json.Valid([]byte(text))
	}
	return false
}

// shortestBase64 is the length of nine digits in base64, and probe how much of a
// text is decoded to see whether the rest is worth it. Both are multiples of four.
const (
	shortestBase64 = 12
	probe          = 64
)

// fromBase64 decodes a text all of which is base64, in either alphabet, of text
// that can be read.
func fromBase64(text string) (plain string, ok bool) {
	if len(text) < shortestBase64 {
		return "", false
	}
	breaks, url := false, false
	for i := range len(text) {
		switch c := text[i]; {
		case isDigit(c), isLetter(c), c == '+', c == '/':
		case c == '-', c == '_':
			url = true
		case c == '\r', c == '\n':
			breaks = true
		case c == '=' && i >= len(text)-2:
		default:
			return "", false
		}
	}
	if breaks {
		text = strings.NewReplacer("\r", "", "\n", "").Replace(text)
	}
	text = strings.TrimRight(text, "=")
	coding := base64.RawStdEncoding
	if url {
		coding = base64.RawURLEncoding
	}
	if len(text) > probe {
		head, err := coding.DecodeString(text[:probe])
		if err != nil || !readable(head, true) {
			return "", false
		}
	}
	all, err := coding.DecodeString(text)
	if err != nil || !readable(all, false) {
		return "", false
	}
	return string(all), true
}

// readable reports whether bytes are text; cut says that they may end within a
// character.
func readable(b []byte, cut bool) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && size <= 1:
			return cut && len(b) < utf8.UTFMax && !utf8.FullRune(b)
		case unicode.IsControl(r) && r != '\t' && r != '\r' && r != '\n':
			return false
		}
		b = b[size:]
	}
	return true
}
