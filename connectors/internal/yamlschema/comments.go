package yamlschema

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
)

// Comments reads the doc comments of the struct types in the Go files of
// folders, by "package.Type" and "package.Type.Field".
func Comments(dirs ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				return nil, fmt.Errorf("reading doc comments: %w", err)
			}
			collect(tree, out)
		}
	}
	return out, nil
}

func collect(tree *ast.File, out map[string]string) {
	for _, decl := range tree.Decls {
		d, ok := decl.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			t, ok := spec.(*ast.TypeSpec)
			if !ok {
				continue
			}
			s, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			key := tree.Name.Name + "." + t.Name.Name
			doc := t.Doc
			if doc == nil {
				doc = d.Doc
			}
			out[key] = plain(doc.Text())
			for _, f := range s.Fields.List {
				text := f.Doc.Text()
				if text == "" {
					text = f.Comment.Text()
				}
				for _, n := range f.Names {
					out[key+"."+n.Name] = plain(text)
				}
			}
		}
	}
}

var link = regexp.MustCompile(`\[([A-Za-z.]+)\]`)

// plain is a doc comment as a sentence or two for somebody who edits a file.
func plain(text string) string {
	return strings.Join(strings.Fields(link.ReplaceAllString(text, "$1")), " ")
}
