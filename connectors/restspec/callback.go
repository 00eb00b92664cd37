package restspec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const maxCallback = 1 << 16 // bytes of a callback

// called keeps what systems called back about work they had accepted: for each
// piece of work its last state, by a digest of its handle, in the folder that
// instances share. A call may come twice, out of order, to another instance, or
// before the answer that named the work; the file waits for whoever looks.
type called struct {
	dir    string
	ledger *ledger // names files

	mu  sync.Mutex
	mem map[string]string
}

func openCalled(dir string, l *ledger, now time.Time) (*called, error) {
	c := &called{ledger: l, mem: map[string]string{}}
	if dir == "" {
		return c, nil
	}
	c.dir = filepath.Join(dir, "called")
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for callbacks: %w", err)
	}
	if err := removeStale(c.dir, now, staleHandle); err != nil {
		return nil, fmt.Errorf("removing old callbacks: %w", err)
	}
	return c, nil
}

func (c *called) name(s *step, handle string) string {
	return c.ledger.name("callback", s.async.callback.Path, handle)
}

// state is the last state that was called back, or "".
func (c *called) state(s *step, handle string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read(c.name(s, handle))
}

func (c *called) read(name string) (string, error) {
	if c.dir == "" {
		return c.mem[name], nil
	}
	raw, err := os.ReadFile(filepath.Join(c.dir, name)) //nolint:gosec // a file of ours
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading a callback: %w", err)
	}
	var state string
	if err := json.Unmarshal(raw, &state); err != nil {
		return "", errors.New("reading a callback: the file is broken")
	}
	return state, nil
}

// put keeps a state, unless the work had ended before: an older call that was
// delayed does not undo the end.
func (c *called) put(s *step, handle, state string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := c.name(s, handle)
	before, err := c.read(name)
	if err != nil {
		return err
	}
	if slices.Contains(s.async.Done, before) || slices.Contains(s.async.Failed, before) {
		return nil
	}
	if c.dir == "" {
		c.mem[name] = state
		return nil
	}
	raw, err := json.Marshal(state)
	if err == nil {
		err = writeFile(filepath.Join(c.dir, name), raw)
	}
	if err != nil {
		return fmt.Errorf("keeping a callback: %w", err)
	}
	return nil
}

// callbackHandler takes the calls for one step. It answers 204 when the state
// is on disk, 401 to whoever cannot sign, 400 to what is signed and makes no
// sense, 503 to be called again. The answers have no words.
func (e *engine) callbackHandler(s *step, g signature) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCallback))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		if !g.verify(r, body, e.now()) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		v, err := decodeValue(body)
		handle, _ := scalarText(at(v, s.async.callback.ID))
		state, _ := scalarText(at(v, s.async.callback.State))
		if err != nil || handle == "" || state == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := e.called.put(s, handle, state); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// listen starts taking callbacks, for programs that have some.
func (e *engine) listen(o Options) error {
	mux, wanted := http.NewServeMux(), false
	for _, steps := range e.prog.ops {
		for _, s := range steps {
			if s.async == nil || s.async.callback == nil {
				continue
			}
			g, err := openSignature(s.async.callback.Signature, o.Secret)
			if err != nil {
				return fmt.Errorf("callback %s: %w", s.async.callback.Path, err)
			}
			mux.HandleFunc("POST "+s.async.callback.Path, e.callbackHandler(s, g))
			wanted = true
			if o.Listen == "" && s.async.poll == nil && !o.Preview {
				return fmt.Errorf("listen: the system calls back at %s; say on which address of ours", s.async.callback.Path)
			}
		}
	}
	if !wanted || o.Listen == "" || o.Preview {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listening for callbacks: %w", err)
	}
	e.callbacks = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, MaxHeaderBytes: 1 << 14}
	e.callbackAddr = l.Addr().String()
	go func() { _ = e.callbacks.Serve(l) }() // ends with Close
	return nil
}

// Close implements [io.Closer]: it stops taking callbacks.
func (e *engine) Close() error {
	var err error
	if e.callbacks != nil {
		err = e.callbacks.Close()
	}
	return errors.Join(err, e.client.quota.meter.close())
}
