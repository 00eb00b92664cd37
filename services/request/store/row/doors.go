package row

import (
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// Case is a row of table verification_case.
type Case struct {
	store.Case
	ID string
}

// Cases are the columns of table verification_case.
var Cases = []Column[Case]{
	{"request_id", Text, false, func(c *Case) any { return &c.ID }},
	{"wrapped_key", Bytes, true, func(c *Case) any { return &c.WrappedKey }},
	{"sealed", Bytes, true, func(c *Case) any { return &c.Sealed }},
	{"next_at", Time, true, func(c *Case) any { return &c.NextAt }},
	{"created_at", Time, false, func(c *Case) any { return &c.CreatedAt }},
	{"updated_at", Time, true, func(c *Case) any { return &c.UpdatedAt }},
	{"purged_at", Time, true, func(c *Case) any { return &c.PurgedAt }},
	{"version", Int, true, func(c *Case) any { return &c.Version }},
}

// Document is a row of table kept_document.
type Document struct {
	store.Document
	ID string
}

// Documents are the columns of table kept_document.
var Documents = []Column[Document]{
	{"request_id", Text, false, func(d *Document) any { return &d.ID }},
	{"kind", Text, false, func(d *Document) any { return &d.Kind }},
	{"wrapped_key", Bytes, false, func(d *Document) any { return &d.WrappedKey }},
	{"sealed", Bytes, false, func(d *Document) any { return &d.Sealed }},
	{"keep_until", Time, false, func(d *Document) any { return &d.KeepUntil }},
}

// Tie is a row of table choice: one identifier's digest and the profile it
// belongs to.
type Tie struct {
	Digest     []byte
	Profile    string
	CarriedBy  string
	OptedOutAt int64 // microseconds since 1970; 0 for never
}

// Ties are the columns of a tie joined with its profile.
var Ties = []Column[Tie]{
	{"digest", Bytes, false, func(t *Tie) any { return &t.Digest }},
	{"profile", Text, false, func(t *Tie) any { return &t.Profile }},
	{"carried_by", Text, false, func(t *Tie) any { return &t.CarriedBy }},
	{"opted_out_at", Int, false, func(t *Tie) any { return &t.OptedOutAt }},
}

// Tied turns rows into what the domain decides on.
func Tied(rows []Tie) []store.Tied {
	out := make([]store.Tied, len(rows))
	for i, r := range rows {
		out[i] = store.Tied{Digest: r.Digest, Profile: r.Profile, CarriedBy: r.CarriedBy}
		if r.OptedOutAt != 0 {
			out[i].OptedOutAt = time.UnixMicro(r.OptedOutAt).UTC()
		}
	}
	return out
}
