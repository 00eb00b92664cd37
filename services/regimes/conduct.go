package regimes

import (
	"errors"
	"fmt"
	"slices"

	"github.com/habeas-data/habeas/services/request"
)

// Tier is what makes one sure enough of a requester without an account
// (11 CCR 7062).
type Tier struct {
	// Points is how many data points must match what is held reliably.
	Points int `yaml:"points"`
	// Declaration says that the requester also signs, under penalty of
	// perjury, to be the consumer.
	Declaration bool `yaml:"declaration"`
}

// Appeal is the second look a regime gives a consumer who was refused.
type Appeal struct {
	Decide int `yaml:"decide"` // days from receipt of the appeal
	Extend int `yaml:"extend"` // further days; 0 for none
}

// Duties are what a business under a regime has to do besides answering.
type Duties struct {
	// Signal says that an opt-out preference signal must be honoured.
	Signal bool
	// VerifyOptOut says that the regime lets a business verify an opt-out.
	VerifyOptOut bool
	// Pausable says that the clock may stop while the consumer clarifies.
	Pausable bool
}

// checkConduct reports what does not hold in the rules on conduct.
func (r *regime) checkConduct() error {
	var errs []error
	fail := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	either := func(bool) bool { return true }
	for name, b := range map[string]*rule[bool]{"signal": r.Signal, "verify_opt_out": r.VerifyOptOut, "pausable": r.Pausable} {
		if b != nil {
			fail(name, checkRule(r, *b, either))
		}
	}
	for name, n := range map[string]*rule[int]{"correction_bar": r.CorrectionBar, "police_hold": r.PoliceHold, "statement_words": r.StatementWords} {
		if n != nil {
			fail(name, checkRule(r, *n, positive))
		}
	}
	for level, tier := range r.Tiers {
		if !level.Valid() {
			fail("tiers", fmt.Errorf("%q is no level", level))
		}
		fail("tiers."+string(level), checkRule(r, tier, func(t Tier) bool { return t.Points > 0 }))
	}
	if r.Appeal != nil {
		fail("appeal", checkRule(r, *r.Appeal, func(a Appeal) bool { return a.Decide > 0 && a.Extend >= 0 }))
	}
	for name, list := range map[string]*rule[[]string]{
		"sensitive_categories": r.SensitiveCategories, "channels.online_only": r.Channels.OnlineOnly, "channels.others": r.Channels.Others,
	} {
		if list != nil {
			fail(name, checkRule(r, *list, func(l []string) bool { return len(l) > 0 && !slices.Contains(l, "") }))
		}
	}
	if !r.Confirmed && r.Unconfirmed == "" {
		fail("unconfirmed", errors.New("say what has to be looked up before the regime is used, or set confirmed"))
	}
	return errors.Join(errs...)
}

// Tier returns what reaches a level. The error is [ErrUnknown].
func (r Rules) Tier(level request.Level) (Tier, error) {
	t, ok := r.regime.Tiers[level]
	if !ok {
		return Tier{}, fmt.Errorf("tier %q in regime %s: %w", level, r.regime.ID, ErrUnknown)
	}
	return at(t.Values, r.day), nil
}

// SensitiveCategories returns the categories, by the letters of Civ. Code
// 1798.140(v)(1), whose deletion or correction asks for the highest level
// (11 CCR 7062(d)).
func (r Rules) SensitiveCategories() []string {
	if r.regime.SensitiveCategories == nil {
		return nil
	}
	return slices.Clone(at(r.regime.SensitiveCategories.Values, r.day))
}

// Appeal returns the appeal a refused consumer has; ok is false where the
// regime requires none.
func (r Rules) Appeal() (a Appeal, ok bool) {
	if r.regime.Appeal == nil {
		return Appeal{}, false
	}
	return at(r.regime.Appeal.Values, r.day), true
}

// Duties returns what the regime wants besides answers.
func (r Rules) Duties() Duties {
	is := func(b *rule[bool]) bool { return b != nil && at(b.Values, r.day) }
	return Duties{Signal: is(r.regime.Signal), VerifyOptOut: is(r.regime.VerifyOptOut), Pausable: is(r.regime.Pausable)}
}

// CorrectionBarred reports whether a correction that was denied on a day may
// be denied again, without new papers, when it is asked for on the day of
// these rules (11 CCR 7023(g)).
func (r Rules) CorrectionBarred(denied request.Date) bool {
	bar := r.regime.CorrectionBar
	return bar != nil && !denied.After(r.day) && r.day.Before(addMonths(denied, at(bar.Values, r.day), backward))
}

// PoliceHold returns for how many days a direction of the police not to delete
// holds, and so does each renewal; 0 when the regime has none.
func (r Rules) PoliceHold() int {
	if r.regime.PoliceHold == nil {
		return 0
	}
	return at(r.regime.PoliceHold.Values, r.day)
}

// StatementWords returns how many words a consumer may add to a disputed item;
// 0 when the regime has no such statement.
func (r Rules) StatementWords() int {
	if r.regime.StatementWords == nil {
		return 0
	}
	return at(r.regime.StatementWords.Values, r.day)
}

// Channels returns the ways to ask that a business must offer: one that is
// online only and has a direct relationship, or any other.
func (r Rules) Channels(onlineOnly bool) []string {
	list := r.regime.Channels.Others
	if onlineOnly {
		list = r.regime.Channels.OnlineOnly
	}
	if list == nil {
		return nil
	}
	return slices.Clone(at(list.Values, r.day))
}

// Rights returns what a consumer can ask under the regime.
func (r Rules) Rights() []request.Right {
	var rights []request.Right
	for _, right := range request.Rights() {
		if r.regime.Clocks.Respond.has(right) || r.regime.Clocks.Stop.has(right) {
			rights = append(rights, right)
		}
	}
	return rights
}
