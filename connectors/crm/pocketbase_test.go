package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// The real server the engine is tried on. It stays out of go.mod.
const pocketbaseModule = "github.com/pocketbase/pocketbase/examples/base@v0.36.8"

const (
	pbUser     = "root@example.com"
	pbPassword = "a-long-enough-password"
)

// pocketbase is one running server.
type pocketbase struct {
	url, dir, token string
	systems         atomic.Int64
}

func startPocketbase(t *testing.T) *pocketbase {
	t.Helper()
	bin := pocketbaseBinary(t)
	pb := &pocketbase{dir: t.TempDir()}
	run := exec.CommandContext(t.Context(), bin, "superuser", "upsert", pbUser, pbPassword, "--dir", pb.dir)
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("making the superuser: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bin, "serve", "--http", addr, "--dir", pb.dir) //nolint:noctx // ended by the cleanup below
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
	})
	pb.url = "http://" + addr
	pb.await(t, ended, &out)
	pb.token = pb.call(t, http.MethodPost, "/api/collections/_superusers/auth-with-password",
		map[string]any{"identity": pbUser, "password": pbPassword})["token"].(string)
	return pb
}

// await waits until the server answers.
func (pb *pocketbase) await(t *testing.T, ended chan error, out *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, pb.url+"/api/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the server ended: %v\n%s", err, out)
		case <-ctx.Done():
			t.Fatal("the server did not come up in 30 s")
		case <-tick.C:
		}
	}
}

// pocketbaseBinary finds or installs the server under the repository's .bin.
func pocketbaseBinary(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(root, ".bin", "pocketbase-base")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", pocketbaseModule)
	install.Dir = tmp
	install.Env = append(os.Environ(), "GOBIN="+tmp, "GOFLAGS=", "GOWORK=off")
	if out, err := install.CombinedOutput(); err != nil {
		missing("PocketBase cannot be had, so the connector is not tried on it: go install %s: %v\n%s", pocketbaseModule, err, out)
	}
	putInPlace(t, filepath.Join(tmp, "base"), bin)
	return bin
}

// putInPlace copies a program to where it stays, which may be another disk,
// and shows it there only when it is whole.
func putInPlace(t *testing.T, from, to string) {
	t.Helper()
	program, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	part := fmt.Sprintf("%s.%d", to, os.Getpid())
	if err := os.WriteFile(part, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, to); err != nil {
		t.Fatal(err)
	}
}

// call asks the server's API as its superuser.
func (pb *pocketbase) call(t testing.TB, method, path string, body any) map[string]any {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, pb.url+path, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", pb.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end or failed
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: status %d, %v, %v", method, path, resp.StatusCode, answer, err)
	}
	return answer
}

// pbSystem is one set of collections on the server.
type pbSystem struct {
	pb     *pocketbase
	suffix string
}

func (pb *pocketbase) system(t testing.TB) sdktest.System {
	t.Helper()
	s := &pbSystem{pb: pb, suffix: fmt.Sprintf("s%d", pb.systems.Add(1))}
	text := func(names ...string) (fields []map[string]any) {
		for _, n := range names {
			fields = append(fields, map[string]any{"name": n, "type": "text"})
		}
		return fields
	}
	collection := func(name string, fields []map[string]any) string {
		return pb.call(t, http.MethodPost, "/api/collections", map[string]any{"name": name + "_" + s.suffix, "type": "base", "fields": fields})["id"].(string)
	}
	contacts := collection("contacts", text("name", "email", "phone", "title", "licence", "account", "uid"))
	relation := map[string]any{"name": "contact", "type": "relation", "collectionId": contacts, "maxSelect": 1, "cascadeDelete": false}
	collection("notes", append(text("text"), relation, map[string]any{"name": "written", "type": "date"}))
	collection("deals", append(text("title", "stage"), relation, map[string]any{"name": "ends", "type": "date"}))
	return s
}

func (s *pbSystem) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	prog, err := restspec.Load("testdata/pocketbase.spec.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := prog.Open(restspec.Options{
		Name: "pocketbase", Base: s.pb.url, Dir: t.TempDir(), Settings: map[string]string{"suffix": s.suffix},
		Secret: func(name string) (sdk.Secret, error) {
			return map[string]sdk.Secret{"PB_USER": pbUser, "PB_PASSWORD": pbPassword}[name], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, c
}

func (s *pbSystem) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	p := demo.PersonAt(20 + n) // 21 and 22 share a name and a household
	open := n == 1
	add := func(into string, fields map[string]any) string {
		return s.pb.call(t, http.MethodPost, "/api/collections/"+into+"_"+s.suffix+"/records", fields)["id"].(string)
	}
	licence := fmt.Sprintf("D%07d", 4400000+n)
	id := add("contacts", map[string]any{
		"name": p.First + " " + p.Last, "email": p.Email, "phone": p.Phone, "title": p.Title,
		"licence": licence, "account": p.CustomerID, "uid": p.UserID,
	})
	planted := sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.Email, p.Email), sdk.ID(sdk.Phone, p.Phone)),
		Traces: []string{id, p.Email, p.Phone, p.CustomerID, p.UserID, licence},
		Stores: map[string]int64{"contacts": 1, "notes": 5, "deals": 1}, Kept: map[string]int64{},
		Yields: []sdk.Identifier{sdk.ID(sdk.CustomerID, p.CustomerID), sdk.ID(sdk.UserID, p.UserID)},
	}
	for i := range 5 {
		text := fmt.Sprintf("note %d for file %s", i, p.UserID)
		add("notes", map[string]any{"contact": id, "text": text, "written": "2024-03-01 10:00:00.000Z"})
		planted.Traces = append(planted.Traces, text)
	}
	deal := map[string]any{"contact": id, "title": "plan " + p.CustomerID, "stage": "won", "ends": "2023-01-01 00:00:00.000Z"}
	if open {
		deal["stage"], deal["ends"] = "open", "2031-06-30 00:00:00.000Z"
		planted.Kept = map[string]int64{"contacts": 1, "deals": 1}
		planted.KeptTraces = []string{id, p.Email, p.Phone, p.CustomerID}
	}
	add("deals", deal)
	return planted
}

// Dump reads the server's own database file.
func (s *pbSystem) Dump(t testing.TB) []string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.pb.dir, "data.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	var lines []string
	for _, table := range []string{"contacts", "notes", "deals"} {
		lines = append(lines, dumpTable(t, db, table+"_"+s.suffix)...)
	}
	return lines
}

func dumpTable(t testing.TB, db *sql.DB, table string) (lines []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace(fmt.Sprintln(append([]any{table}, values...)...)))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestPocketBase keeps every promise on a server that somebody else wrote.
func TestPocketBase(t *testing.T) {
	pb := startPocketbase(t)
	sdktest.Run(t, pb.system)
}

// TestPocketBaseWithholds looks at an exported record: what may never be
// disclosed is named and not shown.
func TestPocketBaseWithholds(t *testing.T) {
	pb := startPocketbase(t)
	s := pb.system(t)
	her := s.Plant(t, 1)
	_, c := s.Open(t)
	var w basket
	if err := c.(sdk.Exporter).Export(t.Context(), her.Person, &w); err != nil {
		t.Fatal(err)
	}
	for _, r := range w {
		for _, f := range r.Fields {
			if f.Name == "licence" && f.Value == sdk.Withheld("government identification number") {
				return
			}
		}
	}
	t.Errorf("the licence number is not withheld in %d records", len(w))
}

type basket []sdk.Record

func (b *basket) Write(_ context.Context, r sdk.Record) error {
	*b = append(*b, r)
	return nil
}
