package pack

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/proto/wire"
)

// pdfText is the certificate of a story as a reader of text finds it.
// Its picture is left for people in build/screenshots.
func pdfText(t *testing.T, l *storyLog, name string) string {
	t.Helper()
	for _, tool := range []string{"pdftotext", "pdftoppm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("no %s: install poppler-utils (scripts/needs.sh does)", tool)
			}
			t.Skipf("no %s: install poppler-utils (scripts/needs.sh does)", tool)
		}
	}
	report, problem := Inspect(t.Context(), l, storyRequest)
	if report == nil {
		t.Fatal(problem)
	}
	var out bytes.Buffer
	if err := WriteCertificate(&out, report, problem); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name+".pdf")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	pictures := filepath.Join("..", "..", "..", "build", "screenshots")
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), "pdftoppm", "-png", "-r", "70", path, filepath.Join(pictures, name)).CombinedOutput(); err != nil || len(text) > 0 {
		t.Errorf("pdftoppm: %v: %s", err, text)
	}
	text, err := exec.CommandContext(t.Context(), "pdftotext", "-layout", path, "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

func TestCertificateAsPDF(t *testing.T) {
	l := newStory(t).tell(t)
	report, err := Inspect(t.Context(), l, storyRequest)
	if err != nil {
		t.Fatal(err)
	}
	a := report.Requests[0]
	text := pdfText(t, l, "certificate")
	for _, want := range []string{
		"Certificate of verifiable evidence", storyRequest, "delete (us-ca-ccpa)", "2026-11-02, by web", "2026-11-05", "complete with exceptions",
		"crm v1.2.3: erase, done", "contacts 17 17 0 0 0", "billing v1.2.3: erase, retained", "ccpa-1798.105(d)(8), until 2031-04-15", "lake needs identifier",
		a.Lines[0].Digest, report.Root, "habeas.example/log", "verify.py",
	} {
		if !strings.Contains(text, want) && !strings.Contains(strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("the certificate does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "does not add up") {
		t.Error("it says that it does not add up")
	}
}

// A certificate of what does not add up says so, and of what is open as well.
func TestCertificateOfTrouble(t *testing.T) {
	s := newStory(t)
	s.closure.Result = "complete"
	if text := pdfText(t, s.tell(t), "certificate-trouble"); !strings.Contains(text, "This evidence does not add up") || !strings.Contains(text, "records were kept") {
		t.Errorf("the certificate says %s", text)
	}
	s = newStory(t)
	s.closure, s.outcomes = nil, s.outcomes[:1]
	if text := pdfText(t, s.tell(t), "certificate-open"); !strings.Contains(text, "still open") || !strings.Contains(text, "no answer yet") {
		t.Errorf("the certificate says %s", text)
	}
	l := newStory(t).tell(t)
	l.hide = func(r *wire.Record) bool { return r.Type == wire.RecordKey }
	if report, err := Inspect(t.Context(), l, storyRequest); report != nil || !errors.Is(err, ErrAltered) {
		t.Errorf("without keys: %v, %v", report, err)
	}
}
