package restspec

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// ledger remembers what was done in systems that cannot be asked: which
// identifiers were erased or opted out, and when. Names are keyed digests under
// a key of this connector's own, so the ledger tells nobody anything.
//
// Instances share it through their folder; without one it is in memory.
type ledger struct {
	dir string

	mu  sync.Mutex
	key []byte
	mem map[string]time.Time
}

// staleMark is how long a mark is kept: longer than a request can take, its
// later verifications included.
const staleMark = 2 * 365 * 24 * time.Hour

func openLedger(dir string, now time.Time) (*ledger, error) {
	l := &ledger{mem: map[string]time.Time{}}
	if dir == "" {
		l.key = make([]byte, 32)
		_, _ = rand.Read(l.key) // crypto/rand.Read never fails
		return l, nil
	}
	l.dir = filepath.Join(dir, "settled")
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for what was settled: %w", err)
	}
	if err := removeStale(l.dir, now, staleMark); err != nil {
		return nil, fmt.Errorf("removing old marks: %w", err)
	}
	var err error
	if l.key, err = sharedKey(filepath.Join(dir, "ledger-key")); err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	return l, nil
}

// sharedKey reads the key in file, or makes it; of several processes that make
// it at once, one wins and all read the same.
func sharedKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file) //nolint:gosec // a file of ours
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // crypto/rand.Read never fails
		if err := linkFile(file, key); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		key, err = os.ReadFile(file) //nolint:gosec // likewise
	}
	if err == nil && len(key) != 32 {
		err = errors.New("it has not 32 bytes")
	}
	return key, err
}

// linkFile writes a file that is whole as soon as it is there, unless there is
// one already.
func linkFile(file string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // linked or not wanted
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Link(tmp.Name(), file)
}

// name is the keyed digest of words.
func (l *ledger) name(words ...string) string {
	m := hmac.New(sha256.New, l.key)
	for _, w := range words {
		fmt.Fprintf(m, "%d:%s", len(w), w)
	}
	return hex.EncodeToString(m.Sum(nil))
}

// mark remembers that op was done for an identifier, as of the time it began.
func (l *ledger) mark(op string, id sdk.Identifier, began time.Time) error {
	name := l.name(op, string(id.Kind), id.Value.Reveal())
	if l.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.mem[name] = began
		return nil
	}
	if err := writeFile(filepath.Join(l.dir, name), []byte(began.UTC().Format(time.RFC3339Nano))); err != nil {
		return fmt.Errorf("remembering what was done: %w", err)
	}
	return nil
}

// when is when op last began for an identifier, or the zero time.
func (l *ledger) when(op string, id sdk.Identifier) (time.Time, error) {
	name := l.name(op, string(id.Kind), id.Value.Reveal())
	if l.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.mem[name], nil
	}
	text, err := os.ReadFile(filepath.Join(l.dir, name)) //nolint:gosec // a file of ours
	if errors.Is(err, os.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading what was done: %w", err)
	}
	t, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}, errors.New("reading what was done: a mark is not a time")
	}
	return t, nil
}

// settled reports whether op was done for t since this job's request came in.
// What a later request asks for is done anew: data may have come back.
func (r *run) settled(op string, t target) (bool, error) {
	at, err := r.e.ledger.when(op, sdk.ID(t.kind, t.value))
	if err != nil {
		return false, sdk.WithCode(sdk.Internal, err)
	}
	return !at.IsZero() && !at.Before(r.info.Received), nil
}

// assume takes one record for each of the person's identifiers, in a system
// that cannot be asked whether it knows them, unless it was settled already.
func (r *run) assume(s *step) error {
	for _, t := range r.targets(s) {
		done, err := r.settled("erase", t)
		if err != nil {
			return err
		}
		if done {
			continue
		}
		r.cols[s.name] = append(r.cols[s.name], &item{name: s.name, fields: map[string]any{"value": t.value}, root: t})
		if !s.collect {
			r.counts.add(s.store, nil)
		}
	}
	return nil
}
