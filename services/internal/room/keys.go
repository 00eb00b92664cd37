package room

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/habeas-data/habeas/proto/wire"
)

// EvidenceKey loads the Ed25519 key that signs the records of the named room
// from dir/<name>.evidence.key (PEM, PKCS #8), or makes it there. Two processes
// that start at once get the same key.
func EvidenceKey(dir, name string) (ed25519.PrivateKey, error) {
	if err := wire.CheckName(name); err != nil {
		return nil, fmt.Errorf("evidence key: %w", err)
	}
	path := filepath.Join(dir, name+".evidence.key")
	content, err := KeyFile(path, func() ([]byte, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
	})
	if err != nil {
		return nil, fmt.Errorf("evidence key: %w", err)
	}
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("evidence key: %s: want PEM with one PRIVATE KEY block", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("evidence key: %s: want an Ed25519 key in PKCS #8 form", path)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("evidence key: %s: want Ed25519, have %T", path, parsed)
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
	seed, err := KeyFile(path, func() ([]byte, error) {
		key, err := wire.NewSealKey()
		if err != nil {
			return nil, err
		}
		seed, err := key.Seed()
		return append(seed, '\n'), err
	})
	if err != nil {
		return wire.SealKey{}, fmt.Errorf("seal key: %w", err)
	}
	key, err := wire.ParseSealKey(bytes.TrimSpace(seed))
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
	err = createKeyFile(path, content)
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

// createKeyFile writes a file beside path and links it into place: a link,
// unlike a rename, fails when path exists.
func createKeyFile(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*.key") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if _, err := tmp.Write(content); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // G304: the path is the operator's
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
