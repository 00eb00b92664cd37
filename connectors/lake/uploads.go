package lake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// uploadLog remembers uploads in parts across a crash, because a server does
// not say whose an unfinished upload is. There is one small file for each,
// locked while its upload lasts, so that another process that shares the
// folder can tell one under way from one left behind.
//
// A nil log remembers nothing.
type uploadLog struct {
	dir string

	mu   sync.Mutex
	mine map[string]*os.File // by upload id
}

// upload is one upload in parts.
type upload struct {
	Key string `json:"key"`
	ID  string `json:"id"`
}

const uploadSuffix = ".upload"

func openUploadLog(dir string) *uploadLog {
	if dir == "" {
		return nil
	}
	return &uploadLog{dir: filepath.Join(dir, "uploads"), mine: make(map[string]*os.File)}
}

func (l *uploadLog) path(id string) string {
	sum := sha256.Sum256([]byte(id))
	return filepath.Join(l.dir, hex.EncodeToString(sum[:16])+uploadSuffix)
}

// add notes an upload that has begun.
func (l *uploadLog) add(u upload) error {
	if l == nil {
		return nil
	}
	text, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("noting an upload: %w", err)
	}
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return fmt.Errorf("noting an upload: %w", err)
	}
	file, err := os.OpenFile(l.path(u.ID), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("noting an upload: %w", err)
	}
	if err := lock(file); err != nil && !errors.Is(err, errNotHere) {
		return errors.Join(fmt.Errorf("noting an upload: %w", err), file.Close())
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync()); err != nil {
		return errors.Join(fmt.Errorf("noting an upload: %w", err), file.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mine[u.ID] = file
	return nil
}

// remove forgets an upload that is over.
func (l *uploadLog) remove(id string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	file := l.mine[id]
	delete(l.mine, id)
	l.mu.Unlock()
	err := os.Remove(l.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if file != nil {
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return fmt.Errorf("forgetting an upload: %w", err)
	}
	return nil
}

// each calls do for every upload that a process left behind, and forgets those
// for which it succeeds.
func (l *uploadLog) each(do func(upload) error) error {
	if l == nil {
		return nil
	}
	entries, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading which uploads were left: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), uploadSuffix) {
			continue
		}
		if err := l.one(filepath.Join(l.dir, e.Name()), do); err != nil {
			return err
		}
	}
	return nil
}

func (l *uploadLog) one(path string, do func(upload) error) (err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // below the connector's own folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading which uploads were left: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := lock(file); errors.Is(err, errBusy) || errors.Is(err, errNotHere) {
		return nil // under way, or nobody can tell
	} else if err != nil {
		return err
	}
	var u upload
	if json.NewDecoder(file).Decode(&u) == nil && u.ID != "" {
		if err := do(u); err != nil {
			return err
		}
	} // else the crash came before the first part was sent
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forgetting an upload: %w", err)
	}
	return nil
}
