package sqlmap

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
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

// encode writes a row key as a string, so that different keys give different
// strings whatever their types and contents.
func encode(key []value) string {
	var b strings.Builder
	for _, v := range key {
		switch v := v.(type) {
		case nil:
			b.WriteByte('n')
		case int64:
			b.WriteByte('i')
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], uint64(v)) //nolint:gosec // the bits, not the number
			b.Write(n[:])
		case float64:
			b.WriteByte('f')
			var n [8]byte
			binary.BigEndian.PutUint64(n[:], math.Float64bits(v))
			b.Write(n[:])
		case bool:
			b.WriteString(strconv.FormatBool(v))
		case string:
			fmt.Fprintf(&b, "s%d:%s", len(v), v)
		case blob:
			fmt.Fprintf(&b, "b%d:%s", len(v), string(v))
		}
	}
	return b.String()
}

// readable makes an export value of bytes.
func readable(b []byte) (string, bool) {
	if utf8.Valid(b) {
		return string(b), true
	}
	return "", false
}
