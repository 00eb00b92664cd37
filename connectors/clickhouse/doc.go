// Package clickhouse is the engine for ClickHouse over HTTP: it finds, copies
// and erases people in tables of events.
//
// What it promises its callers:
//
//   - Erased means rewritten. Rows go by ALTER TABLE … DELETE, a mutation, which
//     is followed until every part on every replica is rewritten; until then the
//     answer is that it is not finished. A lightweight DELETE, which only hides
//     rows, is never used, and rows that one has hidden are counted as held.
//   - A mutation rewrites parts whatever the number of people, so many people
//     are erased by one.
//   - A mutation's text, which the server keeps for long, holds no identifier.
//     The identifiers lie in a table of their own, one partition for each run,
//     from before the mutation begins until it has ended everywhere, and the
//     partition is dropped then. Questions carry identifiers as data beside the
//     query and not in its text, which is logged.
//   - A run is known by what lies in that table. After a crash at any moment the
//     next attempt finds it, sends what was not sent yet and follows the rest.
//
// A [Map] says what the tables hold. No error text repeats what the server
// says, since that may quote a value: it carries the server's error code.
package clickhouse
