package sdk

import (
	"errors"
	"time"
)

// FailureCode says what an operator should look at next. The set is closed.
type FailureCode string

// The failure codes.
const (
	Unavailable   FailureCode = "unavailable"   // the system did not answer
	Denied        FailureCode = "denied"        // credentials are missing, wrong or too weak
	RateLimited   FailureCode = "rate_limited"  // the system's quota is used up
	Configuration FailureCode = "configuration" // the map or the settings don't fit the system
	Rejected      FailureCode = "rejected"      // the system refused this request for good
	StillThere    FailureCode = "still_there"   // the act succeeded and the records are still found
	Ambiguous     FailureCode = "ambiguous"     // the identifiers reach more than one person
	Internal      FailureCode = "internal"      // a defect in the connector
)

// Permanent marks err as one that no retry can heal: the job fails and a
// person has to look. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err: err}
}

// NotYet says that the system accepted the work and has not finished it.
// The runtime asks again after the given time by delivering the job again;
// the connector must then find the earlier work instead of starting anew.
func NotYet(after time.Duration, err error) error {
	if err == nil {
		err = errors.New("accepted and not finished")
	}
	return &notYetError{after: after, err: err}
}

// WithCode gives err a [FailureCode]; without one the runtime reports
// Unavailable for errors it gave up retrying and Internal for permanent ones.
// WithCode(code, nil) is nil.
func WithCode(code FailureCode, err error) error {
	if err == nil {
		return nil
	}
	return &codedError{code: code, err: err}
}

// IsPermanent reports whether err was marked by [Permanent].
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// AsNotYet reports whether err was made by [NotYet], and after how long to ask
// again.
func AsNotYet(err error) (after time.Duration, ok bool) {
	var n *notYetError
	if !errors.As(err, &n) {
		return 0, false
	}
	return n.after, true
}

// CodeOf returns the code given by [WithCode], or "" when there is none.
func CodeOf(err error) FailureCode {
	var c *codedError
	if !errors.As(err, &c) {
		return ""
	}
	return c.code
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

type notYetError struct {
	after time.Duration
	err   error
}

func (e *notYetError) Error() string { return e.err.Error() }
func (e *notYetError) Unwrap() error { return e.err }

type codedError struct {
	code FailureCode
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }
