package drop_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/drop/droptest"
)

const row = "Item00000001,KA18MT/ph6IHYjzT9zwETySDQyvSh87YuoSBpOQtkhE=\n"

func archive(t *testing.T, files ...[2]string) string {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		w, err := z.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.zip")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is no download is refused before any of it is believed, and no error says
// a hash.
func TestHostileArchivesAreRefused_DR1(t *testing.T) {
	const name = "20260901_4821_Email.csv"
	cut := archive(t, [2]string{name, "ID,Hash\n" + row})
	text, err := os.ReadFile(cut)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, text[:len(text)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		path string
		want error
	}{
		"empty":         {archive(t), drop.ErrArchive},
		"cut off":       {cut, drop.ErrArchive},
		"traversal":     {archive(t, [2]string{"../" + name, "ID,Hash\n"}), drop.ErrArchive},
		"other file":    {archive(t, [2]string{"readme.txt", "hello"}), drop.ErrArchive},
		"twice":         {archive(t, [2]string{name, "ID,Hash\n"}, [2]string{name, "ID,Hash\n"}), drop.ErrArchive},
		"two downloads": {archive(t, [2]string{name, "ID,Hash\n"}, [2]string{"20260902_4821_Phone.csv", "ID,Hash\n"}), drop.ErrArchive},
		"bomb":          {archive(t, [2]string{name, "ID,Hash\n" + strings.Repeat(row, 100_000)}), drop.ErrArchive},
		"huge line":     {archive(t, [2]string{name, "ID,Hash\n" + strings.Repeat("x", 5000)}), drop.ErrList},
		"huge header":   {archive(t, [2]string{name, strings.Repeat("x", 5000)}), drop.ErrList},
		"quotes":        {archive(t, [2]string{name, "ID,Hash\n\"Item00000001\nmore\",x\n"}), drop.ErrList},
		"no list":       {archive(t, [2]string{name, "a,b\n"}), drop.ErrList},
	} {
		n := 0
		_, err := drop.ReadArchive(c.path, func(string, drop.List, drop.Item) error { n++; return nil })
		if !errors.Is(err, c.want) || n > 0 {
			t.Errorf("%s: %d items, %v", what, n, err)
		}
		if err != nil && strings.Contains(err.Error(), "KA18") {
			t.Errorf("%s: the error has a hash", what)
		}
	}
	n := 0
	batch, err := drop.ReadArchive(archive(t, [2]string{name, "ID,Hash\n" + row}), func(string, drop.List, drop.Item) error { n++; return nil })
	if err != nil || n != 1 || batch != "20260901_4821" {
		t.Errorf("a download: %q, %d items, %v", batch, n, err)
	}
}

// A program asks before it imports; nothing of whom it asks about is logged.
func TestDR_4_CheckBeforeImport(t *testing.T) {
	w := lite(t)
	w.platform.Give(first, []drop.Item{mailItem(1, "Ada@example.com")}, nil)
	w.whole(t)
	var log bytes.Buffer
	h := w.Ledger.CheckHandler(slog.New(slog.NewTextHandler(&log, nil)))
	for body, want := range map[string]string{
		`{"people": [{"emails": ["bob@example.com"]}, {"emails": ["ADA @example.com"]}]}`: `{"answers":["none","listed"]}`,
		`{"people": []}`:                           "send",
		`{"identifiers": ["ada@example.com"]}`:     "send",
		`{"people": [{"births": ["10/12/1815"]}]}`: "yyyy-mm-dd",
	} {
		out := httptest.NewRecorder()
		h.ServeHTTP(out, httptest.NewRequest("POST", "/v1/drop:check", strings.NewReader(body)))
		if !strings.Contains(out.Body.String(), want) {
			t.Errorf("%s: %d %s", body, out.Code, out.Body)
		}
	}
	if strings.Contains(log.String(), "example.com") {
		t.Errorf("logged: %s", &log)
	}
}

// A file of people that can't be used is named by its line and by nothing of it.
func TestReadPeopleRefuses_DR3(t *testing.T) {
	for text, line := range map[string]string{
		`{"key": "a", "emails": ["a@example.com"]}` + "\n" + `{"emails": ["b@example.com"]}`: "line 2",
		`{"key": "a", "zips": ["90001"]}`:                                      "line 1",
		`{"key": "a", "emails": ["a@example.com"], "births": ["secret"]}`:      "line 1",
		`{"key": "a", "emails": ["a@example.com"], "colour": "secret"}`:        "line 1",
		`{"key": "a", "emails": ["` + strings.Repeat("x", 2<<20) + `@a.com"]}`: "1 MiB",
	} {
		err := drop.ReadPeople(strings.NewReader(text), func(drop.Holding) error { return nil })
		if !errors.Is(err, drop.ErrPeople) || !strings.Contains(err.Error(), line) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "example") {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// A key that is refused is no session, and no error says it.
func TestKeyIsRefusedAndStays_DR1(t *testing.T) {
	w := lite(t)
	w.Platform.Key = "an old key"
	if _, err := w.Session(t.Context()); !errors.Is(err, drop.ErrRefused) || strings.Contains(err.Error(), "old key") {
		t.Error(err)
	}
	w.Platform.Key = droptest.Key
	if _, err := w.Session(t.Context()); err != nil {
		t.Error(err)
	}
}
