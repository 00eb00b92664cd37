package regimes

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"
	_ "time/tzdata" // a regime's zone must be known wherever the program runs

	"github.com/goccy/go-yaml"

	"github.com/habeas-data/habeas/services/request"
)

// Errors that callers can recognise. After any of them no due date is known:
// the request is still to be logged and acknowledged, and a person has to look.
var (
	// ErrUnknown says that no file describes the regime, or that it does not
	// have the right.
	ErrUnknown = errors.New("unknown to the regime files")
	// ErrNotInForce says that the regime was not in force, or is no longer,
	// on the day of receipt.
	ErrNotInForce = errors.New("not in force on that day")
	// ErrUnconfirmed says that nobody has yet checked the regime's file against
	// the law; see [Set.Confirm].
	ErrUnconfirmed = errors.New("not confirmed against the law")
	// ErrNoData says that a calendar has no holidays for a year.
	ErrNoData = errors.New("no calendar data")
)

//go:embed *.yaml calendars/*.yaml
var files embed.FS

// Set is all regimes and calendars of one source.
type Set struct {
	regimes   map[string]*regime
	calendars map[string]*Calendar
}

// builtIn is what the files of the program say. Reading them takes a while, and
// many ask.
var builtIn = sync.OnceValues(func() (*Set, error) { return Parse(files) })

// Load gives what the files built into the program say. Each caller has a set of
// its own to confirm regimes in.
func Load() (*Set, error) {
	s, err := builtIn()
	if err != nil {
		return nil, err
	}
	own := &Set{regimes: make(map[string]*regime, len(s.regimes)), calendars: maps.Clone(s.calendars)}
	for id, r := range s.regimes {
		copied := *r // Confirm changes no more than its own fields
		own.regimes[id] = &copied
	}
	return own, nil
}

// Parse reads regimes from *.yaml and calendars from calendars/*.yaml in fsys.
// It refuses what it does not wholly understand, and names the file.
func Parse(fsys fs.FS) (*Set, error) {
	s := &Set{regimes: make(map[string]*regime), calendars: make(map[string]*Calendar)}
	err := each(fsys, "calendars/*.yaml", func(f *calendarFile) error {
		c, err := newCalendar(*f)
		if err != nil {
			return err
		}
		if s.calendars[c.ref.ID] != nil {
			return fmt.Errorf("calendar %s is there twice", c.ref.ID)
		}
		s.calendars[c.ref.ID] = c
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(fsys, "*.yaml", func(r *regime) error {
		if err := r.check(s.calendars); err != nil {
			return err
		}
		if s.regimes[r.ID] != nil {
			return fmt.Errorf("regime %s is there twice", r.ID)
		}
		s.regimes[r.ID] = r
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func each[T any](fsys fs.FS, pattern string, take func(*T) error) error {
	names, err := fs.Glob(fsys, pattern)
	if err != nil {
		return fmt.Errorf("listing %s: %w", pattern, err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		var file T
		if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&file); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := take(&file); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
	return nil
}

// Regimes returns the ids of all regimes, sorted.
func (s *Set) Regimes() []string { return slices.Sorted(maps.Keys(s.regimes)) }

// Calendar returns a calendar. The error is [ErrUnknown].
func (s *Set) Calendar(id string) (*Calendar, error) {
	c := s.calendars[id]
	if c == nil {
		return nil, fmt.Errorf("calendar %q: %w", id, ErrUnknown)
	}
	return c, nil
}

// ReceiptDate returns the day on which a request that arrived at t counts as
// received: the date in the regime's own zone. The error is [ErrUnknown].
func (s *Set) ReceiptDate(regime string, t time.Time) (request.Date, error) {
	r := s.regimes[regime]
	if r == nil {
		return request.Date{}, fmt.Errorf("regime %q: %w", regime, ErrUnknown)
	}
	return request.DateOf(t, r.loc), nil
}

// Zone returns the zone in which a regime counts days. The error is
// [ErrUnknown].
func (s *Set) Zone(regime string) (*time.Location, error) {
	r := s.regimes[regime]
	if r == nil {
		return nil, fmt.Errorf("regime %q: %w", regime, ErrUnknown)
	}
	return r.loc, nil
}

// Confirm takes regimes into use whose files say that they are unconfirmed: a
// lawyer has looked up what they name. It is not for concurrent use. Errors are
// [ErrUnknown], and one for a regime that the product cannot follow.
func (s *Set) Confirm(ids ...string) error {
	for _, id := range ids {
		r := s.regimes[id]
		switch {
		case r == nil:
			return fmt.Errorf("confirming regime %q: %w", id, ErrUnknown)
		case r.VerifyOptOut != nil:
			return fmt.Errorf("confirming regime %s: it has opt-outs verified, and an opt-out is never verified here", id)
		}
		r.Confirmed = true
	}
	return nil
}

// Unconfirmed returns what has to be looked up before a regime is used, "" when
// it is in use. The error is [ErrUnknown].
func (s *Set) Unconfirmed(id string) (string, error) {
	r := s.regimes[id]
	switch {
	case r == nil:
		return "", fmt.Errorf("regime %q: %w", id, ErrUnknown)
	case r.Confirmed:
		return "", nil
	default:
		return r.Unconfirmed, nil
	}
}

// At returns the rules for requests received on a day. Errors are [ErrUnknown],
// [ErrUnconfirmed] and [ErrNotInForce].
func (s *Set) At(regime string, receipt request.Date) (Rules, error) {
	r := s.regimes[regime]
	switch {
	case r == nil:
		return Rules{}, fmt.Errorf("regime %q: %w", regime, ErrUnknown)
	case !r.Confirmed:
		return Rules{}, fmt.Errorf("regime %s: %w", regime, ErrUnconfirmed)
	case receipt.Before(r.ValidFrom), !r.ValidTo.IsZero() && receipt.After(r.ValidTo):
		return Rules{}, fmt.Errorf("regime %s on %s: %w", regime, receipt, ErrNotInForce)
	}
	return Rules{regime: r, day: receipt}, nil
}

// Terms returns all that a regime fixes for a request for right that arrived at
// received and asks for records of the given range. Errors are [ErrUnknown],
// [ErrUnconfirmed], [ErrNotInForce] and [ErrNoData].
func (s *Set) Terms(regime string, received time.Time, right request.Right, want request.Range) (request.Terms, error) {
	day, err := s.ReceiptDate(regime, received)
	if err != nil {
		return request.Terms{}, err
	}
	rules, err := s.At(regime, day)
	if err != nil {
		return request.Terms{}, err
	}
	return rules.Terms(received, right, want)
}

// Unruled returns the terms of a request whose rules are not known: the day it
// was received and nothing else. It is what a caller stores after [Set.Terms]
// failed, so that the request is on record and can be acknowledged. The error is
// [ErrUnknown] when no file describes the regime at all, and [ErrNotInForce] when
// it had not begun.
func (s *Set) Unruled(regime string, received time.Time) (request.Terms, error) {
	day, err := s.ReceiptDate(regime, received)
	if err != nil {
		return request.Terms{}, err
	}
	if from := s.regimes[regime].ValidFrom; day.Before(from) {
		return request.Terms{}, fmt.Errorf("regime %s on %s, before %s: %w", regime, day, from, ErrNotInForce)
	}
	return request.Terms{
		Received: received.UTC(),
		Due:      request.Due{Regime: regime, Zone: s.regimes[regime].Zone, Received: day},
	}, nil
}

// NextAccess returns the last day for a recurring duty, such as fetching the
// deletion lists of the Delete Act, after it was last done. When the law
// shortens the cycle in between, the new length applies from the day it is in
// force. Errors are [ErrUnknown], [ErrUnconfirmed] and [ErrNotInForce].
func (s *Set) NextAccess(regime string, last request.Date) (request.Date, error) {
	rules, err := s.At(regime, last)
	if err != nil {
		return request.Date{}, err
	}
	cycle := rules.regime.Cycle
	if cycle == nil {
		return request.Date{}, fmt.Errorf("cycle of regime %s: %w", regime, ErrUnknown)
	}
	next := last.AddDays(at(cycle.Values, last))
	for _, v := range cycle.Values {
		if !v.ValidFrom.After(last) {
			continue
		}
		next = earlier(next, later(last.AddDays(v.Value), v.ValidFrom))
	}
	return next, nil
}

func earlier(a, b request.Date) request.Date {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b request.Date) request.Date {
	if b.After(a) {
		return b
	}
	return a
}

// Files returns the files built into the program, for the history of rules.
func Files() fs.FS { return files }
