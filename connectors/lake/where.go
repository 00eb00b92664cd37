package lake

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/habeas-data/habeas/connectors/internal/declared"
)

// located puts the file and the line before an error about a map. The checks
// of a map begin their errors with the place: "stores[0]: time.field: …".
func located(file string, data []byte, err error) error {
	if _, placed := errors.AsType[yaml.Error](err); placed {
		return declared.Located(file, err)
	}
	tree, parsed := parser.ParseBytes(data, 0)
	if parsed != nil || len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return fmt.Errorf("%s:%d: %w", file, lineOf(tree.Docs[0].Body, err.Error()), err)
}

// placeWord is one key of a place, with the index of a list behind it.
var placeWord = regexp.MustCompile(`^([^.:\s\[\]]+)(?:\[(\d+)\])?[.:]\s?`)

// lineOf is the line of the last part of the place that is in the file.
func lineOf(n ast.Node, text string) int {
	line := 1
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
