package wire

import (
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// SealKey is an X25519 key pair (a nkeys curve key). What is sealed from one
// to another can be read, and can have been written, by these two alone.
type SealKey struct {
	pair   nkeys.KeyPair
	public string
}

// ErrNotForUs is wrapped by errors of opening something that was sealed to
// another key, by another key, or for another job, or that was altered.
var ErrNotForUs = errors.New("sealed for another reader, by another writer, or altered")

// NewSealKey makes a key pair.
func NewSealKey() (SealKey, error) {
	pair, err := nkeys.CreateCurveKeys()
	if err != nil {
		return SealKey{}, fmt.Errorf("making a curve key: %w", err)
	}
	return sealKey(pair)
}

// ParseSealKey reads a key pair from its seed ("SX…"). Errors never repeat it.
func ParseSealKey(seed []byte) (SealKey, error) {
	pair, err := nkeys.FromCurveSeed(seed)
	if err != nil {
		return SealKey{}, errors.New("not a curve key seed: want one line that starts with SX")
	}
	return sealKey(pair)
}

func sealKey(pair nkeys.KeyPair) (SealKey, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return SealKey{}, fmt.Errorf("deriving the public curve key: %w", err)
	}
	return SealKey{pair: pair, public: public}, nil
}

// Public is the public half, "X…".
func (k SealKey) Public() string { return k.public }

// Seed is the secret half, "SX…", for a key file.
func (k SealKey) Seed() ([]byte, error) { return k.pair.Seed() }

// SealSubject seals a person's identifiers for one job to the reader's key.
func (k SealKey) SealSubject(s *habeasv1.Subject, reader string) ([]byte, error) {
	if s.GetJobId() == "" {
		return nil, errors.New("sealing a subject: job_id is empty")
	}
	plain, err := proto.Marshal(s)
	if err != nil {
		return nil, errors.New("sealing a subject: an identifier is not valid UTF-8")
	}
	defer clear(plain)
	sealed, err := k.pair.Seal(plain, reader)
	if err != nil {
		return nil, fmt.Errorf("sealing a subject: reader's key: %w", err)
	}
	return sealed, nil
}

// OpenSubject opens what writer sealed to k for the given job.
func (k SealKey) OpenSubject(sealed []byte, writer, jobID string) (*habeasv1.Subject, error) {
	plain, err := k.pair.Open(sealed, writer)
	if err != nil {
		return nil, fmt.Errorf("opening a subject: %w", ErrNotForUs)
	}
	defer clear(plain)
	s := &habeasv1.Subject{}
	if err := proto.Unmarshal(plain, s); err != nil {
		return nil, errors.New("opening a subject: not a Subject message")
	}
	if s.GetJobId() != jobID {
		return nil, fmt.Errorf("opening a subject: job_id: %w", ErrNotForUs)
	}
	return s, nil
}
