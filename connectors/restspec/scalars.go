package restspec

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Strings is one string or a list of them; numbers and booleans are taken as
// they are written.
type Strings []string

// UnmarshalYAML reads a scalar or a list of scalars.
func (s *Strings) UnmarshalYAML(n ast.Node) error {
	v, err := plainNode(n)
	if err != nil {
		return err
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	*s = nil
	for _, e := range list {
		switch e := e.(type) {
		case string:
			*s = append(*s, e)
		case bool, int, int64, uint64, float64:
			*s = append(*s, fmt.Sprint(e))
		default:
			return faultAt(n, "want a value or a list of values")
		}
	}
	return nil
}

// Duration is a time.Duration written as "30s", "2h" or "10d".
type Duration time.Duration

// UnmarshalYAML reads a duration; "d" is a day of 24 hours.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	v, err := plainNode(n)
	if err != nil {
		return err
	}
	text := fmt.Sprint(v)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n >= 0 && n <= 36500 {
			*d = Duration(time.Duration(n) * 24 * time.Hour)
			return nil
		}
	}
	t, err := time.ParseDuration(text)
	if err != nil || t < 0 {
		return faultAt(n, fmt.Sprintf("%q is not a duration such as 30s, 2h or 10d", text))
	}
	*d = Duration(t)
	return nil
}

// Size is a number of bytes written as "512KiB" or "8MiB".
type Size int64

// UnmarshalYAML reads a size in bytes, KiB, MiB or GiB.
func (z *Size) UnmarshalYAML(n ast.Node) error {
	v, err := plainNode(n)
	if err != nil {
		return err
	}
	text := fmt.Sprint(v)
	number, unit := text, int64(1)
	for suffix, size := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = rest, size
		}
	}
	count, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || count <= 0 || count > 1<<40/unit {
		return faultAt(n, fmt.Sprintf("%q is not a size such as 512KiB or 8MiB", text))
	}
	*z = Size(count * unit)
	return nil
}

// plainNode is the value of a node that holds no alias.
func plainNode(n ast.Node) (any, error) {
	var v any
	if err := yaml.NodeToValue(n, &v); err != nil {
		return nil, faultAt(n, "not a plain value: write it out here")
	}
	return v, nil
}

// faultAt is an error that knows its line.
func faultAt(n ast.Node, message string) error {
	return &yaml.SyntaxError{Message: message, Token: n.GetToken()}
}
