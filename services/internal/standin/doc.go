// Package standin plays the others on the bus in tests of a room: connectors
// that follow a script, and an audit that logs what it is sent.
//
// It owes a test this: they speak the contract and nothing else, so that a room
// that works with them works with the real ones; they survive a bus that loses
// everything; and every effect they had can be asked for afterwards.
package standin
