package sqlmap

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Config is what a Connector is made of.
type Config struct {
	// Name and Version go into the manifest.
	Name, Version string
	// Database is the address: postgres://user:password@host:5432/name,
	// mysql://user:password@host:3306/name (mariadb:// is the same) or
	// sqlite:///path/file.db.
	Database string
	// Map is the data map.
	Map *Map
	// Now is the clock by which periods end; nil means the machine's.
	Now func() time.Time
}

// A Connector acts on one SQL database by a data map. It connects when it is
// first used, and is safe for concurrent use.
type Connector struct {
	config Config
	d      dialect
	db     *sql.DB

	accepts []sdk.Kind // kinds the map can find somebody by
	yields  bool       // whether it yields any
	lists   bool       // whether the map says how people are listed

	compare func(*Map, *Survey) []string // for Drift, or nil

	mu   sync.Mutex
	plan *plan // bound to the live schema, or nil
}

var (
	_ sdk.Exporter         = (*Connector)(nil)
	_ sdk.BatchEraser      = (*Connector)(nil)
	_ sdk.CorrectionReader = (*Connector)(nil)
	_ sdk.Scoped           = (*Connector)(nil)
	_ sdk.Lister           = (*Connector)(nil)
	_ sdk.Resolver         = resolver{}
)

// New makes a Connector without connecting.
func New(config Config) (*Connector, error) {
	d, err := dialectOf(config.Database)
	if err != nil {
		return nil, err
	}
	g, err := compile(config.Map)
	if err != nil {
		return nil, err
	}
	db, err := d.open(config.Database)
	if err != nil {
		return nil, err
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Connector{config: config, d: d, db: db, accepts: g.kinds(), yields: len(g.yields()) > 0, lists: len(g.censuses) > 0}, nil
}

// Close gives the database's connections back.
func (c *Connector) Close() error { return c.db.Close() }

// Check connects and examines the map against the live schema. A [*MapError]
// says that they do not fit; any other error, that the database could not be
// asked.
func (c *Connector) Check(ctx context.Context) error {
	_, err := c.bound(ctx)
	return err
}

// CompareWith lets [Connector.Drift] hold the map against the database's schema
// by compare as well, which returns what it finds in sentences.
func (c *Connector) CompareWith(compare func(*Map, *Survey) []string) { c.compare = compare }

// Drift implements [sdk.DriftChecker]: what the map has and the database has
// not and, with a comparison to make, columns that look personal and are not
// mapped. Only the schema is read.
func (c *Connector) Drift(ctx context.Context) ([]string, error) {
	g, err := compile(c.config.Map)
	if err != nil {
		return nil, err
	}
	var findings []string
	if _, err := bind(ctx, g, c.d, c.db, c.config.Now); err != nil {
		if _, wrong := errors.AsType[*MapError](err); !wrong {
			return nil, err
		}
		findings = append(findings, err.Error())
	}
	if c.compare == nil {
		return findings, nil
	}
	s, err := TakeSurvey(ctx, c.config.Database, 0)
	if err != nil {
		return nil, err
	}
	return append(findings, c.compare(c.config.Map, s)...), nil
}

// Able returns c as a [sdk.Resolver] too when its map yields identifiers: the
// runtime reads abilities off the type.
func (c *Connector) Able() sdk.Connector {
	if c.yields {
		return resolver{c}
	}
	return c
}

// bound returns the plan for the schema as it is.
func (c *Connector) bound(ctx context.Context) (*plan, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plan != nil {
		return c.plan, nil
	}
	g, err := compile(c.config.Map)
	if err != nil {
		return nil, err
	}
	p, err := bind(ctx, g, c.d, c.db, c.config.Now)
	if _, ok := errors.AsType[*MapError](err); ok {
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, err))
	}
	if err != nil {
		return nil, err
	}
	c.plan = p
	return p, nil
}

// forget drops a plan that the schema has outgrown.
func (c *Connector) forget(p *plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plan == p {
		c.plan = nil
	}
}

// within runs f in one transaction and commits it when f succeeds.
func (c *Connector) within(ctx context.Context, write bool, f func(context.Context, *plan, querier) error) error {
	p, err := c.bound(ctx)
	if err != nil {
		return err
	}
	err = c.transact(ctx, p, write, f)
	if own, ok := errors.AsType[*writerError](err); ok {
		return own.err
	}
	if held, ok := errors.AsType[*waiting](err); ok {
		return held
	}
	err = clean(ctx, c.d, err)
	if sdk.CodeOf(err) == sdk.Configuration {
		c.forget(p)
	}
	return err
}

func (c *Connector) transact(ctx context.Context, p *plan, write bool, f func(context.Context, *plan, querier) error) error {
	tx, err := c.d.begin(ctx, c.db, write)
	if err != nil {
		return err
	}
	if text := c.d.deferKeys(); write && p.defers && text != "" {
		_, err = tx.ExecContext(ctx, text)
	}
	if err == nil {
		err = f(ctx, p, tx)
	}
	if err != nil || !write {
		// Whatever became of the rollback, nothing was committed.
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// attempts is how often a transaction that met another is tried before the
// runtime is told to come back later.
const attempts = 5

// write runs f in a transaction, again when another one was in the way.
func (c *Connector) write(ctx context.Context, f func(context.Context, *plan, querier) error) error {
	for n := 1; ; n++ {
		err := c.within(ctx, true, f)
		var failed *dbError
		if err == nil || n == attempts || !errors.As(err, &failed) || !failed.retry {
			return err
		}
		pause := time.NewTimer(time.Duration(n)*10*time.Millisecond + rand.N(20*time.Millisecond)) //nolint:gosec // spreads retries out
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// known returns p with only what the map can find somebody by.
func (c *Connector) known(p sdk.Person) sdk.Person {
	return p.Only(c.accepts...)
}

// Locate implements [sdk.Connector].
func (c *Connector) Locate(ctx context.Context, person sdk.Person) ([]sdk.Found, error) {
	found, err := c.LocateBatch(ctx, []sdk.Person{person})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// batch is how many people are walked for together.
const batch = 500

// LocateBatch implements [sdk.BatchLocator].
func (c *Connector) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	results := make([][]sdk.Found, len(people))
	err := c.alike(ctx, people, func(at []int, group []sdk.Person) error {
		return c.within(ctx, false, func(ctx context.Context, p *plan, q querier) error {
			reaches, err := p.look(ctx, q, group, false)
			if err != nil {
				return err
			}
			for i, r := range reaches {
				results[at[i]] = p.found(r, group[i].Since())
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// alike hands f the people known by the same kinds, a batch at a time, with
// their places. People known by nothing the map has are left out.
func (c *Connector) alike(ctx context.Context, people []sdk.Person, f func(at []int, group []sdk.Person) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	groups := map[string][]int{}
	var order []string
	for i, p := range people {
		kinds := c.known(p).Kinds()
		if len(kinds) == 0 {
			continue
		}
		slices.Sort(kinds)
		key := fmt.Sprint(kinds)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], i)
	}
	for _, key := range order {
		err := chunks(groups[key], batch, func(at []int) error {
			group := make([]sdk.Person, len(at))
			for i, n := range at {
				group[i] = c.known(people[n])
			}
			return f(at, group)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// look walks for people known by the same kinds, and decides.
func (p *plan) look(ctx context.Context, q querier, group []sdk.Person, lock bool) ([]*reach, error) {
	return newWalk(p, q, group[0].Kinds(), lock).look(ctx, group)
}

// look is the walk for people and the decisions; what one of them reads, the next
// need not.
func (w *walk) look(ctx context.Context, group []sdk.Person) ([]*reach, error) {
	reaches, err := w.run(ctx, group)
	if err != nil {
		return nil, err
	}
	if err := w.guard(ctx, reaches); err != nil {
		return nil, err
	}
	for i, r := range reaches {
		r.covers = group[i].Covers //nolint:gosec // one reach for each of the group
		w.p.decide(r)
	}
	return reaches, nil
}

// Scopes implements [sdk.Scoped]: rows of stores that a job leaves alone are
// kept, and so is what they refer to.
func (*Connector) Scopes() bool { return true }

// Erase implements [sdk.Eraser]. The look-back window does not limit it.
func (c *Connector) Erase(ctx context.Context, person sdk.Person) error {
	person = c.known(person)
	if len(person.Kinds()) == 0 {
		return ctx.Err()
	}
	return c.eraseTogether(ctx, person, []sdk.Person{person}, c.patience(ctx))
}

// eraseTogether erases people, who are one together, in one transaction, and tells
// of each what was removed where rows usually stay.
func (c *Connector) eraseTogether(ctx context.Context, one sdk.Person, people []sdk.Person, patient func(int) bool) error {
	var gone []map[string]int64
	err := c.write(ctx, func(ctx context.Context, p *plan, q querier) error {
		w := newWalk(p, q, one.Kinds(), true)
		reaches, err := w.look(ctx, []sdk.Person{one})
		if err != nil {
			return err
		}
		each := reaches
		if len(people) > 1 && p.crowded() {
			if each, err = w.look(ctx, people); err != nil {
				return err
			}
		}
		fates, err := p.settle(ctx, q, reaches[0], ownersOf(each), patient)
		if err != nil {
			return err
		}
		gone = removedOf(each, fates)
		return p.remove(ctx, q, reaches[0], fates)
	})
	if held, ok := errors.AsType[*waiting](err); ok && len(people) == 1 {
		return sdk.NotYet(waitStep, held)
	}
	if err != nil {
		return err
	}
	for i, stores := range gone {
		for store, n := range stores {
			people[i].Removed(store, n)
		}
	}
	return nil
}

// EraseBatch implements [sdk.BatchEraser]. People are erased as if they were
// one, in one transaction: a record that only they share goes. When that
// fails each is erased alone, so that one person's trouble is nobody else's.
// So is everybody when the job of one leaves stores alone. Who has to wait for
// others does not keep the rest.
func (c *Connector) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	errs := make([]error, len(people))
	patient := c.patience(ctx)
	failed := false
	err := c.alike(ctx, people, func(at []int, group []sdk.Person) error {
		for len(group) > 0 && !slices.ContainsFunc(group, func(p sdk.Person) bool { return !p.CoversAll() }) {
			err := c.eraseTogether(ctx, together(group), group, func(i int) bool { return patient(at[i]) })
			if err == nil {
				return nil
			}
			held, ok := errors.AsType[*waiting](err)
			if !ok {
				break
			}
			failed = true
			for _, i := range slices.Backward(held.people) {
				errs[at[i]] = sdk.NotYet(waitStep, held)
				at, group = slices.Delete(slices.Clone(at), i, i+1), slices.Delete(slices.Clone(group), i, i+1)
			}
		}
		for i, p := range group {
			errs[at[i]] = c.eraseTogether(ctx, p, group[i:i+1], func(int) bool { return patient(at[i]) })
			failed = failed || errs[at[i]] != nil
		}
		return nil
	})
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if !failed {
		return nil
	}
	return errs
}

// together makes one person of many.
func together(people []sdk.Person) sdk.Person {
	if len(people) == 1 {
		return people[0]
	}
	var ids []sdk.Identifier
	for _, p := range people {
		ids = append(ids, p.Identifiers()...)
	}
	return sdk.NewPerson(ids...)
}

// Export implements [sdk.Exporter].
func (c *Connector) Export(ctx context.Context, person sdk.Person, out sdk.RecordWriter) error {
	person = c.known(person)
	if len(person.Kinds()) == 0 {
		return ctx.Err()
	}
	return c.within(ctx, false, func(ctx context.Context, p *plan, q querier) error {
		return p.export(ctx, q, person, out)
	})
}

// resolver is a Connector whose map yields identifiers.
type resolver struct{ *Connector }

// Resolve implements [sdk.Resolver]. Rows that other people reach as well
// yield nothing.
func (c resolver) Resolve(ctx context.Context, person sdk.Person) ([]sdk.Identifier, error) {
	person = c.known(person)
	if len(person.Kinds()) == 0 {
		return nil, ctx.Err()
	}
	var ids []sdk.Identifier
	err := c.within(ctx, false, func(ctx context.Context, p *plan, q querier) error {
		reaches, err := p.look(ctx, q, []sdk.Person{person}, false)
		if err != nil {
			return err
		}
		for _, v := range reaches[0].order {
			if v.held {
				continue
			}
			for _, f := range v.row.c.carry {
				for _, kind := range f.yields {
					for _, at := range v.row.values(f) {
						ids = append(ids, identifier(kind, at))
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sdk.NewPerson(ids...).Identifiers(), nil
}

func identifier(kind sdk.Kind, v value) sdk.Identifier {
	text := fmt.Sprint(v)
	if kind == sdk.Email {
		text = strings.ToLower(strings.TrimSpace(text))
	}
	return sdk.ID(kind, text)
}
