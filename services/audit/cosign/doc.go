// Package cosign has other parties confirm a log's heads: it reads policies
// that say whose confirmation counts (C2SP tlog-policy), asks a witness for a
// cosignature (C2SP tlog-witness), and checks cosignatures on a head (C2SP
// tlog-cosignature, with Ed25519 or ML-DSA-44).
//
// # Promises
//
//   - A line that a witness answers with is passed on only when the witness's
//     key in the policy made it, over the very head that was sent.
//   - A witness that says that it knows another history is told apart from one
//     that does not answer: [ErrFork] and [AheadError] are never returned for a
//     witness that is down, slow or set up wrongly.
//   - A policy that is accepted means one thing: names and keys are there once,
//     and thresholds can be reached and are not nothing.
package cosign
