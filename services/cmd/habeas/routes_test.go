package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request/store/litestore"
	"github.com/habeas-data/habeas/services/tokens"
)

// methodPath is how a route of the API is written.
var (
	methodPath = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE) /v1/\S*$`)
	wildcard   = regexp.MustCompile(`\{[^}]*\}`)
)

// sources parses the program's own files of the services.
func sources(t *testing.T, each func(path string, file *ast.File)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		each(filepath.ToSlash(name), file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	return text, err == nil
}

// apiRoutes are all routes of the API that any room registers: patterns with a
// method, wherever they are written, and the operations of the OpenAPI document.
func apiRoutes(t *testing.T) map[string]string {
	t.Helper()
	routes := make(map[string]string)
	sources(t, func(path string, file *ast.File) {
		if path == "tokens/guard.go" {
			return // the table itself
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok {
				return true
			}
			if text, ok := literal(lit); ok && methodPath.MatchString(text) {
				if strings.HasPrefix(path, "audit/") { // served below the log's prefix
					text = strings.Replace(text, " /", " "+logPrefix+"/", 1)
				}
				routes[text] = path
			}
			return true
		})
	})
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	intake.New(intake.Config{Regimes: set}).API("test").ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/openapi.json", nil))
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || len(document.Paths) < 10 {
		t.Fatalf("the OpenAPI document: %d paths, %v", len(document.Paths), err)
	}
	for path, operations := range document.Paths {
		for method := range operations {
			if method != "parameters" {
				routes[strings.ToUpper(method)+" "+path] = "the OpenAPI document"
			}
		}
	}
	return routes
}

// Every route of every room has a row that says which scope it asks for, and no
// row is of a route that there is not. A route that only the scope all opens has a
// row too: somebody meant it.
func TestEveryRouteHasAScope(t *testing.T) {
	table := http.NewServeMux()
	for pattern := range tokens.Table {
		table.Handle(pattern, http.NotFoundHandler())
	}
	routes := apiRoutes(t)
	if len(routes) < 50 {
		t.Fatalf("only %d routes were found", len(routes))
	}
	used := make(map[string]bool)
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		method, path, _ := strings.Cut(route, " ")
		req := httptest.NewRequestWithContext(t.Context(), method, wildcard.ReplaceAllString(path, "x"), nil)
		_, row := table.Handler(req)
		_, prefix, _ := strings.Cut(row, " ")
		if wildcard.ReplaceAllString(row, "{}") != wildcard.ReplaceAllString(route, "{}") && !(strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix)) {
			t.Errorf("tokens.Table has no row for %q of %s; say which scope it asks for", route, routes[route])
		}
		used[row] = true
	}
	for row := range tokens.Table {
		_, path, _ := strings.Cut(row, " ")
		if !used[row] && !mountedWhole[path] {
			t.Errorf("tokens.Table names %q, which is no route", row)
		}
	}
}

// mountedWhole are paths whose one handler looks at the method itself; see
// [TestEveryMountAsksForAToken], which finds those.
var mountedWhole = map[string]bool{
	"/v1/signals": true, "/v1/signals/lift": true, "/v1/desk/requests": true, "/v1/mail": true, "/v1/requests/{id}/evidence": true,
	"/v1/tokens": true, "/v1/tokens/{id}": true,
}

// public are mounts below /v1/ that ask for no token.
var public = map[string]bool{"/v1/openapi.json": true, "/v1/openapi.yaml": true}

// Whatever is mounted below /v1/ asks for a token, and what is mounted for every
// method has a row for at least one.
func TestEveryMountAsksForAToken(t *testing.T) {
	mounts := 0
	sources(t, func(path string, file *ast.File) {
		if !strings.HasPrefix(path, "cmd/habeas/") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			set, ok := n.(*ast.AssignStmt)
			if !ok || len(set.Lhs) != 1 || len(set.Rhs) != 1 {
				return true
			}
			at, ok := set.Lhs[0].(*ast.IndexExpr)
			if !ok {
				return true
			}
			if of, ok := at.X.(*ast.SelectorExpr); !ok || of.Sel.Name != "mounts" {
				return true
			}
			key, known := literal(at.Index)
			if sum, ok := at.Index.(*ast.BinaryExpr); ok { // a prefix and the rest
				key, known = literal(sum.Y)
			}
			if known && !strings.Contains(key, "/v1/") || public[key] {
				return true
			}
			mounts++
			if !known && path == "cmd/habeas/doors.go" {
				return true // the paths of the browser's signal, which everybody may send
			}
			if !protected(set.Rhs[0]) {
				t.Errorf("%s mounts %q without asking for a token", path, key)
			}
			if !known || strings.Contains(key, " ") || strings.HasSuffix(key, "/") {
				return true // its routes have a method, and are found by it
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(tokens.Table)), func(row string) bool { return strings.HasSuffix(row, " "+key) }) {
				t.Errorf("tokens.Table has no row for %q of %s", key, path)
			}
			return true
		})
	})
	if mounts < 15 {
		t.Errorf("only %d mounts were found", mounts)
	}
}

// protected reports whether a handler is behind the guard, or is one that was
// mounted before.
func protected(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CallExpr:
		of, ok := e.Fun.(*ast.SelectorExpr)
		return ok && of.Sel.Name == "protect"
	case *ast.IndexExpr:
		of, ok := e.X.(*ast.SelectorExpr)
		return ok && of.Sel.Name == "mounts"
	default:
		return false
	}
}

// Where the audit room is another process, the console lets into the log who has a
// token for evidence, and asks that room with the deployment's own.
func TestAuditorsReachTheLog(t *testing.T) {
	var got string
	audit := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		got = req.Method + " " + req.URL.RequestURI() + " " + req.Header.Get("Authorization")
	}))
	t.Cleanup(audit.Close)
	path := filepath.Join(t.TempDir(), "habeas.db")
	if err := litestore.Migrate(t.Context(), path, false); err != nil {
		t.Fatal(err)
	}
	s, err := litestore.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	now := func() time.Time { return time.Date(2026, time.June, 15, 18, 0, 0, 0, time.UTC) }
	keeper := &tokens.Keeper{Store: s, Record: s.PutAccess, Now: now}
	r := &runtime{
		token: "the-deployment", mounts: map[string]http.Handler{}, logger: slog.New(slog.DiscardHandler),
		guard:  &tokens.Guard{Deployment: "the-deployment", Keeper: keeper, Logger: slog.New(slog.DiscardHandler), Now: now},
		config: config{Audit: auditConfig{URL: audit.URL + "/log"}},
	}
	if err := r.mountLog(); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for pattern, h := range r.mounts {
		mux.Handle(pattern, h)
	}
	call := func(method, scope string) int {
		_, secret, err := keeper.Create(t.Context(), "test", tokens.Wanted{Name: "auditors", Scopes: []tokens.Scope{tokens.Scope(scope)}, Ends: now().AddDate(0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequestWithContext(t.Context(), method, "/log/v1/records?request=x", nil)
		req.Header.Set("Authorization", "Bearer "+secret)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, req)
		return w.Code
	}
	if status := call(http.MethodGet, "evidence"); status != http.StatusOK || got != "GET /log/v1/records?request=x Bearer the-deployment" {
		t.Errorf("status %d; the audit room was asked %q", status, got)
	}
	got = ""
	for _, c := range [][2]string{{http.MethodGet, "read"}, {http.MethodPost, "evidence"}} {
		if status := call(c[0], c[1]); status != http.StatusForbidden || got != "" {
			t.Errorf("%v: status %d; the audit room was asked %q", c, status, got)
		}
	}
	audit.Close()
	if status := call(http.MethodGet, "evidence"); status != http.StatusBadGateway {
		t.Errorf("without the audit room: status %d", status)
	}
}
