package sqlmap

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// ListRules say which columns of a collection are what lists of people, such as
// a state's deletion lists, can name somebody by. Where a collection has them
// the connector can say whom it holds ([sdk.Lister]).
type ListRules struct {
	// Key is the column of the company's own number for the person, which is the
	// same in every system that is listed.
	Key string `yaml:"key"`
	// Emails and the others are the columns of values of their kind.
	Emails         []string `yaml:"emails"`
	Phones         []string `yaml:"phones"`
	Births         []string `yaml:"births"`
	ZIPs           []string `yaml:"zips"`
	AdvertisingIDs []string `yaml:"advertising_ids"`
	TelevisionIDs  []string `yaml:"television_ids"`
	VINs           []string `yaml:"vins"`
	// Names are pairs of columns.
	Names []ListName `yaml:"names"`
	// Identifiers are columns by which connectors find the person, by kind.
	Identifiers map[string]string `yaml:"identifiers"`
}

// ListName is a name in two columns.
type ListName struct {
	First string `yaml:"first"`
	Last  string `yaml:"last"`
}

// census is a compiled rule: columns to read, and where each value goes.
type census struct {
	c      *collection
	fields []*field
	into   []func(h *sdk.Held, v sdk.Secret)
	names  [][2]int // places of first and last names in fields
}

// addCensuses compiles the collections that can be listed, in their order.
func (g *graph) addCensuses() error {
	for _, c := range g.collections {
		if c.rules.List == nil {
			continue
		}
		if c.rules.Role == "service_provider" {
			return g.m.errorAt(g.rule(c, "list"), "collection %s: rows held for a customer are the customer's to hold against lists; leave list out", c.spec.Name)
		}
		r, err := g.compileCensus(c, c.rules.List)
		if err != nil {
			return err
		}
		g.censuses = append(g.censuses, r)
	}
	return nil
}

func (g *graph) compileCensus(c *collection, l *ListRules) (*census, error) {
	r := &census{c: c}
	add := func(key, name string, into func(*sdk.Held, sdk.Secret)) error {
		f := c.field(name)
		if f == nil || len(f.way) > 0 {
			return g.m.errorAt(g.rule(c, "list")+"."+key, "collection %s has no column %s to list people by", c.spec.Name, name)
		}
		r.fields, r.into = append(r.fields, f), append(r.into, into)
		return nil
	}
	if l.Key == "" || len(l.Identifiers) == 0 {
		return nil, g.m.errorAt(g.rule(c, "list"), "collection %s: list wants key, the column of your own number for the person, and identifiers, the columns connectors find her by, such as {customer_id: id}", c.spec.Name)
	}
	if err := add("key", l.Key, func(h *sdk.Held, v sdk.Secret) { h.Key = v }); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		key   string
		names []string
		of    func(*sdk.Held) *[]sdk.Secret
	}{
		{"emails", l.Emails, func(h *sdk.Held) *[]sdk.Secret { return &h.Emails }},
		{"phones", l.Phones, func(h *sdk.Held) *[]sdk.Secret { return &h.Phones }},
		{"births", l.Births, func(h *sdk.Held) *[]sdk.Secret { return &h.Births }},
		{"zips", l.ZIPs, func(h *sdk.Held) *[]sdk.Secret { return &h.ZIPs }},
		{"advertising_ids", l.AdvertisingIDs, func(h *sdk.Held) *[]sdk.Secret { return &h.AdvertisingIDs }},
		{"television_ids", l.TelevisionIDs, func(h *sdk.Held) *[]sdk.Secret { return &h.TelevisionIDs }},
		{"vins", l.VINs, func(h *sdk.Held) *[]sdk.Secret { return &h.VINs }},
	} {
		for _, name := range s.names {
			if err := add(s.key, name, func(h *sdk.Held, v sdk.Secret) {
				if s.key == "births" {
					v = v[:min(len(v), len("2006-01-02"))] // a moment is of its day
				}
				of := s.of(h)
				*of = append(*of, v)
			}); err != nil {
				return nil, err
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(l.Identifiers)) {
		if err := add("identifiers", l.Identifiers[kind], func(h *sdk.Held, v sdk.Secret) {
			h.Identifiers = append(h.Identifiers, sdk.ID(sdk.Kind(kind), v.Reveal()))
		}); err != nil {
			return nil, err
		}
	}
	for _, n := range l.Names {
		at := len(r.fields)
		nothing := func(*sdk.Held, sdk.Secret) {}
		if err := errors.Join(add("names", n.First, nothing), add("names", n.Last, nothing)); err != nil {
			return nil, err
		}
		r.names = append(r.names, [2]int{at, at + 1})
	}
	if len(l.Emails)+len(l.Phones)+len(l.AdvertisingIDs)+len(l.TelevisionIDs)+len(l.Names) == 0 {
		return nil, g.m.errorAt(g.rule(c, "list"), "collection %s: list names no column that a list can name somebody by, such as emails: [email]", c.spec.Name)
	}
	return r, nil
}

// checkCensuses refuses tables that can't be read on from a place.
func (p *plan) checkCensuses() error {
	for _, r := range p.censuses {
		t := r.c.table
		if len(t.key) == 0 && t.rowid != "" && t.rowid != "ctid" { // a number of the database's own, by which rows are kept
			continue
		}
		if key := t.key; len(key) != 1 || key[0].class != classInt && key[0].class != classText && key[0].class != classUUID {
			return p.m.errorAt(p.rule(r.c, "list"), "collection %s: only a table whose key is one column of numbers, text or UUIDs can be listed", r.c.spec.Name)
		}
	}
	return nil
}

// Lists implements [sdk.Lister].
func (c *Connector) Lists() bool { return c.lists }

// place is where a page of people begins: after a key of the nth census.
type place struct {
	Census int    `json:"r"`
	Text   string `json:"k,omitempty"`
	Number int64  `json:"n,omitempty"`
	// Kind is "" before the first row, "t" for text, "n" for a number.
	Kind string `json:"t,omitempty"`
}

func (at place) key() (value, bool) {
	switch at.Kind {
	case "t":
		return at.Text, true
	case "n":
		return at.Number, true
	}
	return nil, false
}

func (at place) after(v value) place {
	if n, ok := v.(int64); ok {
		return place{Census: at.Census, Kind: "n", Number: n}
	}
	return place{Census: at.Census, Kind: "t", Text: written(v)}
}

// List implements [sdk.Lister]. Rows are read in the order of their key, by its
// index, so that a page costs the same wherever it is.
func (c *Connector) List(ctx context.Context, after []byte, most int) (l sdk.Listing, err error) {
	var at place
	if len(after) > 0 && json.Unmarshal(after, &at) != nil {
		return l, sdk.Permanent(errors.New("listing people: the place is none that was given out"))
	}
	err = c.within(ctx, false, func(ctx context.Context, p *plan, q querier) error {
		l = sdk.Listing{}
		if at.Census < 0 || at.Census >= len(p.censuses) {
			return nil // the map has changed, and has fewer now
		}
		r := p.censuses[at.Census]
		n, last, err := r.read(ctx, p, q, at, most, &l)
		if err != nil {
			return err
		}
		next := place{Census: at.Census + 1}
		if n == most {
			next = at.after(last)
		}
		if next.Census < len(p.censuses) {
			l.Next, err = json.Marshal(next)
		}
		return err
	})
	return l, err
}

// read adds a page of a census and says how many rows it had, and the last one's
// key.
func (r *census) read(ctx context.Context, p *plan, q querier, at place, most int, l *sdk.Listing) (n int, last value, err error) {
	id, key := r.c.table.locators("t")[0], r.c.table.locatorColumns()[0]
	exprs := []string{p.d.raw(id, key)}
	for _, f := range r.fields {
		exprs = append(exprs, p.d.raw("t."+quote(f.col.name), f.col))
	}
	with, where, args := "", "", []any(nil)
	if v, ok := at.key(); ok {
		with, args = p.d.values([][]value{{v}})
		where = " WHERE " + id + " > (SELECT " + p.d.assign(key, "u.v1") + " FROM u)"
	}
	text := fmt.Sprintf("%sSELECT %s FROM %s AS t%s ORDER BY %s LIMIT %d", with, strings.Join(exprs, ", "), r.c.table.quoted(), where, id, most)
	err = each(ctx, q, text, args, func(row []any) error {
		n, last = n+1, p.d.read(row[0])
		if h, named := r.held(p.d, row[1:]); named {
			if h.Key == "" { // nobody else's then
				h.Key = sdk.Secret(r.c.store + ":" + written(last))
			}
			l.People = append(l.People, h)
		}
		return nil
	})
	return n, last, err
}

// held makes a person of a row, and reports whether a list could name her.
func (r *census) held(d dialect, row []any) (h sdk.Held, named bool) {
	texts := make([]sdk.Secret, len(row))
	for i, v := range row {
		if v := d.read(v); v != nil {
			texts[i] = sdk.Secret(strings.TrimSpace(written(v)))
		}
		if texts[i] != "" {
			r.into[i](&h, texts[i])
		}
	}
	for _, n := range r.names {
		if texts[n[0]] != "" && texts[n[1]] != "" {
			h.Names = append(h.Names, sdk.HeldName{First: texts[n[0]], Last: texts[n[1]]})
		}
	}
	alone := len(h.Emails) + len(h.Phones) + len(h.AdvertisingIDs) + len(h.TelevisionIDs)
	return h, alone > 0 || len(h.Names) > 0 && len(h.VINs)+min(len(h.Births), len(h.ZIPs)) > 0
}
