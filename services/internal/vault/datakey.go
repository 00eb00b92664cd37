package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

type keyBytes [32]byte

// DataKey is one request's key. Copies share the key: destroying one destroys
// all. It prints as "[redacted]".
type DataKey struct{ k *keyBytes }

const (
	sealVersion = 1
	nonceSize   = 12

	labelSeal       = "habeas data key: seal v1"
	labelCommitment = "habeas data key: commitment v1"
)

// ErrOpen is wrapped by errors of opening what another key sealed, what was
// sealed for another place, or what was altered.
var ErrOpen = errors.New("sealed under another key, for another place, or altered")

// ErrDestroyed is wrapped by errors of using a key after [DataKey.Destroy].
var ErrDestroyed = errors.New("the data key was destroyed")

// Seal encrypts with AES-256-GCM under a random nonce. aad says where the
// result belongs, such as a table, column and request id; it is bound and not
// stored. Seal panics on a key that was destroyed: the alternative would be to
// lose the plaintext or to store it.
func (d DataKey) Seal(plaintext, aad []byte) []byte {
	aead, err := d.aead()
	if err != nil {
		panic(err)
	}
	out := make([]byte, 1+nonceSize, 1+nonceSize+len(plaintext)+aead.Overhead())
	out[0] = sealVersion
	rand.Read(out[1:]) // never fails
	return aead.Seal(out, out[1:], plaintext, aad)
}

// Open decrypts what [DataKey.Seal] made with the same aad.
func (d DataKey) Open(sealed, aad []byte) ([]byte, error) {
	aead, err := d.aead()
	if err != nil {
		return nil, fmt.Errorf("opening: %w", err)
	}
	if len(sealed) < 1+nonceSize || sealed[0] != sealVersion {
		return nil, fmt.Errorf("opening: %w", ErrOpen)
	}
	plain, err := aead.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("opening: %w", ErrOpen)
	}
	return plain, nil
}

// Commitment commits to a person's identifiers, given as kind and value in
// canonical form, in any order. It is HMAC-SHA-256, under a key derived from
// the data key, over the distinct pairs sorted by kind and value, each part
// preceded by its length as four bytes, big-endian. Like Seal it panics on a
// destroyed key.
func (d DataKey) Commitment(identifiers [][2]string) [32]byte {
	key, err := d.derive(labelCommitment)
	if err != nil {
		panic(err)
	}
	defer clear(key)
	pairs := slices.Clone(identifiers)
	slices.SortFunc(pairs, func(a, b [2]string) int {
		if c := strings.Compare(a[0], b[0]); c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	mac := hmac.New(sha256.New, key)
	var length [4]byte
	for _, pair := range slices.Compact(pairs) {
		for _, part := range pair {
			binary.BigEndian.PutUint32(length[:], uint32(len(part))) //nolint:gosec // identifiers are far below 4 GiB
			mac.Write(length[:])
			_, _ = io.WriteString(mac, part) // a hash never fails
		}
	}
	return [32]byte(mac.Sum(nil))
}

// Destroy wipes the key from memory. It does not touch the wrapped form.
func (d DataKey) Destroy() {
	if d.k != nil {
		clear(d.k[:])
	}
}

func (d DataKey) aead() (cipher.AEAD, error) {
	key, err := d.derive(labelSeal)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (d DataKey) derive(label string) ([]byte, error) {
	if d.k == nil || *d.k == (keyBytes{}) {
		return nil, ErrDestroyed
	}
	return hkdf.Expand(sha256.New, d.k[:], label, sha256.Size)
}

// Format implements [fmt.Formatter] so that no verb shows the key.
func (DataKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[redacted]") }

// String implements [fmt.Stringer] without showing the key.
func (DataKey) String() string { return "[redacted]" }

// LogValue implements [slog.LogValuer] without showing the key.
func (DataKey) LogValue() slog.Value { return slog.StringValue("[redacted]") }
