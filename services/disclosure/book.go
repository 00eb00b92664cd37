package disclosure

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/regimes/tenant"
)

// Recipient is somebody who gets personal data.
type Recipient struct {
	ID, Name string
	// Kind is the category of persons it belongs to, as consumers are told.
	Kind string
	// Role is what it counts as; Contract names the contract, if there is one.
	Role     tenant.VendorRole
	Contract string
	Flows    []Flow
	Tell     tenant.Tell
	// Gives is what the company has from it.
	Gives []Supply
}

// Supply is what a source gives to one system.
type Supply struct {
	Connector    string
	Stores       []string // none is all of the connector's
	Categories   []string // statutory letters, sorted
	Fields       []string // none is all
	Since, Until time.Time
}

// of returns which of its categories were located where it goes, when any of the
// disputed fields can come of it.
func (s *Supply) of(located []Located, disputed []string) []string {
	ours := func(field string) bool {
		return slices.ContainsFunc(s.Fields, func(f string) bool { return related(f, field) })
	}
	if len(s.Fields) > 0 && len(disputed) > 0 && !slices.ContainsFunc(disputed, ours) {
		return nil
	}
	f := Flow{Connector: s.Connector, Stores: s.Stores, Categories: s.Categories}
	return f.of(located)
}

// related reports whether two names of fields are one, or one holds the other, in
// dotted words.
func related(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+".") || strings.HasPrefix(b, a+".")
}

// Flow is what a recipient gets all the time from one system.
type Flow struct {
	Connector  string
	Stores     []string // none is all of the connector's
	Categories []string // statutory letters, sorted
	Purpose    string
	As         tenant.Disclosed // what it counts as
	// Since is when it began; Until when it ended, zero while it goes on.
	Since, Until time.Time
}

// active reports whether data flowed at any time between two instants.
func (f *Flow) active(from, to time.Time) bool {
	return !f.Since.After(to) && (f.Until.IsZero() || f.Until.After(from))
}

func (f *Flow) covers(store string) bool {
	return store == "" || len(f.Stores) == 0 || slices.Contains(f.Stores, store)
}

// Book is the company's recipients. The zero value has none.
type Book struct {
	recipients []Recipient
	byID       map[string]int
}

// NewBook reads a company's file. Days are those of the zone. Vendors without an
// id are in no book; the linter says so.
func NewBook(t *tenant.Tenant, zone *time.Location) *Book {
	b := &Book{byID: make(map[string]int)}
	for i := range t.Vendors {
		v := &t.Vendors[i]
		if _, twice := b.byID[v.ID]; v.ID == "" || twice {
			continue
		}
		r := Recipient{ID: v.ID, Name: v.Name, Kind: cmp.Or(v.Kind, v.Name), Role: v.Counts(), Contract: v.Contract, Tell: v.Tell}
		for k := range v.Gets {
			f := &v.Gets[k]
			flow := Flow{Connector: f.From, Stores: f.Stores, Categories: letters(f.Categories), Purpose: f.Purpose, As: v.As(f.As), Since: f.Since.Start(zone)}
			if !f.Until.IsZero() {
				flow.Until = f.Until.End(zone)
			}
			r.Flows = append(r.Flows, flow)
		}
		for k := range v.Gives {
			s := &v.Gives[k]
			supply := Supply{Connector: s.To, Stores: s.Stores, Categories: letters(s.Categories), Fields: s.Fields, Since: s.Since.Start(zone)}
			if !s.Until.IsZero() {
				supply.Until = s.Until.End(zone)
			}
			r.Gives = append(r.Gives, supply)
		}
		b.byID[v.ID] = len(b.recipients)
		b.recipients = append(b.recipients, r)
	}
	return b
}

func letters(all []string) []string {
	out := slices.Clone(all)
	slices.Sort(out)
	return slices.Compact(out)
}

// Recipients are all of them, in the order of the file.
func (b *Book) Recipients() []Recipient {
	if b == nil {
		return nil
	}
	return b.recipients
}

// Recipient returns one of them.
func (b *Book) Recipient(id string) (Recipient, bool) {
	if b == nil {
		return Recipient{}, false
	}
	i, ok := b.byID[id]
	if !ok {
		return Recipient{}, false
	}
	return b.recipients[i], true
}

// Located is what one connector found of a person in one store; without a store,
// in any of them.
type Located struct {
	Connector, Store string
	// Letters are the categories it was counted under; none is all that the
	// store may hold.
	Letters []string
}

// Entry is one line of what became of a person's data: a recipient and what it
// got.
type Entry struct {
	Recipient  Recipient
	Categories []string // statutory letters, sorted
	As         tenant.Disclosed
	Purpose    string
	Connector  string // where it came from; "" when that is not known
	// From and To are when: one instant twice, or a time over which it flowed. To
	// is zero while it goes on.
	From, To time.Time
	// Standing says that it follows from a flow and what was located; otherwise
	// the ledger says so of this person.
	Standing bool
}

// Flowed returns what the standing flows gave away of what was located between
// two instants.
func (b *Book) Flowed(located []Located, from, to time.Time) []Entry {
	var out []Entry
	for _, r := range b.Recipients() {
		for k := range r.Flows {
			f := &r.Flows[k]
			if !f.active(from, to) {
				continue
			}
			if got := f.of(located); len(got) > 0 {
				out = append(out, Entry{
					Recipient: r, Categories: got, As: f.As, Purpose: f.Purpose, Connector: f.Connector, From: f.Since, To: f.Until, Standing: true,
				})
			}
		}
	}
	return out
}

// Source is somebody from whom the company has something that was located.
type Source struct {
	Recipient  Recipient
	Categories []string // statutory letters, sorted
}

// Sources returns from whom the company has what was located, and can have the
// disputed fields, in the order of the file. A source that gives nothing any more
// counts: what it gave is still there.
func (b *Book) Sources(located []Located, disputed []string, now time.Time) []Source {
	var out []Source
	for _, r := range b.Recipients() {
		var got []string
		for k := range r.Gives {
			if s := &r.Gives[k]; !s.Since.After(now) {
				got = append(got, s.of(located, disputed)...)
			}
		}
		if len(got) > 0 {
			out = append(out, Source{Recipient: r, Categories: letters(got)})
		}
	}
	return out
}

// of returns which of a flow's categories were located where it begins.
func (f *Flow) of(located []Located) []string {
	var got []string
	for _, l := range located {
		if l.Connector != f.Connector || !f.covers(l.Store) {
			continue
		}
		for _, letter := range f.Categories {
			if len(l.Letters) == 0 || slices.Contains(l.Letters, letter) {
				got = append(got, letter)
			}
		}
	}
	return letters(got)
}
