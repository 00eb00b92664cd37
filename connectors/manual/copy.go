package manual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// copyFile is a file that people attached for the person's copy. It has no name:
// names of files are personal too.
type copyFile struct {
	SHA256    string    `json:"sha256"`
	MediaType string    `json:"media_type"`
	Store     string    `json:"store"`
	Size      int64     `json:"size"`
	Records   int64     `json:"records"`
	Time      time.Time `json:"time"`
}

// Endings of the files that a copy is kept in: a piece of one that is still
// coming, one that is there, and what can be read in it.
const (
	pieceEnd = ".piece"
	copyEnd  = ".copy"
	textEnd  = ".text"
)

// copiesStay is how long the files of a copy stay once it was taken: an attempt
// that a crash cut off, or a part that was lost with its bus, is made good
// without asking people again. After that they are.
const copiesStay = 7 * 24 * time.Hour

func pieceName(id, sum string, n int64) string {
	return id + "." + sum + "." + strconv.FormatInt(n, 10) + pieceEnd
}
func copyName(id, sum string) string { return id + "." + sum + copyEnd }
func textName(id, sum string) string { return id + "." + sum + textEnd }

// Export implements [sdk.Exporter]: what people attached.
func (e exporter) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	t, err := e.c.ask(ctx, p, stepCopy, func(t *task) bool {
		switch {
		case !t.Done.IsZero():
			return true
		case t.Acted:
			t.Taken = true
			return true
		case t.Looked && t.Step == stepLook:
			t.ask(stepCopy)
		}
		return false
	})
	if err != nil {
		return err
	}
	for _, f := range t.Files {
		content, text, err := e.c.readCopy(ctx, t.ID, f)
		if err != nil {
			return err
		}
		err = eachRecord(f.MediaType, content, text, f.Records, func(fields []sdk.Field) error {
			return w.Write(ctx, sdk.Record{Store: f.Store, Fields: fields})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Connector) readCopy(ctx context.Context, id string, f copyFile) (content, text []byte, err error) {
	err = c.folder.exclusively(ctx, func() error {
		if content, err = c.folder.get(copyName(id, f.SHA256)); err != nil {
			return err
		}
		if f.MediaType == typePDF {
			text, err = c.folder.get(textName(id, f.SHA256))
		}
		return err
	})
	return content, text, err
}

// takePiece keeps a piece of a file, and the file once all of it is there. It
// reports whether that changed the task.
func (c *Connector) takePiece(t *task, p *habeasv1.TaskFile) (whole bool, err error) {
	if err := c.checkPiece(t, p); err != nil {
		return false, err
	}
	sum := hex.EncodeToString(p.GetSha256())
	if err := c.folder.put(pieceName(t.ID, sum, p.GetOffset()/wire.MaxCopyPiece), p.GetContent()); err != nil {
		return false, err
	}
	if p.GetOffset()+int64(len(p.GetContent())) < p.GetSize() {
		return false, nil
	}
	content, err := c.joinPieces(t.ID, sum, p.GetSize())
	if err != nil {
		return false, err
	}
	err = c.keepCopy(t, copyFile{
		SHA256: sum, MediaType: p.GetMediaType(), Store: p.GetStore(), Size: p.GetSize(), Records: max(1, p.GetRecordCount()), Time: c.now().UTC(),
	}, content)
	return err == nil, errors.Join(err, c.folder.removePieces(t.ID, sum))
}

// checkPiece names what is wrong with a piece by what the task says of it.
func (c *Connector) checkPiece(t *task, p *habeasv1.TaskFile) error {
	if t.Answered {
		return &refusal{problemMovedOn, "somebody has answered this already"}
	}
	size, offset := p.GetSize(), p.GetOffset()
	var others int64
	files := 0
	for _, f := range t.Files {
		if f.SHA256 != hex.EncodeToString(p.GetSha256()) {
			others, files = others+f.Size, files+1
		}
	}
	switch {
	case t.Step != stepCopy:
		return invalid("file: this step of the task asks for none")
	case len(p.GetSha256()) != sha256.Size:
		return invalid("file: sha256 is missing")
	case !slices.Contains(c.settings.storeNames(), p.GetStore()):
		return invalid("file: say which store its records are from")
	case !slices.Contains(wire.CopyTypes(), p.GetMediaType()):
		return invalid("file: want JSON, CSV, plain text or a PDF")
	case size <= 0:
		return invalid("the file is empty")
	case size > wire.MaxCopyFile:
		return invalid("the file is too large: want at most %d MiB; split it", wire.MaxCopyFile>>20)
	case others+size > wire.MaxCopy:
		return invalid("the files of this task are too large together: want at most %d MiB", wire.MaxCopy>>20)
	case files >= wire.MaxCopyFiles:
		return invalid("a task has at most %d files", wire.MaxCopyFiles)
	case p.GetRecordCount() < 0 || p.GetRecordCount() > wire.MaxCopyRecords:
		return invalid("file: want 1 to %d records", wire.MaxCopyRecords)
	case offset < 0 || offset >= size || offset%wire.MaxCopyPiece != 0 || int64(len(p.GetContent())) != min(wire.MaxCopyPiece, size-offset):
		return invalid("file: a piece of it is of the wrong size")
	}
	return nil
}

func (c *Connector) joinPieces(id, sum string, size int64) ([]byte, error) {
	content := make([]byte, 0, size)
	for n := int64(0); int64(len(content)) < size; n++ {
		piece, err := c.folder.get(pieceName(id, sum, n))
		if errors.Is(err, errNoTask) {
			return nil, invalid("file: a piece of it is missing; attach it again")
		}
		if err != nil {
			return nil, err
		}
		content = append(content, piece...)
	}
	if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
		return nil, invalid("file: it was altered on its way; attach it again")
	}
	return content, nil
}

// keepCopy keeps a file that is there whole: first its content, so that no task
// names one that is not there. The same file again takes the place of the first.
func (c *Connector) keepCopy(t *task, f copyFile, content []byte) error {
	text, n, err := readable(f.MediaType, content)
	if err != nil {
		return err
	}
	if n > 0 {
		f.Records = n
	}
	if f.MediaType == typePDF {
		if err := c.folder.put(textName(t.ID, f.SHA256), text); err != nil {
			return err
		}
	}
	if err := c.folder.put(copyName(t.ID, f.SHA256), content); err != nil {
		return err
	}
	t.Files = append(slices.DeleteFunc(t.Files, func(o copyFile) bool { return o.SHA256 == f.SHA256 }), f)
	return nil
}

// dropCopy takes a file out of the copy. Its content goes once the task no longer
// names it: see forgetCopy.
func (c *Connector) dropCopy(t *task, sum []byte) error {
	if t.Answered {
		return &refusal{problemMovedOn, "somebody has answered this already"}
	}
	named := hex.EncodeToString(sum)
	left := slices.DeleteFunc(slices.Clone(t.Files), func(f copyFile) bool { return f.SHA256 == named })
	if len(left) == len(t.Files) {
		return errNoTask
	}
	t.Files = left
	return nil
}

// forgetCopy removes the content of a file that its task does not name. What a
// crash leaves of it goes with the next sweep.
func (c *Connector) forgetCopy(ctx context.Context, id string, sum []byte) error {
	return c.folder.exclusively(ctx, func() error {
		t, err := c.folder.task(id)
		if err != nil {
			return err
		}
		gone := copyFile{SHA256: hex.EncodeToString(sum)}
		if slices.ContainsFunc(t.Files, func(f copyFile) bool { return f.SHA256 == gone.SHA256 }) {
			return nil // attached again meanwhile
		}
		return c.folder.removeCopy(id, gone)
	})
}

func (f *folder) removeCopy(id string, c copyFile) error {
	var errs []error
	for _, name := range []string{copyName(id, c.SHA256), textName(id, c.SHA256)} {
		if err := os.Remove(filepath.Join(f.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// copied takes the look after the files were attached: they hold what is there,
// no more and no less.
func (t *task) copied(counts []count) error {
	for _, one := range counts {
		var held int64
		for _, f := range t.Files {
			if f.Store == one.Store {
				held += f.Records
			}
		}
		if held != one.Count {
			return invalid("counts of %s: %d records, and the attached files hold %d; attach what is missing, or say how many records there are now", one.Store, one.Count, held)
		}
	}
	return nil
}

// copyMessages tell of the files without their content.
func (t *task) copyMessages() []*habeasv1.TaskFile {
	var out []*habeasv1.TaskFile
	for _, f := range t.Files {
		sum, err := hex.DecodeString(f.SHA256)
		if err != nil {
			sum = nil // it was written by us
		}
		out = append(out, &habeasv1.TaskFile{
			Sha256: sum, MediaType: f.MediaType, Size: f.Size, Store: f.Store, RecordCount: f.Records, Time: timestamppb.New(f.Time),
		})
	}
	return out
}

// expire lets a copy that was taken long ago go: the task says so, and what it
// names no longer goes with the sweep.
func (c *Connector) expire(t *task, now time.Time) error {
	if len(t.Files) == 0 || t.Done.IsZero() || now.Sub(t.Done) <= copiesStay {
		return nil
	}
	t.Files, t.Expired = nil, true
	t.Version++
	return c.folder.putTask(t)
}

// reopen asks people anew when a copy is wanted again that is gone.
func (t *task) reopen() {
	t.Done, t.Expired = time.Time{}, false
	t.Found, t.Left, t.Looked, t.Acted, t.Taken = nil, nil, false, false, false
	t.ask(stepLook)
}

func (f *folder) removePieces(id, sum string) error {
	pieces, err := filepath.Glob(filepath.Join(f.dir, id+"."+sum+".*"+pieceEnd))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range pieces {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing a piece of a file: %w", err))
		}
	}
	return errors.Join(errs...)
}

// removeCopies removes the files of copies that no task names, and pieces of
// files that stopped coming before old.
func (f *folder) removeCopies(named map[string]bool, old time.Time) error {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return fmt.Errorf("reading the folder of tasks: %w", err)
	}
	for _, e := range entries {
		gone := false
		switch filepath.Ext(e.Name()) {
		case copyEnd, textEnd:
			gone = !named[e.Name()]
		case pieceEnd:
			info, err := e.Info()
			gone = err == nil && info.ModTime().Before(old)
		}
		if !gone {
			continue
		}
		if err := os.Remove(filepath.Join(f.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a file of a copy that no task has: %w", err)
		}
	}
	return nil
}

var bom = []byte("\ufeff")

// withoutBOM is text without the mark that some programs begin it with.
func withoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, bom) }
