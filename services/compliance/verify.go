package compliance

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// Verify reports every claim of rows that the repository under root does not
// bear out: a file that is not there, a test that does not exist.
func Verify(rows []Row, root fs.FS) error {
	v := verifier{root: root, folders: make(map[string]folder)}
	var errs []error
	for _, r := range rows {
		if err := v.row(r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.ID, err))
		}
	}
	return errors.Join(errs...)
}

type verifier struct {
	root    fs.FS
	folders map[string]folder
}

// folder is what the tests of one folder define: functions, and strings, one of
// which is the name of a subtest.
type folder struct{ functions, words map[string]bool }

func (v *verifier) row(r Row) error {
	var errs []error
	for _, file := range r.Where {
		if _, err := fs.Stat(v.root, file); err != nil {
			errs = append(errs, fmt.Errorf("where: there is no %s", file))
		}
	}
	for _, t := range r.Tests {
		if err := v.test(t); err != nil {
			errs = append(errs, fmt.Errorf("tests: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (v *verifier) test(ref string) error {
	m := testShape.FindStringSubmatch(ref)
	if m == nil {
		return fmt.Errorf("%q is not the name of a test", ref)
	}
	dir, function, sub := m[1], m[2], m[3]
	f, err := v.folder(dir)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", ref, err)
	case !f.functions[function]:
		return fmt.Errorf("%s has no %s", dir, function)
	case sub == "" || f.words[sub]:
		return nil
	}
	// A script is a subtest named after its file.
	for _, name := range []string{sub + ".txtar", sub + ".txt"} {
		if _, err := fs.Stat(v.root, path.Join(dir, "testdata", name)); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: no test of the folder is called %q", dir, sub)
}

func (v *verifier) folder(dir string) (folder, error) {
	if f, ok := v.folders[dir]; ok {
		return f, nil
	}
	names, err := fs.Glob(v.root, path.Join(dir, "*_test.go"))
	if err != nil || len(names) == 0 {
		return folder{}, errors.New("there are no tests")
	}
	f := folder{functions: make(map[string]bool), words: make(map[string]bool)}
	for _, name := range names {
		text, err := fs.ReadFile(v.root, name)
		if err != nil {
			return folder{}, err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return folder{}, err
		}
		f.read(file)
	}
	v.folders[dir] = f
	return f, nil
}

func (f folder) read(file *ast.File) {
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
			f.functions[fn.Name.Name] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if word, err := strconv.Unquote(lit.Value); err == nil {
				f.words[strings.TrimSpace(word)] = true
			}
		}
		return true
	})
}
