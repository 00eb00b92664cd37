// Package keyring decides whose signature on a record counts, for the room
// that logs records and for whoever checks them later, by the same rules.
//
// A few keys are trusted from outside, those of the rooms. They may sign
// anything, and they put the keys of everybody else on record. A key on record
// signs for its owner alone, between its start and its end, until it is
// revoked, and only what connectors have to say.
package keyring

import (
	"crypto/ed25519"
	"fmt"
	"maps"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// clockSkew is how far a signer's clock may be behind the one of the room that
// put its key on record.
const clockSkew = 5 * time.Minute

// Reasons for which a record does not count.
const (
	Malformed     = "malformed"
	UnknownKey    = "unknown_key"
	BadSignature  = "bad_signature"
	WrongIssuer   = "wrong_issuer"
	KeyNotValid   = "key_not_valid"
	NotAuthorised = "not_authorised"
)

// Reasons are all of them.
func Reasons() []string {
	return []string{Malformed, UnknownKey, BadSignature, WrongIssuer, KeyNotValid, NotAuthorised}
}

// Refusal says why a record does not count.
type Refusal struct {
	// Reason is one of the codes above.
	Reason string
	// Detail says it in words, without the record's content.
	Detail string
}

func (r *Refusal) Error() string { return r.Reason + ": " + r.Detail }

// Refuse makes a Refusal.
func Refuse(reason, format string, args ...any) *Refusal {
	return &Refusal{reason, fmt.Sprintf(format, args...)}
}

// key is a key on record.
type key struct {
	public    ed25519.PublicKey
	owner     string
	notBefore time.Time
	notAfter  time.Time // zero while the key is in use
	revoked   bool
}

// Ring knows keys. It is never changed, only replaced, so that keys from
// records that are not committed can be tried and dropped.
type Ring struct {
	authorities map[string]ed25519.PublicKey
	known       map[string]key
}

// New makes a ring of the keys that are trusted from outside.
func New(authorities []ed25519.PublicKey) *Ring {
	k := &Ring{authorities: map[string]ed25519.PublicKey{}, known: map[string]key{}}
	for _, public := range authorities {
		k.authorities[wire.Fingerprint(public)] = public
	}
	return k
}

// Has reports whether the ring can judge a signature of the key.
func (k *Ring) Has(keyID string) bool {
	_, authority := k.authorities[keyID]
	return authority || k.OnRecord(keyID)
}

// OnRecord reports whether a key record names the key.
func (k *Ring) OnRecord(keyID string) bool {
	_, known := k.known[keyID]
	return known
}

// Authority reports whether the key is trusted from outside.
func (k *Ring) Authority(keyID string) bool {
	_, authority := k.authorities[keyID]
	return authority
}

// Vouched returns nil when a key trusted from outside signed the record,
// whatever became of that key since.
func (k *Ring) Vouched(rec *wire.Record) *Refusal {
	public, authority := k.authorities[rec.KeyID]
	if !authority {
		return Refuse(NotAuthorised, "key %s is not one of the rooms'", rec.KeyID)
	}
	if err := rec.Verify(public); err != nil {
		return Refuse(BadSignature, "%v", err)
	}
	return nil
}

// Check returns nil when the record was signed by a key that may sign it and
// was good at the time the record names. publisher is who brought it.
func (k *Ring) Check(rec *wire.Record, publisher string) *Refusal {
	public, authority := k.authorities[rec.KeyID]
	known, onRecord := k.known[rec.KeyID]
	if !authority && !onRecord {
		return Refuse(UnknownKey, "no key record names key %s", rec.KeyID)
	}
	if !authority {
		public = known.public
	}
	if err := rec.Verify(public); err != nil {
		return Refuse(BadSignature, "%v", err)
	}
	if rec.Issuer() != publisher {
		return Refuse(WrongIssuer, "issuer %s published on the subject of %s", rec.Issuer(), publisher)
	}
	if onRecord {
		if r := known.check(rec); r != nil {
			return r
		}
	}
	if !authority && !forConnectors[rec.Type] {
		return Refuse(NotAuthorised, "%s may not sign %s records", rec.Issuer(), rec.Type)
	}
	return nil
}

// forConnectors are the records that need no authority's key.
var forConnectors = map[wire.RecordType]bool{
	wire.RecordLocated: true, wire.RecordOutcome: true, wire.RecordVerification: true,
}

func (k key) check(rec *wire.Record) *Refusal {
	at := rec.Predicate.GetOrigin().GetTime()
	switch {
	case k.owner != rec.Issuer():
		return Refuse(WrongIssuer, "the key is %s's, the issuer is %s", k.owner, rec.Issuer())
	case !at.IsValid():
		return Refuse(Malformed, "origin.time is missing")
	case k.revoked:
		return Refuse(KeyNotValid, "the key was revoked")
	case at.AsTime().Before(k.notBefore.Add(-clockSkew)):
		return Refuse(KeyNotValid, "signed before the key was on record")
	case !k.notAfter.IsZero() && at.AsTime().After(k.notAfter):
		return Refuse(KeyNotValid, "signed after the key's end")
	}
	return nil
}

// With returns a ring that knows the key of a key record, which the caller
// has checked. Several records of one key add up whatever their order: it is
// good from the earliest start to the earliest end, once revoked it stays so,
// and it keeps its owner.
func (k *Ring) With(rec *habeasv1.KeyRecord) (*Ring, *Refusal) {
	public, err := wire.ParsePublicDER(rec.GetPublicKey())
	if err != nil {
		return nil, Refuse(Malformed, "public_key: %v", err)
	}
	fingerprint := wire.Fingerprint(public)
	switch {
	case fingerprint != rec.GetFingerprint():
		return nil, Refuse(Malformed, "fingerprint is not that of public_key")
	case wire.CheckName(rec.GetOwner()) != nil:
		return nil, Refuse(Malformed, "owner is not a name")
	case !rec.GetNotBeforeTime().IsValid():
		return nil, Refuse(Malformed, "not_before_time is missing")
	}
	next := key{public: public, owner: rec.GetOwner(), notBefore: rec.GetNotBeforeTime().AsTime(), revoked: rec.GetRevoked()}
	if rec.GetNotAfterTime().IsValid() {
		next.notAfter = rec.GetNotAfterTime().AsTime()
	}
	if before, ok := k.known[fingerprint]; ok {
		if before.owner != next.owner {
			return nil, Refuse(NotAuthorised, "the key is on record as %s's", before.owner)
		}
		next = before.and(next)
	}
	known := maps.Clone(k.known)
	known[fingerprint] = next
	return &Ring{authorities: k.authorities, known: known}, nil
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
