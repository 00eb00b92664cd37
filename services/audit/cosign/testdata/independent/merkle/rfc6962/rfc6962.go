// Package rfc6962 names the one hasher there is.
package rfc6962

import "crypto/sha256"

// Hasher stands for the hash of RFC 6962, which package proof uses in any case.
type Hasher struct{}

// EmptyRoot is the root of a tree without leaves (RFC 6962, section 2.1).
func (Hasher) EmptyRoot() []byte {
	sum := sha256.Sum256(nil)
	return sum[:]
}

// DefaultHasher is the hash of RFC 6962 with SHA-256.
var DefaultHasher = Hasher{}
