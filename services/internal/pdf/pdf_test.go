package pdf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// read is what a reader of text finds in a document, page by page.
func read(t *testing.T, content []byte) []string {
	t.Helper()
	if _, err := exec.LookPath("pdftotext"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no pdftotext: install poppler-utils (scripts/needs.sh does)")
		}
		t.Skip("no pdftotext: install poppler-utils (scripts/needs.sh does)")
	}
	path := filepath.Join(t.TempDir(), "document.pdf")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	command := exec.CommandContext(t.Context(), "pdftotext", "-layout", path, "-")
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("pdftotext: %v: %s", err, complaints.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\f"), "\f")
}

func write(t *testing.T, d *Document) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := d.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sample() *Document {
	d := New("A title (with brackets) \\ and more", "at the foot")
	d.Title("The title")
	d.Heading("A heading")
	d.Text("Façade, “quoted”, € and 漢; (brackets) and a \\ backslash.")
	d.Field("Label", "what it is")
	d.Code(strings.Repeat("0123456789abcdef", 12))
	rows := [][]string{{"first", "1", "because it is kept for a reason that takes more than one line of the cell"}}
	for range 120 {
		rows = append(rows, []string{"another", "7654321", ""})
	}
	d.Table([]Column{{"Store", 2, false}, {"Count", 1, true}, {"Why", 2, false}}, rows)
	d.Text("The end.")
	return d
}

func TestReadersReadIt(t *testing.T) {
	content := write(t, sample())
	if !bytes.Equal(content, write(t, sample())) {
		t.Error("the same calls give other bytes")
	}
	pages := read(t, content)
	if len(pages) != 3 {
		t.Fatalf("%d pages, want 3", len(pages))
	}
	all := strings.Join(pages, "\n")
	for _, want := range []string{"The title", "A heading", "Façade, “quoted”, € and ?; (brackets) and a \\ backslash.", "what it is", "The end.", "1/3", "at the foot"} {
		if !strings.Contains(all, want) {
			t.Errorf("a reader does not find %q in\n%s", want, all)
		}
	}
	if strings.Count(all, "another") != 120 || strings.Count(all, "7654321") != 120 {
		t.Error("rows are missing")
	}
	for i, page := range pages {
		if !strings.Contains(page, "Store") || !strings.Contains(page, "Count") {
			t.Errorf("page %d does not say what its columns are", i+1)
		}
	}
}

// Whatever the text, its lines fit and lose nothing but spaces.
func TestWrap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`[ -~äß漢]{0,200}`).Draw(rt, "text")
		font := Font(rapid.IntRange(0, 2).Draw(rt, "font"))
		wide := rapid.Float64Range(20, 400).Draw(rt, "width")
		lines := wrap(text, font, 10, wide)
		for _, line := range lines {
			if measure(line, font, 10) > wide && len([]rune(line)) > 1 {
				rt.Fatalf("%q is %.1f wide, want at most %.1f", line, measure(line, font, 10), wide)
			}
		}
		if got, want := strings.Join(strings.Fields(strings.Join(lines, "")), ""), strings.Join(strings.Fields(text), ""); got != want {
			rt.Fatalf("%q became %q", want, got)
		}
	})
}
