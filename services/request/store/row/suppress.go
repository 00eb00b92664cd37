package row

import "github.com/habeas-data/habeas/services/request/store"

// Suppressions are the columns of table suppression.
var Suppressions = []Column[store.Suppressed]{
	{"digest", Bytes, false, func(s *store.Suppressed) any { return &s.Digest }},
	{"why", Text, false, func(s *store.Suppressed) any { return (*string)(&s.Why) }},
	{"pepper", Text, false, func(s *store.Suppressed) any { return &s.Pepper }},
	{"since", Time, false, func(s *store.Suppressed) any { return &s.Since }},
}

// Peppers are the columns of table suppression_pepper.
var Peppers = []Column[store.Pepper]{
	{"id", Text, false, func(p *store.Pepper) any { return &p.ID }},
	{"wrapped_key", Bytes, false, func(p *store.Pepper) any { return &p.WrappedKey }},
	{"sealed", Bytes, false, func(p *store.Pepper) any { return &p.Sealed }},
	{"created_at", Time, false, func(p *store.Pepper) any { return &p.CreatedAt }},
}
