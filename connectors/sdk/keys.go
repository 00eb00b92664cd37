package sdk

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

// Files in the state directory.
const (
	sealKeyFile     = "seal.key"
	evidenceKeyFile = "evidence.key"
	journalDir      = "journal"
)

// Keys are the two secrets of a connector: with one it reads identifiers, with
// the other it signs what it saw.
type Keys struct {
	// Seal is the curve key subjects are sealed to.
	Seal wire.SealKey
	// Evidence signs records. It is never the key of the NATS user.
	Evidence ed25519.PrivateKey
}

// LoadKeys reads the keys of a state directory, and makes the directory and
// the keys on the first start. Instances of one connector share the directory
// and so the keys. Losing the directory loses the ability to read jobs in
// flight; the coordinator seals them again.
func LoadKeys(dir string) (Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Keys{}, fmt.Errorf("making the state directory: %w", err)
	}
	seed, err := loadOrMake(filepath.Join(dir, sealKeyFile), func() ([]byte, error) {
		key, err := wire.NewSealKey()
		if err != nil {
			return nil, err
		}
		seed, err := key.Seed()
		return append(seed, '\n'), err
	})
	if err != nil {
		return Keys{}, err
	}
	seal, err := wire.ParseSealKey(bytes.TrimSpace(seed))
	if err != nil {
		return Keys{}, fmt.Errorf("reading %s: %w", filepath.Join(dir, sealKeyFile), err)
	}
	text, err := loadOrMake(filepath.Join(dir, evidenceKeyFile), makeEvidenceKey)
	if err != nil {
		return Keys{}, err
	}
	evidence, err := parseEvidenceKey(text)
	if err != nil {
		return Keys{}, fmt.Errorf("reading %s: %w", filepath.Join(dir, evidenceKeyFile), err)
	}
	return Keys{Seal: seal, Evidence: evidence}, nil
}

func makeEvidenceKey() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseEvidenceKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("want one PEM block of type PRIVATE KEY")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block is not a PKCS #8 key")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("want an Ed25519 key, have %T", parsed)
	}
	return key, nil
}

// loadOrMake reads a key file, or makes it. Of several processes that make it
// at once one wins and all read its key.
func loadOrMake(path string, makeKey func() ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a file in the state directory
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return text, keyError("reading", path, err)
	}
	if text, err = makeKey(); err != nil {
		return nil, keyError("making", path, err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // with mode 0600
	if err != nil {
		return nil, keyError("making", path, err)
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // the link below is what counts
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err == nil {
		err = os.Link(temp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) {
		text, err = os.ReadFile(path) //nolint:gosec // as above
		return text, keyError("reading", path, err)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	return text, keyError("making", path, err)
}

func keyError(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the key %s: %w (is the state directory writable, and has the disk room?)", doing, path, err)
}

// syncDir makes what was created in or moved into dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // a directory of ours
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
