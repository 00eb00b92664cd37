package request

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Terms is what the regime fixes for a request at its receipt.
type Terms struct {
	// Received is when the request reached the company, through any channel.
	Received time.Time
	// Due holds the clocks that started then.
	Due Due
	// Level is how sure one must be of the requester; "" when the right is
	// never verified.
	Level Level
	// Since is the first day a request to know reaches back to; the zero Date
	// means everything. Clipped says that the person asked for more than the
	// law reaches.
	Since   Date
	Clipped bool
	// DeleteScope is which records a deletion reaches; "" for other rights.
	DeleteScope DeleteScope
}

// Ruled reports whether the rules of the law were known when t was fixed. A
// request without them is logged and acknowledged, has no date but the one of
// receipt, and can't be verified (see [ErrNoRules]): nothing follows from what
// is not known.
func (t Terms) Ruled() bool { return t.Due.RuleVersion != "" }

// DeleteScope is which of a person's records a deletion reaches.
type DeleteScope string

// The scopes.
const (
	Provided      DeleteScope = "provided"       // provided by the consumer (Utah, Iowa)
	CollectedFrom DeleteScope = "collected_from" // collected from the consumer (Civ. Code 1798.105(a) until 2026)
	AboutAny      DeleteScope = "about_any"      // about the consumer, whatever its source
)

// Request is one request of one person under one law. It holds nothing
// personal. Its right, state and verification fit together because only [New],
// [Restore] and the methods below can set them.
type Request struct {
	ID      ID
	Tenant  string
	Regime  string
	Channel Channel
	// Terms is frozen at receipt.
	Terms Terms
	// Extension is set once the consumer was told that it takes longer.
	Extension *Extension
	// Ending is set on the way into [Closing].
	Ending *Ending
	// Case is what else was said and decided.
	Case Case

	right        Right
	state        State
	verification Verification // nil for a right that is never verified
}

// Extension is the one prolongation the law allows (11 CCR 7021(b)).
type Extension struct {
	On     Date   // the day notice was given, in the regime's zone
	Reason string // told to the consumer; names nobody
}

// Ending is how and why a request ended.
type Ending struct {
	Result Result
	Code   string // a short code of the reason; required unless the request was answered
	Reason string // the reason in words, for the consumer; names nobody; required with a code
}

// Errors of the methods of [Request].
var (
	// ErrTransition says that a request is not where the step starts, or that
	// its right has no such step.
	ErrTransition = errors.New("request cannot take this step")
	// ErrNotVerified says that a request that waits for verification has none.
	ErrNotVerified = errors.New("request is not verified")
	// ErrNoRules says that the rules of the request's law are not known, so that
	// nobody can say what would be enough.
	ErrNoRules = errors.New("the rules of the request's law are not known")
	// ErrNoReason says that a denial, cancellation or extension lacks its
	// reason (11 CCR 7021(b), 7022(f), 7024(e), 7101(b)).
	ErrNoReason = errors.New("a reason is required: a short code and a text for the consumer")
	// ErrUnconfirmed says that the second step of a two-step request is missing.
	ErrUnconfirmed = errors.New("request waits for its second step to be confirmed")
	// ErrExtension says that it is too late to extend, that it was done
	// before, or that the right has no extension.
	ErrExtension = errors.New("request cannot be extended")
)

// New makes a request of a normalised submission, in state [Received]. The
// identifiers stay behind: they are the caller's to encrypt and store.
func New(id ID, s Submission, t Terms) (*Request, error) {
	r := &Request{ID: id, Tenant: s.Tenant, Regime: s.Regime, Channel: s.Channel, Terms: t, Case: s.caseOf(), right: s.Right, state: Received}
	if s.Right.Verifiable() {
		r.verification = Unverified{}
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

// Restore puts a stored request together again. The fields of r that can be
// set are taken as they are; v is nil for a right that is never verified. An
// error means that what was stored cannot be a request: for one,
// [ErrNeverVerified] when there is a verification and may be none.
func Restore(r Request, right Right, state State, v Verification) (*Request, error) {
	r.right, r.state, r.verification = right, state, v
	if err := r.check(); err != nil {
		return nil, err
	}
	return &r, nil
}

// check reports whether the parts of r fit together.
func (r *Request) check() error {
	switch {
	case !r.right.Valid():
		return fmt.Errorf("request %s: unknown right", r.ID)
	case !r.state.Valid():
		return fmt.Errorf("request %s: unknown state", r.ID)
	case r.Terms.Received.IsZero() || r.Terms.Due.Received.IsZero():
		return fmt.Errorf("request %s: no time of receipt", r.ID)
	case (r.Ending != nil) != (r.state == Closing || r.state == Closed):
		return fmt.Errorf("request %s: an ending belongs to closing and closed requests, and to them alone", r.ID)
	}
	if !r.right.Has(r.state) {
		if !r.right.Verifiable() && (r.state == AwaitingVerification || r.state == Held) {
			return fmt.Errorf("request %s: %w", r.ID, ErrNeverVerified)
		}
		return fmt.Errorf("request %s: %s is never %s", r.ID, r.right, r.state)
	}
	if !r.right.Verifiable() {
		if r.verification != nil || r.Terms.Level != "" || r.Case.Raised != "" {
			return fmt.Errorf("request %s: %w", r.ID, ErrNeverVerified)
		}
		return nil
	}
	if !r.Terms.Level.Valid() && (r.Terms.Ruled() || r.Terms.Level != "") {
		return fmt.Errorf("request %s: its right needs a verification level", r.ID)
	}
	switch v := r.verification.(type) {
	case Verified:
		if err := r.suffices(v); err != nil {
			return fmt.Errorf("request %s: %w", r.ID, err)
		}
	case Unverified:
		if r.state == Accepted || r.state == Held || r.state == Resolving || r.state == Running || r.state == Packaging {
			return fmt.Errorf("request %s: %w", r.ID, ErrNotVerified)
		}
	default:
		return fmt.Errorf("request %s: no verification state", r.ID)
	}
	return nil
}

// Right returns what is asked.
func (r *Request) Right() Right { return r.right }

// State returns where the request stands.
func (r *Request) State() State { return r.state }

// Verification returns how sure one is of the requester; ok is false for a
// right that is never verified, which has no such thing.
func (r *Request) Verification() (v Verification, ok bool) {
	return r.verification, r.verification != nil
}

// Attest records that the requester was verified. It does not move the request.
// Attesting the same again changes nothing. Errors are [ErrNeverVerified],
// [ErrLevelTooLow], [ErrAlreadyVerified], [ErrTransition] when the request is
// past waiting, and one that says what is missing in v.
func (r *Request) Attest(v Verified) error {
	if !r.right.Verifiable() {
		return ErrNeverVerified
	}
	if err := r.suffices(v); err != nil {
		return err
	}
	if have, ok := r.verification.(Verified); ok {
		if have.equal(v) {
			return nil
		}
		return ErrAlreadyVerified
	}
	if r.doubted() && v.Method == MethodAccountLogin {
		return ErrSuspicious
	}
	if r.Case.NeedsParent() && v.Parent == "" {
		return ErrNoParent
	}
	if r.state != Received && r.state != AwaitingVerification {
		return fmt.Errorf("attesting a request that is %s: %w", r.state, ErrTransition)
	}
	r.verification = v
	for i := range r.Case.Holds {
		if h := &r.Case.Holds[i]; h.Kind == SuspicionHold && h.Ended.IsZero() {
			h.Ended, h.EndedBy = v.At, v.By // the further check of 11 CCR 7061(b) was made
		}
	}
	return nil
}

// doubted reports whether a suspicion is in force.
func (r *Request) doubted() bool {
	return slices.ContainsFunc(r.Case.Holds, func(h Hold) bool { return h.Kind == SuspicionHold && h.Ended.IsZero() })
}

func (r *Request) suffices(v Verified) error {
	if err := v.check(); err != nil {
		return err
	}
	if r.Terms.Level == "" && !r.Terms.Ruled() {
		return ErrNoRules
	}
	if need := r.Level(); !v.Level.AtLeast(need) {
		return fmt.Errorf("%s needs %s: %w", r.right, need, ErrLevelTooLow)
	}
	return v.pointsSuffice(r.Case.Disputed)
}

// Move takes one step of the table of transitions that does not end the request; for
// ending it there is [Request.Close], for holding it and letting it go
// [Request.Restrain], for verifying it anew [Request.Raise] and [Request.Doubt].
// Errors are [ErrTransition], [ErrUnconfirmed] and [ErrNotVerified].
func (r *Request) Move(to State) error {
	if to == Closing || to == Held || r.state == Held || r.state != Received && to == AwaitingVerification || !CanMove(r.right, r.state, to) {
		return fmt.Errorf("moving %s from %s to %s: %w", r.right, r.state, to, ErrTransition)
	}
	if r.Case.Unconfirmed {
		return fmt.Errorf("moving %s: %w", r.right, ErrUnconfirmed)
	}
	if _, unverified := r.verification.(Unverified); unverified && to == Accepted {
		return fmt.Errorf("accepting %s: %w", r.right, ErrNotVerified)
	}
	r.state = to
	return nil
}

// Close decides how the request ends and moves it to [Closing]. Errors are
// [ErrTransition], [ErrNoReason] and [ErrUnconfirmed].
func (r *Request) Close(e Ending) error {
	if !CanClose(r.right, r.state, e.Result) {
		return fmt.Errorf("closing %s from %s as %q: %w", r.right, r.state, e.Result, ErrTransition)
	}
	if err := e.check(); err != nil {
		return err
	}
	if r.Case.Unconfirmed && e.Result.Answered() {
		return fmt.Errorf("granting %s: %w", r.right, ErrUnconfirmed)
	}
	r.state, r.Ending = Closing, &e
	return nil
}

func (e Ending) check() error {
	if e.Code == "" && e.Reason == "" && e.Result.Answered() {
		return nil
	}
	if !isCode(e.Code) || e.Reason == "" || !plainText(e.Reason) {
		return ErrNoReason
	}
	return nil
}

// Extend prolongs the time to answer to [Due.Extended]. It is allowed once,
// with a reason, on or before the day the answer is due; today is the day in
// the regime's zone. Errors are [ErrExtension] and [ErrNoReason].
func (r *Request) Extend(today Date, reason string) error {
	due := r.Terms.Due
	switch {
	case reason == "" || !plainText(reason):
		return ErrNoReason
	case due.Extended.IsZero():
		return fmt.Errorf("%s has no extension: %w", r.right, ErrExtension)
	case r.Extension != nil:
		return fmt.Errorf("extended on %s already: %w", r.Extension.On, ErrExtension)
	case today.After(due.Respond):
		return fmt.Errorf("notice had to be given by %s: %w", due.Respond, ErrExtension)
	case r.state == Closing || r.state == Closed:
		return fmt.Errorf("request is %s: %w", r.state, ErrExtension)
	}
	r.Extension = &Extension{On: today, Reason: reason}
	return nil
}

// AnswerBy is the last day to finish the request.
func (r *Request) AnswerBy() Date {
	if r.Extension != nil {
		return r.Terms.Due.Extended
	}
	return r.Terms.Due.Answer()
}
