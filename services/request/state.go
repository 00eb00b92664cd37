package request

import "slices"

// State is where a request stands.
type State string

// The states, in the order of a request's life.
const (
	Received             State = "received"              // arrived; its clocks run
	AwaitingVerification State = "awaiting_verification" // waits to be attested; its clocks still run
	Accepted             State = "accepted"              // to be planned
	Held                 State = "held"                  // something must end first; its clocks still run
	Resolving            State = "resolving"             // connectors are asked for further identifiers
	Running              State = "running"               // jobs are out; what waits, waits in its job
	Packaging            State = "packaging"             // delivery builds the package
	Closing              State = "closing"               // decided; waits until every record is in the log
	Closed               State = "closed"                // answered, all its evidence logged
)

// States returns all states, in the order of a request's life.
func States() []State {
	return []State{Received, AwaitingVerification, Accepted, Held, Resolving, Running, Packaging, Closing, Closed}
}

// Valid reports whether s is one of the states.
func (s State) Valid() bool { return slices.Contains(States(), s) }

// Terminal reports whether nothing follows s.
func (s State) Terminal() bool { return s == Closed }

// Result is how a request ended. It is set on the way into [Closing].
type Result string

// The results.
const (
	ResultComplete               Result = "complete"                 // everything planned was done
	ResultCompleteWithExceptions Result = "complete_with_exceptions" // the rest is kept by law, with its basis
	ResultPartial                Result = "partial"                  // something was not done; it is named
	ResultDenied                 Result = "denied"                   // refused, with a code and a text
	ResultCancelled              Result = "cancelled"                // withdrawn or stopped
)

// Results returns all results.
func Results() []Result {
	return []Result{ResultComplete, ResultCompleteWithExceptions, ResultPartial, ResultDenied, ResultCancelled}
}

// Valid reports whether r is one of the results.
func (r Result) Valid() bool { return slices.Contains(Results(), r) }

// Answered reports whether r follows from work that was carried through, and
// not from a decision to stop.
func (r Result) Answered() bool {
	return r == ResultComplete || r == ResultCompleteWithExceptions || r == ResultPartial
}

// Condition says when a [Transition] is open.
type Condition string

// The conditions.
const (
	Always          Condition = ""
	IfNeverVerified Condition = "never_verified" // the right does not wait for verification
	IfAnswered      Condition = "answered"       // the work was carried through
	IfNoPackage     Condition = "no_package"     // the work was carried through, and the answer is no package
	IfStopped       Condition = "stopped"        // the request is denied or cancelled
	IfDecided       Condition = "decided"        // granted at the desk: nothing is left to do
	IfRaised        Condition = "raised"         // what was located, or a suspicion, wants a surer verification
	IfHeld          Condition = "held"           // a hold is in force
	IfFree          Condition = "free"           // no hold is in force any more
)

// Transition is one allowed step of a request.
type Transition struct {
	From, To State
	When     Condition
}

// transitions is the whole life of a request. Rows apply to the rights that
// have both states: a right that is never verified has no AwaitingVerification,
// and one whose answer is no package has no Packaging.
var transitions = []Transition{
	{Received, AwaitingVerification, Always},
	{Received, Accepted, IfNeverVerified},
	{Received, Closing, IfStopped},
	{Received, Closing, IfDecided},
	{AwaitingVerification, Accepted, Always},
	{AwaitingVerification, Closing, IfStopped},
	{Accepted, Resolving, Always},
	{Accepted, Running, Always},
	{Accepted, Held, IfHeld},
	{Accepted, AwaitingVerification, IfRaised},
	{Accepted, Closing, IfStopped},
	{Held, Accepted, IfFree},
	{Held, AwaitingVerification, IfRaised},
	{Held, Closing, IfStopped},
	{Resolving, Running, Always},
	{Resolving, Held, IfHeld},
	{Resolving, AwaitingVerification, IfRaised},
	{Resolving, Closing, IfStopped},
	{Running, Held, IfHeld},
	{Running, AwaitingVerification, IfRaised},
	{Running, Packaging, Always},
	{Running, Closing, IfNoPackage},
	{Running, Closing, IfStopped},
	{Packaging, Running, Always}, // a part of the package was lost: its connector exports again
	{Packaging, Closing, IfAnswered},
	{Packaging, Closing, IfStopped},
	{Closing, Closed, Always},
}

// Has reports whether a request for r can ever be in state s. A right that is
// never verified is never held either: nothing may stand between an opt-out and
// its effect (11 CCR 7026(f)).
func (r Right) Has(s State) bool {
	if r.Desk() && !r.OptsIn() {
		return s == Received || s == Closing || s == Closed
	}
	switch s {
	case AwaitingVerification, Held:
		return r.Verifiable()
	case Packaging:
		return r.Packaged()
	default:
		return r.Valid() && s.Valid()
	}
}

// CanMove reports whether a request for right may step from one state to
// another. A step into [Closing] also depends on the result: see [CanClose].
func CanMove(right Right, from, to State) bool {
	return slices.ContainsFunc(transitions, func(t Transition) bool {
		return t.From == from && t.To == to && t.suits(right)
	})
}

// CanClose reports whether a request for right may step from a state into
// [Closing] with the given result.
func CanClose(right Right, from State, result Result) bool {
	return slices.ContainsFunc(transitions, func(t Transition) bool {
		return t.From == from && t.To == Closing && t.suits(right) && t.When.carries(result)
	})
}

// suits reports whether the row exists for right.
func (t Transition) suits(right Right) bool {
	switch t.When {
	case IfNeverVerified:
		return right.Has(t.From) && right.Has(t.To) && !right.Verifiable()
	case IfDecided:
		return right.Desk()
	case IfNoPackage:
		return right.Has(t.From) && !right.Packaged()
	default:
		return right.Has(t.From) && right.Has(t.To)
	}
}

// carries reports whether a row with condition c leads into Closing with r.
func (c Condition) carries(r Result) bool {
	switch c {
	case IfAnswered, IfNoPackage:
		return r.Answered()
	case IfDecided:
		return r == ResultComplete
	case IfStopped:
		return r == ResultDenied || r == ResultCancelled
	default:
		return false
	}
}
