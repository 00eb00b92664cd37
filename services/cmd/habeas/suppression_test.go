package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// A list moves from one installation to another by the commands an operator has.
func TestSuppressionMoves_OO11(t *testing.T) {
	dir := t.TempDir()
	run := func(args ...string) (string, error) {
		t.Helper()
		cmd := suppressionCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	install := func(name string) (file string) {
		t.Helper()
		file = filepath.Join(dir, name+".yaml")
		text := "state_dir: " + filepath.Join(dir, name) + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.makeDirs(); err != nil {
			t.Fatal(err)
		}
		if err := c.migrate(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		// As "habeas keys" makes it.
		key := base64.URLEncoding.EncodeToString(bytes.Repeat([]byte(name[:1]), 32))
		if err := os.WriteFile(c.Vault.Key, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	old, fresh := install("old"), install("new")
	jane := request.NewIdentifier(request.Email, "jane@example.com")
	if err := withSuppressions(t.Context(), old, func(l *suppression.List) error {
		p, err := l.Peppers(t.Context())
		if err != nil {
			return err
		}
		return l.Store.Suppress(t.Context(), p.Entries([]request.Identifier{jane}, store.WhyOptedOut, time.Now().UTC()))
	}); err != nil {
		t.Fatal(err)
	}
	must("rotate", "--config", old)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	keyFile, list, filter := filepath.Join(dir, "key"), filepath.Join(dir, "list.age"), filepath.Join(dir, "filter.age")
	if err := os.WriteFile(keyFile, []byte(key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run("export", "--config", old, "--to", "nobody", "--out", list); err == nil || !strings.Contains(err.Error(), "--to") {
		t.Errorf("a recipient that is none: %v", err)
	}
	if out := must("export", "--config", old, "--to", key.Recipient().String(), "--out", list); !strings.Contains(out, "1 entries") {
		t.Errorf("exporting says %q", out)
	}
	if _, err := run("export", "--config", old, "--to", key.Recipient().String(), "--out", list); err == nil {
		t.Error("a file that is there is written over")
	}
	if out := must("filter", "--config", old, "--to", key.Recipient().String(), "--out", filter); !strings.Contains(out, "rate of 0.001") {
		t.Errorf("the filter says %q", out)
	}
	must("import", "--config", fresh, "--identity", keyFile, list)
	if err := withSuppressions(t.Context(), fresh, func(l *suppression.List) error {
		got, err := l.Check(t.Context(), []request.Identifier{jane})
		if err == nil && got[0] != suppression.OptedOut {
			t.Errorf("after the move she is %s", got[0])
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}
