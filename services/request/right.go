package request

import (
	"fmt"
	"slices"
)

// Right is what the law lets a consumer ask.
type Right string

// The rights.
const (
	KnowCategories  Right = "know_categories"    // Civ. Code 1798.110, 1798.115: which categories, from where, to whom
	KnowSpecific    Right = "know_specific"      // Civ. Code 1798.110(a)(5): a copy
	Delete          Right = "delete"             // Civ. Code 1798.105
	Correct         Right = "correct"            // Civ. Code 1798.106
	OptOutSaleShare Right = "opt_out_sale_share" // Civ. Code 1798.120
	LimitSPI        Right = "limit_spi"          // Civ. Code 1798.121: limit the use of sensitive personal information
)

// The rights that are decided at the desk. What an opt-in means for connectors
// is asked of them afterwards, by a request that follows from it.
const (
	OptInSaleShare Right = "opt_in_sale_share" // 11 CCR 7028, 7070-7071: to allow sale and sharing, in two steps
	OptInSPI       Right = "opt_in_spi"        // 11 CCR 7028: to take a limit back, in two steps
	Appeal         Right = "appeal"            // against a denial, where a regime gives one (Va. Code 59.1-577(C))
)

// The places kept for the rights about automated decisions (11 CCR 7200,
// 7220-7222, in force from 2027). They are no rights yet: nothing accepts them.
const (
	OptOutADMT Right = "opt_out_admt"
	AccessADMT Right = "access_admt"
	AppealADMT Right = "appeal_admt"
)

// Rights returns the rights that connectors are asked for, in the order of the
// list above.
func Rights() []Right {
	return []Right{KnowCategories, KnowSpecific, Delete, Correct, OptOutSaleShare, LimitSPI}
}

// DeskRights returns the rights that are decided before any connector is asked.
func DeskRights() []Right { return []Right{OptInSaleShare, OptInSPI, Appeal} }

// ReservedRights returns the names that are kept for rights to come.
func ReservedRights() []Right { return []Right{OptOutADMT, AccessADMT, AppealADMT} }

// ParseRight checks text that came from outside.
func ParseRight(text string) (Right, error) {
	r := Right(text)
	switch {
	case slices.Contains(ReservedRights(), r):
		return "", fmt.Errorf("right %s is reserved and can't be asked for yet: want one of %v", r, Rights())
	case !r.Valid():
		return "", fmt.Errorf("unknown right %.40q: want one of %v", text, Rights())
	}
	return r, nil
}

// Valid reports whether r is one of the rights.
func (r Right) Valid() bool { return r.Action() != "" || r.Desk() }

// Desk reports whether r is decided before any connector is asked.
func (r Right) Desk() bool { return r.OptsIn() || r == Appeal }

// OptsIn reports whether r takes a choice back that nobody had to confirm, and so
// takes two steps itself (11 CCR 7028).
func (r Right) OptsIn() bool { return r == OptInSaleShare || r == OptInSPI }

// Know reports whether r is a right to know.
func (r Right) Know() bool { return r == KnowCategories || r == KnowSpecific }

// Verifiable reports whether a request for r waits for the requester to be
// verified. Opting out and limiting never do (11 CCR 7060(b)).
func (r Right) Verifiable() bool {
	switch r {
	case KnowCategories, KnowSpecific, Delete, Correct:
		return true
	default:
		return false
	}
}

// Packaged reports whether the answer to r is a package the person downloads,
// so that its request passes through [Packaging].
func (r Right) Packaged() bool { return r.Know() }

// Action is what connectors are asked to do for r; "" for an unknown right and
// for one that is decided at the desk.
func (r Right) Action() Action {
	switch r {
	case KnowCategories:
		return ActionLocate
	case KnowSpecific:
		return ActionExport
	case Delete:
		return ActionErase
	case Correct:
		return ActionCorrect
	case OptOutSaleShare:
		return ActionOptOut
	case LimitSPI:
		return ActionLimit
	case OptInSaleShare:
		return ActionOptIn
	case OptInSPI:
		return ActionLiftLimit
	default:
		return ""
	}
}

// Action is what one connector is asked to do in one job.
type Action string

// The actions. Their names are those of the contract.
const (
	ActionResolve   Action = "resolve"    // give further identifiers of the person
	ActionLocate    Action = "locate"     // count records, change nothing
	ActionExport    Action = "export"     // copy records out, sealed
	ActionErase     Action = "erase"      // erase records
	ActionCorrect   Action = "correct"    // put fields right
	ActionOptOut    Action = "opt_out"    // stop sale and sharing
	ActionLimit     Action = "limit"      // limit the use of sensitive personal information
	ActionOptIn     Action = "opt_in"     // take an opt-out back
	ActionLiftLimit Action = "lift_limit" // take a limit back
)

// Valid reports whether a is one of the actions.
func (a Action) Valid() bool {
	switch a {
	case ActionResolve, ActionLocate, ActionExport, ActionErase, ActionCorrect, ActionOptOut, ActionLimit, ActionOptIn, ActionLiftLimit:
		return true
	default:
		return false
	}
}

// Chooses reports whether a puts a choice in force or takes one back: what only
// those who can are asked for.
func (a Action) Chooses() bool {
	return a == ActionOptOut || a == ActionLimit || a == ActionOptIn || a == ActionLiftLimit
}
