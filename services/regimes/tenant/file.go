package tenant

import (
	"bytes"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// File is a tenant's file: its decisions, and where in the file each stands.
type File struct {
	Tenant
	Name string
	tree *ast.File
}

// Open reads a file. It refuses fields it does not know.
func Open(name string) (*File, error) {
	text, err := os.ReadFile(name) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, fmt.Errorf("reading the tenant's file: %w", err)
	}
	return Parse(name, text)
}

// Parse reads the text of a file called name.
func Parse(name string, text []byte) (*File, error) {
	f := &File{Name: name}
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&f.Tenant); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	var err error
	if f.tree, err = parser.ParseBytes(text, 0); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return f, nil
}

// line returns where a path such as agents.otherwise stands in the file, or,
// when the file does not have it, where what it would belong to stands.
func (f *File) line(path string) int {
	for p := path; p != ""; p = parent(p) {
		at, err := yaml.PathString("$." + p)
		if err != nil {
			continue
		}
		node, err := at.FilterFile(f.tree)
		if err == nil && node != nil && node.GetToken() != nil {
			return node.GetToken().Position.Line
		}
	}
	return 1
}

// parent cuts the last step of a path; "" for the first.
func parent(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '.' || path[i] == '[' {
			return path[:i]
		}
	}
	return ""
}
