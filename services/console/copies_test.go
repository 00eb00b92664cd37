package console

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/browsertest"
)

// copies makes the task one of attaching a copy.
func (a *archivist) copies() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.task.Right, a.task.Step, a.task.Answered = "know_specific", "copy", false
	a.task.Found = []*habeasv1.TaskCount{{Store: "cabinet", Count: 3}, {Store: "tapes"}}
}

// paper is one file of an upload.
type paper struct{ name, content string }

// upload posts files for a copy as a browser does.
func (d *desk) upload(t testing.TB, fields url.Values, files ...paper) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, name := range []string{"version", "store", "records", "reviewed"} {
		if fields.Has(name) {
			if err := form.WriteField(name, fields.Get(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range files {
		h := textproto.MIMEHeader{"Content-Disposition": {fmt.Sprintf("form-data; name=%q; filename=%q", "file", f.name)}, "Content-Type": {"application/octet-stream"}}
		part, err := form.CreatePart(h)
		if err == nil {
			_, err = part.Write([]byte(f.content))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.server.URL+"/tasks/archive/"+taskID+"/copy", &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return d.send(t, d.client, req)
}

// Files for a copy go to the connector in pieces, without their names; the page
// says what is there by numbers alone, and one can be taken out again.
func TestFilesForCopy(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	a.copies()
	page := d.fetch(t, "/tasks/archive/"+taskID)
	page.says(t, "Attach a copy of what is held", "At most 16 MiB each and 128 MiB together", "cabinet 3 at first 0 in the files")
	letter := strings.Repeat("Dear Ann. ", wire.MaxCopyPiece/5)
	fields := url.Values{"version": {"3"}, "store": {"cabinet"}, "records": {"2"}, "reviewed": {"yes"}}
	page = d.upload(t, fields, paper{"planted-name.TXT", letter}, paper{"planted.csv", "a\n1\n"})
	page.says(t, "text/plain", "text/csv", "cabinet 3 at first 4 in the files")
	want := fmt.Sprintf("console copies text/plain, 2 of cabinet, %d bytes | console copies text/csv, 2 of cabinet, 4 bytes", len(letter))
	if got := a.did(); got != want || a.pieces != 1 {
		t.Errorf("did %s, %d pieces before", got, a.pieces)
	}
	if strings.Contains(page.body, "planted-name") || strings.Contains(page.body, "Dear Ann") {
		t.Error("the page tells the name of a file, or what is in it")
	}
	sum := sha256.Sum256([]byte("a\n1\n"))
	page = d.post(t, "/tasks/archive/"+taskID+"/uncopy", url.Values{"version": {"5"}, "file": {fmt.Sprintf("%x", sum)}})
	if strings.Contains(page.body, fmt.Sprintf("%x", sum)) {
		t.Error("it is not taken out")
	}
	if back := d.post(t, "/tasks/archive/"+taskID+"/answer", url.Values{"version": {"6"}, "store-0": {"cabinet"}, "count-0": {"2"}}); back.path != "/tasks" {
		t.Errorf("led to %s with %d", back.path, back.status)
	}
	d.retried(t, fmt.Sprintf("retry %s %q 0", a.task.GetRequestId(), "archive"))
	for _, c := range a.changes {
		if strings.Contains(c, "planted") {
			t.Errorf("the connector is told the name of a file: %s", c)
		}
	}
}

// What can't go into a copy is refused in words, and says what of the upload was
// kept.
func TestFilesForCopyAreRefused(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	a.copies()
	fields := func(but string, value ...string) url.Values {
		v := url.Values{"version": {"3"}, "store": {"cabinet"}, "records": {"1"}, "reviewed": {"yes"}}
		if v.Del(but); len(value) > 0 {
			v.Set(but, value[0])
		}
		return v
	}
	text := paper{"a.txt", "x"}
	for want, c := range map[string]struct {
		fields url.Values
		files  []paper
	}{
		"Choose a file. Nothing was changed.":   {fields(""), []paper{{"", ""}}},
		"The file is empty. Nothing was":        {fields(""), []paper{{"a.csv", ""}}},
		"The file is too large: at most 16 MiB": {fields(""), []paper{{"a.csv", strings.Repeat("x", wire.MaxCopyFile+1)}}},
		"is JSON, CSV, plain text or a PDF":     {fields(""), []paper{{"a.docx", "x"}}},
		"Say which store":                       {fields("store"), []paper{text}},
		"Say how many records":                  {fields("records", "0"), []paper{text}},
		"Read the document":                     {fields("reviewed"), []paper{text}},
	} {
		page := d.upload(t, c.fields, c.files...)
		page.says(t, want)
		if page.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", want, page.status)
		}
	}
	if got := a.did(); got != "" {
		t.Errorf("did %s", got)
	}
	page := d.upload(t, fields(""), text, paper{"b.gif", "x"}, paper{"c.txt", "y"})
	page.says(t, "The file before it is attached; it and those after it are not.")
	if page := d.upload(t, fields(""), text); page.status != http.StatusConflict {
		t.Errorf("an upload to what was seen long ago: status %d", page.status)
	}
	a.mu.Lock()
	a.refuse, a.detail = "invalid", "the file is not text in UTF-8; save it with that encoding"
	a.mu.Unlock()
	d.upload(t, fields(""), text).says(t, "The file is not text in UTF-8; save it with that encoding. Nothing was changed.")
	if page := d.post(t, "/tasks/archive/"+taskID+"/copy", url.Values{"version": {"4"}}); page.status != http.StatusBadRequest {
		t.Errorf("a form without files: status %d", page.status)
	}
	if page := d.upload(t, fields("version", "x"), text); page.status != http.StatusBadRequest {
		t.Errorf("no version: status %d", page.status)
	}
}

// attachesCopy is somebody attaching two files in a browser.
func attachesCopy(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	dir := t.TempDir()
	var files []string
	for name, text := range map[string]string{"sheet.csv": "a,b\n1,2\n", "letter.txt": "Dear Ann"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	b.Run(
		chromedp.SetValue("#copy-store", "cabinet"), chromedp.Click("#copy-reviewed"), chromedp.SetUploadFiles("#copy-file", files),
		chromedp.Click("#attach-copy"),
	)
	b.Wait(`document.querySelectorAll("#copies li").length === 2`)
	b.Shot("console-task-copy-attached")
	b.Accessible("console-task-copy-attached")
}
