// Package sqlmap finds, copies and erases one person in any SQL database that
// a data map describes.
//
// The map is a Fides dataset in YAML: tables as collections, columns as fields
// with data categories, identities by which a person is found and references
// by which rows lead to further rows. What the format can't say stands under
// one key of ours, habeas: how to erase, what the law keeps and which columns
// it needs, and to whom a shared row belongs.
//
// A map is checked twice: when it is read, for what it says, and when a
// database is opened, against the live schema, so that a request never meets a
// missing table, a column that can't be emptied or a foreign key the map does
// not know. What then runs is one transaction per request: rows are followed
// to a fixpoint, every statement names rows by their full keys, and every
// count of affected rows is compared with what was read.
//
// Fields inside documents are followed like columns where the database has
// JSON. A reference to a dataset behind another connector becomes a kind of
// identifier that one side yields and the other accepts.
//
// Rows that other people reach as well are held back and reported under the
// basis [SharedRecord], unless the map's owner rule says whose they are.
package sqlmap
