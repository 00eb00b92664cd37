package sdk_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

func openBook(context.Context, sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	m := bookManifest()
	m.Name, m.Version = "", ""
	return m, newBook(), nil
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "book.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDescribeTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	file := writeFile(t, "version: v7\n")
	var out, errs bytes.Buffer
	if err := sdk.Command(t.Context(), "book", openBook, []string{"--describe", "--config", file}, &out, &errs); err != nil {
		t.Fatal(err)
	}
	var m struct {
		Name, Version, Digest string
		Abilities             []string
	}
	if err := json.Unmarshal(out.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "book" || m.Version != "v7" || len(m.Digest) != 64 || len(m.Abilities) != 5 {
		t.Errorf("described as %+v", m)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("describing made %v (%v)", entries, err)
	}
}

func TestConfigErrors(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"unknown field", "name: book\nnatz: x\n", `natz`},
		{"wrong type", "cap: many\n", `[1:6]`},
		{"negative cap", "cap: -1\n", `cap: -1`},
		{"bad name", "name: Big Book\n", `name "Big Book"`},
		{"no bus", "name: book\n", "nats.url is missing"},
		{"two credentials", "nats: {url: x, creds: a, nkey_seed_file: b}\n", "want one of"},
		{"password without user", "nats: {url: x, password_file: a}\n", "nats.user"},
		{"unset variable", "nats:\n  url: ${HABEAS_TEST_UNSET}\n", `line 2: environment variable "HABEAS_TEST_UNSET" is not set`},
		{"no YAML", "name: [\n", "book.yaml"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := sdk.Command(t.Context(), "book", openBook, []string{"--config", writeFile(t, tc.text)}, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
	if err := sdk.Command(t.Context(), "book", openBook, []string{"--config", "/nowhere.yaml"}, io.Discard, io.Discard); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestEnv(t *testing.T) {
	t.Setenv("HABEAS_TEST_DIR", "/srv/data")
	env, err := sdk.NewEnv("book", t.TempDir(), "path: ${HABEAS_TEST_DIR}/book.db\nliteral: $${HOME}\ncount: 3\n")
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Path    string `yaml:"path"`
		Literal string `yaml:"literal"`
		Count   int    `yaml:"count"`
	}
	if err := env.Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.Path != "/srv/data/book.db" || c.Literal != "${HOME}" || c.Count != 3 {
		t.Errorf("decoded %+v", c)
	}
	var less struct { // of several unknown fields any may be named
		Path  string `yaml:"path"`
		Count int    `yaml:"count"`
	}
	if err := env.Decode(&less); err == nil || !strings.Contains(err.Error(), "literal") {
		t.Errorf("an unknown field: %v", err)
	}
	t.Setenv("BOOK_TOKEN", "from the environment")
	if s, err := env.Secret("BOOK_TOKEN"); err != nil || s.Reveal() != "from the environment" {
		t.Errorf("secret %q, %v", s.Reveal(), err)
	}
	t.Setenv("BOOK_TOKEN_FILE", writeFile(t, "from a file\n"))
	if s, err := env.Secret("BOOK_TOKEN"); err != nil || s.Reveal() != "from a file" {
		t.Errorf("secret %q, %v", s.Reveal(), err)
	}
	if _, err := env.Secret("NOT_SET"); err == nil || !strings.Contains(err.Error(), "NOT_SET_FILE") {
		t.Errorf("a missing secret: %v", err)
	}
}

func TestKeys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, err := sdk.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := sdk.LoadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.Seal.Public() != again.Seal.Public() || !first.Evidence.Equal(again.Evidence) {
		t.Error("the second start has other keys")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v: want two keys", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v)", e.Name(), info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "seal.key"), []byte("SXsecretgarbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.LoadKeys(dir); err == nil || strings.Contains(err.Error(), "garbage") || !strings.Contains(err.Error(), "seal.key") {
		t.Errorf("a damaged key: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sdk.LoadKeys(filepath.Join(dir, "file", "state")); err == nil || !strings.Contains(err.Error(), "state directory") {
		t.Errorf("an impossible directory: %v", err)
	}
}

// TestCommandServes runs the whole of a connector's program: file, environment,
// bus, health and metrics.
func TestCommandServes(t *testing.T) {
	bus := wiretest.Listen(t)
	if err := wire.EnsureConnector(t.Context(), bus.JS, "book", wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HABEAS_NATS_URL", bus.URL)
	file := writeFile(t, fmt.Sprintf("name: book\nnats: {url: nats://127.0.0.1:1}\nstate_dir: %s\nhttp: 127.0.0.1:0\n", t.TempDir()))
	log := &lockedBuffer{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- sdk.Command(ctx, "other", openBook, []string{"--config", file}, io.Discard, log) }()
	r := &rig{t: t, log: log}
	var addr string
	r.wait("the address", func() bool {
		match := regexp.MustCompile(`"http":"([0-9.:]+)"`).FindStringSubmatch(log.String())
		if match != nil {
			addr = match[1]
		}
		return match != nil
	})
	get := func(path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body)
	}
	r.wait("readiness", func() bool { code, _ := get("/readyz"); return code == http.StatusOK })
	if code, _ := get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d", code)
	}
	if _, text := get("/metrics"); !strings.Contains(text, `habeas_connector_jobs_in_hand{connector="book"} 0`) {
		t.Errorf("metrics:\n%s", text)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(deadline):
		t.Error("the program does not end")
	}
}
