package lake

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	schema "github.com/parquet-go/parquet-go/format"
)

// isIdentifier reports whether values of a column have one text, by which they
// can be compared.
func isIdentifier(c *parquet.Column) bool {
	switch logical := c.Type().LogicalType(); logicalValue(logical).(type) {
	case *schema.DecimalType, *schema.TimestampType, *schema.TimeType, *schema.DateType, *schema.BsonType:
		return false
	}
	switch c.Type().Kind() {
	case parquet.ByteArray, parquet.FixedLenByteArray, parquet.Int32, parquet.Int64, parquet.Double:
		return true
	}
	return false
}

func logicalValue(l *schema.LogicalType) any {
	if l == nil {
		return nil
	}
	return l.Value
}

// appendText appends the text of a value: whole numbers as digits, UUIDs as
// people write them, bytes as they are.
func appendText(buf []byte, c *parquet.Column, v parquet.Value) []byte {
	logical := logicalValue(c.Type().LogicalType())
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.AppendBool(buf, v.Boolean())
	case parquet.Int32:
		if t, ok := logical.(*schema.IntType); ok && !t.IsSigned {
			return strconv.AppendUint(buf, uint64(v.Uint32()), 10)
		}
		return strconv.AppendInt(buf, int64(v.Int32()), 10)
	case parquet.Int64:
		if t, ok := logical.(*schema.IntType); ok && !t.IsSigned {
			return strconv.AppendUint(buf, v.Uint64(), 10)
		}
		return strconv.AppendInt(buf, v.Int64(), 10)
	case parquet.Int96:
		return append(buf, v.Int96().String()...)
	case parquet.Float:
		return strconv.AppendFloat(buf, float64(v.Float()), 'f', -1, 32)
	case parquet.Double:
		return strconv.AppendFloat(buf, v.Double(), 'f', -1, 64)
	}
	if _, ok := logical.(*schema.UUIDType); ok && len(v.ByteArray()) == 16 {
		b := v.ByteArray()
		return fmt.Appendf(buf, "%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	}
	return append(buf, v.ByteArray()...)
}

// appendTime appends a time as the layout writes it, from a column of the
// format's own kinds of times; of any other column, the text.
func appendTime(buf []byte, c *parquet.Column, v parquet.Value, layout timeLayout) []byte {
	if t, ok := instant(c, v); ok {
		return append(buf, layout.format(t)...)
	}
	return appendText(buf, c, v)
}

// julianEpoch is the Julian day of 1970-01-01.
const julianEpoch = 2440588

// instant is the time of a value, if its column holds times.
func instant(c *parquet.Column, v parquet.Value) (time.Time, bool) {
	switch t := logicalValue(c.Type().LogicalType()).(type) {
	case *schema.TimestampType:
		switch t.Unit.Value.(type) {
		case *schema.MilliSeconds:
			return time.UnixMilli(v.Int64()).UTC(), true
		case *schema.MicroSeconds:
			return time.UnixMicro(v.Int64()).UTC(), true
		}
		return time.Unix(0, v.Int64()).UTC(), true
	case *schema.DateType:
		return time.Unix(int64(v.Int32())*86400, 0).UTC(), true
	}
	if v.Kind() == parquet.Int96 {
		// The old form: nanoseconds of the day, then the Julian day.
		i := v.Int96()
		nanos := int64(uint64(i[0]) | uint64(i[1])<<32) //nolint:gosec // less than a day
		return time.Unix((int64(i[2])-julianEpoch)*86400, nanos).UTC(), true
	}
	return time.Time{}, false
}

// shown is a value as a person is shown it.
func shown(c *parquet.Column, v parquet.Value) any {
	if v.IsNull() {
		return nil
	}
	if t, ok := instant(c, v); ok {
		if _, date := logicalValue(c.Type().LogicalType()).(*schema.DateType); date {
			return t.Format(time.DateOnly)
		}
		return t.Format(time.RFC3339Nano)
	}
	switch logical := logicalValue(c.Type().LogicalType()).(type) {
	case *schema.DecimalType:
		return decimal(v, int(logical.Scale))
	case *schema.JsonType:
		if json.Valid(v.ByteArray()) {
			return json.RawMessage(append([]byte(nil), v.ByteArray()...))
		}
	}
	switch v.Kind() {
	case parquet.Boolean:
		return v.Boolean()
	case parquet.Int32, parquet.Int64:
		text := string(appendText(nil, c, v))
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		return text
	case parquet.Float, parquet.Double:
		f := v.Double()
		if v.Kind() == parquet.Float {
			f = float64(v.Float())
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return string(appendText(nil, c, v))
		}
		return f
	}
	text := string(appendText(nil, c, v))
	if !utf8.ValidString(text) {
		return hex.EncodeToString([]byte(text))
	}
	return text
}

// decimal writes a decimal number exactly.
func decimal(v parquet.Value, scale int) string {
	unscaled := unscaledOf(v).String()
	negative := strings.HasPrefix(unscaled, "-")
	digits := strings.TrimPrefix(unscaled, "-")
	if scale > 0 {
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if negative {
		return "-" + digits
	}
	return digits
}

// unscaledOf is the whole number a decimal is written as: an integer, or bytes
// in two's complement with the highest first.
func unscaledOf(v parquet.Value) *big.Int {
	switch v.Kind() {
	case parquet.Int32:
		return big.NewInt(int64(v.Int32()))
	case parquet.Int64:
		return big.NewInt(v.Int64())
	}
	b := v.ByteArray()
	n := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return n
}

func pathOf(c *parquet.Column) string { return strings.Join(c.Path(), ".") }

// leafColumns are the columns below a group that hold values, in their order.
func leafColumns(c *parquet.Column) iter.Seq[*parquet.Column] {
	return func(yield func(*parquet.Column) bool) { eachLeaf(c, yield) }
}

func eachLeaf(c *parquet.Column, yield func(*parquet.Column) bool) bool {
	if c.Leaf() {
		return yield(c)
	}
	for _, below := range c.Columns() {
		if !eachLeaf(below, yield) {
			return false
		}
	}
	return true
}

func listText(list []any) (json.RawMessage, error) {
	if list == nil {
		list = []any{}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("writing a list of values: %w", err)
	}
	return text, nil
}
