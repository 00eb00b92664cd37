package sqlmap

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// dataTypes are the types a data map can give a field, each with how a text is
// cast to it before it is compared. Text that can't be cast is nobody's there.
var dataTypes = map[string]func(string) (value, bool){
	"":       asText,
	"string": asText,
	"object": asText,
	"integer": func(s string) (value, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		return n, err == nil
	},
	"float": func(s string) (value, bool) {
		n, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		return n, err == nil
	},
	"boolean": func(s string) (value, bool) {
		b, err := strconv.ParseBool(strings.TrimSpace(s))
		return strconv.FormatBool(b), err == nil
	},
	"object_id": func(s string) (value, bool) {
		_, err := hex.DecodeString(s)
		return strings.ToLower(s), err == nil && len(s) == 24
	},
}

func asText(s string) (value, bool) { return s, true }

// cast makes of an identifier what the field's data_type says it is compared
// as, and reports whether it can be that at all.
func (f *field) cast(s string) (value, bool) {
	return dataTypes[strings.TrimSuffix(f.meta.DataType, "[]")](s)
}
