package wire

import "slices"

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
	{"ccpa-1798.145(a)", "other laws, inquiries, legal claims"},
	{"ccpa-1798.145(b)", "privilege"},
	{"ccpa-1798.145(c)", "health"},
	{"ccpa-1798.146", "health"},
	{"ccpa-1798.145(d)", "FCRA"},
	{"ccpa-1798.145(e)", "GLBA"},
	{"ccpa-1798.145(f)", "DPPA"},
	{"ccpa-1798.145(k)", "rights of other people"},
	{"shared-record", "a record other people are in"},
}

// Basis is a reason the law has for keeping records.
type Basis struct{ Code, Means string }

// Bases returns the codes for keeping that a person may give as a reason.
func Bases() []Basis { return slices.Clone(bases) }

// IsBasis reports whether a code is one of [Bases].
func IsBasis(code string) bool {
	return slices.ContainsFunc(bases, func(b Basis) bool { return b.Code == code })
}
