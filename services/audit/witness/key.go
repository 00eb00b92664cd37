package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"

	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// GenerateKey makes a secret key for a witness of this name, in note format.
func GenerateKey(name string) (secret string, err error) {
	secret, _, err = note.GenerateKey(rand.Reader, name)
	return secret, err
}

// publicKey derives the public half of a secret key of Ed25519: the key as
// policies have it, of type 4.
func publicKey(secret string) (string, error) {
	fields := strings.SplitN(secret, "+", 5)
	if len(fields) != 5 {
		return "", errors.New("witness: not a secret key in note format")
	}
	raw, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return "", errors.New("witness: the secret key is not of Ed25519")
	}
	public, _ := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	key, err := note.NewEd25519VerifierKey(fields[2], public)
	if err != nil {
		return "", err
	}
	return fnote.VKeyToCosignatureV1(key)
}
