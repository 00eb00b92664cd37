package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
)

// ErrErased is wrapped by the error of exporting evidence that was destroyed
// at the end of its retention.
var ErrErased = errors.New("the evidence was destroyed under a retention rule")

// Source gives the records of a request with their proofs; [auditapi.Client]
// is one.
type Source interface {
	Records(ctx context.Context, requestID string, fn func(auditapi.Line) error) error
}

// Export writes the evidence of one request into the new folder dir. The
// folder appears whole or not at all. progress, when not nil, is told what
// goes on. A request that is still open can be exported; its pack says so.
func Export(ctx context.Context, source Source, requestID, dir string, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("writing the evidence pack: %s exists already; name a new folder", dir)
	}
	files, err := gather(ctx, source, requestID)
	if err != nil {
		return fmt.Errorf("exporting the evidence of request %s: %w", requestID, err)
	}
	progress(fmt.Sprintf("%d records with their proofs", countRecords(files)))
	report, err := complete(files)
	if err != nil {
		return fmt.Errorf("exporting the evidence of request %s: %w", requestID, err)
	}
	progress(fmt.Sprintf("checked against the log's head of %d leaves", report.Size))
	if err := writeFolder(dir, files); err != nil {
		return fmt.Errorf("writing the evidence pack: %w", err)
	}
	progress("written to " + dir)
	return nil
}

// ExportTo hands the files of a request's pack to a sink, as [Export] writes them.
// An error leaves a sink with nothing, or with a part of a pack when it is its own.
func ExportTo(ctx context.Context, source Source, requestID string, sink Sink) error {
	files, err := gather(ctx, source, requestID)
	if err == nil {
		_, err = complete(files)
	}
	if err != nil {
		return fmt.Errorf("exporting the evidence of request %s: %w", requestID, err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := sink.Put(name, files[name]); err != nil {
			return fmt.Errorf("writing the evidence pack: %w", err)
		}
	}
	return nil
}

func countRecords(files map[string][]byte) (n int) {
	for name := range files {
		if _, _, ok := parseRecordFile(name); ok {
			n++
		}
	}
	return n
}

// gather asks the source for everything that is evidence.
func gather(ctx context.Context, source Source, requestID string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := source.Records(ctx, requestID, func(line auditapi.Line) error {
		switch {
		case line.Head != nil:
			return addHead(files, line.Head)
		case line.Record != nil:
			return addRecord(files, line.Record)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if files[fileKeys] == nil || countRecords(files) == 0 {
		return nil, errors.New("the audit room sent no head or no records")
	}
	return files, nil
}

func addHead(files map[string][]byte, head *auditapi.Head) (err error) {
	keys := keysFile{Log: logKey{Origin: head.Origin, VerifierKey: head.VerifierKey}}
	for _, der := range head.Authorities {
		public, err := wire.ParsePublicDER(der)
		if err != nil {
			return err
		}
		keys.Authorities = append(keys.Authorities, authorityKey{Fingerprint: wire.Fingerprint(public), PublicKey: der})
	}
	files[fileKeys], err = formatKeys(keys)
	files[filePolicy] = policy(head.VerifierKey)
	if head.Policy != "" {
		files[filePolicy] = []byte(head.Policy)
	}
	files[fileCheckpoint] = []byte(head.Checkpoint)
	return err
}

func addRecord(files map[string][]byte, r *auditapi.Record) error {
	if r.Envelope == nil {
		return fmt.Errorf("leaf %d: %w", r.Leaf, ErrErased)
	}
	rec, err := wire.ParseRecord(r.Envelope)
	if err != nil {
		return fmt.Errorf("leaf %d: %w", r.Leaf, err)
	}
	if sum := sha256.Sum256(r.Envelope); string(sum[:]) != string(r.Digest) {
		return fmt.Errorf("leaf %d: the envelope is not the one that was logged: %w", r.Leaf, ErrAltered)
	}
	name := recordFile(r.Leaf, rec.Type)
	files[name], files[proofFile(name)] = r.Envelope, []byte(r.Proof)
	return nil
}

// complete checks the evidence as a reader would and adds what is for reading.
// Evidence that does not add up is still exported, and the certificate says
// where: it is what an auditor must see.
func complete(files map[string][]byte) (*Report, error) {
	report, err := verifyFiles(files, Trust{})
	if err != nil && (report == nil || !errors.Is(err, ErrIncomplete)) {
		return nil, err
	}
	readable, unwritable := requestReadable(report, err)
	if unwritable != nil {
		return nil, unwritable
	}
	maps.Copy(files, readable)
	files[fileSums] = sums(files)
	return report, nil
}

// writeFolder writes the files beside dir and moves them into place.
func writeFolder(dir string, files map[string][]byte) (err error) {
	temp, err := tempFolder(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	for name, content := range files {
		if err := folderSink(temp).Put(name, content); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o750); err != nil { //nolint:gosec // a folder needs its x
		return err
	}
	return os.Rename(temp, dir)
}

// tempFolder makes a folder beside dir.
func tempFolder(dir string) (string, error) {
	parent := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(parent, 0o750); err != nil {
		return "", err
	}
	return os.MkdirTemp(parent, "."+filepath.Base(dir)+".tmp-")
}

// writeFile writes a file that has reached the disk, so that a full disk is
// told now and not found by the auditor.
func writeFile(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) //nolint:gosec // the folder is the caller's
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
