package request

import "time"

// answerMargin is how long before the end of the last day what has to be
// answered is answered by itself, so that the answer still goes out on that day.
const answerMargin = 12 * time.Hour

// LastCall is when a request that is still waiting for the person is answered
// without them (11 CCR 7021(b)); the zero time is never.
func (r *Request) LastCall() time.Time {
	day := r.AnswerBy()
	if day.IsZero() {
		return time.Time{}
	}
	end, err := r.Terms.Due.Instant(day)
	if err != nil {
		return time.Time{}
	}
	return end.Add(-answerMargin)
}

// Lapse answers a request that waited for the person until its [LastCall]: it
// is denied with the reason that fits, never left in silence. What falls back
// is spawned: specific pieces that could not be verified become categories when
// the requester was verified well enough for those, under the same date of
// receipt (11 CCR 7024(a)). It reports whether there was anything to answer.
func (r *Request) Lapse(now time.Time) (bool, error) {
	last := r.LastCall()
	if last.IsZero() || now.Before(last) {
		return false, nil
	}
	switch {
	case r.state == Received && r.Case.Unconfirmed:
		return true, r.deny(now, DenyUnconfirmed, "The request was to be confirmed in a second step and was not.")
	case r.state != AwaitingVerification:
		return false, nil
	case r.Case.NeedsParent():
		return true, r.deny(now, DenyNoParent, "We could not verify that the request was made by the parent or guardian.")
	default:
		return true, r.FailVerification("", now)
	}
}

// FailVerification ends a request whose requester could not be verified. reached
// is the highest level that was shown; "" is none, or what was reached before.
// What falls back is spawned, see [Request.Lapse]. Errors are [ErrNeverVerified]
// and [ErrTransition].
func (r *Request) FailVerification(reached Level, now time.Time) error {
	if !r.right.Verifiable() {
		return ErrNeverVerified
	}
	if reached.AtLeast(r.Case.Reached) || r.Case.Reached == "" {
		r.Case.Reached = reached
	}
	reason := "We could not verify your identity to the degree the law requires for this request."
	falls := r.right == KnowSpecific && r.Case.Reached.AtLeast(Reasonable)
	switch {
	case falls:
		reason += " We answer it as a request for the categories of personal information instead."
	case r.right.Know():
		reason += " Our privacy policy describes our practices."
	}
	if err := r.deny(now, UnverifiedCode(r.right), reason); err != nil {
		return err
	}
	if falls {
		r.Spawn(KnowCategories, FromFallback, now, r.Case.Reached)
	}
	return nil
}

// RefuseHousehold logs and refuses a request for a household, which has no
// rights of its own (Civ. Code 1798.145(p)).
func (r *Request) RefuseHousehold(now time.Time) error {
	return r.deny(now, DenyHousehold, "The law gives these rights to each person and not to a household. Each person can ask for themselves.")
}

func (r *Request) deny(now time.Time, code DenialCode, reason string) error {
	if err := r.Close(Ending{Result: ResultDenied, Code: string(code), Reason: reason}); err != nil {
		return err
	}
	r.Case.Decision = &Decision{Code: code, At: now.UTC()}
	return nil
}

// DueChildren reports whether a request that follows from this one is to be
// made now.
func (r *Request) DueChildren(now time.Time) bool {
	for _, c := range r.Case.Children {
		if !c.Made && !now.Before(c.At) {
			return true
		}
	}
	return false
}

// ChildTerms are what the regime fixes for a request that follows from this
// one. One that falls back keeps the date of receipt and its clocks; another
// has clocks as long as its parent's, from the day it is made.
func (r *Request) ChildTerms(c Child) Terms {
	t := r.Terms
	switch {
	case !c.Right.Verifiable():
		t.Level = ""
	case c.Right == KnowCategories:
		t.Level = Reasonable
	default:
		t.Level = r.Level()
	}
	if c.Right != Delete {
		t.DeleteScope = ""
	}
	if c.Origin == FromFallback {
		return t
	}
	loc, err := Zone(t.Due.Zone)
	if err != nil {
		loc = time.UTC
	}
	day := DateOf(c.At, loc)
	shift := int(day.Start(time.UTC).Sub(t.Due.Received.Start(time.UTC)).Hours() / 24)
	t.Received = c.At
	t.Due.Received = day
	t.Due.Acknowledge, t.Due.AcknowledgeAlarm, t.Due.RespondRolled = Date{}, Date{}, Date{}
	for _, d := range []*Date{&t.Due.Stop, &t.Due.StopAlarm, &t.Due.Respond, &t.Due.RespondAlarm, &t.Due.Extended, &t.Due.LookBackFrom, &t.Due.NoReask, &t.Due.KeepUntil} {
		if !d.IsZero() {
			*d = d.AddDays(shift)
		}
	}
	return t
}

// MakeChild makes the request that follows, accepted when it brings a
// verification with it, and else waiting for one.
func (r *Request) MakeChild(c Child, now time.Time) (*Request, error) {
	channel := r.Channel
	child, err := New(c.ID, Submission{Tenant: r.Tenant, Regime: r.Regime, Right: c.Right, Channel: channel}, r.ChildTerms(c))
	if err != nil {
		return nil, err
	}
	child.Case.Parent, child.Case.Origin = r.ID, c.Origin
	child.Case.Minor, child.Case.Requester, child.Case.Language = r.Case.Minor, r.Case.Requester, r.Case.Language
	if c.Right.Know() {
		child.Case.Answer = r.Case.Answer
	}
	if c.Right == Delete {
		child.Case.Portions, child.Case.Cooled = r.Case.Portions, true
	}
	if c.Origin.Ours() {
		child.Case.Surveyed = true // nobody is left to ask for a surer verification
	}
	if !c.Right.Verifiable() {
		return child, child.Move(Accepted)
	}
	if err := child.Move(AwaitingVerification); err != nil {
		return nil, err
	}
	v, verified := r.verification.(Verified)
	if !verified {
		if !c.Level.AtLeast(child.Terms.Level) {
			return child, nil
		}
		v = Verified{Method: "parent_request", Level: c.Level, At: now.UTC(), By: "coordinator"}
		if child.Case.NeedsParent() {
			return child, nil
		}
	}
	if !v.Level.AtLeast(child.Level()) {
		return child, nil
	}
	child.verification = v
	return child, child.Move(Accepted)
}
