package sdk

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
	seed, err := loadOrMake(filepath.Join(dir, sealKeyFile), keyfile.NewSeal)
	if err != nil {
		return Keys{}, err
	}
	seal, err := keyfile.ParseSeal(seed)
	if err != nil {
		return Keys{}, fmt.Errorf("reading %s: %w", filepath.Join(dir, sealKeyFile), err)
	}
	text, err := loadOrMake(filepath.Join(dir, evidenceKeyFile), keyfile.NewEvidence)
	if err != nil {
		return Keys{}, err
	}
	evidence, err := keyfile.ParseEvidence(text)
	if err != nil {
		return Keys{}, fmt.Errorf("reading %s: %w", filepath.Join(dir, evidenceKeyFile), err)
	}
	return Keys{Seal: seal, Evidence: evidence}, nil
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
	err = keyfile.Create(path, text)
	if errors.Is(err, fs.ErrExist) {
		text, err = os.ReadFile(path) //nolint:gosec // as above
		return text, keyError("reading", path, err)
	}
	return text, keyError("making", path, err)
}

func keyError(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the key %s: %w (is the state directory writable, and has the disk room?)", doing, path, err)
}
