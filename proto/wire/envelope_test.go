package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

func signedRecord(t testing.TB, requestID string, commitment []byte) *Record {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(key, "billing", "instance-1", "v1", "acme <&> \u2028 \"quoted\"")
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Sign(&habeasv1.OutcomeRecord{RequestId: requestID, JobId: "job-1", Outcome: &habeasv1.Outcome{
		Stores: []*habeasv1.StoreCount{{Store: "invoices \\ \"}},", LocatedCount: 3}},
	}}, requestID, commitment)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestTwoReadersAgree: what is signed here is read the quick way, and the
// general JSON readers say the same of it.
func TestTwoReadersAgree(t *testing.T) {
	for _, r := range []*Record{signedRecord(t, "req-1", []byte{1, 2, 3}), signedRecord(t, "", nil)} {
		payload, signature, keyID, ok := readOwnEnvelope(r.Envelope)
		if !ok {
			t.Fatalf("our own envelope is not read the quick way: %s", r.Envelope)
		}
		var e dsse.Envelope
		if err := json.Unmarshal(r.Envelope, &e); err != nil {
			t.Fatal(err)
		}
		slow, err := e.DecodeB64Payload()
		if err != nil || !bytes.Equal(slow, payload) || !bytes.Equal(payload, r.payload) || e.Signatures[0].KeyID != keyID || !bytes.Equal(signature, r.signature) {
			t.Errorf("the readers differ on the envelope: %v", err)
		}
		typ, predicate, ok := readOwnStatement(payload)
		if !ok {
			t.Fatalf("our own statement is not read the quick way: %s", payload)
		}
		var st statement
		if err := json.Unmarshal(payload, &st); err != nil {
			t.Fatal(err)
		}
		if st.PredicateType != typ || !bytes.Equal(st.Predicate, predicate) || st.Type != StatementType || len(st.Subject) != 1 || len(st.Subject[0].Digest) != 1 {
			t.Errorf("the readers differ on the statement: %+v", st)
		}
		again, err := parseRecord(r.Envelope, sha256.Sum256(r.Envelope))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r.Predicate, again.Predicate, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
	}
}

// TestQuickReaderIsNoLaxer: whatever is done to an envelope's bytes, the quick
// reader takes nothing that the general one refuses or reads otherwise.
func TestQuickReaderIsNoLaxer(t *testing.T) {
	r := signedRecord(t, "req-1", []byte{1})
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.SampledFrom([]string{"envelope", "payload"}).Draw(t, "level")
		text := bytes.Clone(r.Envelope)
		if level == "payload" {
			text = bytes.Clone(r.payload)
		}
		for range rapid.IntRange(1, 3).Draw(t, "edits") {
			at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			insert := rapid.SampledFrom([]string{"", "\n", "\r", "\"", "\\", "}", " ", "=", "\x00", "\xff", ",\"x\":1", "é"}).Draw(t, "insert")
			drop := rapid.IntRange(0, 2).Draw(t, "drop")
			text = append(append(bytes.Clone(text[:at]), insert...), text[min(len(text), at+drop):]...)
			if len(text) == 0 {
				return
			}
		}
		if level == "envelope" {
			payload, _, keyID, ok := readOwnEnvelope(text)
			if !ok {
				return
			}
			var e dsse.Envelope
			if err := json.Unmarshal(text, &e); err != nil {
				t.Fatalf("taken, although it is no JSON: %v: %q", err, text)
			}
			if slow, err := e.DecodeB64Payload(); err != nil || !bytes.Equal(slow, payload) || e.Signatures[0].KeyID != keyID {
				t.Fatalf("read otherwise: %q", text)
			}
			return
		}
		typ, predicate, ok := readOwnStatement(text)
		if !ok || !json.Valid(predicate) { // the predicate's own reader refuses it
			return
		}
		var st statement
		if err := json.Unmarshal(text, &st); err != nil || st.PredicateType != typ || !bytes.Equal(bytes.Trim(st.Predicate, " \t\r\n"), bytes.Trim(predicate, " \t\r\n")) { // blanks around it are nothing
			t.Fatalf("read otherwise: %v: %q", err, text)
		}
	})
}

func TestDERIsThatOfX509(t *testing.T) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := x509.MarshalPKIXPublicKey(public)
	if err != nil || !bytes.Equal(PublicDER(public), want) {
		t.Errorf("PublicDER is %x, want %x: %v", PublicDER(public), want, err)
	}
}

func BenchmarkParseRecord(b *testing.B) {
	r := signedRecord(b, "req-1", []byte{1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseRecord(r.Envelope, r.Digest); err != nil {
			b.Fatal(err)
		}
	}
}
