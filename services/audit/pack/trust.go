package pack

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/cosign"
)

// Trust is what a verifier believes before it looks at a pack. The zero value
// believes the keys inside the pack, which shows that the pack is whole and of
// one piece, and not who made it.
type Trust struct {
	// LogKey is the log's public key in note format.
	LogKey string
	// Authorities are the evidence keys of the rooms.
	Authorities []ed25519.PublicKey
	// Policy, when not nil, says whose cosignatures the log's head must have.
	// Logs that it names are believed as LogKey is.
	Policy *cosign.Policy
}

// LoadTrust reads keys from files. A file has PEM public keys, or lines with
// one key each: the log's verifier key in note format ("name+hash+key"), or an
// evidence key as base64 of its PKIX DER. Lines with # are comments.
func LoadTrust(paths ...string) (Trust, error) {
	var t Trust
	for _, path := range paths {
		text, err := os.ReadFile(path) //nolint:gosec // the path is the caller's
		if err != nil {
			return Trust{}, fmt.Errorf("reading a key: %w", err)
		}
		if err := t.parse(text); err != nil {
			return Trust{}, fmt.Errorf("reading a key from %s: %w", path, err)
		}
	}
	return t, nil
}

func (t *Trust) parse(text []byte) error {
	found := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if err := t.addDER(block.Bytes); err != nil {
			return err
		}
		found, text = found+1, rest
	}
	if found > 0 {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := t.addLine(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		found++
	}
	if found == 0 {
		return errors.New("there is no key in it")
	}
	return lines.Err()
}

func (t *Trust) addLine(line string) error {
	if der, err := base64.StdEncoding.DecodeString(line); err == nil {
		return t.addDER(der)
	}
	if _, err := note.NewVerifier(line); err != nil {
		return errors.New("neither a log's verifier key nor the base64 of a public key")
	}
	if t.LogKey != "" && t.LogKey != line {
		return errors.New("two log keys: a pack is of one log")
	}
	t.LogKey = line
	return nil
}

func (t *Trust) addDER(der []byte) error {
	public, err := wire.ParsePublicDER(der)
	if err != nil {
		return err
	}
	t.Authorities = append(t.Authorities, public)
	return nil
}
