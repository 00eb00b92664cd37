package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// graph is the ad-tech database: profiles tied by links to the cookies and
// devices they were seen on. A profile is what the system takes for one
// consumer; it may be pseudonymous. The statements are plain SQL with $n
// placeholders, which SQLite and PostgreSQL both take.
type graph struct {
	db      *sql.DB
	checked atomic.Bool // the tables are there
}

// querier is a database or a transaction in it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

type profile struct {
	id, user, email, region   string // email is the lower-case hex SHA-256 of the address
	created, seen, optedOutAt string // RFC 3339; empty when not
}

// node is a cookie or a device, with the person's links to it. One that no
// profile has and that was found by its own value has no links.
type node struct {
	kind, value, platform, os, browser, screen string
	firstSeen, lastSeen, optedOutAt            string
	links                                      []link
	shared                                     bool // somebody else's profile has it too
	known                                      bool // it is in the identifiers table
}

// link ties a profile to a node.
type link struct{ profile, source, at string }

// reach is the part of the graph that belongs to one person.
type reach struct {
	profiles []profile
	nodes    []node
}

func (r reach) empty() bool { return len(r.profiles) == 0 && len(r.nodes) == 0 }

func (r reach) profileIDs() []string {
	ids := make([]string, len(r.profiles))
	for i, p := range r.profiles {
		ids[i] = p.id
	}
	return ids
}

// has reports whether r has one of the profiles.
func (r reach) has(ids []string) bool {
	return slices.ContainsFunc(r.profiles, func(p profile) bool { return slices.Contains(ids, p.id) })
}

// own are the nodes that nobody else's profile is linked to.
func (r reach) own() []node {
	return slices.DeleteFunc(slices.Clone(r.nodes), func(n node) bool { return n.shared })
}

// errAmbiguous says what a person has to decide. It is permanent: the same
// identifiers will reach the same people again.
func errAmbiguous(what string) error {
	return sdk.Permanent(sdk.WithCode(sdk.Ambiguous, fmt.Errorf("the identifiers reach more than one person: %s", what)))
}

// narrow finds what is surely hers and hers alone: the profiles with her
// account or e-mail address, and those that a cookie or device of hers leads to
// when it leads to nobody else. It refuses rather than mix two people.
func (g *graph) narrow(ctx context.Context, q querier, p sdk.Person) (reach, error) {
	var r reach
	var err error
	if r.profiles, err = g.profilesOf(ctx, q, p); err != nil {
		return reach{}, err
	}
	var shared [][]string
	for _, id := range nodesOf(p) {
		profiles, err := g.linkedTo(ctx, q, id)
		if err != nil {
			return reach{}, err
		}
		switch {
		case r.has(profiles):
		case len(profiles) == 0:
			if err := g.addOrphan(ctx, q, &r, id); err != nil {
				return reach{}, err
			}
		case len(profiles) > 1:
			shared = append(shared, profiles)
		default:
			more, err := g.profilesIn(ctx, q, "profile_id", profiles)
			if err != nil {
				return reach{}, err
			}
			r.profiles = append(r.profiles, more...)
		}
	}
	for _, profiles := range shared {
		if !r.has(profiles) {
			return reach{}, errAmbiguous("a cookie or device is shared; the job needs an e-mail address or a user id as well")
		}
	}
	if err := contradiction(p, r.profiles); err != nil {
		return reach{}, err
	}
	return g.withNodes(ctx, q, r)
}

// contradiction refuses profiles that carry somebody else's account or e-mail
// address: a cookie can outlive its owner.
func contradiction(p sdk.Person, profiles []profile) error {
	users, emails := p.Values(sdk.UserID), hashes(p.Values(sdk.Email))
	var otherUsers, otherEmails []string
	for _, f := range profiles {
		if slices.Contains(users, f.user) || slices.Contains(emails, f.email) {
			continue // by a name of her own: what else it says is hers as well
		}
		if f.user != "" && !slices.Contains(otherUsers, f.user) {
			otherUsers = append(otherUsers, f.user)
		}
		if f.email != "" && !slices.Contains(otherEmails, f.email) {
			otherEmails = append(otherEmails, f.email)
		}
	}
	if len(users) > 0 && len(otherUsers) > 0 || len(otherUsers) > 1 {
		return errAmbiguous("a cookie or device leads to a profile of another account")
	}
	if len(emails) > 0 && len(otherEmails) > 0 || len(otherEmails) > 1 {
		return errAmbiguous("a cookie or device leads to a profile of another e-mail address")
	}
	return nil
}

// wide finds everything an opt-out must cover: every profile tied to any of her
// identifiers, shared or not, and every cookie and device tied to those. The
// links used to advertise are used to honour the choice (11 CCR 7025(c)(1)).
func (g *graph) wide(ctx context.Context, q querier, p sdk.Person) (reach, error) {
	var r reach
	var err error
	if r.profiles, err = g.profilesOf(ctx, q, p); err != nil {
		return reach{}, err
	}
	for _, id := range nodesOf(p) {
		profiles, err := g.linkedTo(ctx, q, id)
		if err != nil {
			return reach{}, err
		}
		if len(profiles) == 0 {
			if err := g.addOrphan(ctx, q, &r, id); err != nil {
				return reach{}, err
			}
		}
		more, err := g.profilesIn(ctx, q, "profile_id", profiles)
		if err != nil {
			return reach{}, err
		}
		for _, f := range more {
			if !r.has([]string{f.id}) {
				r.profiles = append(r.profiles, f)
			}
		}
	}
	return g.withNodes(ctx, q, r)
}

// nodesOf are the cookies and devices of p.
func nodesOf(p sdk.Person) []sdk.Identifier { return p.Only(sdk.CookieID, sdk.DeviceID).Identifiers() }

// hashes are the e-mail addresses as the database knows them.
func hashes(emails []string) []string {
	out := make([]string, len(emails))
	for i, e := range emails {
		sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(e))))
		out[i] = hex.EncodeToString(sum[:])
	}
	return out
}

// profilesOf finds profiles by account and e-mail address.
func (g *graph) profilesOf(ctx context.Context, q querier, p sdk.Person) ([]profile, error) {
	profiles, err := g.profilesIn(ctx, q, "user_id", p.Values(sdk.UserID))
	if err != nil {
		return nil, err
	}
	byEmail, err := g.profilesIn(ctx, q, "email_sha256", hashes(p.Values(sdk.Email)))
	if err != nil {
		return nil, err
	}
	for _, f := range byEmail {
		if !slices.ContainsFunc(profiles, func(have profile) bool { return have.id == f.id }) {
			profiles = append(profiles, f)
		}
	}
	return profiles, nil
}

// profilesIn finds the profiles whose column, one of ours, has one of values.
func (g *graph) profilesIn(ctx context.Context, q querier, column string, values []string) ([]profile, error) {
	if len(values) == 0 {
		return nil, nil
	}
	where, args := in(values)
	return collect(ctx, q, `SELECT profile_id, COALESCE(user_id, ''), COALESCE(email_sha256, ''), COALESCE(region, ''), created_at, last_seen, COALESCE(opted_out_at, '')
		FROM profiles WHERE `+column+where+` ORDER BY profile_id`, args,
		func(rows *sql.Rows) (f profile, err error) {
			err = rows.Scan(&f.id, &f.user, &f.email, &f.region, &f.created, &f.seen, &f.optedOutAt)
			return f, err
		})
}

// linkedTo returns the profiles that have the cookie or device.
func (g *graph) linkedTo(ctx context.Context, q querier, id sdk.Identifier) ([]string, error) {
	return collect(ctx, q, `SELECT profile_id FROM links WHERE kind = $1 AND value = $2 ORDER BY profile_id`,
		[]any{string(id.Kind), id.Value.Reveal()},
		func(rows *sql.Rows) (s string, err error) {
			err = rows.Scan(&s)
			return s, err
		})
}

const nodeColumns = `COALESCE(i.platform, ''), COALESCE(i.os, ''), COALESCE(i.browser, ''), COALESCE(i.screen, ''),
	COALESCE(i.first_seen, ''), COALESCE(i.last_seen, ''), COALESCE(i.opted_out_at, '')`

func (n *node) columns() []any {
	return []any{&n.platform, &n.os, &n.browser, &n.screen, &n.firstSeen, &n.lastSeen, &n.optedOutAt}
}

// addOrphan adds a cookie or device that is known and tied to no profile: the
// only person it can be of is the one who named it.
func (g *graph) addOrphan(ctx context.Context, q querier, r *reach, id sdk.Identifier) error {
	nodes, err := collect(ctx, q, `SELECT i.kind, i.value, `+nodeColumns+` FROM identifiers i WHERE i.kind = $1 AND i.value = $2`,
		[]any{string(id.Kind), id.Value.Reveal()}, func(rows *sql.Rows) (node, error) {
			n := node{known: true}
			err := rows.Scan(append([]any{&n.kind, &n.value}, n.columns()...)...)
			return n, err
		})
	r.nodes = append(r.nodes, nodes...)
	return err
}

// withNodes adds the cookies and devices of r's profiles.
func (g *graph) withNodes(ctx context.Context, q querier, r reach) (reach, error) {
	if len(r.profiles) == 0 {
		return r, nil
	}
	mine, args := in(r.profileIDs())
	linked, err := collect(ctx, q, `SELECT l.profile_id, l.source, l.linked_at, l.kind, l.value,
			EXISTS (SELECT 1 FROM links o WHERE o.kind = l.kind AND o.value = l.value AND NOT o.profile_id`+mine+`),
			CASE WHEN i.kind IS NULL THEN 0 ELSE 1 END, `+nodeColumns+`
		FROM links l LEFT JOIN identifiers i ON i.kind = l.kind AND i.value = l.value
		WHERE l.profile_id`+mine+` ORDER BY l.kind, l.value, l.profile_id`, args,
		func(rows *sql.Rows) (node, error) {
			n := node{links: make([]link, 1)}
			l := &n.links[0]
			err := rows.Scan(append([]any{&l.profile, &l.source, &l.at, &n.kind, &n.value, &n.shared, &n.known}, n.columns()...)...)
			return n, err
		})
	for _, n := range linked {
		if last := len(r.nodes) - 1; last >= 0 && r.nodes[last].kind == n.kind && r.nodes[last].value == n.value {
			r.nodes[last].links = append(r.nodes[last].links, n.links...)
			continue
		}
		r.nodes = append(r.nodes, n)
	}
	return r, err
}

// in makes the condition "IN ($1, ...)" for values.
func in(values []string) (condition string, args []any) {
	marks := make([]string, len(values))
	for i, v := range values {
		marks[i] = fmt.Sprintf("$%d", i+1)
		args = append(args, v)
	}
	return " IN (" + strings.Join(marks, ", ") + ")", args
}

// collect runs a query and scans each row. Its errors name no value: they are
// about statements and connections.
func collect[T any](ctx context.Context, q querier, query string, args []any, scan func(*sql.Rows) (T, error)) (list []T, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the identity graph: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the identity graph: %w", err)
		}
		list = append(list, item)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the identity graph: %w", err)
	}
	return list, nil
}

// count runs a query for one number.
func count(ctx context.Context, q querier, query string, args []any) (int64, error) {
	list, err := collect(ctx, q, query, args, func(rows *sql.Rows) (n int64, err error) {
		err = rows.Scan(&n)
		return n, err
	})
	if err != nil || len(list) == 0 {
		return 0, err
	}
	return list[0], nil
}

// since reports whether a record dated when is inside p's look-back window.
func since(p sdk.Person, when string) bool {
	if p.Since().IsZero() {
		return true
	}
	at, err := time.Parse(time.RFC3339, when)
	return err != nil || !at.Before(p.Since()) // what has no date is not left out
}
