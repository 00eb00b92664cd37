package restspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// handle is how started work is found again: the system's own names for it,
// which say nothing of the person.
type handle struct {
	Started time.Time `json:"started"`
	Next    time.Time `json:"next"`
	// Over is set when the work has ended and there is nothing in the system to
	// see it by.
	Over   bool              `json:"over,omitempty"`
	Values map[string]string `json:"values"`
}

// handles remembers started work by effect key, in a folder that survives the
// process, or in memory when there is none.
type handles struct {
	dir string
	mu  sync.Mutex
	mem map[string]*handle
}

// staleHandle is how long started work is remembered at most: longer than any
// known system takes.
const staleHandle = 180 * 24 * time.Hour

func openHandles(dir string, now time.Time) (*handles, error) {
	h := &handles{mem: map[string]*handle{}}
	if dir == "" {
		return h, nil
	}
	h.dir = filepath.Join(dir, "started")
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for started work: %w", err)
	}
	if err := removeStale(h.dir, now, staleHandle); err != nil {
		return nil, fmt.Errorf("removing stale work: %w", err)
	}
	return h, nil
}

// removeStale removes the files of dir that are older than age.
func removeStale(dir string, now time.Time, age time.Duration) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || now.Sub(info.ModTime()) <= age {
			continue // gone meanwhile, or young
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// end forgets finished work or, when nothing in the system shows that it is
// done, remembers just that: a later attempt of the same job must not begin
// again while another step takes its time.
func (h *handles) end(key string, v *handle, remember bool) error {
	if !remember {
		return h.drop(key)
	}
	over := *v
	over.Over = true
	return h.put(key, &over)
}

func (h *handles) file(key string) string { return filepath.Join(h.dir, key+".json") }

func (h *handles) get(key string) (*handle, bool, error) {
	if h.dir == "" {
		h.mu.Lock()
		defer h.mu.Unlock()
		v, ok := h.mem[key]
		return v, ok, nil
	}
	raw, err := os.ReadFile(h.file(key))
	if errors.Is(err, os.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading started work: %w", err)
	}
	var v handle
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, false, fmt.Errorf("reading started work: %w", err)
	}
	return &v, true, nil
}

func (h *handles) put(key string, v *handle) error {
	if h.dir == "" {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.mem[key] = v
		return nil
	}
	raw, err := json.Marshal(v)
	if err == nil {
		err = writeFile(h.file(key), raw)
	}
	if err != nil {
		return fmt.Errorf("remembering started work: %w", err)
	}
	return nil
}

func (h *handles) drop(key string) error {
	if h.dir == "" {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.mem, key)
		return nil
	}
	if err := os.Remove(h.file(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forgetting finished work: %w", err)
	}
	return nil
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
