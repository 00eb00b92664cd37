package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The ledger by the commands an operator has: import twice, list, purge, and what
// is said about files that can't be used.
func TestDisclosureCommands_VN2(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	run := func(args ...string) (string, error) {
		t.Helper()
		cmd := disclosureCommand()
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.SetErr(&out)
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	company := write("company.yaml", `
vendors:
  - {name: Handshake, id: handshake, role: service_provider, tell: {email: a@handshake.example, identifiers: [email]},
     gets: [{from: crm, categories: [A], purpose: analytics, as: business_purpose, since: 2024-01-01}]}
`)
	file := write("habeas.yaml", fmt.Sprintf("state_dir: %s\nintake: {tenant: %s}\n", filepath.Join(dir, "state"), company))
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
	key := base64.URLEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
	if err := os.WriteFile(c.Vault.Key, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	given := write("given.jsonl", `{"id":"1","at":"2026-01-15T10:00:00Z","recipient":"handshake","categories":["A"],"as":"business_purpose","identifiers":[{"kind":"email","value":"jane.planted@example.com"}]}`+"\n")
	bad := write("bad.jsonl", `{"id":"1","at":"2026-01-15T10:00:00Z","recipient":"nobody","categories":["A"],"as":"sold","identifiers":[{"kind":"email","value":"jane.planted@example.com"}]}`+"\n")
	for _, step := range []struct {
		args []string
		want string
		fail bool
	}{
		{[]string{"import", given}, "1 disclosures read, 1 rows added", false},
		{[]string{"import", given}, "1 disclosures read, 0 rows added", false},
		{[]string{"list"}, "third_party  none      A from crm (sold)  1       e-mail", false}, // no contract: a third party, and sold
		{[]string{"import", bad}, "line 1: recipient", true},
		{[]string{"import", filepath.Join(dir, "nowhere")}, "no such file", true},
		{[]string{"purge", "--before", "soon"}, "--before", true},
		{[]string{"purge", "--before", "2026-01-15"}, "0 rows deleted", false},
		{[]string{"purge", "--before", "2026-01-16"}, "1 rows deleted", false},
		{[]string{"acknowledge", "x", "--by", "dana"}, "ID", true},
	} {
		args := step.args
		if args[0] != "acknowledge" {
			args = append(args, "--config", file)
		}
		out, err := run(args...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, step.want) || (err != nil) != step.fail || strings.Contains(out, "planted") {
			t.Errorf("%v: %q, want %q: %v", step.args, out, step.want, err)
		}
	}
	if _, err := run("list", "--config", write("none.yaml", "state_dir: "+dir+"\n")); err == nil || !strings.Contains(err.Error(), "intake.tenant") {
		t.Errorf("without a company's file: %v", err)
	}
}
