// Package restspec makes a connector of a YAML file: one strict specification
// for each system that is reached over a JSON API.
//
// A specification says how to authenticate, how fast to ask, how to find one
// person's records, and what to call to copy them, erase them or stop their
// sale. The engine owes its callers what a specification cannot promise by
// itself:
//
//   - An identifier's value never changes what a request means. Templates are
//     escaped by where they stand, and a value that has no safe form there is
//     refused.
//   - Requests go to the configured host and the hosts on the allow-list, never
//     to a private address that nobody configured; redirects and links found in
//     answers are held to the same rule, and credentials stay at home.
//   - A wrong answer is never taken for "nobody here": a missing list, an
//     undeclared 404 or a truncated body is an error.
//   - Work a system has accepted and not finished is found again by the next
//     attempt and not started twice.
//   - Memory does not grow with the number of records, and no error, however
//     deep, carries an identifier, a credential or a full address.
//
// The format is described in README.md beside this file.
package restspec
