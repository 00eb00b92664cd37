package request

import (
	"slices"
	"time"
)

// Past is another request of the same person, as far as decisions need it.
type Past struct {
	ID       ID
	Right    Right
	Channel  Channel
	State    State
	Result   Result
	Code     string
	Received time.Time
	// Day is the date of receipt in the regime's zone.
	Day  Date
	Case Case
	// Due are its dates.
	Due Due
}

// Open reports whether the request has not been answered.
func (p *Past) Open() bool { return p.State != Closing && p.State != Closed }

// AnsweredKnow returns the days of receipt of the requests to know of the same
// person that were answered. Deletions, corrections and what followed by itself
// from another request don't count (Civ. Code 1798.130(b)).
func (r *Request) AnsweredKnow(past []Past) []Date {
	var days []Date
	seen := make(map[ID]bool)
	for _, p := range past {
		if p.ID == r.ID || seen[p.ID] || !p.Right.Know() || !p.Result.Answered() || p.Case.Origin != "" {
			continue
		}
		seen[p.ID] = true
		days = append(days, p.Day)
	}
	return days
}

// Repeats reports whether every field in dispute was refused before for being
// accurate, on a day that barred says bars this request, and no new papers came
// with it (11 CCR 7023(g)).
func (r *Request) Repeats(past []Past, barred func(Date) bool) bool {
	if r.right != Correct || r.Case.NewPapers || len(r.Case.Disputed) == 0 {
		return false
	}
	for _, field := range r.Case.Disputed {
		if !slices.ContainsFunc(past, func(p Past) bool {
			return p.ID != r.ID && p.Right == Correct && p.Result == ResultDenied && slices.Contains(p.Case.Disputed, field) &&
				(p.Code == string(DenyAccurate) || p.Code == string(DenyRepeated)) && barred(p.Day)
		}) {
			return false
		}
	}
	return true
}

// Precedes reports whether an open request for a right of the same person is to
// be finished before an erasure starts: what is erased can't be copied any
// more, and an opt-out comes before everything.
func Precedes(right Right) bool {
	return right.Know() || right == OptOutSaleShare || right == LimitSPI
}

// Choice is what a person has chosen about sale and sharing, and about the use of
// sensitive personal information.
type Choice struct {
	// OptedOut is set when the person's data may not be sold or shared. A
	// consumer known to be under 16 is out until somebody opts them in (Civ.
	// Code 1798.120(c)).
	OptedOut bool
	Minor    Minor
	// MayAsk says whether the person may be asked to opt in; NoReask is the
	// first day on which it may be (Civ. Code 1798.135(c)(4)).
	MayAsk  bool
	NoReask Date
	// Limited is set while the use of the person's sensitive personal information
	// is limited (Civ. Code 1798.121); MayAskSPI and NoReaskSPI say when they may
	// be asked to allow it again.
	Limited    bool
	MayAskSPI  bool
	NoReaskSPI Date
}

// ChoiceOf gives a person's choice from all of their requests. today is the day
// in the regime's zone.
func ChoiceOf(past []Past, today Date) Choice {
	var c Choice
	for i := range past {
		if past[i].Case.Minor != NotMinor {
			c.Minor = past[i].Case.Minor
		}
	}
	out, in, noReask := standing(past, OptOutSaleShare, OptInSaleShare)
	c.NoReask = noReask
	c.OptedOut = c.Minor != NotMinor || out != nil
	if in != nil && (out == nil || out.Received.Before(in.Received)) {
		c.OptedOut = false
	}
	c.MayAsk = c.OptedOut && c.Minor == NotMinor && !today.Before(c.NoReask)

	limit, lift, noReask := standing(past, LimitSPI, OptInSPI)
	c.NoReaskSPI = noReask
	c.Limited = limit != nil && (lift == nil || !limit.Received.Before(lift.Received))
	c.MayAskSPI = c.Limited && !today.Before(c.NoReaskSPI)
	return c
}

// standing are the newest choice of one right and the newest that took one back,
// each nil where there is none, and the first day on which the person may be asked
// about it.
func standing(past []Past, right, back Right) (chosen, lifted *Past, noReask Date) {
	for i := range past {
		p := &past[i]
		switch {
		case p.Right == right && p.Result != ResultDenied && p.Result != ResultCancelled:
			if chosen == nil || chosen.Received.Before(p.Received) {
				chosen = p
			}
			if p.Due.NoReask.After(noReask) {
				noReask = p.Due.NoReask
			}
		case p.Right == back && p.Result == ResultComplete:
			if lifted == nil || lifted.Received.Before(p.Received) {
				lifted = p
			}
		}
	}
	return chosen, lifted, noReask
}
