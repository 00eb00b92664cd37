package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const (
	// beginning is how many seconds a run is left to whoever began it, who may
	// not have sent all its mutations.
	beginning = 60
	// abandoned is after how many seconds a run that nobody sent a mutation for
	// is taken to be a crash's.
	abandoned = 3600
)

// Erase implements [sdk.Eraser]. The look-back window does not limit it.
func (c *Connector) Erase(ctx context.Context, p sdk.Person) error {
	if errs := c.EraseBatch(ctx, []sdk.Person{p}); errs != nil {
		return errs[0]
	}
	return nil
}

// EraseBatch implements [sdk.BatchEraser]. People who are in a run already get
// its state; the others, those of whom there is anything, begin a new one. The
// answer is [sdk.NotYet] until a run has ended on every server.
func (c *Connector) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	errs, err := c.eraseBatch(ctx, people)
	if err != nil {
		errs = make([]error, len(people))
		for i := range errs {
			errs[i] = c.outgrown(err)
		}
	}
	if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return nil
	}
	return errs
}

func (c *Connector) eraseBatch(ctx context.Context, people []sdk.Person) ([]error, error) {
	kinds := c.kinds()
	some := slices.ContainsFunc(people, func(p sdk.Person) bool { return len(p.Only(kinds...).Kinds()) > 0 })
	if err := ctx.Err(); err != nil || !some {
		return nil, err
	}
	c.starting.Lock()
	defer c.starting.Unlock()
	l, err := c.bound(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.makeKeys(ctx); err != nil {
		return nil, err
	}
	runs, err := c.runs(ctx)
	if err != nil {
		return nil, err
	}
	of := make([]*run, len(people))
	var fresh []sdk.Person
	var at []int
	for i, p := range people {
		if j := slices.IndexFunc(runs, func(r *run) bool { return r.has(c, p, kinds) }); j >= 0 && len(p.Only(kinds...).Kinds()) > 0 {
			of[i] = runs[j]
			continue
		}
		fresh, at = append(fresh, p), append(at, i)
	}
	begun, err := c.beginFor(ctx, l, fresh, kinds)
	if err != nil {
		return nil, err
	}
	for n, r := range begun {
		of[at[n]] = r
		if r != nil && !slices.Contains(runs, r) {
			runs = append(runs, r)
		}
	}
	return c.follow(ctx, l, runs, of)
}

// kinds are the identifier kinds by which rows that may go are found.
func (c *Connector) kinds() []sdk.Kind {
	var kinds []sdk.Kind
	for _, s := range c.m.Stores {
		if s.Role == string(sdk.ServiceProvider) {
			continue
		}
		for k := range s.Identifiers {
			if !slices.Contains(kinds, sdk.Kind(k)) {
				kinds = append(kinds, sdk.Kind(k))
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// beginFor begins one run for those of the people of whom there is anything.
// The result has nil for the others.
func (c *Connector) beginFor(ctx context.Context, l *live, people []sdk.Person, kinds []sdk.Kind) ([]*run, error) {
	of := make([]*run, len(people))
	if len(people) == 0 {
		return of, nil
	}
	held := make([]bool, len(people))
	for _, s := range l.stores {
		if s.provider() {
			continue
		}
		counts, err := c.count(ctx, l, s, always(people))
		if err != nil {
			return nil, err
		}
		for i, n := range counts {
			held[i] = held[i] || len(n) > 0
		}
	}
	var with []sdk.Person
	for i, p := range people {
		if held[i] {
			with = append(with, p)
		}
	}
	if len(with) == 0 {
		return of, nil
	}
	r, err := c.begin(ctx, l, with, kinds)
	if err != nil {
		return nil, err
	}
	for i := range of {
		if held[i] {
			of[i] = r
		}
	}
	return of, nil
}

// always are the people without their look-back windows.
func always(people []sdk.Person) []sdk.Person {
	all := make([]sdk.Person, len(people))
	for i, p := range people {
		all[i] = p.WithSince(time.Time{})
	}
	return all
}

func (s *store) provider() bool { return s.spec.Role == string(sdk.ServiceProvider) }

// follow sends what was not sent, ends the runs that are over, and returns what
// is to be said to each person in a run.
func (c *Connector) follow(ctx context.Context, l *live, runs []*run, of []*run) ([]error, error) {
	if len(runs) == 0 {
		return make([]error, len(of)), nil
	}
	states, err := c.mutations(ctx, l)
	if err != nil {
		return nil, err
	}
	said := map[*run]error{}
	for _, r := range runs {
		ours := slices.Contains(of, r)
		if !ours && !states.over(r) {
			continue
		}
		err := c.advance(ctx, l, r, states, ours)
		if err != nil && !ours {
			continue // it is told to whoever waits for that run
		}
		said[r] = err
	}
	errs := make([]error, len(of))
	for i, r := range of {
		if r != nil {
			errs[i] = said[r]
		}
	}
	return errs, nil
}

// advance takes one run as far as it goes now; nil says that it is over.
func (c *Connector) advance(ctx context.Context, l *live, r *run, states states, ours bool) error {
	var waits, fails error
	everybody := []sdk.Person{r.person()}
	for i, s := range l.stores {
		if s.provider() {
			continue
		}
		state, sent := states.of(r, s, len(c.servers))
		switch {
		case !sent && ours:
			counts, err := c.count(ctx, l, s, everybody)
			if err != nil {
				return err
			}
			if len(counts[0]) == 0 {
				continue
			}
			if err := c.mutate(ctx, l, r, s); err != nil {
				return err
			}
			waits = sdk.NotYet(c.pause, fmt.Errorf("store %s: the rewriting has begun", s.spec.Name))
		case !sent || state.done:
		case state.reason != "":
			fails = sdk.WithCode(sdk.Rejected, fmt.Errorf("store %s: rewriting a part fails with the server's error code %s: see latest_fail_reason in system.mutations", s.spec.Name, state.reason))
		case time.Duration(r.seconds)*time.Second > c.patience:
			fails = sdk.WithCode(sdk.Unavailable, c.m.fault(i, "table", "the rewriting is not finished after %s: %d parts are left; see system.mutations", c.patience, state.left))
		default:
			waits = sdk.NotYet(c.after(r), fmt.Errorf("store %s: %d parts are still to be rewritten", s.spec.Name, state.left))
		}
	}
	if fails != nil {
		return fails
	}
	if waits != nil {
		return waits
	}
	if err := c.unhide(ctx, l, everybody); err != nil {
		return err
	}
	return c.end(ctx, r)
}

// after is when to ask again: soon at first, and then ever less often.
func (c *Connector) after(r *run) time.Duration {
	return min(max(c.pause, time.Duration(r.seconds)*time.Second/2), 10*time.Minute)
}

// mutate sends the one mutation of a run for a table. Sending it twice does no
// harm: the second finds nothing.
func (c *Connector) mutate(ctx context.Context, l *live, r *run, s *store) error {
	var ways []string
	for _, col := range s.columns {
		value := "value"
		if col.fold {
			value = "lower(value)"
		}
		ways = append(ways, fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE run = '%s' AND kind = '%s')", col.text, value, c.set.Keys.Table, r.id, col.kind))
	}
	set := settings{}
	if s.replicated && l.settings[setsSetting] {
		set[setsSetting] = "1"
	}
	statement := "ALTER TABLE " + s.spec.Table + " DELETE WHERE " + strings.Join(ways, " OR ")
	if err := c.servers[0].do(ctx, statement, set, ""); err != nil {
		return fmt.Errorf("store %s: sending the mutation: %w", s.spec.Name, err)
	}
	return nil
}
