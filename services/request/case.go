package request

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Case is what was said and decided about a request besides its state: who
// asks, what exactly, what holds it, what follows from it. It names nobody.
type Case struct {
	// Subject is [HouseholdSubject] for a request that is refused for it.
	Subject Subject `json:"subject,omitempty"`
	// Requester is who asks, when that is not the consumer.
	Requester Requester `json:"requester,omitempty"`
	// Language is what the person is written to in, such as "es"; "" where it is
	// not known.
	Language string `json:"language,omitempty"`
	// Answer is how the answer comes; "" is electronically.
	Answer Answer `json:"answer,omitempty"`
	// Minor is how young the consumer is known to be; "" is not known young.
	Minor Minor `json:"minor,omitempty"`
	// Undesignated says that it came by a way the company did not name for
	// requests: it counts, and the person is told the right way (11 CCR
	// 7020(e)).
	Undesignated bool `json:"undesignated,omitempty"`
	// Unconfirmed says that the second step of a two-step request is to come.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
	// Portions are the categories a deletion is limited to, by letter; none is
	// everything (11 CCR 7022(h)).
	Portions []string `json:"portions,omitempty"`
	// Disputed are the names of the fields to correct, and NewPapers says that
	// documents came with the request (11 CCR 7023(g)).
	Disputed  []string `json:"disputed,omitempty"`
	NewPapers bool     `json:"new_papers,omitempty"`
	// Stated says that statements of the consumer are kept with the request
	// (11 CCR 7023(f)(3)).
	Stated bool `json:"stated,omitempty"`
	// Raised is the level that what was found demands, above [Terms.Level].
	Raised Level `json:"raised,omitempty"`
	// Surveyed says that the systems were asked how sensitive what they hold is.
	Surveyed bool `json:"surveyed,omitempty"`
	// Reached is the highest level of a verification that was not enough.
	Reached Level `json:"reached,omitempty"`
	// Resident says that a system holds an address of hers in the state whose law
	// was applied. It is never said that she lives elsewhere.
	Resident bool `json:"resident,omitempty"`
	// Narrowed limits how far back a request to know reaches, with the facts.
	Narrowed *Narrowed `json:"narrowed,omitempty"`
	// Parent is the request this one follows from, and Origin how.
	Parent ID     `json:"parent,omitempty"`
	Origin Origin `json:"origin,omitempty"`
	// Children are the requests that follow from this one.
	Children []Child `json:"children,omitempty"`
	// Blocks are requests of the same person that wait for this one.
	Blocks []ID `json:"blocks,omitempty"`
	// Cooled says that the pause before an erasure was given.
	Cooled    bool       `json:"cooled,omitempty"`
	Holds     []Hold     `json:"holds,omitempty"`
	Approvals []Approval `json:"approvals,omitempty"`
	// Decision is what stands behind a denial.
	Decision *Decision `json:"decision,omitempty"`
	// Mailed is how the answer was sent by mail.
	Mailed *Mailed `json:"mailed,omitempty"`
	// Review is how the copy stands that somebody looks at.
	Review *Review `json:"review,omitempty"`
	// Onward is set once recipients of the data have to be told.
	Onward *Onward `json:"onward,omitempty"`
	// Only are the connectors that are asked; none is all of them. A replay asks
	// the one whose system was restored.
	Only []string `json:"only,omitempty"`
	// Run is the replay that the request is a part of.
	Run string `json:"run,omitempty"`
	// Left is how many records were left by law when the person was erased, by
	// "connector/store": a later look that finds these finds nothing new.
	Left map[string]int64 `json:"left,omitempty"`
	// Redone is how much a look of our own had to do again: records that were
	// there again, and choices of the person.
	Redone int64 `json:"redone,omitempty"`
}

// IsZero reports whether nothing was said or decided.
func (c Case) IsZero() bool {
	return c.Subject == "" && c.Requester == "" && c.Language == "" && c.Answer == "" && c.Minor == "" && !c.Undesignated && !c.Unconfirmed && c.Portions == nil &&
		c.Disputed == nil && !c.NewPapers && !c.Stated && c.Raised == "" && !c.Surveyed && c.Reached == "" && !c.Resident && c.Narrowed == nil &&
		c.Parent == "" && c.Origin == "" && c.Children == nil && c.Blocks == nil && !c.Cooled && c.Holds == nil &&
		c.Approvals == nil && c.Decision == nil && c.Onward == nil && c.Mailed == nil && c.Review == nil && c.Only == nil && c.Run == "" && c.Left == nil && c.Redone == 0
}

// Requester is who makes a request for a consumer.
type Requester string

// The requesters. An empty one is the consumer.
const (
	ByConsumer Requester = ""
	ByParent   Requester = "parent"   // of a consumer under 13 (11 CCR 7070)
	ByGuardian Requester = "guardian" // or conservator
	ByAgent    Requester = "agent"    // authorised by the consumer (11 CCR 7063)
)

// Valid reports whether r is one of the requesters.
func (r Requester) Valid() bool {
	return slices.Contains([]Requester{ByConsumer, ByParent, ByGuardian, ByAgent}, r)
}

// Minor is the age band of a consumer who is known to be under 16.
type Minor string

// The bands of Civ. Code 1798.120(c).
const (
	NotMinor Minor = ""
	Under13  Minor = "under_13"
	From13   Minor = "13_to_15"
)

// Valid reports whether m is one of the bands.
func (m Minor) Valid() bool { return m == NotMinor || m == Under13 || m == From13 }

// NeedsParent reports whether somebody must be shown to be the consumer's
// parent or guardian before the request counts as verified.
func (c *Case) NeedsParent() bool {
	return c.Minor == Under13 || c.Requester == ByParent || c.Requester == ByGuardian
}

// Origin is how a request came of another one.
type Origin string

// The origins. An empty one is the person's own submission.
const (
	FromFallback  Origin = "fallback"  // specific pieces could not be verified (11 CCR 7024(a))
	FromOffer     Origin = "offer"     // taken up after a denied deletion (11 CCR 7022(g))
	FromRetention Origin = "retention" // the basis for keeping has ended
	FromAppeal    Origin = "appeal"    // an appeal against a denial, or what it granted
	FromRecheck   Origin = "recheck"   // a later look whether what was erased is still gone, or an opt-out still holds
	FromReplay    Origin = "replay"    // a system was restored and has forgotten what was done
	FromConsent   Origin = "consent"   // connectors are told that a choice was taken back (11 CCR 7028)
)

// Ours reports whether the company asked on its own, so that nobody is written
// to and nothing counts as a request of a person.
func (o Origin) Ours() bool { return o == FromRecheck || o == FromReplay || o == FromConsent }

// Child is a request that follows from another. Its id is fixed when it is
// decided upon, before it exists, so that it is made once.
type Child struct {
	ID     ID     `json:"id"`
	Right  Right  `json:"right"`
	Origin Origin `json:"origin"`
	// At is when it is due to be made.
	At time.Time `json:"at"`
	// Level, when set, is a verification it starts with, got on the parent.
	Level Level `json:"level,omitempty"`
	Made  bool  `json:"made,omitempty"`
}

// Narrowed is the refusal to look back as far as was asked, with its facts
// (11 CCR 7024(h)).
type Narrowed struct {
	Since Date              `json:"since"`
	Facts map[string]string `json:"facts"`
}

// Approval is one person's yes to something that takes two.
type Approval struct {
	What string    `json:"what"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// Errors of deciding.
var (
	// ErrSamePerson says that somebody approved who had asked for it.
	ErrSamePerson = errors.New("a second person must approve: this one already did")
	// ErrNobody says that something that takes two people has no name to it.
	ErrNobody = errors.New("this takes two people, and nobody is named")
)

// Approve records by's yes to what and reports whether that makes two
// different people. Saying it twice is refused: errors are [ErrSamePerson] and
// [ErrNobody].
func (r *Request) Approve(what, by string, now time.Time) (enough bool, err error) {
	if by == "" || len(by) > 200 || !plainText(by) {
		return false, ErrNobody
	}
	others := false
	for _, a := range r.Case.Approvals {
		if a.What != what {
			continue
		}
		if a.By == by {
			return false, ErrSamePerson
		}
		others = true
	}
	r.Case.Approvals = append(slices.Clip(r.Case.Approvals), Approval{What: what, By: by, At: now.UTC()})
	return others, nil
}

// Since is the first day the request reaches back to; the zero day is
// everything.
func (r *Request) Since() Date {
	if n := r.Case.Narrowed; n != nil && n.Since.After(r.Terms.Since) {
		return n.Since
	}
	return r.Terms.Since
}

// Narrow limits a request that asks for more than the usual look-back to the
// usual one. It takes facts, not the mere assertion of effort (11 CCR 7024(h)).
func (r *Request) Narrow(facts map[string]string) error {
	switch {
	case !r.right.Know() || r.Terms.Due.LookBackFrom.IsZero() || !r.Terms.Since.Before(r.Terms.Due.LookBackFrom):
		return fmt.Errorf("narrowing %s: it asks for no more than the usual look-back: %w", r.right, ErrTransition)
	case r.state == Packaging || r.state == Closing || r.state == Closed:
		return fmt.Errorf("narrowing a request that is %s: %w", r.state, ErrTransition)
	}
	if err := checkFacts(facts, effortFacts, leastEffortFacts); err != nil {
		return err
	}
	r.Case.Narrowed = &Narrowed{Since: r.Terms.Due.LookBackFrom, Facts: facts}
	return nil
}

// Spawn decides that a request is to follow from this one at the given time.
// For each origin and right there is one: asking again gives the same.
func (r *Request) Spawn(right Right, origin Origin, at time.Time, level Level) ID {
	for _, c := range r.Case.Children {
		if c.Right == right && c.Origin == origin {
			return c.ID
		}
	}
	c := Child{ID: NewID(), Right: right, Origin: origin, At: at.UTC(), Level: level}
	r.Case.Children = append(slices.Clip(r.Case.Children), c)
	return c.ID
}

// Recheck decides that it is looked again at the given times whether what was
// erased is still gone, or whether an opt-out still holds. It may be decided once.
func (r *Request) Recheck(at ...time.Time) {
	for _, c := range r.Case.Children {
		if c.Origin == FromRecheck {
			return
		}
	}
	for _, t := range at {
		r.Case.Children = append(slices.Clip(r.Case.Children), Child{ID: NewID(), Right: r.right, Origin: FromRecheck, At: t.UTC()})
	}
}

// Confirm takes the second step of a two-step request: a deletion (11 CCR
// 7020(d)) or an opt-in (11 CCR 7028). The clocks have run since the first.
// Confirming twice is harmless. It does not move the request.
func (r *Request) Confirm() error {
	if !r.Case.Unconfirmed {
		return nil
	}
	if r.state != Received {
		return fmt.Errorf("confirming a request that is %s: %w", r.state, ErrTransition)
	}
	r.Case.Unconfirmed = false
	return nil
}

// Wake is the next instant at which something happens to the request by
// itself; the zero time is never.
func (r *Request) Wake() time.Time {
	var wake time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (wake.IsZero() || t.Before(wake)) {
			wake = t
		}
	}
	switch r.state {
	case Received, AwaitingVerification:
		sooner(r.LastCall())
	case Held:
		for _, h := range r.Case.Holds {
			if h.Ended.IsZero() {
				sooner(h.Until)
				sooner(h.Look)
			}
		}
	case Running:
		if r.Case.Onward != nil {
			sooner(r.Case.Onward.Look)
		}
	}
	for _, c := range r.Case.Children {
		if !c.Made {
			sooner(c.At)
		}
	}
	return wake
}

// Public is the state as the consumer is told it. What holds a request is not
// told: it may be a police matter (Civ. Code 1798.145(a)(1)(B)).
func (r *Request) Public() State {
	switch r.state {
	case Held, Accepted, Resolving, Running, Packaging:
		return Running
	default:
		return r.state
	}
}
