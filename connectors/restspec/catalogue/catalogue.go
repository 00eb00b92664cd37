// Package catalogue holds specifications of systems that many companies use,
// in the format of package restspec. Each says in its header where its facts
// come from, and each is tried against a fake that plays the vendor's
// documented behaviour, faults included; README.md says how to add one.
package catalogue

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names are the names of the entries, sorted.
func Names() []string {
	found, err := fs.Glob(files, "*.yaml")
	if err != nil {
		panic(err) // the pattern is fixed
	}
	for i, f := range found {
		found[i] = strings.TrimSuffix(f, ".yaml")
	}
	return found
}

// Read returns the specification of an entry. The error of an unknown name
// lists those there are.
func Read(name string) ([]byte, error) {
	src, err := files.ReadFile(name + ".yaml")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil, fmt.Errorf("the catalogue has no %q; it has %s", name, strings.Join(Names(), ", "))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the catalogue: %w", err)
	}
	return src, nil
}
