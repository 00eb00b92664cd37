// Package e2e runs the real programs from end to end: it builds habeas, the
// four connectors and the demo company once, and drives them as a person at a
// terminal, or as whoever keeps a deployment running, would.
//
// # Scripts
//
// testdata/*.txtar are scripts for testscript. They show what the command line
// promises: "habeas demo" tells its story and checks its evidence; "habeas up"
// is ready at once, keeps its state in one folder and picks it up again; every
// command of a request; bad input and what is said about it; evidence that an
// altered byte refutes; folders, ports, disks and data maps that do not work.
// Beside testscript's own commands they have
//
//	up [-nowait] [ARG …]      start "habeas up" and wait until it is ready; NAME=VALUE
//	                        goes to its environment, --FLAG to it
//	down                    stop it as Ctrl-C does; it must end well
//	crash                   kill it as kill -9 does
//	await ID STATE          wait until a request is in a state
//	keep NAME FIELD         set $NAME to a field of the JSON the last command printed
//	person ROLE KIND NAME   set $NAME to an identifier of somebody in the demo company
//	spoil FILE              alter one byte of a file
//	awaitgrep PATTERN FILE  wait until a file has a line that matches
//	awaitout PATTERN PROG…  run a command until it prints what matches
//
// and the conditions [root] and [tmpfs].
//
// # Crashes
//
// The other tests run the shape of production: intake, coordinator, audit and
// delivery as processes of their own on PostgreSQL, a NATS server with a user
// for each connector, the connectors, the demo company; and once more the shape
// of one machine, "habeas up" on SQLite. While twenty-odd requests of different
// people run, they
//
//   - kill -9 every kind of process in turn and start it again,
//   - delete the JetStream directory,
//   - stop PostgreSQL as if it had crashed,
//   - run two coordinators and kill one,
//   - deliver every message a second time, in reverse order.
//
// Afterwards each must have left what an undisturbed run leaves: every request
// is closed exactly once; every system holds line for line what it holds after
// the undisturbed run; the erased people are named nowhere; other people's
// records are as they were; the records that were located and erased, summed
// over all jobs, are those of the undisturbed run, so that each erasure took
// effect once and was reported once; the evidence of every request verifies with
// the public keys; the log's tiles give its signed root with no leaf missing.
// No identifier of anybody who made a request is in a log file, in JetStream's
// files, in a database of ours, in a state folder.
//
// Nothing waits for a time to pass: faults strike when a number of steps,
// chosen by a seed, has been seen through the API. HABEAS_E2E_SEED
// makes another choice ("random" a new one), HABEAS_E2E_ROUNDS repeats the kills, HABEAS_E2E_KEEP=1 keeps the
// folders of a run.
package e2e
