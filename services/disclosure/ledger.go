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
	all, err := l.Each(ctx, [][]request.Identifier{ids})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all[0], func(e Entry) bool { return e.From.Before(from) || e.From.After(to) }), nil
}

// Each is [Ledger.Of] for several people, at any time, with one question to the
// store.
func (l *Ledger) Each(ctx context.Context, people [][]request.Identifier) ([][]Entry, error) {
	out := make([][]Entry, len(people))
	peppers, err := l.Keys.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	var digests [][]byte
	owners := make(map[string][]int)
	for i, ids := range people {
		for _, s := range peppers.Every(ids, store.WhyDeleted) {
			digests = append(digests, s.Digest)
			owners[string(s.Digest)] = append(owners[string(s.Digest)], i)
		}
	}
	if len(digests) == 0 {
		return out, nil
	}
	rows, err := l.Store.DisclosuresOf(ctx, digests)
	if err != nil {
		return nil, err
	}
	type one struct {
		person int
		ref    string
	}
	seen := make(map[one]bool) // one disclosure has a row for each identifier
	for k := range rows {
		d := &rows[k]
		for _, i := range owners[string(d.Digest)] {
			if key := (one{i, d.Ref}); !seen[key] {
				seen[key] = true
				out[i] = append(out[i], l.entry(d))
			}
		}
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
