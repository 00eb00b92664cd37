// Package enforcement replays what companies were fined for under the CCPA, each
// case as somebody outside sees it: a visitor, an agent, an investigator with a
// browser. The rooms, the doors, the bus and the database are the real ones; a
// stand-in takes the part of the system that sells.
//
// Every case runs with the safeguard that keeps it from happening, and must not
// happen; and once more with that safeguard replaced by something that lacks it,
// and must be found to happen. A case that nobody would notice proves nothing.
// The replaced parts are handed in by these tests; the product has no switch for
// any of them.
package enforcement
