package wire

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// Types of a record's bytes.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	// PredicatePrefix is before the record type and "/v1" in predicateType.
	PredicatePrefix = "https://github.com/habeas-data/habeas/evidence/"
)

// RecordType is the kind of a record, the word in its predicateType.
type RecordType string

// The record types.
const (
	RecordIntake       RecordType = "intake"
	RecordVerified     RecordType = "verified"
	RecordPlan         RecordType = "plan"
	RecordLocated      RecordType = "located"
	RecordOutcome      RecordType = "outcome"
	RecordVerification RecordType = "verification"
	RecordDecision     RecordType = "decision"
	RecordClosure      RecordType = "closure"
	RecordVersion      RecordType = "version"
	RecordEffect       RecordType = "effect"
	RecordConnector    RecordType = "connector"
	RecordKey          RecordType = "key"
	RecordRetention    RecordType = "retention"
)

// Predicate is the message of a record: one of the *Record messages of
// evidence.proto.
type Predicate interface {
	proto.Message
	GetOrigin() *habeasv1.Origin
}

var predicates = map[RecordType]func() Predicate{
	RecordIntake:       func() Predicate { return &habeasv1.IntakeRecord{} },
	RecordVerified:     func() Predicate { return &habeasv1.VerifiedRecord{} },
	RecordPlan:         func() Predicate { return &habeasv1.PlanRecord{} },
	RecordLocated:      func() Predicate { return &habeasv1.LocatedRecord{} },
	RecordOutcome:      func() Predicate { return &habeasv1.OutcomeRecord{} },
	RecordVerification: func() Predicate { return &habeasv1.VerificationRecord{} },
	RecordDecision:     func() Predicate { return &habeasv1.DecisionRecord{} },
	RecordClosure:      func() Predicate { return &habeasv1.ClosureRecord{} },
	RecordVersion:      func() Predicate { return &habeasv1.VersionRecord{} },
	RecordEffect:       func() Predicate { return &habeasv1.EffectRecord{} },
	RecordConnector:    func() Predicate { return &habeasv1.ConnectorRecord{} },
	RecordKey:          func() Predicate { return &habeasv1.KeyRecord{} },
	RecordRetention:    func() Predicate { return &habeasv1.RetentionRecord{} },
}

// TypeOf returns the record type of a predicate, or "" for a message that is
// none.
func TypeOf(p Predicate) RecordType {
	return recordTypes[p.ProtoReflect().Descriptor().FullName()]
}

// recordTypes is predicates the other way round.
var recordTypes = func() map[protoreflect.FullName]RecordType {
	types := make(map[protoreflect.FullName]RecordType, len(predicates))
	for t, make := range predicates {
		types[make().ProtoReflect().Descriptor().FullName()] = t
	}
	return types
}()

// Record is one signed statement: the envelope's bytes and what they say. It
// is shared by all who read it in a process and must not be changed.
type Record struct {
	Type      RecordType
	Predicate Predicate
	// Envelope is the DSSE envelope, exactly as it was made or received. It is
	// stored and compared as bytes and never encoded again.
	Envelope []byte
	// Digest is SHA-256 of Envelope.
	Digest [sha256.Size]byte
	// KeyID is the fingerprint inside the signed payload.
	KeyID string

	payload   []byte
	signature []byte
}

// Signer signs the records of one issuer with one Ed25519 key.
type Signer struct {
	key      ed25519.PrivateKey
	keyID    string
	issuer   string
	instance string
	version  string
	tenant   string
	now      func() time.Time
}

// NewSigner makes a Signer. instance and version say which running program it
// is; tenant may be empty.
func NewSigner(key ed25519.PrivateKey, issuer, instance, version, tenant string) (*Signer, error) {
	if err := CheckName(issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok || len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("evidence key: want an Ed25519 private key")
	}
	return &Signer{key: key, keyID: Fingerprint(public), issuer: issuer, instance: instance, version: version, tenant: tenant, now: time.Now}, nil
}

// KeyID is the fingerprint of the signing key.
func (s *Signer) KeyID() string { return s.keyID }

// Issuer is the name records are signed under.
func (s *Signer) Issuer() string { return s.issuer }

// Public is the public key.
func (s *Signer) Public() ed25519.PublicKey { return s.key.Public().(ed25519.PublicKey) }

// Fingerprint names a public key: "SHA256:" and the unpadded base64 of SHA-256
// over its PKIX DER form.
func Fingerprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256(PublicDER(key))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// derPrefix is all of an Ed25519 key in PKIX DER form but the key (RFC 8410,
// section 4). It is written here because every check of a signature needs it.
const derPrefix = "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00"

// PublicDER is the key in PKIX DER form.
func PublicDER(key ed25519.PublicKey) []byte { return append([]byte(derPrefix), key...) }

// ParsePublicDER reads a key from PKIX DER.
func ParsePublicDER(der []byte) (ed25519.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("public key: want Ed25519, have %T", parsed)
	}
	return key, nil
}

// Sign fills the predicate's origin and signs it. requestID may be empty for
// records that belong to no request; commitment is the subject commitment of
// the request, or nil.
func (s *Signer) Sign(p Predicate, requestID string, commitment []byte) (*Record, error) {
	typ := TypeOf(p)
	if typ == "" {
		return nil, fmt.Errorf("signing %T: not a record", p)
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("signing a %s record: %w", typ, err)
	}
	origin := &habeasv1.Origin{
		Salt: salt, Tenant: s.tenant, Issuer: s.issuer, Instance: s.instance, Version: s.version,
		KeyId: s.keyID, Time: timestamppb.New(s.now().UTC()),
	}
	m := p.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByName("origin"), protoreflect.ValueOfMessage(origin.ProtoReflect()))
	predicate, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("signing a %s record: %w", typ, err)
	}
	// A record of no request is about its issuer, named by its key.
	keySum := sha256.Sum256(PublicDER(s.Public()))
	subject := about{name: "urn:habeas:issuer:" + s.issuer, algorithm: "sha256", digest: keySum[:]}
	if requestID != "" {
		if c := (cutter{rest: []byte(requestID + `"`)}); c.text() != requestID || c.other {
			return nil, fmt.Errorf("signing a %s record: request_id: not an id", typ)
		}
		subject.name = "urn:habeas:request:" + requestID
	}
	if commitment != nil {
		subject.algorithm, subject.digest = "hmac-sha256", commitment
	}
	payload := appendStatement(nil, subject, PredicatePrefix+string(typ)+"/v1", predicate)
	signature := ed25519.Sign(s.key, dsse.PAE(PayloadType, payload))
	envelope := appendEnvelope(nil, payload, s.keyID, signature)
	if len(envelope) > MaxMessage {
		return nil, fmt.Errorf("signing a %s record: %d bytes is over the limit of %d", typ, len(envelope), MaxMessage)
	}
	r := &Record{Type: typ, Predicate: p, Envelope: envelope, Digest: sha256.Sum256(envelope), KeyID: s.keyID, payload: payload, signature: signature}
	checked.put(checkedKey{envelope: r.Digest, keyID: r.KeyID}, struct{}{})
	// The caller may go on to change what it gave us; what was signed stays.
	kept := *r
	kept.Predicate = proto.Clone(p).(Predicate)
	parsed.put(r.Digest, &kept)
	return r, nil
}

// ErrSignature is wrapped by errors of records whose signature does not hold.
var ErrSignature = errors.New("signature does not verify")

// ParseRecord reads an envelope without believing it: call [Record.Verify]
// with the key that KeyID stands for before acting on anything it says.
func ParseRecord(envelope []byte) (*Record, error) {
	if len(envelope) > MaxMessage {
		return nil, fmt.Errorf("record: %d bytes is over the limit of %d", len(envelope), MaxMessage)
	}
	digest := sha256.Sum256(envelope)
	return parsed.do(digest, func() (*Record, error) { return parseRecord(envelope, digest) })
}

func parseRecord(envelope []byte, digest [sha256.Size]byte) (*Record, error) {
	payload, signature, signedBy, err := readEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	predicateType, predicate, err := readStatement(payload)
	if err != nil {
		return nil, err
	}
	typ, err := predicateRecordType(predicateType)
	if err != nil {
		return nil, err
	}
	p := predicates[typ]()
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(predicate, p); err != nil {
		return nil, fmt.Errorf("record: %s predicate: %w", typ, err)
	}
	keyID := p.GetOrigin().GetKeyId()
	if keyID == "" || keyID != signedBy {
		return nil, errors.New("record: key_id inside the payload is not the envelope's keyid")
	}
	return &Record{Type: typ, Predicate: p, Envelope: envelope, Digest: digest, KeyID: keyID, payload: payload, signature: signature}, nil
}

func predicateRecordType(text string) (RecordType, error) {
	rest, ok := strings.CutPrefix(text, PredicatePrefix)
	word, v1 := strings.CutSuffix(rest, "/v1")
	if !ok || !v1 || predicates[RecordType(word)] == nil {
		return "", errors.New("record: predicateType: unknown")
	}
	return RecordType(word), nil
}

// Verify checks the signature against the key.
func (r *Record) Verify(key ed25519.PublicKey) error {
	if len(key) != ed25519.PublicKeySize || Fingerprint(key) != r.KeyID {
		return fmt.Errorf("record: key: %w", ErrSignature)
	}
	_, err := checked.do(checkedKey{envelope: r.Digest, keyID: r.KeyID}, func() (struct{}, error) {
		if !ed25519.Verify(key, dsse.PAE(PayloadType, r.payload), r.signature) {
			return struct{}{}, fmt.Errorf("record: %w", ErrSignature)
		}
		return struct{}{}, nil
	})
	return err
}

// RequestID is the request the record belongs to, or "".
func (r *Record) RequestID() string {
	if p, ok := r.Predicate.(interface{ GetRequestId() string }); ok {
		return p.GetRequestId()
	}
	return ""
}

// JobID is the job the record answers, or "".
func (r *Record) JobID() string {
	if p, ok := r.Predicate.(interface{ GetJobId() string }); ok {
		return p.GetJobId()
	}
	return ""
}

// Issuer is who says it.
func (r *Record) Issuer() string { return r.Predicate.GetOrigin().GetIssuer() }
