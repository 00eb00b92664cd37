package services_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// These tests are the layout of the repository, stated once. Each row of the
// tables below is a promise: who may lean on whom, and what a folder may be
// called.

const module = "github.com/habeas-data/habeas/"

var (
	rooms = []string{"services/intake", "services/coordinator", "services/delivery", "services/audit", "services/console"}

	// What a connector program is built on, besides the SDK: engines for a kind
	// of system, or for a protocol. Every other folder of connectors that is a
	// program is one connector.
	engines = []string{"connectors/sqlmap", "connectors/restspec", "connectors/lake", "connectors/keyspace", "connectors/clickhouse", "connectors/opendsr"}

	// The pure domain speaks to nothing.
	impure = []string{
		"database/sql", "net", "os", "github.com/jackc/", "modernc.org/sqlite",
		"github.com/nats-io/", "github.com/pressly/goose", "go.opentelemetry.io/",
	}

	topLevel = []string{
		"connectors", "deploy", "docs", "proto", "scripts", "services",
		"CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "go.work", "go.work.sum",
	}
	untracked  = []string{"build"} // as .gitignore has it
	emptyNames = []string{"pkg", "util", "utils", "common", "models", "types", "helpers"}
)

// under reports whether the package or folder p is one of dirs or below one.
func under(p string, dirs ...string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
	})
}

// source is one Go file: the folder it is in, what it imports, and whether it
// is a test. Folders and our own imports are paths from the repository's root.
type source struct {
	dir     string
	imports []string // ours, without the module's prefix
	foreign []string
	test    bool
	comment bool // has a package comment
	file    string
}

// broken says which rule an import breaks; "" for none.
func broken(from source, to string) string {
	allow := func(rule string, dirs ...string) string {
		if under(to, append(dirs, from.dir)...) {
			return ""
		}
		return rule
	}
	switch {
	case under(from.dir, "proto"):
		return allow("the contract imports nothing but itself", "proto")
	case under(from.dir, "services") && under(to, "connectors"):
		return "services never import connectors"
	case under(from.dir, "connectors") && under(to, "services"):
		return "connectors never import services"
	case under(from.dir, "connectors/sdk"):
		return allow("the SDK imports itself and the contract", "connectors/sdk", "proto")
	case under(from.dir, engines...):
		// What lies below an engine belongs to it.
		own := engines[slices.IndexFunc(engines, func(engine string) bool { return under(from.dir, engine) })]
		return allow("an engine imports the SDK, what reads declarations and locks files, and no connector", append([]string{"connectors/sdk", "connectors/internal/declared", "connectors/internal/filelock", own}, demoFor(from)...)...)
	case under(from.dir, "connectors/internal/declared"):
		return allow("what reads declarations knows the SDK's words and none who declares", "connectors/sdk")
	case under(from.dir, "connectors/internal") && under(to, "connectors/internal/leash"):
		return "" // what starts a database for tests
	case under(from.dir, "connectors/cmd"), under(from.dir, "connectors/demo"):
		return ""
	case under(from.dir, "connectors/manual") && under(to, "proto"):
		return "" // its work is done by people, who speak to it over the bus
	case under(from.dir, "connectors"):
		return allow("a connector imports the SDK and the engines", slices.Concat(engines, []string{"connectors/sdk", "connectors/internal/filelock"}, demoFor(from))...)
	case from.dir == "services/request":
		return allow("the domain imports nothing of ours")
	case under(from.dir, "services/regimes"):
		if to == "services/request" || to == "services/regimes" {
			return ""
		}
		return allow("the law imports the domain and the contract alone", "proto")
	case under(from.dir, "services/request", "services/internal") && under(to, rooms...):
		return "what the rooms share imports no room"
	case under(from.dir, rooms...):
		return brokenByRoom(from, to)
	default:
		return ""
	}
}

func brokenByRoom(from source, to string) string {
	room := strings.Join(strings.Split(from.dir, "/")[:2], "/")
	switch {
	case under(to, rooms...) && !under(to, room):
		return "rooms never import each other"
	case under(to, "services/request/store/pgstore", "services/request/store/litestore") && !from.test:
		return "a room is handed its store and does not choose it"
	default:
		return ""
	}
}

// demoFor gives tests the demo company to work on, what starts a database, and
// the contract, to serve what they test on a bus.
func demoFor(from source) []string {
	if from.test {
		return []string{"connectors/demo", "connectors/internal", "proto"}
	}
	return nil
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		for _, to := range s.imports {
			if rule := broken(s, to); rule != "" {
				t.Errorf("%s imports %s: %s", s.file, to, rule)
			}
		}
		if s.dir == "services/request" && !s.test {
			for _, to := range s.foreign {
				if under(to, impure...) {
					t.Errorf("%s imports %s: the domain is pure", s.file, to)
				}
			}
		}
	}
}

// The rules above can fail.
func TestImportRulesBite(t *testing.T) {
	for _, c := range []struct {
		from, to string
		test     bool
		broken   bool
	}{
		{"services/intake", "services/coordinator", false, true},
		{"services/console/pages", "services/audit/ledger", true, true},
		{"services/audit/ledger", "services/audit", false, false},
		{"services/intake", "services/request/store", false, false},
		{"services/intake", "services/request/store/pgstore", false, true},
		{"services/intake", "services/request/store/litestore", true, false},
		{"services/cmd/habeas", "services/intake", false, false},
		{"services/cmd/habeas", "connectors/billing", false, true},
		{"services/e2e", "connectors/sdk", true, true},
		{"services/request", "proto/wire", false, true},
		{"services/request", "services/regimes", true, true},
		{"services/request/store", "services/request", false, false},
		{"services/request/store/pgstore", "services/intake", false, true},
		{"services/internal/room", "services/audit", false, true},
		{"services/regimes", "services/request", false, false},
		{"services/regimes", "services/request/store", false, true},
		{"connectors/billing", "services/request", true, true},
		{"connectors/billing", "connectors/crm", false, true},
		{"connectors/billing", "connectors/sdk", false, false},
		{"connectors/billing", "connectors/sqlmap", false, false},
		{"connectors/billing", "connectors/demo", false, true},
		{"connectors/billing", "connectors/demo", true, false},
		{"connectors/billing", "proto/wire", false, true},
		{"connectors/restspec/catalogue", "proto/wire", true, false},
		{"connectors/sqlmap", "connectors/billing", false, true},
		{"connectors/sqlmap", "connectors/sdk", false, false},
		{"connectors/sqlmap/draft", "connectors/sqlmap", false, false},
		{"connectors/sqlmap/draft", "connectors/lake", false, true},
		{"connectors/sdk", "connectors/sqlmap", false, true},
		{"connectors/internal/declared", "connectors/sdk", false, false},
		{"connectors/internal/declared", "connectors/lake", false, true},
		{"connectors/internal/pgtest", "connectors/internal/leash", false, false},
		{"connectors/internal/pgtest", "connectors/demo", false, true},
		{"connectors/lake", "connectors/internal/leash", false, true},
		{"connectors/lake", "connectors/internal/leash", true, false},
		{"connectors/sdk/sdktest", "proto/wire/wiretest", false, false},
		{"connectors/cmd/habeas-connector", "proto/wire", false, false},
		{"proto/wire", "connectors/sdk", false, true},
		{"proto/wire", "proto/gen/go/habeas/v1", false, false},
	} {
		if rule := broken(source{dir: c.from, test: c.test}, c.to); (rule != "") != c.broken {
			t.Errorf("%s importing %s (test: %v): broken rule %q", c.from, c.to, c.test, rule)
		}
	}
}

func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || slices.Contains(topLevel, name) || slices.Contains(untracked, name) {
			continue
		}
		t.Errorf("%s is at the top level, which holds only %v", name, topLevel)
	}
}

func TestFoldersAreNouns(t *testing.T) {
	walk(t, func(dir string, entry fs.DirEntry) {
		if entry.IsDir() && slices.Contains(emptyNames, entry.Name()) {
			t.Errorf("%s: a folder is named for what is in it, not %q", path.Join(dir, entry.Name()), entry.Name())
		}
	})
}

func TestPackagesSayTheirDuty(t *testing.T) {
	said := make(map[string]bool)
	for _, s := range sources(t) {
		if !s.test && !under(s.dir, "proto/gen") {
			said[s.dir] = said[s.dir] || s.comment
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}

// walk calls visit for everything in the repository that is ours.
func walk(t *testing.T, visit func(dir string, entry fs.DirEntry)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || slices.Contains(untracked, name)):
			return fs.SkipDir
		}
		visit(path.Dir(name), entry)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	walk(t, func(dir string, entry fs.DirEntry) {
		name := path.Join(dir, entry.Name())
		if entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return
		}
		file, err := parser.ParseFile(files, filepath.Join("..", filepath.FromSlash(name)), nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, newSource(t, dir, name, file))
	})
	if len(all) < 10 {
		t.Fatalf("found %d Go files: the test looks in the wrong place", len(all))
	}
	return all
}

func newSource(t *testing.T, dir, name string, file *ast.File) source {
	t.Helper()
	s := source{
		dir: dir, file: name,
		test:    strings.HasSuffix(name, "_test.go"),
		comment: file.Doc != nil,
	}
	for _, spec := range file.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if ours, ok := strings.CutPrefix(to, module); ok {
			s.imports = append(s.imports, ours)
		} else {
			s.foreign = append(s.foreign, to)
		}
	}
	return s
}
