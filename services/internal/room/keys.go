package room

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/keyfile"
)

// EvidenceKey loads the Ed25519 key that signs the records of the named room
// from dir/<name>.evidence.key (PEM, PKCS #8), or makes it there. Two processes
// that start at once get the same key.
func EvidenceKey(dir, name string) (ed25519.PrivateKey, error) {
	if err := wire.CheckName(name); err != nil {
		return nil, fmt.Errorf("evidence key: %w", err)
	}
	path := filepath.Join(dir, name+".evidence.key")
	content, err := KeyFile(path, keyfile.NewEvidence)
	if err != nil {
		return nil, fmt.Errorf("evidence key: %w", err)
	}
	key, err := keyfile.ParseEvidence(content)
	if err != nil {
		return nil, fmt.Errorf("evidence key: %s: %w", path, err)
	}
	return key, nil
}

// SealKey loads the curve key to which identifiers are sealed for the named
// room from dir/<name>.seal.key (one line, "SX…"), or makes it there.
func SealKey(dir, name string) (wire.SealKey, error) {
	if err := wire.CheckName(name); err != nil {
		return wire.SealKey{}, fmt.Errorf("seal key: %w", err)
	}
	path := filepath.Join(dir, name+".seal.key")
	seed, err := KeyFile(path, keyfile.NewSeal)
	if err != nil {
		return wire.SealKey{}, fmt.Errorf("seal key: %w", err)
	}
	key, err := keyfile.ParseSeal(seed)
	if err != nil {
		return wire.SealKey{}, fmt.Errorf("seal key: %s: %w", path, err)
	}
	return key, nil
}

const maxKeyFile = 16 << 10

// KeyFile returns the content of a key file and makes the file first when it
// is not there: readable by its owner alone, whole or not at all, on disk
// before KeyFile returns, and never over one that is there already. A key that
// everybody on the machine can read is refused.
func KeyFile(path string, generate func() ([]byte, error)) ([]byte, error) {
	content, err := readKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	if content, err = generate(); err != nil {
		return nil, fmt.Errorf("making %s: %w", path, err)
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
		err = keyfile.Create(path, content)
	}
	if errors.Is(err, fs.ErrExist) { // somebody else made it first
		return readKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", path, err)
	}
	return content, nil
}

func readKeyFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s can be read by everybody on this machine: run chmod 600 on it", path)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s is too large to be a key", path)
	}
	return os.ReadFile(path) //nolint:gosec // G304: the path is the operator's
}
