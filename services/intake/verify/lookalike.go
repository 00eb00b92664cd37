package verify

import (
	"slices"
	"unicode/utf8"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
)

// claimMail is the name of the claim by which systems are asked for an address.
const claimMail = "address a code may go to"

// MailClaims ask whether a record holds an address, letter by letter, where that
// has to be asked before a code goes there. Many systems find people without
// minding accents and like letters: to them an address of a stranger's is the
// person's, and the code would go to the stranger. Between addresses of ASCII
// alone there is no such likeness, and nothing is asked.
func MailClaims(id request.Identifier) []Claim {
	address := id.Reveal()
	if id.Kind != request.Email || !slices.ContainsFunc([]byte(address), func(b byte) bool { return b >= utf8.RuneSelf }) {
		return nil
	}
	return []Claim{{Point: Point{Name: claimMail, Form: wire.FormEmail, Fields: sameFields[request.Email]}, Value: id.Value}}
}

// HoldsMail reports whether a code may go to the address of [MailClaims].
func (a Answer) HoldsMail(id request.Identifier) bool {
	return a.Known && (len(MailClaims(id)) == 0 || slices.Contains(a.Matched, claimMail))
}
