package verify_test

import (
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

// takeAll takes a request in that names somebody in several ways.
func (r *rig) takeAll(c verify.Claimed, ids ...request.Identifier) request.ID {
	r.t.Helper()
	taken, err := r.intake.Take(r.t.Context(), []intake.Entry{{Submission: request.Submission{Right: request.Delete, Channel: request.ChannelPhone, Identifiers: ids}}}, "test")
	if err != nil || taken[0].Err != nil {
		r.t.Fatal(err, taken)
	}
	c.Anchor = ids[0]
	if err := r.room.Open(r.t.Context(), taken[0].ID, c); err != nil {
		r.t.Fatal(err)
	}
	return taken[0].ID
}

// Who proves to be one person asks for nothing of another: a request that names
// two waits for somebody to look, and one whose further identifiers the systems
// hold for the same person goes on.
func TestOneRequestForTwoPeople(t *testing.T) {
	hers, anothers := request.NewIdentifier(request.CustomerID, "C-7"), request.NewIdentifier(request.CustomerID, "C-8")
	email := request.NewIdentifier(request.Email, planted)
	name := request.NewIdentifier(request.Name, "Somebody Else")
	for what, c := range map[string]struct {
		ids  []request.Identifier
		want request.State
	}{
		"only the address":             {[]request.Identifier{email}, request.Accepted},
		"her number":                   {[]request.Identifier{email, hers}, request.Accepted},
		"a name, which acts on no one": {[]request.Identifier{email, name}, request.Accepted},
		"another's number":             {[]request.Identifier{email, anothers}, request.AwaitingVerification},
		"hers and another's":           {[]request.Identifier{email, hers, anothers}, request.AwaitingVerification},
		"another's address":            {[]request.Identifier{email, request.NewIdentifier(request.Email, stranger)}, request.AwaitingVerification},
		"a kind that nobody knows":     {[]request.Identifier{email, request.NewIdentifier("loyalty_no", "L-1")}, request.AwaitingVerification},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			id := r.takeAll(verify.Claimed{Language: "en", Points: points("postal_code", "94110")}, c.ids...)
			r.work()
			if err := r.answer(id, r.code(1)); err != nil {
				t.Fatal(err)
			}
			r.work()
			r.want(id, c.want)
			for _, secret := range []string{planted, stranger, "C-7", "C-8", "L-1"} {
				if strings.Contains(r.logs.String(), secret) {
					t.Error("the log names somebody")
				}
			}
		})
	}
}

// A login speaks for the account and for nobody else the request names.
func TestLoginSpeaksForItsAccount(t *testing.T) {
	email, account := request.NewIdentifier(request.Email, planted), request.NewIdentifier(request.UserID, "u-17")
	for what, c := range map[string]struct {
		ids, login []request.Identifier
		want       request.State
	}{
		"all of it":              {[]request.Identifier{email, account}, []request.Identifier{email, account}, request.Accepted},
		"another's address":      {[]request.Identifier{email, account}, []request.Identifier{account}, request.AwaitingVerification},
		"another's account":      {[]request.Identifier{email, account}, []request.Identifier{email}, request.AwaitingVerification},
		"her address, of two":    {[]request.Identifier{email, request.NewIdentifier(request.Email, stranger)}, []request.Identifier{email}, request.AwaitingVerification},
		"an address of no one's": {[]request.Identifier{request.NewIdentifier(request.Email, stranger), account}, []request.Identifier{account}, request.AwaitingVerification},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			id := r.takeAll(verify.Claimed{Language: "en"}, c.ids...)
			r.work()
			if err := r.room.LoggedIn(t.Context(), id, r.now, c.login...); err != nil {
				t.Fatal(err)
			}
			r.work()
			r.want(id, c.want)
		})
	}
}

// A consumer's word that an agent may ask is about herself alone.
func TestAgentForTwoPeople(t *testing.T) {
	r := newRig(t)
	id := r.takeAll(verify.Claimed{Language: "en", Confirm: true}, request.NewIdentifier(request.Email, planted), request.NewIdentifier(request.CustomerID, "C-8"))
	r.work()
	if err := r.answer(id, r.code(1)); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.AwaitingVerification)
}
