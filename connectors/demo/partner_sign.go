package demo

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// partnerSigner signs what the partner says, under a certificate from an
// authority made for this demo alone.
type partnerSigner struct {
	key   *rsa.PrivateKey
	chain []byte // PEM, the partner's certificate
}

// openPartnerSigner reads the partner's key and certificate from dir, or makes
// them. partner-ca.pem is the authority a controller should trust; its private
// key is thrown away. The key file is written last: it marks the set complete.
func openPartnerSigner(dir string) (*partnerSigner, error) {
	keyPath, certPath := filepath.Join(dir, "partner-key.pem"), filepath.Join(dir, "partner-cert.pem")
	keyPEM, err := os.ReadFile(keyPath) //nolint:gosec // the demo's own folder
	if errors.Is(err, os.ErrNotExist) {
		return makePartnerSigner(dir, keyPath, certPath)
	}
	if err != nil {
		return nil, err
	}
	chain, err := os.ReadFile(certPath) //nolint:gosec // the demo's own folder
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, fmt.Errorf("%s: not a PEM file; remove it to make a new key", keyPath)
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyPath, err)
	}
	return &partnerSigner{key: key, chain: chain}, nil
}

func makePartnerSigner(dir, keyPath, certPath string) (*partnerSigner, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	from, until := time.Now().Add(-time.Hour), time.Now().AddDate(10, 0, 0)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Habeas demo authority"},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: PartnerDomain}, DNSNames: []string{PartnerDomain},
		NotBefore: from, NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})
	for _, file := range []struct {
		path string
		data []byte
	}{
		{filepath.Join(dir, "partner-ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})},
		{certPath, chain},
		{keyPath, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})},
	} {
		if err := os.WriteFile(file.path, file.data, 0o600); err != nil {
			return nil, err
		}
	}
	return &partnerSigner{key: key, chain: chain}, nil
}

// sign returns the base64 RSA PKCS #1 v1.5 signature of the body's SHA-256.
func (s *partnerSigner) sign(body []byte) (string, error) {
	sum := sha256.Sum256(body)
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	return base64.StdEncoding.EncodeToString(signature), err
}
