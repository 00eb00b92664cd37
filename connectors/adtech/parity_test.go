package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// adGraph is a small identity graph that is made by chance, and what the rows
// say of it, read another way than the connector reads them.
type adGraph struct {
	emails map[string]string             // of profiles
	links  map[string]map[[2]string]bool // profile to cookies and devices
	nodes  [][2]string                   // kind and value
}

// fill draws a graph and stores it under names of its own.
func (b bench) fill(t *testing.T, rt *rapid.T, run int) adGraph {
	tx, err := b.db.BeginTx(t.Context(), nil)
	if err != nil {
		rt.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // when it was not committed
	exec := func(query string, args ...any) {
		if _, err := tx.ExecContext(t.Context(), query, args...); err != nil {
			rt.Fatal(err)
		}
	}
	g := adGraph{emails: map[string]string{}, links: map[string]map[[2]string]bool{}}
	const at = "2026-01-01T00:00:00Z"
	for i := range rapid.IntRange(1, 6).Draw(rt, "nodes") {
		kind := rapid.SampledFrom([]string{"cookie_id", "device_id"}).Draw(rt, "kind")
		n := [2]string{kind, fmt.Sprintf("parity-%d-%d", run, i)}
		g.nodes = append(g.nodes, n)
		exec(`INSERT INTO identifiers (kind, value, first_seen, last_seen) VALUES ($1, $2, $3, $3)`, n[0], n[1], at)
	}
	for i := range rapid.IntRange(1, 4).Draw(rt, "profiles") {
		id := fmt.Sprintf("parity-p-%d-%d", run, i)
		g.links[id] = map[[2]string]bool{}
		var hash any
		if rapid.Bool().Draw(rt, "has an address") {
			g.emails[id] = fmt.Sprintf("parity.%d.%d@example.com", run, i)
			sum := sha256.Sum256([]byte(g.emails[id]))
			hash = hex.EncodeToString(sum[:])
		}
		exec(`INSERT INTO profiles (profile_id, email_sha256, created_at, last_seen) VALUES ($1, $2, $3, $3)`, id, hash, at)
		exec(`INSERT INTO audiences (audience, profile_id, partner, added_at) VALUES ('a', $1, 'p', $2)`, id, at)
		for _, n := range g.nodes {
			if rapid.Bool().Draw(rt, "linked") {
				g.links[id][n] = true
				exec(`INSERT INTO links (profile_id, kind, value, source, linked_at) VALUES ($1, $2, $3, 'login', $4)`, id, n[0], n[1], at)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		rt.Fatal(err)
	}
	return g
}

// person draws what somebody gives: an address or a cookie of the graph, or both.
func (g adGraph) person(rt *rapid.T) sdk.Person {
	var ids []sdk.Identifier
	for _, p := range slices.Sorted(maps.Keys(g.emails)) {
		if rapid.Bool().Draw(rt, "gives the address") {
			ids = append(ids, sdk.ID(sdk.Email, g.emails[p]))
		}
	}
	for _, n := range g.nodes {
		if n[0] == "cookie_id" && rapid.Bool().Draw(rt, "gives the cookie") {
			ids = append(ids, sdk.ID(sdk.CookieID, n[1]))
		}
	}
	return sdk.NewPerson(ids...)
}

// advertised is what advertising links to a person: the profiles that have an
// identifier of theirs, and every cookie and device of those profiles.
func (g adGraph) advertised(p sdk.Person) (profiles map[string]bool, nodes map[[2]string]bool) {
	profiles, nodes = map[string]bool{}, map[[2]string]bool{}
	for _, cookie := range p.Values(sdk.CookieID) {
		nodes[[2]string{"cookie_id", cookie}] = true
	}
	for id, linked := range g.links {
		hers := g.emails[id] != "" && slices.Contains(p.Values(sdk.Email), g.emails[id])
		for n := range linked {
			hers = hers || n[0] == "cookie_id" && slices.Contains(p.Values(sdk.CookieID), n[1])
		}
		if hers {
			profiles[id] = true
			maps.Copy(nodes, linked)
		}
	}
	return profiles, nodes
}

// What advertising links to a person an opt-out reaches, whichever identifier
// they gave, and resolving for an opt-out tells other systems of the same. An
// edge that advertising would use and an opt-out does not know fails this.
func TestLinkParity_OO5(t *testing.T) {
	b := newBench(t, 0)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		g := b.fill(t, rt, run)
		person := g.person(rt).ForOptOut()
		if len(person.Identifiers()) == 0 {
			rt.Skip("nobody")
		}
		profiles, nodes := g.advertised(person)
		yielded := map[[2]string]bool{}
		ids, err := b.Resolve(t.Context(), person)
		if err != nil {
			rt.Fatal(err)
		}
		for _, id := range ids {
			yielded[[2]string{string(id.Kind), id.Value.Reveal()}] = true
		}
		if err := b.OptOut(t.Context(), person); err != nil {
			rt.Fatal(err)
		}
		for _, n := range g.nodes {
			out := b.number(t, `SELECT COUNT(*) FROM identifiers WHERE kind = $1 AND value = $2 AND opted_out_at IS NOT NULL`, n[0], n[1]) == 1
			if out != nodes[n] {
				rt.Errorf("a %s is opted out: %v, linked for advertising: %v", n[0], out, nodes[n])
			}
			if yielded[n] != nodes[n] {
				rt.Errorf("a %s is told to others: %v, linked for advertising: %v", n[0], yielded[n], nodes[n])
			}
		}
		for id := range g.links {
			out := b.number(t, `SELECT COUNT(*) FROM profiles p JOIN audiences a ON a.profile_id = p.profile_id WHERE p.profile_id = $1
				AND p.opted_out_at IS NOT NULL AND a.withdrawn_at IS NOT NULL`, id) == 1
			if out != profiles[id] {
				rt.Errorf("a profile is opted out: %v, linked for advertising: %v", out, profiles[id])
			}
		}
	})
}

// What is linked to somebody after their opt-out is told apart from what the choice
// reached, and the same opt-out made again reaches it.
func TestLinkedSinceIsAnew_OO5(t *testing.T) {
	b := newBench(t, 0)
	const at = "2026-01-01T00:00:00Z"
	sum := sha256.Sum256([]byte("linked.since@example.com"))
	link := func(profile, cookie string) {
		b.exec(t, `INSERT INTO profiles (profile_id, email_sha256, created_at, last_seen) VALUES ($1, $2, $3, $3)`, profile, hex.EncodeToString(sum[:]), at)
		b.exec(t, `INSERT INTO identifiers (kind, value, first_seen, last_seen) VALUES ('cookie_id', $1, $2, $2)`, cookie, at)
		b.exec(t, `INSERT INTO links (profile_id, kind, value, source, linked_at) VALUES ($1, 'cookie_id', $2, 'login', $3)`, profile, cookie, at)
	}
	person := sdk.NewPerson(sdk.ID(sdk.Email, "linked.since@example.com")).ForOptOut()
	standing := func(want ...sdk.Standing) {
		t.Helper()
		got, err := b.OptOutStanding(t.Context(), person)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("standing %+v, %v; want %+v", got, err, want)
		}
	}
	standing()
	link("since-p-1", "since-c-1")
	standing(sdk.Standing{Store: storeProfiles, Open: 1}, sdk.Standing{Store: storeIdentifiers, Open: 1})
	if err := b.OptOut(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	standing(sdk.Standing{Store: storeProfiles, InForce: 1}, sdk.Standing{Store: storeIdentifiers, InForce: 1})
	link("since-p-2", "since-c-2")
	b.exec(t, `INSERT INTO audiences (audience, profile_id, partner, added_at) VALUES ('back', 'since-p-1', 'p', $1)`, at)
	if out, err := b.OptedOut(t.Context(), person); err != nil || out {
		t.Errorf("opted out with a new profile: %v, %v", out, err)
	}
	standing(sdk.Standing{Store: storeProfiles, Open: 2}, sdk.Standing{Store: storeIdentifiers, InForce: 1, Open: 1})
	if err := b.OptOut(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	standing(sdk.Standing{Store: storeProfiles, InForce: 2}, sdk.Standing{Store: storeIdentifiers, InForce: 2})
}
