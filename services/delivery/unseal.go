package delivery

import (
	"bytes"
	"fmt"
	"io"

	"filippo.io/age"
)

// The payload of an age file: a nonce, then chunks of 64 KiB, each with a tag
// (https://age-encryption.org/v1).
const (
	ageNonce = 16
	ageChunk = 64 << 10
	ageTag   = 16
)

// unseal decrypts an age file of the given size and says how many bytes come out.
func unseal(sealed io.Reader, size int64, identity age.Identity) (io.Reader, int64, error) {
	var head bytes.Buffer
	header, err := age.ExtractHeader(io.TeeReader(sealed, &head))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrNotReadable, err)
	}
	plain, err := age.Decrypt(io.MultiReader(&head, sealed), identity)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrNotReadable, err)
	}
	payload := size - int64(len(header)) - ageNonce
	chunks := (payload + ageChunk + ageTag - 1) / (ageChunk + ageTag)
	if payload < ageTag {
		return nil, 0, fmt.Errorf("%w: it is too short", ErrNotReadable)
	}
	return plain, payload - chunks*ageTag, nil
}
