package restspec

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/filelock"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// meter holds a few times that all instances of a connector share and change
// one after the other: in a file of the folder they share, under its lock, or
// in memory when there is no folder.
//
// A system's quota has to outlive a restart, a monthly one above all, and two
// instances have one quota between them.
type meter struct {
	mu    sync.Mutex
	file  *os.File
	slots []int64
}

// openMeter opens the meter of n slots for a set of limits. Other limits have
// another file: their times would mean something else.
func openMeter(dir string, limits []Limit) (*meter, error) {
	m := &meter{slots: make([]int64, len(limits)+1)}
	if dir == "" {
		return m, nil
	}
	text, err := json.Marshal(limits)
	if err != nil {
		return nil, fmt.Errorf("naming the quota's file: %w", err)
	}
	sum := sha256.Sum256(text)
	name := filepath.Join(dir, "quota-"+hex.EncodeToString(sum[:6]))
	m.file, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // a file of ours
	if err != nil {
		return nil, fmt.Errorf("opening the quota's file: %w", err)
	}
	return m, nil
}

// update calls f with the shared times, in nanoseconds of Unix time, and keeps
// what it made of them when it returns true.
func (m *meter) update(ctx context.Context, f func(now time.Time, slots []int64) bool) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.file == nil {
		f(time.Now(), m.slots)
		return nil
	}
	defer func() {
		if err != nil {
			err = sdk.WithCode(sdk.Internal, fmt.Errorf("sharing the quota: %w", err))
		}
	}()
	if err := filelock.Lock(m.file); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, filelock.Unlock(m.file)) }()
	buf := make([]byte, 8*len(m.slots))
	if _, err := m.file.ReadAt(buf, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for i := range m.slots {
		m.slots[i] = int64(binary.BigEndian.Uint64(buf[8*i:])) //nolint:gosec // written as one
	}
	if !f(time.Now(), m.slots) {
		return nil
	}
	for i, s := range m.slots {
		binary.BigEndian.PutUint64(buf[8*i:], uint64(s)) //nolint:gosec // read back as one
	}
	_, err = m.file.WriteAt(buf, 0)
	return err
}

func (m *meter) close() error {
	if m.file == nil {
		return nil
	}
	return m.file.Close()
}
