// Package keyfile keeps the two keys that whoever speaks on the bus has: the curve
// key that subjects are sealed to and the Ed25519 key that records are signed with.
// It owes its callers that a key file is there whole or not at all, and is never
// replaced. No error of it holds a part of a key.
package keyfile

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/habeas-data/habeas/proto/wire"
)

// Create writes a key file that its owner alone can read, and returns once it is on
// disk. An error that is [io/fs.ErrExist] says that there is a file already, which
// stays as it is: of several processes that create one at once, one wins.
func Create(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".new-*.key") // with mode 0600
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
	// A link, unlike a rename, fails when path exists.
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}

// SyncDir makes what was created in or moved into dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator names the folder
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// NewEvidence makes a key that signs records, as a file has it: PEM, PKCS #8.
func NewEvidence() ([]byte, error) {
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

// ParseEvidence reads what [NewEvidence] made.
func ParseEvidence(content []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(content)
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

// NewSeal makes a key that subjects are sealed to, as a file has it: the seed of an
// nkeys curve key on one line, "SX…".
func NewSeal() ([]byte, error) {
	key, err := wire.NewSealKey()
	if err != nil {
		return nil, err
	}
	seed, err := key.Seed()
	return append(seed, '\n'), err
}

// ParseSeal reads what [NewSeal] made.
func ParseSeal(content []byte) (wire.SealKey, error) {
	return wire.ParseSealKey(bytes.TrimSpace(content))
}
