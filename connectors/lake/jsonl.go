package lake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// jsonl is one JSON object a line.
type jsonl struct {
	w jsonWalker
}

func (*jsonl) more([]byte) bool { return false }

func (j *jsonl) parse(rec *record, l *lookup) error {
	if len(bytes.TrimSpace(rec.raw)) == 0 {
		return nil
	}
	j.w.lookup = l
	return j.w.walk(rec)
}

// cut leaves elements out of their lists, each with one of the commas beside
// it, and copies everything else as it is.
func (*jsonl) cut(buf []byte, rec *record, elems []int) []byte {
	gone := make(map[int]bool, len(elems))
	for _, i := range elems {
		gone[i] = true
	}
	at := 0
	keptBefore := false // an earlier element of the same list stays
	for i, e := range rec.elems {
		if e.first {
			keptBefore = false
		}
		if !gone[i] {
			keptBefore = true
			continue
		}
		from, to := e.start, e.end
		if keptBefore {
			from = rec.elems[i-1].end // the comma before it goes
		} else if i+1 < len(rec.elems) && rec.elems[i+1].list == e.list {
			to = rec.elems[i+1].start // the comma after it goes
		}
		buf = append(buf, rec.raw[at:from]...)
		at = to
	}
	return append(buf, rec.raw[at:]...)
}

func (*jsonl) fields(rec *record, l *lookup) ([]sdk.Field, error) {
	dec := json.NewDecoder(bytes.NewReader(rec.raw))
	if _, err := dec.Token(); err != nil { // the opening brace
		return nil, fmt.Errorf("reading a record: %w", errSyntax)
	}
	var fields []sdk.Field
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("reading a record: %w", errSyntax)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("reading a record: %w", errSyntax)
		}
		end := int(dec.InputOffset())
		key, ok := name.(string)
		if !ok {
			return nil, fmt.Errorf("reading a record: %w", errSyntax)
		}
		fields = append(fields, jsonField(key, value, end-len(value), rec, l))
	}
	return fields, nil
}

// jsonField is the field whose value stands at start in the record.
func jsonField(name string, value json.RawMessage, start int, rec *record, l *lookup) sdk.Field {
	end := start + len(value)
	out := make(json.RawMessage, 0, len(value))
	at := start
	for _, h := range rec.hidden {
		if h.start < at || h.end > end {
			continue // in another field, or within what is hidden already
		}
		as := l.withheldAs[h.item]
		if h.start == start && h.end == end {
			return sdk.Field{Name: name, Value: sdk.Withheld(as)}
		}
		out = append(out, rec.raw[at:h.start]...)
		out = append(out, hiddenText(as)...)
		at = h.end
	}
	out = append(out, rec.raw[at:end]...)
	return sdk.Field{Name: name, Value: jsonValue(out)}
}

// hiddenText is what stands for a withheld value inside nested data.
func hiddenText(as string) json.RawMessage {
	text, err := json.Marshal("withheld: " + as)
	if err != nil {
		return json.RawMessage(`"withheld"`) // no string fails to marshal
	}
	return text
}

func jsonValue(raw json.RawMessage) any {
	switch raw[0] {
	case '{', '[':
		return raw
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	case 't':
		return true
	case 'f':
		return false
	case 'n':
		return nil
	default:
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			return n
		}
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil && !math.IsInf(f, 0) {
			// A number that a float would round stays as it is written.
			if strconv.FormatFloat(f, 'g', -1, 64) == string(raw) || len(raw) < 16 {
				return f
			}
		}
	}
	return raw
}
