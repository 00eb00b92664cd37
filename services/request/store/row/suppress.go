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

// Retained are the columns of table retained.
var Retained = []Column[store.Retained]{
	{"digest", Bytes, false, func(k *store.Retained) any { return &k.Digest }},
	{"pepper", Text, false, func(k *store.Retained) any { return &k.Pepper }},
	{"connector", Text, false, func(k *store.Retained) any { return &k.Connector }},
	{"store", Text, false, func(k *store.Retained) any { return &k.Store }},
	{"basis", Text, false, func(k *store.Retained) any { return &k.Basis }},
	{"until", Time, false, func(k *store.Retained) any { return &k.Until }},
}
