package verify_test

import (
	"context"
	"slices"
	"testing"

	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

// lax is a system that finds people without minding accents, as many databases do.
// Its record holds one address.
type lax struct{ held string }

func (s lax) Match(_ context.Context, _ request.Identifier, claims []verify.Claim) (verify.Answer, error) {
	a := verify.Answer{Known: true}
	for _, c := range claims {
		if slices.Contains(c.Fields, "email") && c.Value.Reveal() == s.held || slices.Contains(c.Fields, "postal_code") {
			a.Matched = append(a.Matched, c.Name)
		}
	}
	return a, nil
}

// No code goes to an address that a system takes for the one it holds and that is
// a stranger's.
func TestNoCodeToALookalike(t *testing.T) {
	const lookalike = "planted.person@exámple.org"
	for held, letters := range map[string]int{planted: 0, lookalike: 1} {
		r := newRig(t, func(c *verify.Config) { c.Matcher = lax{held} })
		id := r.open(request.Delete, lookalike, verify.Claimed{Points: points("postal_code", "94110")})
		r.work()
		r.work()
		if n := len(r.mail.Letters()); n != letters {
			t.Errorf("of a person held as %s, %d codes went to %s, want %d", held, n, lookalike, letters)
		}
		r.want(id, request.AwaitingVerification)
	}
	r := newRig(t, func(c *verify.Config) { c.Matcher = lax{"nothing"} })
	r.open(request.Delete, planted, verify.Claimed{})
	r.work()
	if n := len(r.mail.Letters()); n != 1 {
		t.Errorf("%d codes went to an address of ASCII, want 1: nothing is asked of it", n)
	}
}
