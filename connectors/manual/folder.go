package manual

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/habeas-data/habeas/connectors/internal/filelock"
)

// folder keeps tasks and documents in encrypted files. All instances of the
// connector share it, one at a time.
type folder struct {
	dir  string
	seal cipher.AEAD
	lock *os.File
	mu   sync.Mutex
}

const (
	keyFile   = "tasks.key"
	lockName  = "tasks.lock"
	taskEnd   = ".task"
	proofEnd  = ".proof"
	keyLength = 32
)

var errNoTask = errors.New("there is no such task")

// openFolder opens the folder and makes it, with its key, on the first start.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of tasks: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // a file of ours
	if err != nil {
		return nil, fmt.Errorf("opening the folder of tasks: %w", err)
	}
	f := &folder{dir: dir, lock: lock}
	if err := f.exclusively(context.Background(), f.openKey); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

func (f *folder) close() error { return f.lock.Close() }

// exclusively runs do while no other goroutine or instance does.
func (f *folder) exclusively(ctx context.Context, do func() error) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := filelock.Lock(f.lock); err != nil {
		return fmt.Errorf("locking the folder of tasks: %w", err)
	}
	defer func() { err = errors.Join(err, filelock.Unlock(f.lock)) }()
	return do()
}

func (f *folder) openKey() error {
	path := filepath.Join(f.dir, keyFile)
	key, err := os.ReadFile(path) //nolint:gosec // a file of ours
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, keyLength)
		rand.Read(key) // never fails
		err = f.replace(keyFile, key)
	}
	if err != nil {
		return fmt.Errorf("opening the key of tasks: %w", err)
	}
	if len(key) != keyLength {
		return fmt.Errorf("opening the key of tasks: %s has %d bytes, want %d", path, len(key), keyLength)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("opening the key of tasks: %w", err)
	}
	f.seal, err = cipher.NewGCMWithRandomNonce(block)
	return err
}

// replace writes a file whole or not at all.
func (f *folder) replace(name string, content []byte) error {
	temp, err := os.CreateTemp(f.dir, name+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // the rename below is what counts
	_, err = temp.Write(content)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), filepath.Join(f.dir, name)); err != nil {
		return err
	}
	dir, err := os.Open(f.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// put seals a file under its name, so that no two can be exchanged.
func (f *folder) put(name string, plain []byte) error {
	sealed := f.seal.Seal(nil, nil, plain, []byte(name)) //nolint:gosec // it makes a random nonce of its own
	if err := f.replace(name, sealed); err != nil {
		return fmt.Errorf("writing a task: %w", err)
	}
	return nil
}

func (f *folder) get(name string) ([]byte, error) {
	sealed, err := os.ReadFile(filepath.Join(f.dir, name)) //nolint:gosec // a file of ours: see taskName
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoTask
	}
	if err != nil {
		return nil, fmt.Errorf("reading a task: %w", err)
	}
	plain, err := f.seal.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("reading a task: %s was altered, or its key is another", name)
	}
	return plain, nil
}

// safeName reports whether an id can be the name of a file.
func safeName(id string) bool {
	return id != "" && len(id) <= 64 && strings.Trim(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == ""
}

func (f *folder) putTask(t *task) error {
	plain, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("writing a task: %w", err)
	}
	return f.put(t.ID+taskEnd, plain)
}

// task reads one task; the error is [errNoTask] when there is none.
func (f *folder) task(id string) (*task, error) {
	if !safeName(id) {
		return nil, errNoTask
	}
	plain, err := f.get(id + taskEnd)
	if err != nil {
		return nil, err
	}
	t := &task{}
	if err := json.Unmarshal(plain, t); err != nil {
		return nil, errors.New("reading a task: it is none of ours")
	}
	return t, nil
}

// tasks reads all tasks.
func (f *folder) tasks() ([]*task, error) {
	names, err := filepath.Glob(filepath.Join(f.dir, "*"+taskEnd))
	if err != nil {
		return nil, err
	}
	var out []*task
	for _, name := range names {
		t, err := f.task(strings.TrimSuffix(filepath.Base(name), taskEnd))
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func proofName(id, sum string) string { return id + "." + sum + proofEnd }

// forget removes a task with its documents.
func (f *folder) forget(t *task) error {
	var errs []error
	for _, c := range t.Files {
		errs = append(errs, f.removeCopy(t.ID, c))
	}
	for _, p := range t.Proofs {
		if err := os.Remove(filepath.Join(f.dir, proofName(t.ID, p.SHA256))); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, os.Remove(filepath.Join(f.dir, t.ID+taskEnd)))...)
}
