package request

import (
	"errors"
	"fmt"
	"slices"
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
	// Points are the names of the data points that matched what is held, never
	// their values. When they are given they are counted, without the disputed.
	Points []string `json:",omitempty"`
	// Parent is how somebody was shown to be the consumer's parent or guardian,
	// as a short code (11 CCR 7070(a)(2)); empty when that was not needed.
	Parent string `json:",omitempty"`
}

// Methods with rules of their own.
const (
	MethodAccountLogin = "account_login" // not while the account is under suspicion (11 CCR 7061(b))
)

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
	// ErrSuspicious says that the account is under suspicion, so that logging
	// in to it shows nothing (11 CCR 7061(b)).
	ErrSuspicious = errors.New("the account is under suspicion: verify by other means than logging in")
	// ErrNoParent says that nobody was shown to be the consumer's parent or
	// guardian (11 CCR 7070).
	ErrNoParent = errors.New("say how the requester was shown to be the parent or guardian")
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
	case v.Parent != "" && !isCode(v.Parent):
		return errors.New("verification parent: want a short code for how it was shown, such as signed_consent")
	case slices.ContainsFunc(v.Points, func(p string) bool { return !isCode(p) }):
		return errors.New("verification points: name each by a short code such as postal_code, never by its value")
	default:
		return nil
	}
}

// pointsSuffice reports whether as many data points matched as the level wants,
// two or three (11 CCR 7062(b)-(c)), none of which is in dispute (7060(h)).
func (v Verified) pointsSuffice(disputed []string) error {
	if len(v.Points) == 0 {
		return nil // whoever attests has counted
	}
	need := map[Level]int{Reasonable: 2, ReasonablyHigh: 3}[v.Level]
	points := slices.Compact(slices.Sorted(slices.Values(v.Points)))
	points = slices.DeleteFunc(points, func(p string) bool { return slices.Contains(disputed, p) })
	if len(points) < need {
		return fmt.Errorf("%d data points count and %s needs %d; a disputed field is none: %w", len(points), v.Level, need, ErrLevelTooLow)
	}
	return nil
}

// equal reports whether two attestations say the same.
func (v Verified) equal(o Verified) bool {
	return v.Method == o.Method && v.Level == o.Level && v.At.Equal(o.At) && v.By == o.By && slices.Equal(v.Points, o.Points) && v.Parent == o.Parent
}
