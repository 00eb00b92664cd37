package keyfile_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/habeas-data/habeas/proto/wire/keyfile"
)

// TestCreate has many make one file: one wins, and nothing is left beside it.
func TestCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.key")
	var wait sync.WaitGroup
	errs := make([]error, 16)
	for i := range errs {
		wait.Go(func() { errs[i] = keyfile.Create(path, bytes.Repeat([]byte{byte('a' + i)}, 64)) })
	}
	wait.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Errorf("%d and %d both made it", winner, i)
		case err == nil:
			winner = i
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("one that came later: %v", err)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil || winner < 0 || !bytes.Equal(content, bytes.Repeat([]byte{byte('a' + winner)}, 64)) {
		t.Errorf("the file is %q, %v, made by %d", content, err, winner)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("made with %v, %v", info.Mode(), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestEvidence(t *testing.T) {
	content, err := keyfile.NewEvidence()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.ParseEvidence(content); err != nil {
		t.Error(err)
	}
	curve, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	for name, bad := range map[string]struct {
		content []byte
		want    string
	}{
		"nothing":         {nil, "one PEM block"},
		"another block":   {block("PUBLIC KEY", der), "one PEM block"},
		"no key in it":    {block("PRIVATE KEY", []byte("sekret")), "not a PKCS #8 key"},
		"another's curve": {block("PRIVATE KEY", der), "want an Ed25519 key"},
	} {
		if _, err := keyfile.ParseEvidence(bad.content); err == nil || !strings.Contains(err.Error(), bad.want) || strings.Contains(err.Error(), "sekret") {
			t.Errorf("%s: %v, want %s", name, err, bad.want)
		}
	}
}

func TestSeal(t *testing.T) {
	content, err := keyfile.NewSeal()
	if err != nil || !bytes.HasPrefix(content, []byte("SX")) || !bytes.HasSuffix(content, []byte("\n")) {
		t.Fatalf("made %d bytes that are no line of a seed, %v", len(content), err)
	}
	key, err := keyfile.ParseSeal(content)
	if err != nil {
		t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil || !bytes.Equal(append(seed, '\n'), content) {
		t.Errorf("read another key than was made: %v", err)
	}
	if _, err := keyfile.ParseSeal([]byte("sekret")); err == nil || strings.Contains(err.Error(), "sekret") {
		t.Errorf("no seed: %v", err)
	}
}
