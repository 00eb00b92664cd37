package ledger

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/habeas-data/habeas/services/internal/room"
)

const keyFile = "log.key"

// LoadKey reads the log's signing key from the folder dir and makes one on the
// first start. The key belongs to the origin: another origin is another log.
// Every audit process of one log needs the same file.
func LoadKey(dir, origin string) (note.Signer, string, error) {
	if strings.ContainsAny(origin, " +\t\n") || origin == "" {
		return nil, "", fmt.Errorf("log key: origin %q: want a name without spaces and plus signs, such as example.com/log/2026", origin)
	}
	path := filepath.Join(dir, keyFile)
	text, err := room.KeyFile(path, func() ([]byte, error) {
		secret, _, err := note.GenerateKey(rand.Reader, origin)
		return []byte(secret + "\n"), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("log key: %w", err)
	}
	// Errors below never repeat what is in the file.
	line := strings.TrimSpace(string(text))
	signer, err := note.NewSigner(line)
	if err != nil {
		return nil, "", fmt.Errorf("log key: %s does not hold a note signing key", path)
	}
	if signer.Name() != origin {
		return nil, "", fmt.Errorf("log key: %s is the key of %q, the log is to be %q: %w", path, signer.Name(), origin, ErrKey)
	}
	vkey, err := verifierKey(origin, line)
	if err != nil {
		return nil, "", fmt.Errorf("log key: %s: %w", path, err)
	}
	return signer, vkey, nil
}

// verifierKey derives the public half of a note signing key,
// "PRIVATE+KEY+<name>+<hash>+<base64 of the algorithm's byte and the seed>".
func verifierKey(origin, secret string) (string, error) {
	if fields := strings.SplitN(secret, "+", 5); len(fields) == 5 {
		raw, err := base64.StdEncoding.DecodeString(fields[4])
		if err == nil && len(raw) == 1+ed25519.SeedSize {
			public, _ := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
			return note.NewEd25519VerifierKey(origin, public)
		}
	}
	return "", errors.New("not an Ed25519 note key")
}

// writeTemp writes a private file that has reached the disk.
func writeTemp(dir string, data []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, ".tmp-*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncDir makes a rename or link in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the path is the operator's
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
