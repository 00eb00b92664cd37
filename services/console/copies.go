package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// copyView is a file for the person's copy as a task shows it.
type copyView struct{ Store, Type, Records, Size, SHA256 string }

func copyViews(files []*habeasv1.TaskFile) []copyView {
	var out []copyView
	for _, f := range files {
		out = append(out, copyView{
			Store: f.GetStore(), Type: f.GetMediaType(), Records: number(f.GetRecordCount()), Size: number(f.GetSize()) + " bytes",
			SHA256: hex.EncodeToString(f.GetSha256()),
		})
	}
	return out
}

// held is how many records the attached files hold of a store.
func held(files []*habeasv1.TaskFile, store string) (n int64) {
	for _, f := range files {
		if f.GetStore() == store {
			n += f.GetRecordCount()
		}
	}
	return n
}

// copyEndings tell the type of a file: the ending of its name is better than what
// browsers say. Nothing else is made of the name.
var copyEndings = map[string]string{".json": "application/json", ".csv": "text/csv", ".txt": "text/plain", ".pdf": "application/pdf"}

// copyAround is what a form may have besides its files.
const copyAround = 256 << 10

// uploadTimeout bounds how long an upload may take.
const uploadTimeout = 10 * time.Minute

// copyUpload is an upload as far as it was read.
type copyUpload struct {
	task     *habeasv1.TaskChange
	store    string
	records  int64
	reviewed bool
	files    int
}

// attachCopy takes files for the person's copy in, one after the other as they
// come, so that no more than one of them is in memory, and none on a disk.
func (r *Room) attachCopy(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, wire.MaxCopy+copyAround)
	m, err := r.desk(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	form, err := req.MultipartReader()
	if err != nil {
		r.fail(w, req, errBadForm)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), uploadTimeout)
	defer cancel()
	up := &copyUpload{task: &habeasv1.TaskChange{TaskId: req.PathValue("id")}, records: 1}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		status, problem := http.StatusUnprocessableEntity, ""
		if err == nil {
			problem, err = r.copyPart(ctx, m, up, part)
		} else {
			err = badUpload(err)
		}
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			status, problem, err = http.StatusRequestEntityTooLarge, "All files of an upload together may have at most "+number(wire.MaxCopy>>20)+" MiB.", nil
		}
		var refused *refusedTask
		switch {
		case errors.As(err, &refused) && refused.problem == "moved_on":
			status, problem = http.StatusConflict, "The task has moved on since you saw it; this page shows how it stands now."
		case errors.As(err, &refused):
			problem = plain(refused.detail + ".")
		case err != nil:
			r.fail(w, req, err)
			return
		}
		if problem != "" {
			// A browser shows the answer only once it could send everything.
			_, _ = io.Copy(io.Discard, req.Body)
			r.showTask(w, req, status, "copy", problem+up.kept())
			return
		}
	}
	if up.files == 0 {
		r.showTask(w, req, http.StatusUnprocessableEntity, "copy", "Choose a file. Nothing was changed.")
		return
	}
	r.config.Logger.InfoContext(ctx, "staff decided", slog.String("connector", m.GetName()), slog.String("task", up.task.GetTaskId()), slog.String("action", "copy"))
	http.Redirect(w, req, taskPath(m, up.task), http.StatusSeeOther) //nolint:gosec // a path of ours, each part escaped
}

// kept says what became of an upload that stopped.
func (u *copyUpload) kept() string {
	switch u.files {
	case 0:
		return " Nothing was changed."
	case 1:
		return " The file before it is attached; it and those after it are not."
	default:
		return " The " + strconv.Itoa(u.files) + " files before it are attached; it and those after it are not."
	}
}

func taskPath(m *habeasv1.Manifest, ch *habeasv1.TaskChange) string {
	return "/tasks/" + url.PathEscape(m.GetName()) + "/" + url.PathEscape(ch.GetTaskId())
}

// copyPart takes one field or file of the form. A problem is for the page.
func (r *Room) copyPart(ctx context.Context, m *habeasv1.Manifest, up *copyUpload, part *multipart.Part) (problem string, err error) {
	if part.FormName() == "file" {
		return r.copyFile(ctx, m, up, part)
	}
	text, err := io.ReadAll(io.LimitReader(part, 1<<10))
	if err != nil {
		return "", badUpload(err)
	}
	value := strings.TrimSpace(string(text))
	switch part.FormName() {
	case "version":
		if up.task.Version, err = strconv.ParseInt(value, 10, 64); err != nil {
			return "", errBadForm
		}
	case "store":
		up.store = value
	case "records":
		if value == "" {
			break
		}
		if up.records, err = strconv.ParseInt(value, 10, 64); err != nil || up.records < 1 || up.records > wire.MaxCopyRecords {
			return "Say how many records each document holds, as a number from 1 to " + number(wire.MaxCopyRecords) + ".", nil
		}
	case "reviewed":
		up.reviewed = value == "yes"
	}
	return "", nil
}

// badUpload is the error of reading an upload that broke off.
func badUpload(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return err
	}
	return errBadForm
}

// copyFile reads one file and sends it to the connector, piece by piece.
func (r *Room) copyFile(ctx context.Context, m *habeasv1.Manifest, up *copyUpload, part *multipart.Part) (problem string, err error) {
	if part.FileName() == "" {
		return "", nil // a browser sends this when none is chosen
	}
	kind, known := copyType(part)
	content, err := io.ReadAll(io.LimitReader(part, wire.MaxCopyFile+1))
	switch {
	case err != nil:
		return "", badUpload(err)
	case !known:
		return "A file for a copy is JSON, CSV, plain text or a PDF.", nil
	case len(content) == 0:
		return "The file is empty.", nil
	case len(content) > wire.MaxCopyFile:
		return "The file is too large: at most " + number(wire.MaxCopyFile>>20) + " MiB. Split it.", nil
	case up.store == "":
		return "Say which store the records are from.", nil
	case !up.reviewed && (kind == "application/pdf" || kind == "text/plain"):
		return "Read the document, and say that you have: nobody can black anything out after you.", nil
	}
	sum := sha256.Sum256(content)
	for at := 0; at < len(content); at += wire.MaxCopyPiece {
		piece := &habeasv1.TaskFile{
			Sha256: sum[:], MediaType: kind, Size: int64(len(content)), Store: up.store, RecordCount: up.records, Offset: int64(at),
			Content: content[at:min(len(content), at+wire.MaxCopyPiece)],
		}
		ch := &habeasv1.TaskChange{TaskId: up.task.GetTaskId(), Version: up.task.GetVersion(), Change: &habeasv1.TaskChange_Copy{Copy: piece}}
		a, err := r.askDesk(ctx, m, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Change{Change: ch}})
		if err != nil {
			return "", err
		}
		if len(a.GetTasks()) == 1 {
			up.task.Version = a.GetTasks()[0].GetVersion()
		}
	}
	up.files++
	return "", nil
}

// copyType is the type of a file by the ending of its name, or by what the browser
// says of it.
func copyType(part *multipart.Part) (string, bool) {
	if kind, ok := copyEndings[strings.ToLower(path.Ext(part.FileName()))]; ok {
		return kind, true
	}
	kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	return kind, err == nil && path.Ext(part.FileName()) == "" && slices.Contains(wire.CopyTypes(), kind)
}

// dropCopy takes a file out of the copy.
func (r *Room) dropCopy(w http.ResponseWriter, req *http.Request) {
	if !r.readForm(w, req) {
		return
	}
	sum, err := hex.DecodeString(req.PostFormValue("file"))
	if err != nil || len(sum) != sha256.Size {
		r.fail(w, req, errBadForm)
		return
	}
	r.changeTask(w, req, "uncopy", &habeasv1.TaskChange{Change: &habeasv1.TaskChange_Uncopy{Uncopy: sum}})
}
