package row

import "github.com/habeas-data/habeas/services/request/store"

// Disclosures are the columns of table disclosure.
var Disclosures = []Column[store.Disclosure]{
	{"key", Bytes, false, func(d *store.Disclosure) any { return &d.Key }},
	{"ref", Text, false, func(d *store.Disclosure) any { return &d.Ref }},
	{"digest", Bytes, false, func(d *store.Disclosure) any { return &d.Digest }},
	{"pepper", Text, false, func(d *store.Disclosure) any { return &d.Pepper }},
	{"recipient", Text, false, func(d *store.Disclosure) any { return &d.Recipient }},
	{"connector", Text, false, func(d *store.Disclosure) any { return &d.Connector }},
	{"letters", Text, false, func(d *store.Disclosure) any { return &d.Letters }},
	{"sense", Text, false, func(d *store.Disclosure) any { return &d.As }},
	{"purpose", Text, false, func(d *store.Disclosure) any { return &d.Purpose }},
	{"at", Time, false, func(d *store.Disclosure) any { return &d.At }},
}

// Disclosed are the columns of a count of table disclosure.
var Disclosed = []Column[store.Disclosed]{
	{"recipient", Text, false, func(d *store.Disclosed) any { return &d.Recipient }},
	{"sense", Text, false, func(d *store.Disclosed) any { return &d.As }},
	{"n", Int, false, func(d *store.Disclosed) any { return &d.N }},
	{"last", Time, false, func(d *store.Disclosed) any { return &d.Last }},
}
