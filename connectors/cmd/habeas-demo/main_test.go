package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/demo"
)

// TestCompany seeds a small company, serves it, stops and serves it again.
func TestCompany(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo #1")
	if err := run(t.Context(), []string{"seed", "--dir", dir, "--people", "40"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	before := dumpAll(t, dir)
	for _, system := range demo.Systems {
		if !strings.Contains(before[system], demo.PersonAt(demo.Copier).Email) &&
			!strings.Contains(before[system], demo.EmailSHA256(demo.PersonAt(demo.Copier).Email)) &&
			!strings.Contains(before[system], demo.PersonAt(demo.Copier).UserID) {
			t.Errorf("the copier is not in %s", system)
		}
	}
	for range 2 {
		serveOnce(t, dir)
	}
	// A company that is there stays as it is.
	db := filepath.Join(dir, demo.AdtechFile)
	old, err := os.Stat(db)
	if err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"seed", "--dir", dir, "--people", "50"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Stat(db); err != nil || !os.SameFile(old, again) {
		t.Errorf("seeding again replaced the company: %v", err)
	}
	if err := run(t.Context(), []string{"seed", "--dir", dir, "--people", "40", "--force"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	for system, text := range dumpAll(t, dir) {
		if text != before[system] {
			t.Errorf("%s was not made the same again", system)
		}
	}
}

func dumpAll(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, system := range demo.Systems {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"dump", "--dir", dir, "--system", system}, &out); err != nil {
			t.Fatal(err)
		}
		all[system] = out.String()
	}
	return all
}

func serveOnce(t *testing.T, dir string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"serve", "--dir", dir}, in) }()
	var addresses struct{ CRM, Partner string }
	if err := json.NewDecoder(out).Decode(&addresses); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, addresses.CRM+"/v1/contacts?email="+demo.PersonAt(demo.Copier).Email, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", demo.CRMKey)
	for _, r := range []*http.Request{req, get(t, addresses.Partner+"/v2/discovery")} {
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s answered %d", r.URL.Path, resp.StatusCode)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopping: %v", err)
	}
}

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBadArguments(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{}, {"sow"}, {"seed"}, {"seed", "--dir", dir, "--people", "0"}, {"seed", "--dir", dir, "extra"},
		{"dump", "--dir", dir}, {"dump", "--dir", dir, "--system", "payroll"}, {"dump", "--dir", dir, "--system", "crm"},
		{"dump", "--dir", dir, "--system", "adtech"}, {"serve", "--dir", dir, "--crm-addr", "nowhere:x"},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, demo.AdtechFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a look at a file that is not there made it: %v", err)
	}
}
