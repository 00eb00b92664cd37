package main

import (
	"testing"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/sdk"
)

const activeIn = `SELECT COUNT(*) FROM audiences WHERE profile_id = $1 AND audience = $2 AND withdrawn_at IS NULL`

// CL-5: a limit takes her out of the audiences that are made from sensitive
// personal information, by whichever identifier she gives, and out of no other;
// somebody who is put in again is seen.
func TestLimitStopsTheUse_CL5(t *testing.T) {
	b := newBench(t, 0)
	l, ok := b.settings.able(b.adtech).(sdk.Limiter)
	if !ok {
		t.Fatal("the connector limits nothing")
	}
	her, other := demo.AdtechProfile(demo.Copier), demo.AdtechProfile(33)
	others := b.number(t, `SELECT COUNT(*) FROM audiences WHERE withdrawn_at IS NULL AND audience <> $1`, demo.SensitiveAudience)
	if b.number(t, activeIn, her, demo.SensitiveAudience) != 1 || b.number(t, activeIn, other, demo.SensitiveAudience) != 1 {
		t.Fatal("they are not in the sensitive audience to begin with")
	}
	person := sdk.NewPerson(cookie(demo.Copier))
	for range 2 {
		if err := l.LimitSPI(t.Context(), person); err != nil {
			t.Fatal(err)
		}
	}
	if b.number(t, activeIn, her, demo.SensitiveAudience) != 0 {
		t.Error("she is still in the sensitive audience")
	}
	if b.number(t, activeIn, other, demo.SensitiveAudience) != 1 {
		t.Error("somebody else was taken out as well")
	}
	if n := b.number(t, `SELECT COUNT(*) FROM audiences WHERE withdrawn_at IS NULL AND audience <> $1`, demo.SensitiveAudience); n != others {
		t.Errorf("%d memberships of other audiences are left, of %d", n, others)
	}
	b.wantLimited(t, l, person, true)
	b.wantLimited(t, l, sdk.NewPerson(email(demo.Copier)), true) // her profile's, remembered with it
	if out, err := b.OptedOut(t.Context(), person); err != nil || out {
		t.Errorf("a limit opted her out of sale: %v, %v", out, err)
	}
	b.exec(t, `UPDATE audiences SET withdrawn_at = NULL WHERE profile_id = $1`, her)
	b.wantLimited(t, l, person, false)

	if err := b.OptOut(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.(sdk.LimitLifter).LiftLimit(t.Context(), person); err != nil {
			t.Fatal(err)
		}
	}
	b.wantLimited(t, l, person, false)
	b.wantLimited(t, l, sdk.NewPerson(email(demo.Copier)), false)
	if out, err := b.OptedOut(t.Context(), person); err != nil || !out {
		t.Errorf("taking a limit back opted her in to sale: %v, %v", out, err)
	}
	if b.number(t, activeIn, her, demo.SensitiveAudience) != 0 {
		t.Error("she was put back into the audience")
	}

	b.settings.SensitiveAudiences = nil
	if _, ok := b.settings.able(b.adtech).(sdk.Limiter); ok {
		t.Error("a connector that knows no sensitive audience promises to limit")
	}
}

func (b bench) wantLimited(t *testing.T, l sdk.Limiter, p sdk.Person, want bool) {
	t.Helper()
	if in, err := l.LimitedSPI(t.Context(), p); err != nil || in != want {
		t.Errorf("limited %v, want %v: %v", in, want, err)
	}
}
