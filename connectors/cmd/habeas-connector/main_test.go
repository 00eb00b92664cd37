package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
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

	report := filepath.Join(work, "conformance.json")
	out, err := execute(t, "test", "pet-shop", "--identifiers", identifiers, "--report", report, "--", program, "--config", config)
	if err != nil || strings.Contains(out, "FAIL") || !strings.Contains(out, "skip  an erasure") {
		t.Fatalf("without --erase: %v\n%s", err, out)
	}
	var told sdk.Conformance
	if text, err := os.ReadFile(report); err != nil || json.Unmarshal(text, &told) != nil || told.Kept == 0 || told.Broken != 0 || told.ManifestDigest == "" || time.Since(told.Time) > time.Hour {
		t.Errorf("the report says %+v, %v", told, err)
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

// TestMutants shows that the black-box test fails connectors that break a
// promise.
func TestMutants(t *testing.T) {
	for name, m := range map[string]struct{ old, new, want string }{
		"erases everyone": {"temp := c.file", "rest = nil\n\ttemp := c.file", "FAIL  the others are left alone"},
		"erases nobody":   {"return os.Rename(temp, c.file)", "return os.Remove(temp)", "FAIL  an erasure leaves nothing"},
		"logs a person":   {"hers, _, err := c.read(ctx, p)", "println(p.Values(sdk.Email)[0])\n\thers, _, err := c.read(ctx, p)", "FAIL  its log names nobody: it wrote identifiers of kind email"},
		"finds all":       {"line.Email)", "line.Email) || p.Values(sdk.Email)[0] != \"\"", "FAIL  a stranger is not found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pet-shop")
			if out, err := execute(t, "new", "pet-shop", "--dir", dir, "--sdk-path", "../../sdk"); err != nil {
				t.Fatal(err, out)
			}
			file := filepath.Join(dir, "connector.go")
			text, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(text), m.old) {
				t.Fatalf("%s has no %q, %v", file, m.old, err)
			}
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			goTool(t, dir, "build", "-o", "mutant", ".")
			config := filepath.Join(dir, "here.yaml")
			if err := os.WriteFile(config, []byte("config: {file: "+filepath.Join(dir, "people.jsonl")+"}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := execute(t, "test", "pet-shop", "--erase", "--no-crash", "--patience", "10s", "--identifiers", filepath.Join(dir, "people.yaml"), "--", filepath.Join(dir, "mutant"), "--config", config)
			if _, found := errors.AsType[finding](err); !found || !strings.Contains(out, m.want) {
				t.Errorf("error %v, want a finding with %q:\n%s", err, m.want, out)
			}
		})
	}
}

// choosing makes a skeleton's connector one that can opt out; %s is what OptOut
// does.
const choosing = `package main

import (
	"context"

	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ sdk.OptOuter = (*connector)(nil)

var chosen = map[string]bool{}

// OptOut implements [sdk.OptOuter].
func (c *connector) OptOut(_ context.Context, p sdk.Person) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range p.Values(sdk.Email) {
		chosen[v] = %s
	}
	return nil
}

// OptedOut implements [sdk.OptOuter].
func (c *connector) OptedOut(_ context.Context, p sdk.Person) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range p.Values(sdk.Email) {
		if !chosen[v] {
			return false, nil
		}
	}
	return true, nil
}
`

// TestOptOut opts out over the bus, of a connector that does it and of one that
// only says so.
func TestOptOut(t *testing.T) {
	for does, want := range map[string]string{"true": "ok    an opt-out holds", "false": "FAIL  an opt-out holds"} {
		t.Run(does, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "pet-shop")
			if out, err := execute(t, "new", "pet-shop", "--dir", dir, "--sdk-path", "../../sdk"); err != nil {
				t.Fatal(err, out)
			}
			for name, text := range map[string]string{
				"choose.go": fmt.Sprintf(choosing, does),
				"here.yaml": "config: {file: " + filepath.Join(dir, "people.jsonl") + "}\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			goTool(t, dir, "build", "-o", "chooser", ".")
			out, err := execute(t, "test", "pet-shop", "--opt-out", "--patience", "10s", "--identifiers", filepath.Join(dir, "people.yaml"), "--", filepath.Join(dir, "chooser"), "--config", filepath.Join(dir, "here.yaml"))
			if !strings.Contains(out, want) || (does == "true") != (err == nil) {
				t.Errorf("error %v, want %q:\n%s", err, want, out)
			}
		})
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
