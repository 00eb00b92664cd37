package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// digests names identifiers in the list of opt-outs without holding them: keyed
// hashes, under a key that is not in the database.
type digests struct {
	key []byte
	// choice stands before the kind in the digests of another choice than
	// opting out.
	choice string
}

func (d digests) of(kind, value string) string {
	mac := hmac.New(sha256.New, d.key)
	mac.Write([]byte(d.choice + kind + "\x00" + value))
	return hex.EncodeToString(mac.Sum(nil))
}

// ofPerson digests the identifiers of p that the system accepts.
func (d digests) ofPerson(p sdk.Person) []string {
	var list []string
	for _, id := range nodesOf(p) {
		list = append(list, d.of(string(id.Kind), id.Value.Reveal()))
	}
	for _, user := range p.Values(sdk.UserID) {
		list = append(list, d.of(string(sdk.UserID), user))
	}
	for _, hash := range hashes(p.Values(sdk.Email)) {
		list = append(list, d.of(string(sdk.Email), hash))
	}
	return list
}

// ofReach digests everything in r.
func (d digests) ofReach(r reach, nodes []node) []string {
	var list []string
	for _, f := range r.profiles {
		if f.user != "" {
			list = append(list, d.of(string(sdk.UserID), f.user))
		}
		if f.email != "" {
			list = append(list, d.of(string(sdk.Email), f.email))
		}
	}
	for _, n := range nodes {
		list = append(list, d.of(n.kind, n.value))
	}
	return list
}

// OptOut implements [sdk.OptOuter]. Its own effect is in force when it returns,
// whatever the partners do: the choice is remembered for every identifier,
// known or not; every profile, cookie and device it reaches is marked; and the
// profiles are withdrawn from all audiences. Then the partners are told.
func (a *adtech) OptOut(ctx context.Context, p sdk.Person) error {
	if len(a.digests.ofPerson(p)) == 0 {
		return ctx.Err()
	}
	if err := a.graph.ready(ctx); err != nil {
		return fmt.Errorf("opting out: %w", err)
	}
	var r reach
	err := a.graph.change(ctx, func(tx querier) error {
		var err error
		if r, err = a.graph.wide(ctx, tx, p); err != nil {
			return err
		}
		if err := a.remember(ctx, tx, append(a.digests.ofPerson(p), a.digests.ofReach(r, r.nodes)...)); err != nil {
			return err
		}
		return a.mark(ctx, tx, r)
	})
	if err != nil {
		return fmt.Errorf("opting out: %w", err)
	}
	if err := a.notify(ctx, subjectOf(p, r.profiles, r.nodes).withNamed(p), func(p partner) opendsr.RequestType { return p.onOptOut }); err != nil {
		return fmt.Errorf("telling partners of an opt-out: %w", err)
	}
	return nil
}

// mark writes the choice on everything it reaches.
func (a *adtech) mark(ctx context.Context, tx querier, r reach) error {
	now := a.stamp()
	for _, f := range r.profiles {
		if _, err := tx.ExecContext(ctx, `UPDATE profiles SET opted_out_at = $1 WHERE profile_id = $2 AND opted_out_at IS NULL`, now, f.id); err != nil {
			return fmt.Errorf("marking a profile: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `UPDATE audiences SET withdrawn_at = $1 WHERE profile_id = $2 AND withdrawn_at IS NULL`, now, f.id); err != nil {
			return fmt.Errorf("withdrawing a profile from audiences: %w", err)
		}
	}
	for _, n := range r.nodes {
		if _, err := tx.ExecContext(ctx, `UPDATE identifiers SET opted_out_at = $1 WHERE kind = $2 AND value = $3 AND opted_out_at IS NULL`, now, n.kind, n.value); err != nil {
			return fmt.Errorf("marking an identifier: %w", err)
		}
	}
	return nil
}

// remember adds the digests to the list of opt-outs as one choice. What is on
// the list already stays as it is.
func (a *adtech) remember(ctx context.Context, tx querier, list []string) error {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	known, err := a.remembered(ctx, tx, list)
	if err != nil || known == len(list) {
		return err
	}
	sum := sha256.Sum256([]byte(strings.Join(list, "\x00")))
	choice := hex.EncodeToString(sum[:16])
	if _, err := tx.ExecContext(ctx, `INSERT INTO opt_outs (opt_out_id, source, recorded_at) VALUES ($1, 'request', $2) ON CONFLICT (opt_out_id) DO NOTHING`, choice, a.stamp()); err != nil {
		return fmt.Errorf("remembering an opt-out: %w", err)
	}
	for _, digest := range list {
		if _, err := tx.ExecContext(ctx, `INSERT INTO opt_out_keys (digest, opt_out_id) VALUES ($1, $2) ON CONFLICT (digest, opt_out_id) DO NOTHING`, digest, choice); err != nil {
			return fmt.Errorf("remembering an opt-out: %w", err)
		}
	}
	return nil
}

// remembered counts how many of the digests are on the list.
func (a *adtech) remembered(ctx context.Context, q querier, list []string) (int, error) {
	if len(list) == 0 {
		return 0, ctx.Err()
	}
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	where, args := in(list)
	n, err := count(ctx, q, `SELECT COUNT(DISTINCT digest) FROM opt_out_keys WHERE digest`+where, args)
	return int(n), err
}

// OptIn implements [sdk.Resumer]: it forgets the choice of the identifiers she
// named and of what is hers alone, and takes the marks off. A browser or device
// that she shares with somebody and did not name stays opted out, and what the
// opt-out withdrew from audiences is not put back. Partners are not told: OpenDSR has no request that takes a
// suppression back, so they go on suppressing her until the company tells them
// another way.
func (a *adtech) OptIn(ctx context.Context, p sdk.Person) error {
	if len(a.digests.ofPerson(p)) == 0 {
		return ctx.Err()
	}
	if err := a.graph.ready(ctx); err != nil {
		return fmt.Errorf("opting in: %w", err)
	}
	err := a.graph.change(ctx, func(tx querier) error {
		r, err := a.graph.wide(ctx, tx, p)
		if err != nil {
			return err
		}
		r = r.only(p)
		if err := a.forget(ctx, tx, append(a.digests.ofPerson(p), a.digests.ofReach(r, r.nodes)...)); err != nil {
			return err
		}
		return a.unmark(ctx, tx, p, r)
	})
	if err != nil {
		return fmt.Errorf("opting in: %w", err)
	}
	return nil
}

// only is the part of r that is p's and nobody else's: her profile, which has an
// account or address of hers or is the only one in reach, and what is tied to
// nothing else.
func (r reach) only(p sdk.Person) reach {
	var own reach
	for _, f := range r.profiles {
		if len(r.profiles) == 1 || slices.Contains(p.Values(sdk.UserID), f.user) || slices.Contains(hashes(p.Values(sdk.Email)), f.email) {
			own.profiles = append(own.profiles, f)
		}
	}
	for _, n := range r.own() {
		if len(n.links) > 0 && !slices.ContainsFunc(n.links, func(l link) bool { return !own.has([]string{l.profile}) }) {
			own.nodes = append(own.nodes, n)
		}
	}
	return own
}

// forget takes digests off the list of opt-outs, and choices that have none
// left.
func (a *adtech) forget(ctx context.Context, tx querier, list []string) error {
	where, args := in(slices.Compact(slices.Sorted(slices.Values(list))))
	if _, err := tx.ExecContext(ctx, `DELETE FROM opt_out_keys WHERE digest`+where, args...); err != nil {
		return fmt.Errorf("forgetting an opt-out: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM opt_outs WHERE opt_out_id NOT IN (SELECT opt_out_id FROM opt_out_keys)`); err != nil {
		return fmt.Errorf("forgetting an opt-out: %w", err)
	}
	return nil
}

// unmark takes the marks off r and the cookies and devices she named.
func (a *adtech) unmark(ctx context.Context, tx querier, p sdk.Person, r reach) error {
	for _, f := range r.profiles {
		if _, err := tx.ExecContext(ctx, `UPDATE profiles SET opted_out_at = NULL WHERE profile_id = $1`, f.id); err != nil {
			return fmt.Errorf("unmarking a profile: %w", err)
		}
	}
	named := nodesOf(p)
	for _, n := range r.nodes {
		named = append(named, sdk.ID(sdk.Kind(n.kind), n.value))
	}
	for _, id := range named {
		if _, err := tx.ExecContext(ctx, `UPDATE identifiers SET opted_out_at = NULL WHERE kind = $1 AND value = $2`, string(id.Kind), id.Value.Reveal()); err != nil {
			return fmt.Errorf("unmarking an identifier: %w", err)
		}
	}
	return nil
}

// carryOver makes sure that somebody who had opted out stays opted out when her
// rows are gone (Civ. Code 1798.105(c)(2)).
func (a *adtech) carryOver(ctx context.Context, tx querier, p sdk.Person, r reach) error {
	list := append(a.digests.ofPerson(p), a.digests.ofReach(r, r.own())...)
	known, err := a.remembered(ctx, tx, list)
	if err != nil {
		return err
	}
	marked := slices.ContainsFunc(r.profiles, func(f profile) bool { return f.optedOutAt != "" })
	if known == 0 && !marked {
		return nil
	}
	return a.remember(ctx, tx, list)
}

// OptedOut implements [sdk.OptOuter]: the choice is remembered for every
// identifier of hers, and everything the identifiers reach is marked and in no
// audience.
func (a *adtech) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	in, err := a.optedOut(ctx, p)
	if err != nil {
		return false, fmt.Errorf("checking an opt-out: %w", err)
	}
	return in, nil
}

func (a *adtech) optedOut(ctx context.Context, p sdk.Person) (bool, error) {
	if err := a.graph.ready(ctx); err != nil {
		return false, err
	}
	list := slices.Compact(slices.Sorted(slices.Values(a.digests.ofPerson(p))))
	known, err := a.remembered(ctx, a.graph.db, list)
	if err != nil || len(list) == 0 || known < len(list) {
		return false, err
	}
	r, err := a.graph.wide(ctx, a.graph.db, p)
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(r.profiles, func(f profile) bool { return f.optedOutAt == "" }) ||
		slices.ContainsFunc(r.nodes, func(n node) bool { return n.known && n.optedOutAt == "" }) {
		return false, nil
	}
	if len(r.profiles) == 0 {
		return true, nil
	}
	where, args := in(r.profileIDs())
	active, err := count(ctx, a.graph.db, `SELECT COUNT(*) FROM audiences WHERE withdrawn_at IS NULL AND profile_id`+where, args)
	return active == 0, err
}

// OptOutStanding implements [sdk.StandingTeller]: of the profiles, cookies and devices
// that advertising links to p by now, those that are marked, and those that are not.
// A profile that is back in an audience counts among these.
func (a *adtech) OptOutStanding(ctx context.Context, p sdk.Person) ([]sdk.Standing, error) {
	if err := a.graph.ready(ctx); err != nil {
		return nil, fmt.Errorf("looking how far an opt-out is in force: %w", err)
	}
	r, err := a.graph.wide(ctx, a.graph.db, p)
	if err != nil {
		return nil, fmt.Errorf("looking how far an opt-out is in force: %w", err)
	}
	active, err := a.advertised(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("looking how far an opt-out is in force: %w", err)
	}
	profiles, identifiers := sdk.Standing{Store: storeProfiles}, sdk.Standing{Store: storeIdentifiers}
	for _, f := range r.profiles {
		if f.optedOutAt == "" || active[f.id] {
			profiles.Open++
		} else {
			profiles.InForce++
		}
	}
	for _, n := range r.nodes {
		switch {
		case !n.known:
		case n.optedOutAt == "":
			identifiers.Open++
		default:
			identifiers.InForce++
		}
	}
	return slices.DeleteFunc([]sdk.Standing{profiles, identifiers}, func(s sdk.Standing) bool { return s.InForce+s.Open == 0 }), nil
}

// advertised are the profiles of r that are in an audience.
func (a *adtech) advertised(ctx context.Context, r reach) (ids map[string]bool, err error) {
	if len(r.profiles) == 0 {
		return nil, nil
	}
	where, args := in(r.profileIDs())
	query := "SELECT DISTINCT profile_id FROM audiences WHERE withdrawn_at IS NULL"
	rows, err := a.graph.db.QueryContext(ctx, query+" AND profile_id"+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading audiences: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Err(), rows.Close()) }()
	ids = map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("reading audiences: %w", err)
		}
		ids[id] = true
	}
	return ids, nil
}

func (a *adtech) stamp() string { return a.now().UTC().Format(time.RFC3339) }
