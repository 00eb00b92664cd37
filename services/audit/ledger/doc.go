// Package ledger keeps the digests of envelopes in an append-only Merkle tree
// (RFC 6962) and the envelopes beside it, in PostgreSQL or SQLite.
//
// # Promises
//
//   - A leaf number that [Log.Append] returned is durable, and the same envelope
//     always has the same leaf, however often it is appended and by however
//     many processes.
//   - Leaves are without gaps. A transaction that dies half way leaves nothing.
//   - [Log.Checkpoint] signs only what is committed, and never two heads that
//     disagree: the last signed head is kept outside the database (see [Head]),
//     and a database that is behind it or differs from it is refused with
//     [ErrRolledBack] or [ErrForked]. Append refuses too.
//   - A proof is made from tiles that were checked against a signed root, so a
//     tile altered in the database yields an error and never a wrong proof.
//   - Erasing envelopes ([Log.Erase]) leaves every proof valid.
//
// # Formats
//
// The published entry is [Entry]: a fixed word and the SHA-256 of the envelope,
// nothing else. Tiles are C2SP tlog-tiles of height 8, heads are C2SP
// checkpoints signed as notes with Ed25519, proofs are C2SP tlog-proof@v1, so
// that tools which never heard of this project can check the log.
package ledger
