// Package audit is the room that keeps the evidence: it reads every signed
// record off the bus, checks who says it, and makes it a leaf of an
// append-only log that outsiders can check.
//
// # Promises
//
//   - A record is logged only when a key that is on record for its issuer, at
//     the time it names, signed it. Keys of the rooms are trusted from
//     configuration; the others are learnt from key records that one of those
//     signed.
//   - A record is acknowledged to the bus only after it is committed and told
//     of in a Logged message, or kept among the rejected. None is dropped.
//   - A record delivered twice has one leaf, and is told of again.
//   - A closure is logged after every record that it names.
//   - When the database is behind a head that was signed, or differs from it,
//     the room appends nothing, signs nothing, and says so in [Room.Ready].
//   - With a policy of witnesses, each head that is signed is sent to all of
//     them, and none is waited for. A witness that knows another history of the
//     log stops the room as a database that is behind does.
package audit
