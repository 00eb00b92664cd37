package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// The stores, as in the manifest and the database.
const (
	storeProfiles    = "profiles"
	storeIdentifiers = "identifiers"
	storeLinks       = "links"
	storeInferences  = "inferences"
	storeAudiences   = "audiences"
)

// adtech is the connector. It keeps every promise by reading the graph anew on
// each call; what outlives a call is in the database and the request ledger.
type adtech struct {
	graph      graph
	partners   []partner
	controller *opendsr.Controller
	digests    digests
	now        func() time.Time
	closers    []func() error
}

var (
	_ sdk.Eraser   = (*adtech)(nil)
	_ sdk.Exporter = (*adtech)(nil)
	_ sdk.Resumer  = (*adtech)(nil)
	_ sdk.Resolver = (*adtech)(nil)
	_ io.Closer    = (*adtech)(nil)

	_ sdk.StandingTeller = (*adtech)(nil)
)

// Locate implements [sdk.Connector].
func (a *adtech) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	counts := map[string]int64{}
	err := a.records(ctx, p, func(r sdk.Record) error {
		counts[r.Store]++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("locating: %w", err)
	}
	var found []sdk.Found
	for _, store := range []string{storeProfiles, storeIdentifiers, storeLinks, storeInferences, storeAudiences} {
		if counts[store] > 0 {
			found = append(found, sdk.Found{Store: store, Count: counts[store]})
		}
	}
	return found, nil
}

// Export implements [sdk.Exporter]: it writes the very records Locate counts.
func (a *adtech) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	if err := a.records(ctx, p, func(r sdk.Record) error { return w.Write(ctx, r) }); err != nil {
		return fmt.Errorf("exporting: %w", err)
	}
	return nil
}

// Resolve implements [sdk.Resolver]: the cookies and devices that are hers
// alone. What a household shares would lead to the others in it.
func (a *adtech) Resolve(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	if p.OptsOut() {
		return a.linked(ctx, p)
	}
	r, err := a.known(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("resolving: %w", err)
	}
	return identifiers(r.own()), nil
}

// linked are all cookies and devices that advertising links to p, shared or not:
// an opt-out has to reach as far as the links it is about.
func (a *adtech) linked(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	if err := a.graph.ready(ctx); err != nil {
		return nil, fmt.Errorf("resolving for an opt-out: %w", err)
	}
	r, err := a.graph.wide(ctx, a.graph.db, p)
	if err != nil {
		return nil, fmt.Errorf("resolving for an opt-out: %w", err)
	}
	return identifiers(r.nodes), nil
}

func identifiers(nodes []node) []sdk.Identifier {
	var ids []sdk.Identifier
	for _, n := range nodes {
		ids = append(ids, sdk.ID(sdk.Kind(n.kind), n.value))
	}
	return ids
}

// known is what the graph surely has of p.
func (a *adtech) known(ctx context.Context, p sdk.Person) (reach, error) {
	if err := a.graph.ready(ctx); err != nil {
		return reach{}, err
	}
	return a.graph.narrow(ctx, a.graph.db, p)
}

// records hands each record that is hers to use, inside her look-back window.
func (a *adtech) records(ctx context.Context, p sdk.Person, use func(sdk.Record) error) error {
	r, err := a.known(ctx, p)
	if err != nil {
		return err
	}
	for _, f := range r.profiles {
		if !since(p, f.seen) {
			continue
		}
		if err := use(record(storeProfiles, "profile_id", f.id, "user_id", f.user, "email_sha256", f.email, "region", f.region,
			"created_at", f.created, "last_seen", f.seen, "opted_out_at", f.optedOutAt)); err != nil {
			return err
		}
	}
	for _, n := range r.nodes {
		if n.known && !n.shared && since(p, n.lastSeen) {
			if err := use(record(storeIdentifiers, "kind", n.kind, "value", n.value, "platform", n.platform, "os", n.os, "browser", n.browser,
				"screen", n.screen, "first_seen", n.firstSeen, "last_seen", n.lastSeen, "opted_out_at", n.optedOutAt)); err != nil {
				return err
			}
		}
		for _, l := range n.links {
			if !since(p, l.at) {
				continue
			}
			if err := use(record(storeLinks, "profile_id", l.profile, "kind", n.kind, "value", n.value, "source", l.source, "linked_at", l.at)); err != nil {
				return err
			}
		}
	}
	if len(r.profiles) == 0 {
		return nil
	}
	if err := a.each(ctx, p, r, storeInferences, []string{"inference_id", "profile_id", "attribute", "value", "score", "made_at"}, use); err != nil {
		return err
	}
	return a.each(ctx, p, r, storeAudiences, []string{"audience", "profile_id", "partner", "added_at", "withdrawn_at"}, use)
}

// dated names the column that dates a record of the store.
var dated = map[string]string{storeInferences: "made_at", storeAudiences: "added_at"}

// each hands on the rows of a table that hang on r's profiles.
func (a *adtech) each(ctx context.Context, p sdk.Person, r reach, table string, columns []string, use func(sdk.Record) error) (err error) {
	where, args := in(r.profileIDs())
	query := "SELECT " + strings.Join(columns, ", ")
	when := slices.Index(columns, dated[table])
	rows, err := a.graph.db.QueryContext(ctx, query+" FROM "+table+" WHERE profile_id"+where+" ORDER BY 1, 2", args...)
	if err != nil {
		return fmt.Errorf("reading %s: %w", table, err)
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("reading %s: %w", table, err)
		}
		if !since(p, values[when].String) {
			continue
		}
		rec := sdk.Record{Store: table}
		for i, c := range columns {
			rec.Fields = append(rec.Fields, field(c, values[i].String))
		}
		if err := use(rec); err != nil {
			return err
		}
	}
	return nil
}

// record makes a record of alternating names and values.
func record(store string, pairs ...string) sdk.Record {
	r := sdk.Record{Store: store}
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Fields = append(r.Fields, field(pairs[i], pairs[i+1]))
	}
	return r
}

// field is empty as nil: the column holds nothing.
func field(name, value string) sdk.Field {
	if value == "" {
		return sdk.Field{Name: name}
	}
	return sdk.Field{Name: name, Value: value}
}

// Erase implements [sdk.Eraser]. The partners come first and the system's own
// rows last: until every partner has signed that it is done, the rows are what
// a retry knows the person by. Whoever is not known here was shared with nobody
// from here, and no partner is told of them. A look-back window limits what a
// person is shown, not what is erased.
func (a *adtech) Erase(ctx context.Context, p sdk.Person) error {
	r, err := a.known(ctx, p)
	if err != nil {
		return fmt.Errorf("erasing: %w", err)
	}
	if r.empty() {
		return ctx.Err()
	}
	told := subjectOf(p, r.profiles, r.own())
	if err := a.notify(ctx, told, func(p partner) opendsr.RequestType { return p.onErase }); err != nil {
		return fmt.Errorf("erasing at partners: %w", err)
	}
	if err := a.eraseOwn(ctx, p, told); err != nil {
		return fmt.Errorf("erasing: %w", err)
	}
	return nil
}

// errGraphChanged means that the partners were told less than there is now.
var errGraphChanged = errors.New("the identity graph grew while partners were told")

// eraseOwn removes her rows in one transaction, if they are still what the
// partners were told of.
func (a *adtech) eraseOwn(ctx context.Context, p sdk.Person, told subject) error {
	return a.graph.change(ctx, func(tx querier) error {
		r, err := a.graph.narrow(ctx, tx, p)
		if err != nil {
			return err
		}
		if r.empty() {
			return nil // another delivery of the job was faster
		}
		if now := subjectOf(p, r.profiles, r.own()); now.key() != told.key() {
			return sdk.NotYet(time.Second, errGraphChanged)
		}
		if err := a.carryOver(ctx, tx, p, r); err != nil {
			return err
		}
		if len(r.profiles) > 0 {
			where, args := in(r.profileIDs())
			for _, table := range []string{storeAudiences, storeInferences, storeLinks, storeProfiles} {
				if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE profile_id"+where, args...); err != nil {
					return fmt.Errorf("deleting from %s: %w", table, err)
				}
			}
		}
		for _, n := range r.own() {
			// Looked at again: another profile may have been linked since.
			if _, err := tx.ExecContext(ctx, `DELETE FROM identifiers WHERE kind = $1 AND value = $2
				AND NOT EXISTS (SELECT 1 FROM links l WHERE l.kind = identifiers.kind AND l.value = identifiers.value)`, n.kind, n.value); err != nil {
				return fmt.Errorf("deleting from identifiers: %w", err)
			}
		}
		return nil
	})
}

// change runs f in one transaction.
func (g *graph) change(ctx context.Context, f func(tx querier) error) error {
	tx, err := g.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("changing the identity graph: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("changing the identity graph: %w", err)
	}
	return nil
}
