package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// execute runs the tool inside the test.
func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// skeletonProgram writes a new connector as a module of its own and builds it.
func skeletonProgram(t *testing.T) (dir, program string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "pet-shop")
	if out, err := execute(t, "new", "pet-shop", "--dir", dir, "--sdk-path", "../../sdk", "--module", "example.com/pet-shop"); err != nil {
		t.Fatal(err, out)
	}
	program = filepath.Join(t.TempDir(), "pet-shop")
	goTool(t, dir, "build", "-o", program, ".")
	return dir, program
}

func goTool(t *testing.T, dir string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestSkeleton shows that what the tool writes is formatted, passes its own
// tests, and keeps its promises over the bus.
func TestSkeleton(t *testing.T) {
	dir, program := skeletonProgram(t)
	if _, err := execute(t, "new", "pet-shop", "--dir", dir, "--sdk-path", "../../sdk"); err == nil {
		t.Error("writing over a connector that is there")
	}
	if out, err := exec.CommandContext(t.Context(), "gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v\n%s", err, out)
	}
	goTool(t, dir, "vet", ".")
	goTool(t, dir, "test", ".")

	work := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(work, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	people := write("people.jsonl", "{\"email\":\"ann@example.com\",\"name\":\"Ann\"}\n{\"email\":\"ann@example.com\",\"name\":\"Ann\"}\n{\"email\":\"bob@example.com\",\"name\":\"Bob\"}\n")
	config := write("config.yaml", "config: {file: "+people+"}\n")
	identifiers := write("identifiers.yaml", "person: {email: ann@example.com}\nothers: [{email: bob@example.com}]\n")

	out, err := execute(t, "test", "pet-shop", "--identifiers", identifiers, "--", program, "--config", config)
	if err != nil || strings.Contains(out, "FAIL") || !strings.Contains(out, "skip  an erasure") {
		t.Fatalf("without --erase: %v\n%s", err, out)
	}
	out, err = execute(t, "test", "pet-shop", "--erase", "--identifiers", identifiers, "--", program, "--config", config)
	if err != nil || strings.Contains(out, "FAIL") || !strings.Contains(out, "ok    a copy") || !strings.Contains(out, "ok    an erasure") {
		t.Fatalf("with --erase: %v\n%s", err, out)
	}
	if text, err := os.ReadFile(people); err != nil || string(text) != "{\"email\":\"bob@example.com\",\"name\":\"Bob\"}\n" {
		t.Errorf("the file afterwards: %q, %v", text, err)
	}
	// Now she is gone, and a connector that can't find who is there fails.
	out, err = execute(t, "test", "pet-shop", "--identifiers", identifiers, "--", program, "--config", config)
	if err == nil || !strings.Contains(out, "FAIL  the person is found: answered no_match") {
		t.Errorf("a connector that does not find the person passes: %v\n%s", err, out)
	}
}

func TestErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("kind: magic\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"run", file}, `kind "magic": want one of `},
		{[]string{"run", "/nowhere.yaml"}, "no such file"},
		{[]string{"new", "Bad Name", "--kind", "lake"}, `name "Bad Name"`},
		{[]string{"new", "x", "--kind", "cobol"}, `"cobol"`},
		{[]string{"new", "x", "--kind", "go", "--dir", "/nowhere/x"}, "--sdk-path CHECKOUT/connectors/sdk"},
		{[]string{"new", "x", "--kind", "go", "--sdk-path", "."}, "want the folder of github.com/habeas-data/habeas/connectors/sdk"},
		{[]string{"new", "x", "--kind", "sql", "--sdk-path", "."}, "are for --kind go"},
		{[]string{"schema", "x"}, "want one of clickhouse, connector"},
		{[]string{"sample", file, "--", "true"}, "want an object of lists of records"},
		{[]string{"test", "x"}, "identifiers"},
		{[]string{"test", "x", "--identifiers", file}, "kind"},
	} {
		if _, err := execute(t, tc.args...); err == nil || !strings.Contains(fmt.Sprint(err), tc.want) {
			t.Errorf("%v: error %v, want one with %q", tc.args, err, tc.want)
		}
	}
}
