package main

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
)

// The example of the doors' settings is what the program takes.
func TestDeployedDoors(t *testing.T) {
	r := &runtime{}
	r.Intake.Doors = filepath.Join(deployFolder, "config", "doors.yaml")
	c, ok, err := r.loadDoors()
	if err != nil || !ok {
		t.Fatal(err)
	}
	if err := c.Verify.Check(); err != nil || len(c.Verify.Points) == 0 || c.Brand.Company == "" {
		t.Errorf("the settings are %+v, %v", c, err)
	}
	if c.updated().Format("2006-01-02") != "2026-11-01" {
		t.Errorf("signals were updated on %v", c.updated())
	}
	file := filepath.Join(t.TempDir(), "doors.yaml")
	if err := os.WriteFile(file, []byte("verify:\n  agents: both\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Intake.Doors = file
	if _, _, err := r.loadDoors(); err == nil || !strings.Contains(err.Error(), "doors.yaml:2") {
		t.Errorf("a setting that is not there: %v, want an error with its line", err)
	}
}

// Without the file a room in production opens no doors.
func TestNoDoors(t *testing.T) {
	if _, ok, err := (&runtime{}).loadDoors(); ok || err != nil {
		t.Errorf("doors were opened: %v, %v", ok, err)
	}
}

// Packages are fetched with the token, and what is no package is an error.
func TestPackagesAt(t *testing.T) {
	id, status := request.NewID(), http.StatusOK
	delivery := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token" || r.URL.Path != "/v1/requests/"+string(id)+"/package" {
			status = http.StatusForbidden
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "zip") // the client may be gone
	}))
	defer delivery.Close()
	body, size, err := packagesAt(delivery.URL+"/", "token")(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(body)
	if err := errors.Join(err, body.Close()); err != nil || string(text) != "zip" || size != 3 {
		t.Errorf("%q, %d bytes, %v", text, size, err)
	}
	status = http.StatusConflict
	if _, _, err := packagesAt(delivery.URL, "token")(t.Context(), id); err == nil || !strings.Contains(err.Error(), "409") {
		t.Errorf("no package: %v", err)
	}
}

// The domain of the mark has to be one that browsers take from the portal.
func TestDoorsDomain(t *testing.T) {
	for domain, fine := range map[string]bool{"": true, "example.com": true, "privacy.example.com": true, "ample.com": false, "example.org": false} {
		err := doorsConfig{URL: "https://privacy.example.com", Signals: signalsConfig{Domain: domain}}.checkDomain()
		if (err == nil) != fine {
			t.Errorf("%q: %v", domain, err)
		}
	}
}

// A developer reads text messages in the state folder; a deployment has to name
// a provider, and the file with codes in clear is refused there.
func TestDoorsTexts(t *testing.T) {
	r := &runtime{}
	if c, _, err := r.loadDoors(); err != nil || c.SMS.File != "" {
		t.Errorf("a deployment without doors writes codes to %q, %v", c.SMS.File, err)
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody calls it
	r.listener, r.StateDir = l, "state"
	if c, _, err := r.loadDoors(); err != nil || c.SMS.File != filepath.Join("state", "texts.jsonl") {
		t.Errorf("\"habeas up\" writes text messages to %q, %v", c.SMS.File, err)
	}
	folder := t.TempDir()
	secret, file := filepath.Join(folder, "secret"), filepath.Join(folder, "doors.yaml")
	text := "url: https://privacy.example.com\nsms:\n  webhook: {url: https://texts.example.com/send, secret_file: " + secret + "}\n  prefixes: [\"+1\", \"+52\"]\n"
	for name, content := range map[string]string{secret: "a secret of both sides", file: text} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r = &runtime{}
	r.Intake.Doors = file
	c, _, err := r.loadDoors()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := c.SMS.Sender(false); s == nil || err != nil {
		t.Errorf("the webhook: %v, %v", s, err)
	}
	for address, want := range map[string]string{
		"https://privacy.example.com": "privacy.example.com", "http://127.0.0.1:8400": "", "https://localhost:8443": "", "": "",
	} {
		if got := (doorsConfig{URL: address}).textHost(); got != want {
			t.Errorf("%q: codes are for %q, want %q", address, got, want)
		}
	}
}
