package delivery_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/delivery"
)

// paper is a line of a part with a document.
func paper(t testing.TB, mediaType string, content []byte, text string) string {
	t.Helper()
	line, err := json.Marshal(map[string]any{"category": "A", "fields": []any{map[string]any{"name": "document", "file": map[string]any{
		"media_type": mediaType, "content": base64.StdEncoding.EncodeToString(content), "text": text,
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

// Documents come as files of their own: named by the manifest with their digests,
// by data.json and the table in their record's place, and linked from the report.
func TestDocumentsAreFilesOfTheirOwn(t *testing.T) {
	f := newFixture(t)
	scan := []byte("%PDF-1.4 a scan")
	f.rawPart("archive", "cabinet", paper(t, "application/pdf", scan, "Dear Ann"), paper(t, "text/plain", []byte("Dear Ann,\nyours"), ""),
		paper(t, "application/pdf", scan, "Dear Ann"), fields{"name", "Ann"}.line(t, "A"))
	p := f.build()
	sum := sha256.Sum256(scan)
	name := fmt.Sprintf("files/archive-cabinet-%x.pdf", sum[:8])
	if p.files[name] != string(scan) {
		t.Fatalf("there is no %s in the package", name)
	}
	var manifest struct {
		Files []delivery.File `json:"files"`
	}
	if err := json.Unmarshal([]byte(p.files["manifest.json"]), &manifest); err != nil {
		t.Fatal(err)
	}
	papers := 0
	for _, file := range manifest.Files {
		if strings.HasPrefix(file.Name, "files/") {
			papers++
		}
	}
	if !slices.Contains(manifest.Files, delivery.File{Name: name, MediaType: "application/pdf", Size: int64(len(scan)), SHA256: fmt.Sprintf("%x", sum)}) || papers != 2 {
		t.Errorf("the manifest has %v", manifest.Files)
	}
	for file, want := range map[string]string{
		"data.json": `"document":"` + name + `"`, "csv/archive-cabinet.csv": name, "report.html": `<a href="` + name + `">`,
	} {
		if !strings.Contains(p.files[file], want) {
			t.Errorf("%s does not name the document", file)
		}
	}
	if !strings.Contains(p.files["report.html"], "<strong>files/</strong>") {
		t.Error("the report does not say what is in the folder")
	}
	if p.result.Records != 4 {
		t.Errorf("%d records", p.result.Records)
	}
}

// What may never be disclosed keeps a document back, whole, and the person learns
// what it was; what is of others goes out of plain text alone.
func TestDocumentsAreScanned(t *testing.T) {
	f := newFixture(t)
	f.rawPart("archive", "cabinet",
		paper(t, "application/pdf", []byte("%PDF-1.4 secret scan"), "her card is 4111 1111 1111 1111"),
		paper(t, "text/plain", []byte("SSN 078-05-1120 of a letter"), ""),
		paper(t, "text/plain", []byte("Ask bob.other@example.org about it."), ""),
	)
	p := f.build()
	kinds := map[string]bool{}
	for _, w := range p.result.Withheld {
		kinds[w.Kind+" by "+w.FoundBy] = true
	}
	if len(kinds) != 3 {
		t.Errorf("withheld is %v", p.result.Withheld)
	}
	papers := 0
	for name, text := range p.files {
		for _, secret := range []string{"secret scan", "078-05-1120", "bob.other", "4111"} {
			if bytes.Contains([]byte(text), []byte(secret)) {
				t.Errorf("%s has %s", name, secret)
			}
		}
		if strings.HasPrefix(name, "files/") {
			papers++
			if !strings.Contains(text, "[another person's e-mail address]") {
				t.Errorf("%s says nothing of what was taken out", name)
			}
		}
	}
	if papers != 1 {
		t.Errorf("%d documents are in the package", papers)
	}
}

// What is no document that could be searched is the fault of its part.
func TestDocumentsOfNoKnownKind(t *testing.T) {
	for name, line := range map[string]string{
		"type":    paper(t, "image/png", []byte("x"), ""),
		"content": paper(t, "text/plain", nil, ""),
		"utf-8":   paper(t, "text/plain", []byte("\xff"), ""),
		"both":    `{"category":"A","fields":[{"name":"a","value":1,"file":{"media_type":"text/plain","content":"eA=="}}]}`,
		"base64":  `{"category":"A","fields":[{"name":"a","file":{"media_type":"text/plain","content":"!"}}]}`,
	} {
		f := newFixture(t)
		f.rawPart("archive", "cabinet", line)
		if _, err := f.room.Build(t.Context(), f.order); !errors.Is(err, delivery.ErrPart) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What was taken out of a PDF's text is still in the PDF.
func TestDocumentsWithSomethingWrappedAreKeptBack(t *testing.T) {
	f := newFixture(t)
	f.rawPart("archive", "cabinet", paper(t, "application/pdf", []byte("%PDF-1.4 secret scan"), `{"name":"Jane","cvv":"123"}`))
	p := f.build()
	if len(p.result.Withheld) != 1 || p.result.Withheld[0].Kind != "payment card security code" {
		t.Errorf("withheld is %v", p.result.Withheld)
	}
	for name := range p.files {
		if strings.HasPrefix(name, "files/") {
			t.Errorf("%s is in the package", name)
		}
	}
}
