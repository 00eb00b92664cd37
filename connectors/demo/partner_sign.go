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
	// ca and caKey are there only in the process that made them.
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
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
	from, until := time.Now().Add(-time.Hour), time.Now().AddDate(10, 0, 0)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Habeas demo authority"},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	signer := &partnerSigner{ca: ca, caKey: caKey}
	if err := signer.rekey(); err != nil {
		return nil, err
	}
	for _, file := range []struct {
		path string
		data []byte
	}{
		{filepath.Join(dir, "partner-ca.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})},
		{certPath, signer.chain},
		{keyPath, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(signer.key)})},
	} {
		if err := os.WriteFile(file.path, file.data, 0o600); err != nil {
			return nil, err
		}
	}
	return signer, nil
}

// rekey makes a new key and a certificate for it.
func (s *partnerSigner) rekey() error {
	if s.caKey == nil {
		return errors.New("the authority's key is gone: only a partner made in this process can change its own")
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: PartnerDomain}, DNSNames: []string{PartnerDomain},
		NotBefore: s.ca.NotBefore, NotAfter: s.ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, s.ca, key.Public(), s.caKey)
	if err != nil {
		return err
	}
	s.key, s.chain = key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return nil
}

// sign returns the base64 RSA PKCS #1 v1.5 signature of the body's SHA-256.
func (s *partnerSigner) sign(body []byte) (string, error) {
	sum := sha256.Sum256(body)
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	return base64.StdEncoding.EncodeToString(signature), err
}

// Sign signs a body as the partner would, for tests of what receives it.
func (p *Partner) Sign(body []byte) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signer.sign(body)
}

// Rekey gives the partner a new key and certificate, as processors do from time
// to time, in memory only.
func (p *Partner) Rekey() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signer.rekey()
}
