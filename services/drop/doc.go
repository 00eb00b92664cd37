// Package drop is what a registered data broker owes California's deletion
// platform (Civ. Code 1798.99.86; 11 CCR 7610-7616; the platform's API 1.2.0):
// its lists read, its hashes made exactly as the platform makes them, a status
// for every item, and a memory of what matched nobody.
//
// It promises its callers that an answer leaves no item out and none twice, that
// an identifier several people share deletes nobody and opts all of them out,
// and that no identifier leaves it in clear. Matching is on equal hashes alone:
// nothing here guesses.
//
// The package talks to nobody. It neither fetches lists nor sends answers.
package drop
