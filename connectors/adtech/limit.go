package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// limitChoice stands before the kind in the digests of limits, which are on the
// same list as opt-outs.
const limitChoice = "limit_spi:"

// limiting is the connector of a company that says which of its audiences are
// made from sensitive personal information. Without that it could limit nothing.
type limiting struct {
	*adtech
	audiences []string
}

var (
	_ sdk.LimitLifter = limiting{}
	_ sdk.Resumer     = limiting{}
)

// able gives the connector the abilities that its settings make possible.
func (s settings) able(a *adtech) sdk.Connector {
	if len(s.SensitiveAudiences) == 0 {
		return a
	}
	return limiting{a, s.SensitiveAudiences}
}

func (l limiting) limits() digests { return digests{key: l.digests.key, choice: limitChoice} }

// LimitSPI implements [sdk.Limiter]: the choice is remembered for every
// identifier, known or not, and every profile the identifiers reach is withdrawn
// from the audiences that are made from sensitive personal information. The
// reach is that of an opt-out. Other audiences, inferences and partners are left
// as they are.
func (l limiting) LimitSPI(ctx context.Context, p sdk.Person) error {
	if len(l.limits().ofPerson(p)) == 0 {
		return ctx.Err()
	}
	if err := l.graph.ready(ctx); err != nil {
		return fmt.Errorf("limiting: %w", err)
	}
	err := l.graph.change(ctx, func(tx querier) error {
		r, err := l.graph.wide(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := l.remember(ctx, tx, append(l.limits().ofPerson(p), l.limits().ofReach(r, r.nodes)...)); err != nil {
			return err
		}
		return l.withdraw(ctx, tx, r)
	})
	if err != nil {
		return fmt.Errorf("limiting: %w", err)
	}
	return nil
}

// withdraw takes r's profiles out of the sensitive audiences.
func (l limiting) withdraw(ctx context.Context, tx querier, r reach) error {
	now := l.stamp()
	for _, f := range r.profiles {
		for _, audience := range l.audiences {
			if _, err := tx.ExecContext(ctx, `UPDATE audiences SET withdrawn_at = $1 WHERE profile_id = $2 AND audience = $3 AND withdrawn_at IS NULL`, now, f.id, audience); err != nil {
				return fmt.Errorf("withdrawing a profile from audiences: %w", err)
			}
		}
	}
	return nil
}

// LiftLimit implements [sdk.LimitLifter]: it forgets the choice of the identifiers
// she named and of what is hers alone. Nobody is put back into an audience; whatever
// fills it may do so again. An opt-out stays as it is.
func (l limiting) LiftLimit(ctx context.Context, p sdk.Person) error {
	if len(l.limits().ofPerson(p)) == 0 {
		return ctx.Err()
	}
	if err := l.graph.ready(ctx); err != nil {
		return fmt.Errorf("lifting a limit: %w", err)
	}
	err := l.graph.change(ctx, func(tx querier) error {
		r, err := l.graph.wide(ctx, tx, p)
		if err != nil {
			return err
		}
		r = r.only(p)
		return l.forget(ctx, tx, append(l.limits().ofPerson(p), l.limits().ofReach(r, r.nodes)...))
	})
	if err != nil {
		return fmt.Errorf("lifting a limit: %w", err)
	}
	return nil
}

// LimitedSPI implements [sdk.Limiter]: the choice is remembered for every
// identifier, and no profile they reach is in a sensitive audience.
func (l limiting) LimitedSPI(ctx context.Context, p sdk.Person) (bool, error) {
	in, err := l.limited(ctx, p)
	if err != nil {
		return false, fmt.Errorf("checking a limit: %w", err)
	}
	return in, nil
}

func (l limiting) limited(ctx context.Context, p sdk.Person) (bool, error) {
	if err := l.graph.ready(ctx); err != nil {
		return false, err
	}
	list := slices.Compact(slices.Sorted(slices.Values(l.limits().ofPerson(p))))
	known, err := l.remembered(ctx, l.graph.db, list)
	if err != nil || len(list) == 0 || known < len(list) {
		return false, err
	}
	r, err := l.graph.wide(ctx, l.graph.db, p)
	if err != nil {
		return false, err
	}
	for _, f := range r.profiles {
		for _, audience := range l.audiences {
			active, err := count(ctx, l.graph.db, `SELECT COUNT(*) FROM audiences WHERE withdrawn_at IS NULL AND profile_id = $1 AND audience = $2`, []any{f.id, audience})
			if err != nil || active > 0 {
				return false, err
			}
		}
	}
	return true, nil
}
