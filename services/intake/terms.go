package intake

import (
	"errors"
	"time"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// AttentionNoRules says that the rules of the request's law were not known at
// its receipt: it is on record and acknowledged, and has no dates.
const AttentionNoRules = "no_rules"

// terms returns what the law fixes for a submission. Where the regime exists
// and its rules cannot be known, for want of a calendar's year, of force or of
// confirmation, they are terms without dates: the request is never turned away
// for it. Only a regime that nobody described, or that had not begun, is
// refused: its sender is told at once.
func (r *Room) terms(s request.Submission, received time.Time) (request.Terms, error) {
	terms, err := r.regimeTerms(s, received)
	if err == nil || !unknowable(err) {
		return terms, err
	}
	terms, err = r.Regimes.Unruled(s.Regime, received)
	for _, known := range []error{regimes.ErrUnknown, regimes.ErrNotInForce} {
		if errors.Is(err, known) {
			return request.Terms{}, request.FieldErrors{{Field: "regime", Problem: known.Error(), Fix: "name a regime that was in force on the day of receipt, such as us-ca-ccpa"}}
		}
	}
	return terms, err
}

// regimeTerms are the regime's terms for a submission. To opt in has the dates
// of the choice it takes back, without one to stop anything by; an appeal has the
// clock the regime gives appeals.
func (r *Room) regimeTerms(s request.Submission, received time.Time) (request.Terms, error) {
	if !s.Right.Desk() {
		return r.Regimes.Terms(s.Regime, received, s.Right, s.Range)
	}
	of := request.OptOutSaleShare
	if s.Right == request.OptInSPI {
		of = request.LimitSPI
	}
	terms, err := r.Regimes.Terms(s.Regime, received, of, request.Range{})
	if err != nil {
		return terms, err
	}
	due := &terms.Due
	due.Respond, due.Stop, due.StopAlarm, due.NoReask = due.Answer(), request.Date{}, request.Date{}, request.Date{}
	if s.Right != request.Appeal {
		return terms, nil
	}
	rules, err := r.Regimes.At(s.Regime, due.Received)
	if err != nil {
		return terms, err
	}
	appeal, ok := rules.Appeal()
	if !ok {
		return terms, ErrNotOffered
	}
	due.Respond = due.Received.AddDays(appeal.Decide)
	due.RespondAlarm = due.Respond.AddDays(-1)
	if appeal.Extend > 0 {
		due.Extended = due.Respond.AddDays(appeal.Extend)
	}
	return terms, nil
}

func unknowable(err error) bool {
	for _, known := range []error{regimes.ErrUnknown, regimes.ErrUnconfirmed, regimes.ErrNotInForce, regimes.ErrNoData} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// deadline returns the first instant at which the answer is late, and why a
// person must look when there is none.
func deadline(req *request.Request) (respondBy time.Time, attention string, err error) {
	if !req.Terms.Ruled() {
		return store.NoDeadline, AttentionNoRules, nil
	}
	respondBy, err = req.Terms.Due.Instant(req.AnswerBy())
	return respondBy, "", err
}
