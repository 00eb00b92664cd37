package audit

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// clockSkew is how far a signer's clock may be behind the one of the room that
// put its key on record.
const clockSkew = 5 * time.Minute

// refusal says why a record is not logged.
type refusal struct {
	reason string // one of the codes of ledger.Rejected
	detail string
}

func (r *refusal) Error() string { return r.reason + ": " + r.detail }

func refuse(reason, format string, args ...any) *refusal {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// key is a key on record.
type key struct {
	public    ed25519.PublicKey
	owner     string
	notBefore time.Time
	notAfter  time.Time // zero while the key is in use
	revoked   bool
}

// keyring knows whose signature counts. It is never changed, only replaced:
// keys of a batch that is not committed must not be believed.
type keyring struct {
	authorities map[string]ed25519.PublicKey
	known       map[string]key
}

func newKeyring(authorities []ed25519.PublicKey) *keyring {
	k := &keyring{authorities: map[string]ed25519.PublicKey{}, known: map[string]key{}}
	for _, public := range authorities {
		k.authorities[wire.Fingerprint(public)] = public
	}
	return k
}

// check returns nil when the record was signed by a key that may sign it and
// was good at the time the record names. The room's subject says who published.
func (k *keyring) check(rec *wire.Record, publisher string) *refusal {
	public, authority := k.authorities[rec.KeyID]
	known, onRecord := k.known[rec.KeyID]
	if !authority && !onRecord {
		return refuse("unknown_key", "no key record names key %s", rec.KeyID)
	}
	if !authority {
		public = known.public
	}
	if err := rec.Verify(public); err != nil {
		return refuse("bad_signature", "%v", err)
	}
	if rec.Issuer() != publisher {
		return refuse("wrong_issuer", "issuer %s published on the subject of %s", rec.Issuer(), publisher)
	}
	if onRecord {
		if r := known.check(rec); r != nil {
			return r
		}
	}
	if !authority && !forConnectors[rec.Type] {
		return refuse("not_authorised", "%s may not sign %s records", rec.Issuer(), rec.Type)
	}
	return nil
}

// forConnectors are the records that need no authority's key.
var forConnectors = map[wire.RecordType]bool{
	wire.RecordLocated: true, wire.RecordOutcome: true, wire.RecordVerification: true,
}

func (k key) check(rec *wire.Record) *refusal {
	at := rec.Predicate.GetOrigin().GetTime()
	switch {
	case k.owner != rec.Issuer():
		return refuse("wrong_issuer", "the key is %s's, the issuer is %s", k.owner, rec.Issuer())
	case !at.IsValid():
		return refuse("malformed", "origin.time is missing")
	case k.revoked:
		return refuse("key_not_valid", "the key was revoked")
	case at.AsTime().Before(k.notBefore.Add(-clockSkew)):
		return refuse("key_not_valid", "signed before the key was on record")
	case !k.notAfter.IsZero() && at.AsTime().After(k.notAfter):
		return refuse("key_not_valid", "signed after the key's end")
	}
	return nil
}

// with returns a keyring that knows the key of a key record, which the caller
// has checked. Several records of one key add up whatever their order: it is
// good from the earliest start to the earliest end, once revoked it stays so,
// and it keeps its owner.
func (k *keyring) with(rec *habeasv1.KeyRecord) (*keyring, *refusal) {
	public, err := wire.ParsePublicDER(rec.GetPublicKey())
	if err != nil {
		return nil, refuse("malformed", "public_key: %v", err)
	}
	fingerprint := wire.Fingerprint(public)
	switch {
	case fingerprint != rec.GetFingerprint():
		return nil, refuse("malformed", "fingerprint is not that of public_key")
	case wire.CheckName(rec.GetOwner()) != nil:
		return nil, refuse("malformed", "owner is not a name")
	case !rec.GetNotBeforeTime().IsValid():
		return nil, refuse("malformed", "not_before_time is missing")
	}
	next := key{public: public, owner: rec.GetOwner(), notBefore: rec.GetNotBeforeTime().AsTime(), revoked: rec.GetRevoked()}
	if rec.GetNotAfterTime().IsValid() {
		next.notAfter = rec.GetNotAfterTime().AsTime()
	}
	if before, ok := k.known[fingerprint]; ok {
		if before.owner != next.owner {
			return nil, refuse("not_authorised", "the key is on record as %s's", before.owner)
		}
		next = before.and(next)
	}
	known := maps.Clone(k.known)
	known[fingerprint] = next
	return &keyring{authorities: k.authorities, known: known}, nil
}

// and is what two records say of one key.
func (k key) and(other key) key {
	k.revoked = k.revoked || other.revoked
	if other.notBefore.Before(k.notBefore) {
		k.notBefore = other.notBefore
	}
	if k.notAfter.IsZero() || !other.notAfter.IsZero() && other.notAfter.Before(k.notAfter) {
		k.notAfter = other.notAfter
	}
	return k
}

// learn takes over a key record that is a leaf of the log already.
func (k *keyring) learn(leaf ledger.Leaf) (*keyring, error) {
	rec, err := wire.ParseRecord(leaf.Envelope)
	if err != nil {
		return nil, fmt.Errorf("key record at leaf %d: %w", leaf.Number, err)
	}
	predicate, ok := rec.Predicate.(*habeasv1.KeyRecord)
	if !ok {
		return nil, fmt.Errorf("leaf %d is kept as a key record and is a %s record", leaf.Number, rec.Type)
	}
	authority, ok := k.authorities[rec.KeyID]
	if !ok {
		// An authority that is not trusted any more: neither are its keys.
		return k, nil
	}
	if err := rec.Verify(authority); err != nil {
		return nil, fmt.Errorf("key record at leaf %d: %w", leaf.Number, err)
	}
	next, refused := k.with(predicate)
	if refused != nil {
		return nil, fmt.Errorf("key record at leaf %d: %w", leaf.Number, refused)
	}
	return next, nil
}
