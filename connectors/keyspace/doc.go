// Package keyspace is the engine for Redis and Valkey: it finds, copies and
// erases people in keys that are named after them, and in the entries of keys
// that many people share.
//
// What it promises its callers:
//
//   - No command holds up the server. Keys and collections are walked with
//     cursors of a bounded count, never with KEYS, SMEMBERS or HGETALL; keys go
//     by UNLINK, entries in bounded groups.
//   - An identifier is a value and never a pattern: what means something to a
//     glob is escaped, and whatever the server matched is matched again here,
//     whole.
//   - What is found by its content is removed only if it still has that
//     content: the key is watched from the look to the removal.
//   - A key of another type than its map says stops the job, because it could
//     hold the person.
//
// A [Map] says what the keys hold. Names of keys are personal data here, so no
// error and no log line carries one.
package keyspace
