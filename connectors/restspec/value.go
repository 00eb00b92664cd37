package restspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// decodeValue decodes one JSON value, with numbers as they are written.
func decodeValue(raw []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, errors.New("reading JSON: not a JSON value")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading JSON: more than one value")
	}
	return v, nil
}

// at returns the value at a dotted path: object keys, and numbers for elements
// of lists. "." is v itself. A missing value is nil.
func at(v any, path string) any {
	if path == "." || path == "" {
		return v
	}
	for word := range strings.SplitSeq(path, ".") {
		switch w := v.(type) {
		case map[string]any:
			v = w[word]
		case []any:
			i, err := strconv.Atoi(word)
			if err != nil || i < 0 || i >= len(w) {
				return nil
			}
			v = w[i]
		default:
			return nil
		}
	}
	return v
}

// firstAt is the scalar at the first of several paths, with "|" between them,
// that has one.
func firstAt(v any, paths string) string {
	for path := range strings.SplitSeq(paths, "|") {
		if s, ok := scalarText(at(v, path)); ok && s != "" {
			return s
		}
	}
	return ""
}

// all returns the scalars at a path, going through every element of the lists
// on the way, as text.
func all(v any, path string) []string {
	var out []string
	var walk func(v any, words []string)
	walk = func(v any, words []string) {
		if list, ok := v.([]any); ok {
			if len(words) > 0 {
				if i, err := strconv.Atoi(words[0]); err == nil {
					if i >= 0 && i < len(list) {
						walk(list[i], words[1:])
					}
					return
				}
			}
			for _, e := range list {
				walk(e, words)
			}
			return
		}
		if len(words) == 0 {
			if s, ok := scalarText(v); ok && v != nil {
				out = append(out, s)
			}
			return
		}
		if m, ok := v.(map[string]any); ok {
			walk(m[words[0]], words[1:])
		}
	}
	if path == "." || path == "" {
		walk(v, nil)
	} else {
		walk(v, strings.Split(path, "."))
	}
	return out
}

// scalarText is a scalar as text; nil is "". The second result is false for
// objects and lists.
func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

// sameIdentifier compares two values of one kind as the kind means them: case
// and space do not tell e-mail addresses apart, nor punctuation phone numbers.
// A value of which nothing is left is nobody's.
func sameIdentifier(kind sdk.Kind, a, b string) bool {
	a, b = normalise(kind, a), normalise(kind, b)
	return a != "" && a == b
}

func normalise(kind sdk.Kind, s string) string {
	switch kind {
	case sdk.Email:
		return strings.ToLower(strings.TrimSpace(s))
	case sdk.Phone:
		var b strings.Builder
		for i, r := range strings.TrimSpace(s) {
			if '0' <= r && r <= '9' || r == '+' && i == 0 {
				b.WriteRune(r)
			}
		}
		return b.String()
	default:
		return s
	}
}

// timeOf reads a date, an RFC 3339 time or a Unix time in seconds or
// milliseconds. The second result is false when v is none of them.
func timeOf(v any) (time.Time, bool) {
	switch v := v.(type) {
	case string:
		for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05", time.DateOnly} {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), true
			}
		}
	case json.Number:
		n, err := v.Int64()
		if err != nil || n <= 0 {
			return time.Time{}, false
		}
		if n > 1e11 { // past the year 5000 in seconds: milliseconds
			return time.UnixMilli(n).UTC(), true
		}
		return time.Unix(n, 0).UTC(), true
	}
	return time.Time{}, false
}
