package keyring

import (
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

func newSigner(t testing.TB, issuer string) *wire.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewSigner(private, issuer, issuer+"-1", "v0", "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What several records say of one key does not depend on the order they come
// in: the bus promises none.
func TestRecordsOfOneKeyAddUpInAnyOrder(t *testing.T) {
	crm := newSigner(t, "crm")
	rapid.Check(t, func(t *rapid.T) {
		day := rapid.Custom(func(t *rapid.T) *timestamppb.Timestamp {
			return timestamppb.New(time.Date(2026, 11, rapid.IntRange(1, 28).Draw(t, "day"), 0, 0, 0, 0, time.UTC))
		})
		var records []*habeasv1.KeyRecord
		for range rapid.IntRange(1, 5).Draw(t, "records") {
			k := &habeasv1.KeyRecord{Owner: "crm", PublicKey: wire.PublicDER(crm.Public()), Fingerprint: crm.KeyID(),
				NotBeforeTime: day.Draw(t, "start"), Revoked: rapid.IntRange(0, 5).Draw(t, "revoked") == 0}
			if rapid.Bool().Draw(t, "ends") {
				k.NotAfterTime = day.Draw(t, "end")
			}
			records = append(records, k)
		}
		learn := func(records []*habeasv1.KeyRecord) key {
			ring := New(nil)
			for _, k := range records {
				next, refused := ring.With(k)
				if refused != nil {
					t.Fatal(refused)
				}
				ring = next
			}
			return ring.known[crm.KeyID()]
		}
		want := learn(records)
		other := slices.Clone(records)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		random.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
		have := learn(other)
		if !have.notBefore.Equal(want.notBefore) || !have.notAfter.Equal(want.notAfter) || have.revoked != want.revoked {
			t.Fatalf("in another order: %+v, want %+v", have, want)
		}
	})
}

func TestARevokedAuthorityIsNotFollowed(t *testing.T) {
	coordinator, crm := newSigner(t, "coordinator"), newSigner(t, "crm")
	ring := New([]ed25519.PublicKey{coordinator.Public()})
	ring, refused := ring.With(&habeasv1.KeyRecord{Owner: "coordinator", PublicKey: wire.PublicDER(coordinator.Public()),
		Fingerprint: coordinator.KeyID(), NotBeforeTime: timestamppb.Now(), Revoked: true})
	if refused != nil {
		t.Fatal(refused)
	}
	rec, err := coordinator.Sign(&habeasv1.KeyRecord{Owner: "crm", PublicKey: wire.PublicDER(crm.Public()), Fingerprint: crm.KeyID(),
		NotBeforeTime: timestamppb.Now()}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if refused := ring.Check(rec, "coordinator"); refused == nil || refused.Reason != KeyNotValid {
		t.Errorf("a record of a revoked authority: %v", refused)
	}
	if refused := ring.Vouched(rec); refused != nil {
		t.Errorf("a record that was logged before: %v", refused)
	}
}
