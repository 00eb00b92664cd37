// Package declared reads the files by which systems are declared: maps and
// specifications, each one YAML document. It owes its callers that nothing in a
// file is passed over, and that every error names the file and the line. What
// the maps of all engines say in the same words, it reads and judges once.
package declared

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// File is a file that was read. Name stands in errors.
type File struct {
	Name string
	// Digest is the SHA-256 of the content, in hex.
	Digest string
	tree   *ast.File
}

// Read gives the content of a file and the name it has in errors.
func Read(path, what string) (name string, data []byte, err error) {
	data, err = os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	return filepath.Base(path), data, nil
}

// Beside is where a file is that a configuration file names: from that file's
// folder, unless it is absolute.
func Beside(config, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(config), path)
}

// Decode reads data into the value that into points to. Fields it does not have
// are errors.
func Decode(name string, data []byte, into any) (*File, error) {
	sum := sha256.Sum256(data)
	data, err := Text(name, data)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, Located(name, err)
	}
	for i, d := range tree.Docs {
		if i > 0 && d.Body != nil && d.Body.Type() != ast.CommentType { // the decoder reads the first alone
			return nil, fmt.Errorf("%s:%d: a second document begins here; one file is one document", name, d.Body.GetToken().Position.Line)
		}
	}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(into); err != nil && !errors.Is(err, io.EOF) { // an empty file says nothing
		return nil, Located(name, err)
	}
	return &File{Name: name, Digest: hex.EncodeToString(sum[:]), tree: tree}, nil
}

// Map reads data into a new map, and lets check look at it before anybody has it.
func Map[T any](name string, data []byte, check func(*T, *File) error) (*T, error) {
	m := new(T)
	f, err := Decode(name, data, m)
	if err != nil {
		return nil, err
	}
	if err := check(m, f); err != nil {
		return nil, err
	}
	return m, nil
}

// Located puts file and line before what the YAML library says.
func Located(name string, err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		return fmt.Errorf("%s:%d: %s", name, e.GetToken().Position.Line, e.GetMessage())
	}
	return fmt.Errorf("%s: %w", name, err)
}
