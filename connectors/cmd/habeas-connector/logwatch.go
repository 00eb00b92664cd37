package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// logWatch hands on what a connector writes to its standard error, and looks
// for identifiers in it.
type logWatch struct {
	to    io.Writer
	kinds map[string]string // lower-case value to kind

	mu      sync.Mutex
	partial []byte
	said    []string // the kinds whose values were written
}

// watchLog looks for everybody of the cast.
func watchLog(to io.Writer, people cast) *logWatch {
	w := &logWatch{to: to, kinds: map[string]string{}}
	for _, person := range append([]map[string]string{people.Person, people.Stranger}, people.Others...) {
		for kind, value := range person {
			for _, form := range []string{value, url.QueryEscape(value)} {
				w.kinds[strings.ToLower(form)] = kind
			}
		}
	}
	return w
}

// maxLine bounds what is kept of a line that does not end, in bytes.
const maxLine = 1 << 20

// Write implements [io.Writer].
func (w *logWatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.partial = append(w.partial, p...)
	if i := bytes.LastIndexByte(w.partial, '\n'); i >= 0 || len(w.partial) > maxLine {
		if i < 0 {
			i = len(w.partial) - 1
		}
		w.look(w.partial[:i+1])
		w.partial = append(w.partial[:0], w.partial[i+1:]...)
	}
	w.mu.Unlock()
	return w.to.Write(p)
}

func (w *logWatch) look(text []byte) {
	lower := strings.ToLower(string(text))
	for value, kind := range w.kinds {
		if strings.Contains(lower, value) && !slices.Contains(w.said, kind) {
			w.said = append(w.said, kind)
		}
	}
}

// check is an error when an identifier was written.
func (w *logWatch) check(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(w.partial)
	if len(w.said) > 0 {
		slices.Sort(w.said)
		return fmt.Errorf("it wrote identifiers of kind %s", strings.Join(w.said, ", "))
	}
	return nil
}
