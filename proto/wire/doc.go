// Package wire says where messages travel and in what clothes: the streams,
// the subjects, the headers, how identifiers are sealed and how records are
// signed. What is said is in package habeasv1; together they are the contract.
//
// # Streams
//
//	HABEAS_JOBS        habeas.v1.job.<connector>         work queue; a job leaves the bus when it is done
//	HABEAS_EVIDENCE    habeas.v1.evidence.<issuer>       limits; read by the coordinator and by audit
//	HABEAS_DISCOVERED  habeas.v1.discovered.<connector>  work queue; sealed to the coordinator
//	HABEAS_EVENTS      habeas.v1.event.<request>         limits; CloudEvents, no personal data
//	                   habeas.v1.logged                  which records became leaves of the log
//	KV habeas_connectors                                 manifests and signs of life, by connector name
//	OBJ habeas_exports_<connector>                       sealed export parts, with a time to live
//
// # Promises
//
// Delivery is at least once and in any order. A message is acknowledged only
// after its effect is recorded. The message id of a job is its job id with its
// attempt, of a record the digest of its envelope, so that a second publish
// inside the duplicate window is dropped; correctness never rests on that.
// JetStream is transport and not truth: everything on it can be made again
// from the database and the connectors' journals.
//
// # Identity
//
// The broker authenticates connections; it is never trusted with a readable
// identifier or with the key that signs evidence. Subjects are sealed to one
// reader's X25519 key ([SealKey]); records are signed with a separate Ed25519
// key ([Signer]), because a NATS server chooses what a nkey signs.
package wire
