package wire

import (
	"slices"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// bases are the codes for keeping (proto/README.md), each with what it stands
// for.
var bases = []Basis{
	{"ccpa-1798.105(d)(1)", "complete the transaction, warranty, recall, contract"},
	{"ccpa-1798.105(d)(2)", "security and integrity"},
	{"ccpa-1798.105(d)(3)", "debugging"},
	{"ccpa-1798.105(d)(4)", "free speech, another right by law"},
	{"ccpa-1798.105(d)(5)", "Electronic Communications Privacy Act"},
	{"ccpa-1798.105(d)(6)", "research with informed consent"},
	{"ccpa-1798.105(d)(7)", "internal uses the consumer expects"},
	{"ccpa-1798.105(d)(8)", "a legal obligation"},
	{"ccpa-1798.145(a)(1)(A)", "another law or a court order"},
	{"ccpa-1798.145(a)(1)(B)", "an inquiry, investigation, subpoena or summons"},
	{"ccpa-1798.145(a)(1)(D)", "an emergency in which a person is in danger"},
	{"ccpa-1798.145(a)(1)(E)", "a legal claim"},
	{"ccpa-1798.145(a)(1)(G)", "all of it took place outside California"},
	{"ccpa-1798.145(b)", "privilege"},
	{"ccpa-1798.145(c)", "health"},
	{"ccpa-1798.146", "health"},
	{"ccpa-1798.145(d)", "FCRA"},
	{"ccpa-1798.145(e)", "GLBA"},
	{"ccpa-1798.145(f)", "DPPA"},
	{"ccpa-1798.145(k)", "rights of other people"},
	{"shared-record", "a record other people are in"},
}

// older are codes that say less than the law asks: each stands for several
// bases, and what is kept on one has to be told apart by the company.
var older = []string{"ccpa-1798.145(a)"}

// Basis is a reason the law has for keeping records.
type Basis struct{ Code, Means string }

// Bases returns the codes for keeping that a person may give as a reason.
func Bases() []Basis { return slices.Clone(bases) }

// IsBasis reports whether a code is one of [Bases], or was one.
func IsBasis(code string) bool {
	return slices.Contains(older, code) || slices.ContainsFunc(bases, func(b Basis) bool { return b.Code == code })
}

// Kept is what a store keeps, one row for each basis. What the rows do not
// account for stands under the basis of the whole.
func Kept(s *habeasv1.StoreCount) []*habeasv1.Kept {
	if s.GetKeptCount() <= 0 {
		return nil
	}
	left := s.GetKeptCount()
	var rows []*habeasv1.Kept
	for _, k := range s.GetKept() {
		if k.GetCount() > 0 {
			rows, left = append(rows, k), left-k.GetCount()
		}
	}
	if left > 0 {
		rows = append(rows, &habeasv1.Kept{Basis: s.GetBasis(), Count: left, UntilTime: s.GetUntilTime()})
	}
	return rows
}

// Removed is how many records of a store an erasure took away: those it found
// that are neither kept nor left, and that do not stay deidentified, emptied or
// masked. Nothing else counts as erased.
func Removed(s *habeasv1.StoreCount) int64 {
	return s.GetLocatedCount() - s.GetKeptCount() - s.GetRemainingCount() -
		s.GetDeidentifiedCount() - s.GetEmptiedCount() - s.GetMaskedCount()
}

// KeptUntil is when the basis of a row ends; the zero time is not known.
func KeptUntil(k *habeasv1.Kept) time.Time {
	if t := k.GetUntilTime(); t.IsValid() && t.AsTime().Unix() > 0 {
		return t.AsTime()
	}
	return time.Time{}
}
