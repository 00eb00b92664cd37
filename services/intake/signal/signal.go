// Package signal reads opt-out preference signals: Global Privacy Control, the
// strings of the Global Privacy Platform (GPP) and the US Privacy string.
//
// What it owes its callers: a signal is reported exactly where its own
// specification says there is one; a string that can't be read is an error and
// never a signal, and its absence is never consent (11 CCR 7025(c)). It parses
// what browsers and advertising systems send, so every input is hostile, and
// it is pure.
package signal

import (
	"errors"
	"net/http"
	"slices"
)

// Header is the request header of Global Privacy Control.
const Header = "Sec-GPC"

// GPC reports whether a request carries Global Privacy Control: at least one
// field whose value is exactly "1". Fields are not split at commas.
func GPC(h http.Header) bool { return slices.Contains(h[http.CanonicalHeaderKey(Header)], "1") }

// ErrMalformed is wrapped by errors of strings that break their own format.
var ErrMalformed = errors.New("malformed signal string")

// USPrivacy is a US Privacy string.
type USPrivacy struct {
	// Applies is false for "1---": the sender says the law does not apply.
	Applies bool
	// OptOut is set when the person opted out of sale.
	OptOut bool
}

// ParseUSPrivacy reads a US Privacy string of version 1. Its letters may be of
// either case.
func ParseUSPrivacy(s string) (USPrivacy, error) {
	if len(s) != 4 || s[0] != '1' {
		return USPrivacy{}, errUSPrivacy
	}
	if s == "1---" {
		return USPrivacy{}, nil
	}
	for _, c := range []byte(s[1:]) {
		if c|0x20 != 'y' && c|0x20 != 'n' && c != '-' {
			return USPrivacy{}, errUSPrivacy
		}
	}
	if s[2] == '-' {
		return USPrivacy{}, errUSPrivacy
	}
	return USPrivacy{Applies: true, OptOut: s[2]|0x20 == 'y'}, nil
}

var errUSPrivacy = errorText("US Privacy string: want 1 and three of Y, N and -, such as 1YNN")

// errorText makes an error that wraps [ErrMalformed] and says no more than it
// is told: the string itself may hold anything.
func errorText(text string) error { return &malformed{text} }

type malformed struct{ text string }

func (e *malformed) Error() string { return e.text }
func (e *malformed) Unwrap() error { return ErrMalformed }
