package sdk

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// journal remembers what was located before an act. It outlives the outcome:
// should the bus lose that before anybody read it, the next attempt still
// knows what there was. It holds signed counts and nothing personal.
//
// It is a folder of files that are only appended to, each by one process, and
// removed when their last entry is old. An entry is a line: its kind, the job,
// a CRC-32 and what is remembered. A line that a crash cut short is no entry.
// Instances of one connector share the folder and read each other's files.
type journal struct {
	dir   string
	queue chan *journalEntry

	mu    sync.Mutex
	index map[string]journalRef // the first entry of each kind and job
	read  map[string]int64      // how far each file is indexed
}

// The kinds of entries.
const (
	entryLocated = "L" // the envelope of the located record
	entryActed   = "A" // when the act was done, as Unix nanoseconds
	entryStood   = "S" // whether a choice was in force before, as a marshalled outcome
)

type journalRef struct {
	file   string
	offset int64
	length int
}

// journalEntry is one entry on its way to the disk.
type journalEntry struct {
	kind, job string
	body      []byte
	done      chan error
}

// Files are ended at this size, so that old ones can be removed.
const journalFileSize = 32 << 20

const journalExt = ".journal"

// openJournal reads the index of what earlier processes wrote.
func openJournal(stateDir string) (*journal, error) {
	j := &journal{
		dir: filepath.Join(stateDir, journalDir), queue: make(chan *journalEntry, 1024),
		index: map[string]journalRef{}, read: map[string]int64{},
	}
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the journal: %w", err)
	}
	return j, j.refresh()
}

// located returns the record of a job's first attempt, or nil. fresh also
// looks at what other instances have written since.
func (j *journal) located(jobID string, fresh bool) ([]byte, error) {
	return j.lookup(entryLocated, jobID, fresh)
}

// acted returns when it was first called for a job: when the act was done that
// the system has still to show.
func (j *journal) acted(jobID string) (time.Time, error) {
	body, err := j.lookup(entryActed, jobID, true)
	if err != nil {
		return time.Time{}, err
	}
	if body == nil {
		now := time.Now()
		return now, j.write(entryActed, jobID, strconv.AppendInt(nil, now.UnixNano(), 10))
	}
	nanos, err := strconv.ParseInt(string(body), 10, 64)
	return time.Unix(0, nanos), err
}

func (j *journal) lookup(kind, jobID string, fresh bool) ([]byte, error) {
	if fresh {
		if err := j.refresh(); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	ref, ok := j.index[kind+jobID]
	j.mu.Unlock()
	if !ok {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(j.dir, ref.file))
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	line := make([]byte, ref.length)
	if _, err := f.ReadAt(line, ref.offset); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	_, _, body, ok := parseEntry(line)
	if !ok {
		return nil, fmt.Errorf("reading the journal: %s is damaged at %d", ref.file, ref.offset)
	}
	return body, nil
}

// write returns when the entry is on the disk.
func (j *journal) write(kind, jobID string, body []byte) error {
	e := &journalEntry{kind: kind, job: jobID, body: body, done: make(chan error, 1)}
	j.queue <- e
	if err := <-e.done; err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	return nil
}

// formatEntry is an entry's line.
func formatEntry(kind, jobID string, body []byte) []byte {
	job := url.PathEscape(jobID)
	return fmt.Appendf(nil, "%s %s %08x %s\n", kind, job, entrySum(kind, job, body), body)
}

func entrySum(kind, job string, body []byte) uint32 {
	sum := crc32.NewIEEE()
	_, _ = io.WriteString(sum, kind+" "+job+" ") // a hash takes everything
	_, _ = sum.Write(body)
	return sum.Sum32()
}

// parseEntry reads a line, and reports whether it is whole.
func parseEntry(line []byte) (kind, jobID string, body []byte, ok bool) {
	line, ended := bytes.CutSuffix(line, []byte("\n"))
	parts := bytes.SplitN(line, []byte(" "), 4)
	if !ended || len(parts) != 4 {
		return "", "", nil, false
	}
	kind, job := string(parts[0]), string(parts[1])
	if fmt.Sprintf("%08x", entrySum(kind, job, parts[3])) != string(parts[2]) {
		return "", "", nil, false
	}
	jobID, err := url.PathUnescape(job)
	return kind, jobID, parts[3], err == nil
}

// run writes what is queued, many entries with one fsync, until ctx ends.
// Every entry queued before that is written.
func (j *journal) run(ctx context.Context) {
	var out journalFile
	defer func() { _ = out.close() }() // everything is synced
	for {
		var batch []*journalEntry
		select {
		case e := <-j.queue:
			batch = append(batch, e)
		case <-ctx.Done():
			return
		}
		for more := true; more && len(batch) < cap(j.queue); {
			select {
			case e := <-j.queue:
				batch = append(batch, e)
			default:
				more = false
			}
		}
		err := j.commit(&out, batch)
		for _, e := range batch {
			e.done <- err
		}
	}
}

// commit makes a batch durable and known.
func (j *journal) commit(out *journalFile, batch []*journalEntry) error {
	if err := out.open(j.dir); err != nil {
		return err
	}
	var text []byte
	refs := make([]journalRef, len(batch))
	for i, e := range batch {
		line := formatEntry(e.kind, e.job, e.body)
		refs[i] = journalRef{file: out.name, offset: out.size + int64(len(text)), length: len(line)}
		text = append(text, line...)
	}
	if err := out.append(text); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, e := range batch {
		if _, has := j.index[e.kind+e.job]; !has {
			j.index[e.kind+e.job] = refs[i]
		}
	}
	j.read[out.name] = out.size
	return nil
}

// refresh indexes what has been written since the last time, by anybody.
func (j *journal) refresh() error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), journalExt) {
			continue
		}
		if err := j.indexFile(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading the journal: %w", err)
		}
	}
	return nil
}

// indexFile indexes a file from where it was left. j.mu is held.
func (j *journal) indexFile(name string) error {
	f, err := os.Open(filepath.Join(j.dir, name)) //nolint:gosec // a file of ours
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil || info.Size() <= j.read[name] {
		return err
	}
	if _, err := f.Seek(j.read[name], io.SeekStart); err != nil {
		return err
	}
	lines := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // the end, or a line that is being written
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if kind, job, _, ok := parseEntry(line); ok {
			if _, has := j.index[kind+job]; !has {
				j.index[kind+job] = journalRef{file: name, offset: j.read[name], length: len(line)}
			}
		}
		j.read[name] += int64(len(line))
	}
}

// sweep removes files without entries younger than age, at once and then every
// hour.
func (j *journal) sweep(ctx context.Context, age time.Duration, logger *slog.Logger) {
	for {
		if err := j.removeBefore(time.Now().Add(-age)); err != nil {
			logger.Warn("sweeping the journal", "error", err)
		}
		if !sleep(ctx, time.Hour) {
			return
		}
	}
}

func (j *journal) removeBefore(t time.Time) error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // swept by another instance
		}
		if err != nil {
			return err
		}
		if !info.ModTime().Before(t) {
			continue
		}
		if err := os.Remove(filepath.Join(j.dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		j.forget(e.Name())
	}
	return nil
}

func (j *journal) forget(file string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.read, file)
	for key, ref := range j.index {
		if ref.file == file {
			delete(j.index, key)
		}
	}
}
