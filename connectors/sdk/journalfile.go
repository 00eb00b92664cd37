package sdk

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/habeas-data/habeas/proto/wire/keyfile"
)

// journalFile is the file a process appends to. Its zero value is closed.
type journalFile struct {
	f       *os.File
	name    string
	size    int64
	started time.Time
}

// open makes sure there is a file to append to: a new one for each process and
// day, because what an earlier process left may end in half a line, and old
// files are removed whole.
func (o *journalFile) open(dir string) error {
	if o.f != nil && o.size < journalFileSize && time.Since(o.started) < 24*time.Hour {
		return nil
	}
	if err := o.close(); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, time.Now().UTC().Format("20060102T150405")+"-*"+journalExt)
	if err != nil {
		return err
	}
	if err := keyfile.SyncDir(dir); err != nil {
		return errors.Join(err, f.Close())
	}
	*o = journalFile{f: f, name: filepath.Base(f.Name()), started: time.Now()}
	return nil
}

// append makes text durable at the end of the file. After an error the file is
// not used any more: it may end in half a line.
func (o *journalFile) append(text []byte) error {
	_, err := o.f.Write(text)
	if err == nil {
		err = o.f.Sync()
	}
	if err != nil {
		return errors.Join(err, o.close())
	}
	o.size += int64(len(text))
	return nil
}

func (o *journalFile) close() error {
	if o.f == nil {
		return nil
	}
	err := o.f.Close()
	*o = journalFile{}
	return err
}
