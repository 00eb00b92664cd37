package sdk

import (
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Kind is a kind of identifier, such as "email". Kinds are lower-case words
// joined by underscores; both ends of the bus compare them byte by byte.
type Kind string

// The kinds every deployment knows. A data map may define more.
const (
	Email      Kind = "email"       // normalised: trimmed, lower case
	Phone      Kind = "phone"       // E.164
	Name       Kind = "name"        // a full name: never enough to act on alone
	CustomerID Kind = "customer_id" // the company's account or customer number
	UserID     Kind = "user_id"     // the product's internal user identifier
	DeviceID   Kind = "device_id"   // a device or advertising identifier
	CookieID   Kind = "cookie_id"   // a browser's first- or third-party cookie
)

const redacted = "[redacted]"

// Secret is a string that holds personal data or a credential. Printing,
// logging and JSON show "[redacted]"; [Secret.Reveal] gives the value.
type Secret string

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// String implements [fmt.Stringer] without showing the value.
func (Secret) String() string { return redacted }

// GoString implements [fmt.GoStringer] without showing the value.
func (Secret) GoString() string { return redacted }

// Format implements [fmt.Formatter] so that no verb shows the value.
func (Secret) Format(s fmt.State, _ rune) { _, _ = fmt.Fprint(s, redacted) }

// LogValue implements [slog.LogValuer] without showing the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] without showing the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Identifier is one value by which a system may know a person. Its value is
// personal data: an Identifier prints as its kind only.
type Identifier struct {
	Kind  Kind
	Value Secret
}

// ID makes an Identifier.
func ID(kind Kind, value string) Identifier { return Identifier{Kind: kind, Value: Secret(value)} }

// String implements [fmt.Stringer]: the kind, never the value.
func (id Identifier) String() string { return string(id.Kind) + "=" + redacted }

// Person is whom a job is about: the identifiers known of one consumer.
// The zero Person has none. A Person prints as the kinds it has, never their
// values.
type Person struct {
	ids      []Identifier
	since    time.Time
	excluded []string
	optOut   bool
	removed  *removals
}

// NewPerson makes a Person of the identifiers, without duplicates.
func NewPerson(ids ...Identifier) Person {
	p := Person{}
	for _, id := range ids {
		if id.Value != "" && !slices.Contains(p.ids, id) {
			p.ids = append(p.ids, id)
		}
	}
	return p
}

// With returns p with more identifiers.
func (p Person) With(ids ...Identifier) Person {
	q := NewPerson(append(slices.Clone(p.ids), ids...)...)
	q.since, q.excluded, q.optOut, q.removed = p.since, p.excluded, p.optOut, p.removed
	return q
}

// Without returns p as one whose records in the given stores are left alone.
func (p Person) Without(stores ...string) Person {
	p.excluded = append(slices.Clip(p.excluded), stores...)
	return p
}

// Covers reports whether the job reaches the person's records in a store. Locate
// counts the others all the same; Erase of a [Scoped] connector leaves them.
func (p Person) Covers(store string) bool { return !slices.Contains(p.excluded, store) }

// CoversAll reports whether the job reaches all stores.
func (p Person) CoversAll() bool { return len(p.excluded) == 0 }

// WithSince returns p limited to records on or after t; the zero time lifts
// the limit (11 CCR 7024(h), the look-back window).
func (p Person) WithSince(t time.Time) Person {
	p.since = t
	return p
}

// Since is the start of the look-back window, or the zero time for everything.
func (p Person) Since() time.Time { return p.since }

// ForOptOut returns p as somebody who opts out of sale and sharing.
func (p Person) ForOptOut() Person {
	p.optOut = true
	return p
}

// OptsOut reports whether the job is a part of an opt-out of sale and sharing.
// What is linked to the person for advertising counts as theirs then, also when
// it is not surely theirs alone: a [Resolver] yields it, so that the choice holds
// wherever the link is used (11 CCR 7025(c)(1)).
func (p Person) OptsOut() bool { return p.optOut }

// Removed tells the runtime that n of the person's records in a store were removed
// although its manifest says that erasing leaves them deidentified, emptied or
// masked. Say it after the removal is durable, so that what is rolled back is never
// counted. What is not said, because a crash came between, counts as left: never
// as erased. It is safe for concurrent use and does nothing outside an erasure.
func (p Person) Removed(store string, n int64) { p.removed.add(store, n) }

// CountRemoved returns p as one of whom removals are counted, and a function that
// gives what [Person.Removed] told so far, by store. The runtime does this; tests
// may.
func (p Person) CountRemoved() (Person, func() map[string]int64) {
	p.removed = &removals{}
	return p, p.removed.all
}

// Identifiers returns a copy of all identifiers.
func (p Person) Identifiers() []Identifier { return slices.Clone(p.ids) }

// Kinds returns the kinds p has, each once, in order of first appearance.
func (p Person) Kinds() []Kind {
	var kinds []Kind
	for _, id := range p.ids {
		if !slices.Contains(kinds, id.Kind) {
			kinds = append(kinds, id.Kind)
		}
	}
	return kinds
}

// Values returns the values of one kind, in clear. Handle them as what they
// are: never in an error, a log, a metric or a file name.
func (p Person) Values(kind Kind) []string {
	var values []string
	for _, id := range p.ids {
		if id.Kind == kind {
			values = append(values, id.Value.Reveal())
		}
	}
	return values
}

// Only returns p with just the identifiers of the given kinds.
func (p Person) Only(kinds ...Kind) Person {
	q := Person{since: p.since, excluded: p.excluded, optOut: p.optOut, removed: p.removed}
	for _, id := range p.ids {
		if slices.Contains(kinds, id.Kind) {
			q.ids = append(q.ids, id)
		}
	}
	return q
}

// String implements [fmt.Stringer]: the kinds, never the values.
func (p Person) String() string { return fmt.Sprintf("person%v", p.Kinds()) }

// GoString implements [fmt.GoStringer]: the kinds, never the values.
func (p Person) GoString() string { return p.String() }

// LogValue implements [slog.LogValuer]: the kinds, never the values.
func (p Person) LogValue() slog.Value { return slog.AnyValue(p.Kinds()) }
