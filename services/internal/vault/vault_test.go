package vault_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/internal/vault"
)

func open(t testing.TB, key string) *vault.Vault {
	t.Helper()
	v, err := vault.New(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func TestSealOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	v := open(t, path)
	key, wrapped, err := v.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := open(t, path).Unwrap(t.Context(), wrapped) // another process
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := v.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		plain, aad := rapid.SliceOf(rapid.Byte()).Draw(t, "plain"), rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
		sealed := key.Seal(plain, aad)
		back, err := again.Open(sealed, aad)
		if err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("opened %d bytes, %v", len(back), err)
		}
		if bytes.Equal(sealed, key.Seal(plain, aad)) {
			t.Fatal("two seals of one text are equal")
		}
		if _, err := other.Open(sealed, aad); !errors.Is(err, vault.ErrOpen) {
			t.Fatalf("another key: %v", err)
		}
		if _, err := key.Open(sealed, append(aad, 0)); !errors.Is(err, vault.ErrOpen) {
			t.Fatalf("another place: %v", err)
		}
		i := rapid.IntRange(0, len(sealed)-1).Draw(t, "i")
		broken := slices.Clone(sealed)
		broken[i] ^= 1
		if _, err := key.Open(broken, aad); !errors.Is(err, vault.ErrOpen) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
		if _, err := key.Open(sealed[:i], aad); !errors.Is(err, vault.ErrOpen) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	})
}

func TestUnwrapRefuses(t *testing.T) {
	a, b := open(t, filepath.Join(t.TempDir(), "a")), open(t, filepath.Join(t.TempDir(), "b"))
	_, wrapped, err := a.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string][]byte{"other master": wrapped, "empty": nil, "garbage": []byte("garbage")} {
		if _, err := b.Unwrap(t.Context(), w); !errors.Is(err, vault.ErrWrapped) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDestroy(t *testing.T) {
	v := open(t, filepath.Join(t.TempDir(), "k"))
	key, wrapped, err := v.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed := key.Seal([]byte("x"), nil)
	key.Destroy()
	if _, err := key.Open(sealed, nil); !errors.Is(err, vault.ErrDestroyed) {
		t.Errorf("open after destroy: %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("sealed under a destroyed key")
			}
		}()
		key.Seal([]byte("x"), nil)
	}()
	again, err := v.Unwrap(t.Context(), wrapped) // one user's copy is not another's
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Open(sealed, nil); err != nil {
		t.Error(err)
	}
	v.Forget(wrapped)
	if _, err := v.Unwrap(t.Context(), wrapped); err != nil {
		t.Errorf("after forget the master key still opens it: %v", err)
	}
}

func TestCommitment(t *testing.T) {
	v := open(t, filepath.Join(t.TempDir(), "k"))
	key, wrapped, err := v.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, err := v.Unwrap(t.Context(), wrapped)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := v.NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	base := key.Commitment([][2]string{{"email", "a@b.c"}, {"phone", "+15550100"}})
	if base != again.Commitment([][2]string{{"phone", "+15550100"}, {"email", "a@b.c"}, {"email", "a@b.c"}}) {
		t.Error("order or repetition changes it")
	}
	for name, c := range map[string][32]byte{
		"other key":   other.Commitment([][2]string{{"email", "a@b.c"}, {"phone", "+15550100"}}),
		"one less":    key.Commitment([][2]string{{"email", "a@b.c"}}),
		"moved bound": key.Commitment([][2]string{{"emaila", "@b.c"}, {"phone", "+15550100"}}),
		"none":        key.Commitment(nil),
	} {
		if c == base {
			t.Errorf("%s: the same commitment", name)
		}
	}
}

func TestNew(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("sesame"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, want string }{
		"file":    {bad, "32 bytes"},
		"inline":  {"base64key://sesame", "32 bytes"},
		"unknown": {"nokms://somewhere", "nokms"},
	} {
		_, err := vault.New(t.Context(), c.key)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", name, err)
		}
	}
	inline := open(t, "base64key://"+base64.URLEncoding.EncodeToString(make([]byte, 32)))
	if _, _, err := inline.NewDataKey(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestRedaction(t *testing.T) {
	key, _, err := open(t, filepath.Join(t.TempDir(), "k")).NewDataKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%v %+v %#v %x %s", key, key, key, key, key); s != strings.Repeat("[redacted] ", 4)+"[redacted]" {
		t.Errorf("shown: %s", s)
	}
}

func BenchmarkNewDataKey(b *testing.B) {
	v := open(b, filepath.Join(b.TempDir(), "k"))
	for b.Loop() {
		if _, _, err := v.NewDataKey(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSealOpen(b *testing.B) {
	key, _, err := open(b, filepath.Join(b.TempDir(), "k")).NewDataKey(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	plain, aad := []byte("jane@example.com"), []byte("identifier/r1")
	for b.Loop() {
		if _, err := key.Open(key.Seal(plain, aad), aad); err != nil {
			b.Fatal(err)
		}
	}
}
