package disclosure

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// Ledger is the book with what was given away of single persons.
type Ledger struct {
	Book  *Book
	Store store.Disclosures
	// Keys makes the digests; they are those of the suppression list.
	Keys *suppression.List
}

// Of returns what the ledger says of the person of these identifiers between
// two instants, oldest first. The identifiers are in canonical form. An entry
// whose recipient is not in the book any more has its id for a name and counts
// as a third party.
func (l *Ledger) Of(ctx context.Context, ids []request.Identifier, from, to time.Time) ([]Entry, error) {
	digests, err := l.digests(ctx, ids)
	if err != nil || len(digests) == 0 {
		return nil, err
	}
	rows, err := l.Store.DisclosuresOf(ctx, digests)
	if err != nil {
		return nil, err
	}
	var out []Entry
	seen := make(map[string]bool) // one disclosure has a row for each identifier
	for i := range rows {
		d := &rows[i]
		if d.At.Before(from) || d.At.After(to) || seen[d.Ref] {
			continue
		}
		seen[d.Ref] = true
		out = append(out, l.entry(d))
	}
	return out, nil
}

func (l *Ledger) digests(ctx context.Context, ids []request.Identifier) ([][]byte, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	peppers, err := l.Keys.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, s := range peppers.Every(ids, store.WhyDeleted) {
		out = append(out, s.Digest)
	}
	return out, nil
}

func (l *Ledger) entry(d *store.Disclosure) Entry {
	r, known := l.Book.Recipient(d.Recipient)
	if !known {
		r = Recipient{ID: d.Recipient, Name: d.Recipient, Kind: d.Recipient, Role: tenant.ThirdParty}
	}
	return Entry{
		Recipient: r, Categories: letters(strings.Split(d.Letters, "")), As: counts(r, tenant.Disclosed(d.As)), Purpose: d.Purpose,
		Connector: d.Connector, From: d.At, To: d.At,
	}
}

// counts is what a disclosure to a recipient counts as.
func counts(r Recipient, as tenant.Disclosed) tenant.Disclosed {
	return tenant.Vendor{Role: r.Role, Contract: r.Contract}.As(as)
}

// Given is all that was given away of a person between two instants: what
// flowed of what was located and what the ledger says, by recipient.
func (l *Ledger) Given(ctx context.Context, located []Located, ids []request.Identifier, from, to time.Time) ([]Entry, error) {
	own, err := l.Of(ctx, ids, from, to)
	if err != nil {
		return nil, err
	}
	out := append(l.Book.Flowed(located, from, to), own...)
	slices.SortStableFunc(out, func(a, b Entry) int { return strings.Compare(a.Recipient.ID, b.Recipient.ID) })
	return out, nil
}
