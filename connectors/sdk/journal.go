package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// journal remembers what was located before an act, one file for each job. It
// outlives the outcome: should the bus lose the outcome before anybody read
// it, the next attempt still knows what there was. Instances of one connector
// share it. It holds signed counts and nothing personal.
type journal struct {
	dir string

	mu     sync.Mutex
	next   *dirSync // the one that will cover files made from now on
	active bool
}

// dirSync is one fsync of the folder, shared by all who wait for it.
type dirSync struct {
	done chan struct{}
	err  error
}

func openJournal(stateDir string) (*journal, error) {
	dir := filepath.Join(stateDir, journalDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the journal: %w", err)
	}
	return &journal{dir: dir}, nil
}

var plainJobID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// path names the file of a job; an id that is no plain file name is digested.
func (j *journal) path(jobID string) string {
	if !plainJobID.MatchString(jobID) {
		sum := sha256.Sum256([]byte(jobID))
		jobID = "sha256." + hex.EncodeToString(sum[:])
	}
	return filepath.Join(j.dir, jobID)
}

// read returns the located record of a job's first attempt, or nil.
func (j *journal) read(jobID string) ([]byte, error) {
	text, err := os.ReadFile(j.path(jobID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	return text, nil
}

// write makes the located record of a job durable.
func (j *journal) write(jobID string, envelope []byte) error {
	path := j.path(jobID)
	// A file with another name until it is whole: a crash leaves all or
	// nothing under the job's own.
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // inside the journal
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	_, err = f.Write(envelope)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = j.syncDir()
	}
	if err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// acted returns when it was first called for a job: when the act was done that
// the system has still to show.
func (j *journal) acted(jobID string) (time.Time, error) {
	path := j.path(jobID) + ".acted"
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // inside the journal
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return time.Time{}, fmt.Errorf("writing the journal: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the journal: %w", err)
	}
	return info.ModTime(), nil
}

// syncDir makes the names in the folder durable. Callers that come while one
// fsync runs share the next.
func (j *journal) syncDir() error {
	j.mu.Lock()
	if j.next == nil {
		j.next = &dirSync{done: make(chan struct{})}
	}
	mine := j.next
	if !j.active {
		j.active = true
		go j.syncAll()
	}
	j.mu.Unlock()
	<-mine.done
	return mine.err
}

// syncAll syncs until nobody waits.
func (j *journal) syncAll() {
	for {
		j.mu.Lock()
		round := j.next
		j.next = nil
		if round == nil {
			j.active = false
			j.mu.Unlock()
			return
		}
		j.mu.Unlock()
		round.err = syncDir(j.dir)
		close(round.done)
	}
}

// sweep removes what is older than age, at once and then every hour.
func (j *journal) sweep(ctx context.Context, age time.Duration, logger *slog.Logger) {
	for {
		if err := j.removeBefore(ctx, time.Now().Add(-age)); err != nil && ctx.Err() == nil {
			logger.Warn("sweeping the journal", "error", err)
		}
		if !sleep(ctx, time.Hour) {
			return
		}
	}
}

func (j *journal) removeBefore(ctx context.Context, t time.Time) error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept by another instance
		}
		if err != nil {
			return err
		}
		if info.ModTime().Before(t) {
			if err := os.Remove(filepath.Join(j.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
