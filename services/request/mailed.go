package request

import (
	"errors"
	"unicode"
	"unicode/utf8"
)

// Mailed is how an answer was sent by mail.
type Mailed struct {
	On Date `json:"on"`
	// Tracking is the carrier's number, if there is one. It leads to an address, so
	// it stays out of the evidence.
	Tracking string `json:"tracking,omitempty"`
	By       string `json:"by,omitempty"` // of the staff
}

var (
	// ErrNotForMail says that a request has no package that waits to be mailed.
	ErrNotForMail = errors.New("this request has no answer that waits to be mailed")
	// ErrNoPackage says that a request has no package to download.
	ErrNoPackage = errors.New("this request has no package, or not yet")
)

// mostTracking is how long a carrier's number may be.
const mostTracking = 100

// Check returns [FieldErrors] for what can't be: a day before the request came or
// after today, or a number that nobody could type.
func (m Mailed) Check(received, today Date) error {
	var errs FieldErrors
	// Days are of UTC: elsewhere it is still yesterday, or tomorrow already.
	if m.On.Before(received.AddDays(-1)) || m.On.After(today.AddDays(1)) {
		errs = append(errs, FieldError{Field: "on", Problem: "is before the request came or still to come", Fix: "give the day on which it was mailed"})
	}
	ok := utf8.ValidString(m.Tracking) && utf8.RuneCountInString(m.Tracking) <= mostTracking
	for _, c := range m.Tracking {
		ok = ok && unicode.IsPrint(c)
	}
	if !ok {
		errs = append(errs, FieldError{Field: "tracking", Problem: "is too long or has characters that can't be seen", Fix: "give the carrier's number as it is on the receipt, or nothing"})
	}
	if len(errs) > 0 {
		return errs
	}
	return nil
}
