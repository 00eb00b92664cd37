package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

func newKey(t testing.TB) wire.SealKey {
	t.Helper()
	k, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func subject() *habeasv1.Subject {
	return &habeasv1.Subject{JobId: "job-1", Identifiers: []*habeasv1.Identifier{{Kind: "email", Value: "ann@example.com"}}}
}

func TestSealAndOpen(t *testing.T) {
	writer, reader := newKey(t), newKey(t)
	sealed, err := writer.SealSubject(subject(), reader.Public())
	if err != nil {
		t.Fatal(err)
	}
	opened, err := reader.OpenSubject(sealed, writer.Public(), "job-1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(subject(), opened, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	again, err := writer.SealSubject(subject(), reader.Public())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(sealed, again) {
		t.Error("sealing twice gives the same bytes: the nonce is not random")
	}
	if bytes.Contains(sealed, []byte("ann@")) {
		t.Error("the identifier is readable")
	}
}

func TestOpenRefuses(t *testing.T) {
	writer, reader, other := newKey(t), newKey(t), newKey(t)
	sealed, err := writer.SealSubject(subject(), reader.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func() error{
		"another reader":  func() error { _, err := other.OpenSubject(sealed, writer.Public(), "job-1"); return err },
		"another writer":  func() error { _, err := reader.OpenSubject(sealed, other.Public(), "job-1"); return err },
		"another job":     func() error { _, err := reader.OpenSubject(sealed, writer.Public(), "job-2"); return err },
		"no job":          func() error { _, err := reader.OpenSubject(sealed, writer.Public(), ""); return err },
		"cut short":       func() error { _, err := reader.OpenSubject(sealed[:20], writer.Public(), "job-1"); return err },
		"nothing":         func() error { _, err := reader.OpenSubject(nil, writer.Public(), "job-1"); return err },
		"no writer's key": func() error { _, err := reader.OpenSubject(sealed, "", "job-1"); return err },
	} {
		if err := try(); !errors.Is(err, wire.ErrNotForUs) {
			t.Errorf("%s: %v, want ErrNotForUs", name, err)
		}
	}
	for i := range sealed {
		flipped := bytes.Clone(sealed)
		flipped[i] ^= 1
		if _, err := reader.OpenSubject(flipped, writer.Public(), "job-1"); !errors.Is(err, wire.ErrNotForUs) {
			t.Fatalf("byte %d altered: %v, want ErrNotForUs", i, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	k := newKey(t)
	if _, err := k.SealSubject(&habeasv1.Subject{}, k.Public()); err == nil {
		t.Error("a subject for no job was sealed")
	}
	if _, err := k.SealSubject(subject(), "not a key"); err == nil {
		t.Error("sealed to what is no key")
	}
	bad := subject()
	bad.Identifiers[0].Value = "secret-\xff"
	if _, err := k.SealSubject(bad, k.Public()); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a value that is no UTF-8: %v", err)
	}
}

// TestSealIsNkeys: the sealed bytes are those of nkeys' xkv1, which other
// languages have libraries for.
func TestSealIsNkeys(t *testing.T) {
	ours := newKey(t)
	theirs, err := nkeys.CreateCurveKeys()
	if err != nil {
		t.Fatal(err)
	}
	public, err := theirs.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ours.SealSubject(subject(), public)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(sealed, []byte("xkv1")) {
		t.Errorf("sealed bytes begin with %q", sealed[:4])
	}
	plain, err := theirs.Open(sealed, ours.Public())
	if err != nil {
		t.Fatal(err)
	}
	s := &habeasv1.Subject{}
	if err := proto.Unmarshal(plain, s); err != nil || !proto.Equal(s, subject()) {
		t.Errorf("nkeys reads %v (%v)", s, err)
	}
	if sealed, err = theirs.Seal(plain, ours.Public()); err != nil {
		t.Fatal(err)
	}
	if s, err = ours.OpenSubject(sealed, public, "job-1"); err != nil || !proto.Equal(s, subject()) {
		t.Errorf("we read %v (%v)", s, err)
	}
}

func TestSealKeySeed(t *testing.T) {
	k := newKey(t)
	seed, err := k.Seed()
	if err != nil {
		t.Fatal(err)
	}
	again, err := wire.ParseSealKey(seed)
	if err != nil || again.Public() != k.Public() {
		t.Errorf("parsed as %s (%v), want %s", again.Public(), err, k.Public())
	}
	if _, err := wire.ParseSealKey(append([]byte("x"), seed...)); err == nil || strings.Contains(err.Error(), string(seed)) {
		t.Errorf("a damaged seed: %v", err)
	}
}

func BenchmarkOpenSubject(b *testing.B) {
	writer, reader := newKey(b), newKey(b)
	sealed, err := writer.SealSubject(subject(), reader.Public())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := reader.OpenSubject(sealed, writer.Public(), "job-1"); err != nil {
			b.Fatal(err)
		}
	}
}
