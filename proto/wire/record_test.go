package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

func newSigner(t testing.TB) *wire.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewSigner(key, "billing", "instance-1", "v1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func predicates() map[wire.RecordType]wire.Predicate {
	return map[wire.RecordType]wire.Predicate{
		wire.RecordIntake:   &habeasv1.IntakeRecord{RequestId: "req-1", DueDates: map[string]string{"answer": "2026-01-02"}},
		wire.RecordVerified: &habeasv1.VerifiedRecord{RequestId: "req-1", Method: "account_login"},
		wire.RecordPlan:     &habeasv1.PlanRecord{RequestId: "req-1", Lines: []*habeasv1.PlanLine{{JobId: "job-1"}}},
		wire.RecordLocated:  &habeasv1.LocatedRecord{RequestId: "req-1", JobId: "job-1", Stores: []*habeasv1.StoreCount{{Store: "s", LocatedCount: 3}}},
		wire.RecordOutcome: &habeasv1.OutcomeRecord{RequestId: "req-1", JobId: "job-1", Outcome: &habeasv1.Outcome{
			Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: "ccpa-1798.105(d)(8)"}}}},
		wire.RecordVerification: &habeasv1.VerificationRecord{RequestId: "req-1", JobId: "job-1"},
		wire.RecordClosure:      &habeasv1.ClosureRecord{RequestId: "req-1", Result: "complete", RecordDigests: [][]byte{{1, 2}}},
		wire.RecordEffect:       &habeasv1.EffectRecord{Name: "shop", Result: "effective"},
		wire.RecordConnector:    &habeasv1.ConnectorRecord{Connector: "crm", Decision: "paused", Reason: "it is being moved"},
		wire.RecordVersion:      &habeasv1.VersionRecord{Kind: "form", Name: "delete", TextSha256: []byte{1}},
		wire.RecordKey:          &habeasv1.KeyRecord{Owner: "billing", PublicKey: []byte{1}},
		wire.RecordRetention:    &habeasv1.RetentionRecord{FirstLeaf: 1, LastLeaf: 2},
	}
}

func TestRecords(t *testing.T) {
	s := newSigner(t)
	for typ, p := range predicates() {
		t.Run(string(typ), func(t *testing.T) {
			signed, err := s.Sign(p, "req-1", []byte{1, 2, 3})
			if err != nil {
				t.Fatal(err)
			}
			r, err := wire.ParseRecord(signed.Envelope)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Verify(s.Public()); err != nil {
				t.Fatal(err)
			}
			if r.Type != typ || r.Digest != signed.Digest || r.Digest != sha256.Sum256(signed.Envelope) || r.Issuer() != "billing" || r.KeyID != wire.Fingerprint(s.Public()) {
				t.Errorf("parsed as %s of %s by %s", r.Type, r.Issuer(), r.KeyID)
			}
			// Another spelling of it, which nobody here has read yet.
			again, err := wire.ParseRecord(append(bytes.Clone(signed.Envelope), '\n'))
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Verify(s.Public()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, again.Predicate, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
			if n := len(r.Predicate.GetOrigin().GetSalt()); n < 16 {
				t.Errorf("a salt of %d bytes", n)
			}
			if err := r.Verify(newSigner(t).Public()); !errors.Is(err, wire.ErrSignature) {
				t.Errorf("verified with another key: %v", err)
			}
			if err := r.Verify(nil); !errors.Is(err, wire.ErrSignature) {
				t.Errorf("verified with no key: %v", err)
			}
		})
	}
}

// TestWhatWasSignedStays: the caller changes the message it had signed, and
// readers get what was signed.
func TestWhatWasSignedStays(t *testing.T) {
	s := newSigner(t)
	digest := []byte{1, 2}
	closure := &habeasv1.ClosureRecord{RequestId: "req-1", Result: "complete", RecordDigests: [][]byte{digest}}
	signed, err := s.Sign(closure, "req-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	closure.Result, digest[0] = "denied", 9
	read, err := wire.ParseRecord(signed.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	if c := read.Predicate.(*habeasv1.ClosureRecord); c.GetResult() != "complete" || c.GetRecordDigests()[0][0] != 1 {
		t.Errorf("readers get %v", c)
	}
}

func TestSignRefusesWhatIsNoRecord(t *testing.T) {
	if _, err := newSigner(t).Sign(notARecord{}, "", nil); err == nil {
		t.Error("signed")
	}
	big := &habeasv1.ClosureRecord{Reason: strings.Repeat("x", wire.MaxMessage)}
	if _, err := newSigner(t).Sign(big, "", nil); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a record over the limit: %v", err)
	}
}

type notARecord struct{ *habeasv1.LoggedRecord }

func (notARecord) GetOrigin() *habeasv1.Origin { return nil }

// TestNoBitCanBeFlipped: whatever single bit of an envelope is flipped, either
// it is refused, or it says, byte for byte, what was signed.
func TestNoBitCanBeFlipped(t *testing.T) {
	s := newSigner(t)
	signed, err := s.Sign(predicates()[wire.RecordOutcome], "req-1", []byte{1})
	if err != nil {
		t.Fatal(err)
	}
	survived := 0
	for i := range signed.Envelope {
		for bit := range 8 {
			flipped := []byte(string(signed.Envelope))
			flipped[i] ^= 1 << bit
			r, err := wire.ParseRecord(flipped)
			if err != nil || r.Verify(s.Public()) != nil {
				continue
			}
			survived++
			if diff := cmp.Diff(signed.Predicate, r.Predicate, protocmp.Transform()); diff != "" {
				t.Fatalf("bit %d of byte %d changes what is said: %s", bit, i, diff)
			}
			if r.Digest == signed.Digest {
				t.Fatalf("bit %d of byte %d keeps the digest", bit, i)
			}
		}
	}
	// The case of the envelope's own field names is all that may vary.
	if most := 8 * len(`payloadTypepayloadsignatureskeyidsig`); survived > most {
		t.Errorf("%d flips survived, at most %d may", survived, most)
	}
}

// TestPayloadIsSigned changes the payload in ways that keep it well-formed.
func TestPayloadIsSigned(t *testing.T) {
	s := newSigner(t)
	rapid.Check(t, func(t *rapid.T) {
		counted := rapid.Int64Range(1, 1<<40).Draw(t, "count")
		signed, err := s.Sign(&habeasv1.LocatedRecord{RequestId: "req-1", JobId: "job-1", Stores: []*habeasv1.StoreCount{{Store: "s", LocatedCount: counted}}}, "req-1", nil)
		if err != nil {
			t.Fatal(err)
		}
		var e map[string]any
		if err := json.Unmarshal(signed.Envelope, &e); err != nil {
			t.Fatal(err)
		}
		payload, err := base64.StdEncoding.DecodeString(e["payload"].(string))
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(payload), fmt.Sprintf(`"%d"`, counted), fmt.Sprintf(`"%d"`, counted+rapid.Int64Range(1, 1000).Draw(t, "more")), 1)
		if changed == string(payload) {
			t.Fatal("the count is not in the payload")
		}
		e["payload"] = base64.StdEncoding.EncodeToString([]byte(changed))
		forged, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		r, err := wire.ParseRecord(forged)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(s.Public()); !errors.Is(err, wire.ErrSignature) {
			t.Fatalf("a changed count verifies: %v", err)
		}
	})
}

func TestParseRecordIsStrict(t *testing.T) {
	envelope := func(payloadType, payload, keyID string, sigs int) string {
		sig := fmt.Sprintf(`{"keyid":%q,"sig":%q}`, keyID, base64.StdEncoding.EncodeToString(make([]byte, 64)))
		return fmt.Sprintf(`{"payloadType":%q,"payload":%q,"signatures":[%s]}`, payloadType, base64.StdEncoding.EncodeToString([]byte(payload)),
			strings.TrimSuffix(strings.Repeat(sig+",", sigs), ","))
	}
	statement := func(typ, predicateType, predicate string) string {
		return fmt.Sprintf(`{"_type":%q,"subject":[],"predicateType":%q,"predicate":%s}`, typ, predicateType, predicate)
	}
	outcome := wire.PredicatePrefix + "outcome/v1"
	good := statement(wire.StatementType, outcome, `{"origin":{"key_id":"K"}}`)
	if _, err := wire.ParseRecord([]byte(envelope(wire.PayloadType, good, "K", 1))); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	if _, err := wire.ParseRecord([]byte(envelope(wire.PayloadType, statement(wire.StatementType, outcome, `{"origin":{"key_id":"K"},"field_of_tomorrow":1}`), "K", 1))); err != nil {
		t.Errorf("a field of a later version: %v", err)
	}
	for name, text := range map[string]string{
		"nothing":                "",
		"no JSON":                "{",
		"another payload type":   envelope("application/json", good, "K", 1),
		"no signature":           envelope(wire.PayloadType, good, "K", 0),
		"two signatures":         envelope(wire.PayloadType, good, "K", 2),
		"another statement type": envelope(wire.PayloadType, statement("https://in-toto.io/Statement/v0.1", outcome, `{"origin":{"key_id":"K"}}`), "K", 1),
		"unknown predicate type": envelope(wire.PayloadType, statement(wire.StatementType, wire.PredicatePrefix+"rumour/v1", `{}`), "K", 1),
		"a later version":        envelope(wire.PayloadType, statement(wire.StatementType, wire.PredicatePrefix+"outcome/v2", `{}`), "K", 1),
		"somebody else's type":   envelope(wire.PayloadType, statement(wire.StatementType, "https://example.com/outcome/v1", `{}`), "K", 1),
		"unknown statement key":  envelope(wire.PayloadType, strings.Replace(good, `"subject"`, `"extra":1,"subject"`, 1), "K", 1),
		"no key id inside":       envelope(wire.PayloadType, statement(wire.StatementType, outcome, `{}`), "", 1),
		"another key id outside": envelope(wire.PayloadType, good, "L", 1),
		"predicate of no shape":  envelope(wire.PayloadType, statement(wire.StatementType, outcome, `[]`), "K", 1),
		"payload in URL base64":  strings.Replace(envelope(wire.PayloadType, good, "K", 1), `"payload":"ey`, `"payload":"-_`, 1),
		"signature too short":    strings.Replace(envelope(wire.PayloadType, good, "K", 1), `"sig":"AAAA`, `"sig":"`, 1),
		"too long":               strings.Repeat(" ", wire.MaxMessage+1),
	} {
		if _, err := wire.ParseRecord([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	s := newSigner(f)
	for _, p := range predicates() {
		r, err := s.Sign(p, "req-1", []byte{1})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Envelope)
	}
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"","signatures":[{}]}`))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		r, err := wire.ParseRecord(envelope)
		if err != nil {
			return
		}
		if wire.TypeOf(r.Predicate) != r.Type || r.KeyID == "" || r.Digest != sha256.Sum256(envelope) {
			t.Errorf("accepted as %s of key %q", r.Type, r.KeyID)
		}
		// Reading what it says never fails, whoever signed it.
		_, _, _ = r.RequestID(), r.JobID(), r.Issuer()
	})
}
