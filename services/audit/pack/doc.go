// Package pack makes and checks evidence packs: folders that let somebody who
// trusts neither the company nor this software see what was asked, planned,
// found and done about a request.
//
// # Promises
//
//   - [Export] writes a whole pack or none. What it writes passes [Verify].
//   - [Verify] believes the pack and the public keys it is given, and nothing
//     else: no server, no clock, no database. It refuses a pack in which any
//     file was altered, added or left out, and one whose records do not add up.
//   - verify.py, inside every pack, checks the same without this software.
//
// A pack is verifiable deletion evidence: it shows what named systems asserted
// and that nobody changed it since. It can't show that no copy exists anywhere.
//
// # Layout
//
//	README.md                          how to check, with openssl and Python
//	certificate.html                   what was found, erased, kept and why, to read
//	population.csv  metrics.csv        the request as 11 CCR 7101 and 7102 ask for it
//	keys.json  policy.txt              the log's key and the rooms' keys; C2SP tlog-policy
//	checkpoints/end                    the signed head that every proof is against
//	records/<leaf>-<type>.dsse.json    the signed records
//	proofs/<leaf>-<type>.tlog-proof    C2SP tlog-proof@v1, one for each record
//	verify.py  SHA256SUMS
package pack
