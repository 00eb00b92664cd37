package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/effect"
)

// OO-8: the command shows whom the pages contact, files it, and fails when an
// opt-out has no effect.
func TestEffectCommand_OO8(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "habeas.yaml")
	pages := filepath.Join(dir, "effect.yaml")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(config, "state_dir: "+dir+"/state\neffect:\n  pages: "+pages+"\n")
	if out, err := run(t, "effect", "--config", config); err == nil || !strings.Contains(err.Error(), "intake's key") {
		t.Errorf("without a key to sign with: %v\n%s", err, out)
	}
	if out, err := run(t, "effect", "--dry-run"); err == nil || !strings.Contains(err.Error(), "effect.pages is not set") {
		t.Errorf("without pages: %v\n%s", err, out)
	}
	for _, args := range [][]string{{"keys", "--config", config}, {"migrate", "--config", config}} {
		if out, err := run(t, args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	// The advertiser is this machine under another name.
	tag := httptest.NewServer(http.NotFoundHandler())
	defer tag.Close()
	obey := true
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if !obey || r.Header.Get("Sec-Gpc") == "" {
			_, _ = w.Write([]byte(`<img src="` + strings.Replace(tag.URL, "127.0.0.1", "localhost", 1) + `/1.gif">`)) // the browser may be gone
		}
	}))
	defer site.Close()
	write(pages, "name: shop\npages: ["+site.URL+"/]\nexpect: [localhost]\nquiet: 800ms\nlongest: 60s\n")
	out, err := run(t, "effect", "--config", config)
	if errors.Is(err, effect.ErrNoBrowser) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil || !strings.Contains(out, "localhost") || !strings.Contains(out, "effective") {
		t.Errorf("on an honest site: %v\n%s", err, out)
	}
	obey = false
	if out, err = run(t, "effect", "--config", config); err == nil || !strings.Contains(err.Error(), "gpc: NO EFFECT") || !strings.Contains(out, "NO EFFECT") {
		t.Errorf("on a site that ignores the signal: %v\n%s", err, out)
	}
	s, err := openStore(t.Context(), "sqlite:"+filepath.Join(dir, "state", "habeas.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // it was only read from
	list, err := s.Unlogged(t.Context(), time.Now().Add(time.Minute), 10)
	if err != nil || len(list) != 2 || list[0].Type != "effect" {
		t.Errorf("filed %d records, %v", len(list), err)
	}
}
