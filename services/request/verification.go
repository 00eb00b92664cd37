package request

import (
	"errors"
	"fmt"
	"time"
)

// Level is how sure one is that the requester is the consumer (11 CCR 7062).
type Level string

// The levels, lower first.
const (
	Reasonable     Level = "reasonable"
	ReasonablyHigh Level = "reasonably_high"
)

// Valid reports whether l is one of the levels.
func (l Level) Valid() bool { return l.rank() > 0 }

// AtLeast reports whether l is as sure as need or surer. An unknown level is
// below every known one, and nothing reaches an unknown need.
func (l Level) AtLeast(need Level) bool { return need.Valid() && l.rank() >= need.rank() }

func (l Level) rank() int {
	switch l {
	case Reasonable:
		return 1
	case ReasonablyHigh:
		return 2
	default:
		return 0
	}
}

// Verification is [Unverified] or [Verified], and nothing else.
type Verification interface{ verification() }

// Unverified says that nobody has vouched for the requester yet.
type Unverified struct{}

// Verified says who vouched for the requester, when and how. It never holds
// what was compared: verification data is deleted after use (11 CCR 7060(d)).
type Verified struct {
	Method string    // a short code, such as "account_login" or "operator_attested"
	Level  Level     // how sure this makes us
	At     time.Time // when
	By     string    // the operator, room or API client that attests; not the consumer
}

func (Unverified) verification() {}
func (Verified) verification()   {}

// Errors of attesting.
var (
	// ErrNeverVerified says that the right is one that no verification may be
	// asked for or recorded with (11 CCR 7060(b), 7026(d), 7027(e)).
	ErrNeverVerified = errors.New("a request to opt out or to limit is never verified")
	// ErrLevelTooLow says that the attested level is below the one the
	// regime wants for the right.
	ErrLevelTooLow = errors.New("verification level is too low")
	// ErrAlreadyVerified says that a different attestation is in force.
	ErrAlreadyVerified = errors.New("request is already verified")
)

const maxCode = 64

// check reports what is wrong with an attestation as such.
func (v Verified) check() error {
	switch {
	case !isCode(v.Method):
		return fmt.Errorf("verification method: want a short code such as account_login, of lower-case letters, digits and underscores, at most %d", maxCode)
	case !v.Level.Valid():
		return fmt.Errorf("verification level: want %s or %s", Reasonable, ReasonablyHigh)
	case v.At.IsZero():
		return errors.New("verification time: missing")
	case v.By == "" || len(v.By) > 200 || !plainText(v.By):
		return errors.New("verification by: name who attests, in at most 200 bytes of plain text")
	default:
		return nil
	}
}

// equal reports whether two attestations say the same.
func (v Verified) equal(o Verified) bool {
	return v.Method == o.Method && v.Level == o.Level && v.At.Equal(o.At) && v.By == o.By
}
