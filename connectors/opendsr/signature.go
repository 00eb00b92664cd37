package opendsr

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// ErrSignature is returned when a signature does not belong to the bytes it
// came with.
var ErrSignature = errors.New("the signature does not match the message")

// ErrCertificate is returned when a processor's certificate must not be
// trusted: expired, for another domain, or not issued by a trusted authority.
var ErrCertificate = errors.New("the processor's certificate is not to be trusted")

// VerifySignature checks a base64 signature over the raw bytes of a body, as
// they came over the wire: SHA-256 with RSA PKCS #1 v1.5, which processors use,
// or with ECDSA (both FIPS 186-4).
func VerifySignature(key crypto.PublicKey, body []byte, signature string) error {
	sig, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(sig) == 0 {
		return fmt.Errorf("%w: it is not base64", ErrSignature)
	}
	sum := sha256.Sum256(body)
	switch key := key.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) != nil {
			return ErrSignature
		}
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, sum[:], sig) {
			return ErrSignature
		}
	default:
		return fmt.Errorf("%w: its key is neither RSA nor ECDSA", ErrCertificate)
	}
	return nil
}

// ParseCertificate reads a PEM file with a processor's certificate first and
// its intermediates after it, and checks that at the given time it is a
// certificate for domain issued under roots; nil roots are the machine's.
func ParseCertificate(pemFile []byte, domain string, roots *x509.CertPool, now time.Time) (*x509.Certificate, error) {
	var leaf *x509.Certificate
	intermediates := x509.NewCertPool()
	for block, rest := pem.Decode(pemFile); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: it cannot be read", ErrCertificate)
		}
		if leaf == nil {
			leaf = cert
		} else {
			intermediates.AddCert(cert)
		}
	}
	if leaf == nil {
		return nil, fmt.Errorf("%w: the file holds no certificate", ErrCertificate)
	}
	return leaf, checkCertificate(leaf, intermediates, domain, roots, now)
}

func checkCertificate(leaf *x509.Certificate, intermediates *x509.CertPool, domain string, roots *x509.CertPool, now time.Time) error {
	// The certificate signs messages; it need not be one for TLS servers.
	_, err := leaf.Verify(x509.VerifyOptions{
		DNSName: domain, Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return nil
}
