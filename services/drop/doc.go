// Package drop is what a registered data broker owes California's deletion
// platform (Civ. Code 1798.99.86; 11 CCR 7610-7616; the platform's API 1.2.0):
// sessions with its API or by hand, its hashes made exactly as the platform
// makes them, a status for every item, and a memory of all items that new data
// is held against.
//
// It promises its callers that an answer leaves no item out and none twice, that
// an identifier several people share deletes nobody and opts all of them out,
// that no item is called deleted before the outcome is recorded, that a run may
// be broken off anywhere and done again, and that no identifier leaves it in
// clear but to those who carry requests out. Matching is on equal hashes alone:
// nothing here guesses.
package drop
