package declared

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Fault is an error about one field of an entry of a list, such as field "key" of
// entry 2 of "stores". Its line is that of what is there: the field, else the
// entry, else the list.
func (f *File) Fault(list string, entry int, field, format string, args ...any) error {
	at := fmt.Sprintf("%s[%d].%s", list, entry, field)
	return fmt.Errorf("%s:%d: %s: %s", f.Name, f.line(at+":"), at, fmt.Sprintf(format, args...))
}

// Placed puts the file and the line before an error whose text begins with its
// place, such as "stores[0]: time.field: …". The line is that of the last part of
// the place that is in the file.
func (f *File) Placed(err error) error {
	return fmt.Errorf("%s:%d: %w", f.Name, f.line(err.Error()), err)
}

// placeWord is one key of a place, with the index of a list behind it.
var placeWord = regexp.MustCompile(`^([^.:\s\[\]]+)(?:\[(\d+)\])?[.:]\s?`)

// line is the line of the last part of the place that text begins with and that
// is in the file, else the first.
func (f *File) line(text string) int {
	line := 1
	if len(f.tree.Docs) == 0 {
		return line
	}
	n := f.tree.Docs[0].Body
	for {
		m := placeWord.FindStringSubmatch(text)
		if m == nil {
			return line
		}
		text = strings.TrimPrefix(text, m[0])
		next := member(n, m[1])
		if next == nil {
			return line
		}
		line = next.Key.GetToken().Position.Line
		n = next.Value
		if list, ok := n.(*ast.SequenceNode); ok && m[2] != "" {
			i, err := strconv.Atoi(m[2])
			if err != nil || i >= len(list.Values) {
				return line
			}
			n = list.Values[i]
			line = n.GetToken().Position.Line
		}
	}
}

// member is the entry of a mapping with that key, or nil.
func member(n ast.Node, key string) *ast.MappingValueNode {
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	}
	for _, e := range entries {
		if s, ok := e.Key.(*ast.StringNode); ok && s.Value == key || e.Key.String() == key {
			return e
		}
	}
	return nil
}
