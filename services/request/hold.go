package request

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// HoldKind is why a request waits although it is accepted.
type HoldKind string

// The kinds of holds.
const (
	// LegalHold keeps evidence for claims or inquiries (Civ. Code
	// 1798.145(a)(1)). It ends when somebody ends it, or at its end.
	LegalHold HoldKind = "legal"
	// PoliceHold is a direction not to delete, for 90 days and once more for
	// 90 (Civ. Code 1798.145(a)(1)(B)).
	PoliceHold HoldKind = "police"
	// SuspicionHold stops everything until the requester was checked anew
	// (11 CCR 7061(b)).
	SuspicionHold HoldKind = "suspicion"
	// CoolingHold is the company's own pause before an erasure, in which it can
	// be cancelled.
	CoolingHold HoldKind = "cooling"
	// OrderHold waits for another request of the same person that the erasure
	// would make impossible.
	OrderHold HoldKind = "order"
	// ApprovalHold waits until somebody approved the plan. It ends by
	// [Request.ApprovePlan] and in no other way.
	ApprovalHold HoldKind = "approval"
)

// policeDays is how long one police direction lasts.
const policeDays = 90

// Hold is one reason to wait. It never stops a clock.
type Hold struct {
	ID   ID       `json:"id"`
	Kind HoldKind `json:"kind"`
	// Ref is the case number, or the request that is waited for.
	Ref string `json:"ref,omitempty"`
	// Reason is for staff; it names nobody and is never told to the consumer.
	Reason string    `json:"reason,omitempty"`
	By     string    `json:"by,omitempty"`
	Since  time.Time `json:"since"`
	// Until is when it ends by itself; zero is never.
	Until time.Time `json:"until,omitzero"`
	// Look is when an order hold is looked at again.
	Look    time.Time `json:"look,omitzero"`
	Renewed int       `json:"renewed,omitempty"`
	Ended   time.Time `json:"ended,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

// Active reports whether the hold is in force.
func (h *Hold) Active(now time.Time) bool {
	return h.Ended.IsZero() && (h.Until.IsZero() || now.Before(h.Until))
}

// Errors of holding.
var (
	// ErrNeverHeld says that nothing may delay an opt-out or a limit (11 CCR
	// 7026(f), 7027(g)).
	ErrNeverHeld = errors.New("a request to opt out or to limit is never held")
	// ErrHold says that a hold lacks what it needs, or is of the wrong kind.
	ErrHold = errors.New("hold is not allowed")
)

// Hold puts a hold on the request; the same id twice is one hold. The request
// moves when the coordinator looks at it. Errors are [ErrNeverHeld], [ErrHold]
// and [ErrTransition].
func (r *Request) Hold(h Hold) error {
	if slices.ContainsFunc(r.Case.Holds, func(o Hold) bool { return o.ID == h.ID }) {
		return nil
	}
	deletion := r.right == Delete
	switch {
	case !r.right.Has(Held):
		return fmt.Errorf("holding %s: %w", r.right, ErrNeverHeld)
	case r.state == Packaging || r.state == Closing || r.state == Closed:
		return fmt.Errorf("holding a request that is %s: %w", r.state, ErrTransition)
	case h.Kind == SuspicionHold && !plainReason(h.Reason):
		return fmt.Errorf("%w: say what the suspicion is", ErrHold)
	case h.Kind == LegalHold && (!deletion || !plainReason(h.Ref)):
		return fmt.Errorf("%w: a legal hold is for a deletion and needs its reference", ErrHold)
	case h.Kind == PoliceHold && (!deletion || !plainReason(h.Ref)):
		return fmt.Errorf("%w: a police direction is for a deletion and needs its case number", ErrHold)
	case (h.Kind == CoolingHold || h.Kind == OrderHold) && (!deletion || h.Until.IsZero()):
		return fmt.Errorf("%w: only a deletion waits, and not for ever", ErrHold)
	case !slices.Contains([]HoldKind{LegalHold, PoliceHold, SuspicionHold, CoolingHold, OrderHold, ApprovalHold}, h.Kind):
		return fmt.Errorf("%w: use legal, police or suspicion", ErrHold)
	case h.ID == "" || h.Since.IsZero():
		return fmt.Errorf("%w: it has no id or no beginning", ErrHold)
	}
	if h.Kind == PoliceHold {
		h.Until = h.Since.AddDate(0, 0, policeDays)
	}
	r.Case.Holds = append(slices.Clip(r.Case.Holds), h)
	return nil
}

func plainReason(text string) bool { return text != "" && len(text) <= 500 && plainText(text) }

// EndHold ends a hold. Ending it twice is harmless. The error is [ErrHold] when
// there is no such hold.
func (r *Request) EndHold(id ID, by string, now time.Time) error {
	i := slices.IndexFunc(r.Case.Holds, func(h Hold) bool { return h.ID == id })
	if i < 0 {
		return fmt.Errorf("%w: there is no such hold on this request", ErrHold)
	}
	if !r.Case.Holds[i].Ended.IsZero() {
		return nil
	}
	if r.Case.Holds[i].Kind == ApprovalHold {
		return fmt.Errorf("%w: a plan is approved, and not let go", ErrHold)
	}
	r.Case.Holds = slices.Clone(r.Case.Holds)
	r.Case.Holds[i].Ended, r.Case.Holds[i].EndedBy = now.UTC(), by
	return nil
}

// PlanWaits returns the hold that waits until the plan is approved, or nil.
func (r *Request) PlanWaits() *Hold {
	for i := range r.Case.Holds {
		if h := &r.Case.Holds[i]; h.Kind == ApprovalHold && h.Ended.IsZero() {
			return h
		}
	}
	return nil
}

// PlanAsked reports whether somebody was asked to approve the plan, ever.
func (r *Request) PlanAsked() bool {
	return slices.ContainsFunc(r.Case.Holds, func(h Hold) bool { return h.Kind == ApprovalHold })
}

// PlanApprovedBy reports whether by is one of those who approved the plan, and none
// waits any more.
func (r *Request) PlanApprovedBy(by string) bool {
	if by == "" || r.PlanWaits() != nil {
		return false
	}
	return slices.ContainsFunc(r.Case.Holds, func(h Hold) bool {
		return h.Kind == ApprovalHold && slices.ContainsFunc(r.Case.Approvals, func(a Approval) bool { return a.What == "plan/"+string(h.ID) && a.By == by })
	})
}

// ApprovePlan takes by's yes to the plan that waits, and lets the request go on
// once one has said so, or with two two different people. Errors are [ErrHold]
// where no plan waits, [ErrSamePerson] and [ErrNobody].
func (r *Request) ApprovePlan(by string, two bool, now time.Time) (approved bool, err error) {
	waits := r.PlanWaits()
	if waits == nil || r.state == Closing || r.state == Closed {
		return false, fmt.Errorf("%w: no plan of this request waits to be approved", ErrHold)
	}
	id := waits.ID
	enough, err := r.Approve("plan/"+string(id), by, now)
	if err != nil || two && !enough {
		return false, err
	}
	r.Case.Holds = slices.Clone(r.Case.Holds)
	waits = r.PlanWaits()
	waits.Ended, waits.EndedBy = now.UTC(), by
	return true, nil
}

// RenewHold prolongs a police direction by 90 days, once. The error is
// [ErrHold].
func (r *Request) RenewHold(id ID, now time.Time) error {
	i := slices.IndexFunc(r.Case.Holds, func(h Hold) bool { return h.ID == id })
	switch {
	case i < 0 || r.Case.Holds[i].Kind != PoliceHold:
		return fmt.Errorf("%w: only a police direction is renewed", ErrHold)
	case !r.Case.Holds[i].Active(now):
		return fmt.Errorf("%w: the direction has ended and can't be renewed", ErrHold)
	case r.Case.Holds[i].Renewed > 0:
		return fmt.Errorf("%w: a direction is renewed once, for 90 days", ErrHold)
	}
	r.Case.Holds = slices.Clone(r.Case.Holds)
	h := &r.Case.Holds[i]
	h.Renewed, h.Until = 1, h.Until.AddDate(0, 0, policeDays)
	return nil
}

// ActiveHold returns the hold that lasts, or nil.
func (r *Request) ActiveHold(now time.Time) *Hold {
	for i := range r.Case.Holds {
		if r.Case.Holds[i].Active(now) {
			return &r.Case.Holds[i]
		}
	}
	return nil
}

// Restrain moves a request on which a hold is in force to [Held], and one on
// which none is any more back to [Accepted]. It reports whether it is held.
func (r *Request) Restrain(now time.Time) (held bool) {
	active := r.ActiveHold(now) != nil
	switch {
	case r.state == Held && !active:
		r.state = Accepted
		return false
	case active && CanMove(r.right, r.state, Held):
		r.state = Held
		return true
	default:
		return active && r.state == Held
	}
}

// Raise demands a surer verification than the one in hand, because of what was
// located (11 CCR 7062(d)) or of a suspicion (11 CCR 7061(b)): the request
// waits to be attested anew. A level that is reached changes nothing. Errors
// are [ErrNeverVerified] and [ErrTransition].
func (r *Request) Raise(need Level) error {
	if !r.right.Verifiable() {
		return ErrNeverVerified
	}
	if r.Level().AtLeast(need) {
		return nil
	}
	v, verified := r.verification.(Verified)
	if verified && v.Level.AtLeast(need) {
		r.Case.Raised = need
		return nil
	}
	return r.unverify(need)
}

// Doubt drops the verification in hand, whatever its level, until the requester
// was checked by other means than the account under suspicion.
func (r *Request) Doubt() error {
	if !r.right.Verifiable() {
		return ErrNeverVerified
	}
	return r.unverify(ReasonablyHigh)
}

// unverify sends the request back to wait for a verification at a level.
func (r *Request) unverify(need Level) error {
	if r.state != Received && r.state != AwaitingVerification {
		if !CanMove(r.right, r.state, AwaitingVerification) {
			return fmt.Errorf("asking for a new verification of a request that is %s: %w", r.state, ErrTransition)
		}
		r.state = AwaitingVerification
	}
	r.Case.Raised, r.verification = need, Unverified{}
	return nil
}

// Level is how sure one must be of the requester now: what the regime said at
// receipt, or more.
func (r *Request) Level() Level {
	if r.Case.Raised.AtLeast(r.Terms.Level) {
		return r.Case.Raised
	}
	return r.Terms.Level
}

// RespondByLatest is the end of the last day to answer.
func (r *Request) RespondByLatest() time.Time {
	end, err := r.Terms.Due.Instant(r.AnswerBy())
	if err != nil || r.AnswerBy().IsZero() {
		return time.Time{}
	}
	return end
}
