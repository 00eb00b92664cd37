package wire

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nkeys"
	"golang.org/x/crypto/nacl/box"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// SealKey is an X25519 key pair (a nkeys curve key). What is sealed from one
// to another can be read, and can have been written, by these two alone.
//
// The sealed bytes are those of nkeys: "xkv1", a nonce of 24 bytes, a NaCl box.
type SealKey struct {
	pair   nkeys.KeyPair
	public string
	shared *sharedKeys
}

// sharedKeys remembers the key shared with each counterpart. Deriving it costs
// twenty times what a box does, and a room seals to few connectors over and
// over again.
type sharedKeys struct {
	own  [32]byte
	keys sync.Map // public key -> *[32]byte
	n    atomic.Int32
}

const (
	sealVersion   = "xkv1"
	nonceLen      = 24
	mostSharedKey = 1024
)

// with returns the key shared with a counterpart.
func (s *sharedKeys) with(public string) (*[32]byte, error) {
	if key, ok := s.keys.Load(public); ok {
		return key.(*[32]byte), nil
	}
	raw, err := nkeys.Decode(nkeys.PrefixByteCurve, []byte(public))
	if err != nil || len(raw) != 32 {
		return nil, errors.New("not a public curve key: want one that starts with X")
	}
	var key [32]byte
	box.Precompute(&key, (*[32]byte)(raw), &s.own)
	return &key, nil
}

// keep remembers a key that has proved useful; a stranger's names can't fill
// the memory.
func (s *sharedKeys) keep(public string, key *[32]byte) {
	if s.n.Load() >= mostSharedKey {
		return
	}
	if _, had := s.keys.LoadOrStore(public, key); !had {
		s.n.Add(1)
	}
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
	seed, err := pair.Seed()
	if err != nil {
		return SealKey{}, fmt.Errorf("reading the curve key: %w", err)
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil || len(raw) != 32 {
		return SealKey{}, errors.New("reading the curve key: not 32 bytes")
	}
	return SealKey{pair: pair, public: public, shared: &sharedKeys{own: [32]byte(raw)}}, nil
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
	sealed, err := k.seal(plain, reader)
	if err != nil {
		return nil, fmt.Errorf("sealing a subject: %w", err)
	}
	return sealed, nil
}

func (k SealKey) seal(plain []byte, reader string) ([]byte, error) {
	key, err := k.shared.with(reader)
	if err != nil {
		return nil, fmt.Errorf("reader's key: %w", err)
	}
	k.shared.keep(reader, key)
	var nonce [nonceLen]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	sealed := append([]byte(sealVersion), nonce[:]...)
	return box.SealAfterPrecomputation(sealed, plain, &nonce, key), nil
}

// open opens what writer sealed to k.
func (k SealKey) open(sealed []byte, writer string) ([]byte, error) {
	key, err := k.shared.with(writer)
	if err != nil || len(sealed) <= len(sealVersion)+nonceLen || string(sealed[:len(sealVersion)]) != sealVersion {
		return nil, ErrNotForUs
	}
	nonce := [nonceLen]byte(sealed[len(sealVersion):])
	plain, ok := box.OpenAfterPrecomputation(nil, sealed[len(sealVersion)+nonceLen:], &nonce, key)
	if !ok {
		return nil, ErrNotForUs
	}
	k.shared.keep(writer, key)
	return plain, nil
}

// OpenSubject opens what writer sealed to k for the given job.
func (k SealKey) OpenSubject(sealed []byte, writer, jobID string) (*habeasv1.Subject, error) {
	plain, err := k.open(sealed, writer)
	if err != nil {
		return nil, fmt.Errorf("opening a subject: %w", err)
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
