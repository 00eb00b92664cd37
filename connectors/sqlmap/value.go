package sqlmap

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// value is a column value as the dialect reads it for comparing: nil, int64,
// float64, string, bool or blob. Values are comparable and go back into
// statements unchanged.
type value any

// blob is bytes, comparable.
type blob string

// canonical makes a value of what a driver scanned.
func canonical(v any) value {
	switch v := v.(type) {
	case []byte:
		return blob(v)
	case nil, int64, float64, string, bool:
		return v
	case int32:
		return int64(v)
	}
	return fmt.Sprint(v)
}

// written is a value as text.
func written(v value) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

// argument makes a statement argument of a value.
func argument(v value) any {
	if b, ok := v.(blob); ok {
		return []byte(b)
	}
	return v
}

// conditionMatches compares a column with the texts of a condition.
func conditionMatches(v value, in []string) bool {
	var text string
	switch v := v.(type) {
	case nil:
		return false
	case blob:
		text = string(v)
	case bool:
		text = strconv.FormatBool(v)
	default:
		text = fmt.Sprint(v)
	}
	for _, want := range in {
		if text == want || want == "true" && text == "1" || want == "false" && text == "0" {
			return true
		}
	}
	return false
}

// appendKey writes a row key behind what is in b, so that different keys give
// different bytes whatever their types and contents.
func appendKey(b []byte, key []value) []byte {
	for _, v := range key {
		switch v := v.(type) {
		case nil:
			b = append(b, 'n')
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(v)) //nolint:gosec // the bits, not the number
		case float64:
			b = binary.BigEndian.AppendUint64(append(b, 'f'), math.Float64bits(v))
		case bool:
			b = strconv.AppendBool(b, v)
		case string:
			b = appendText(append(b, 's'), v)
		case blob:
			b = appendText(append(b, 'b'), string(v))
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = append(strconv.AppendInt(b, int64(len(s)), 10), ':')
	return append(b, s...)
}

// readable makes an export value of bytes.
func readable(b []byte) (string, bool) {
	if utf8.Valid(b) {
		return string(b), true
	}
	return "", false
}
