// Package effect tests that opting out has its effect on the company's own
// pages. A form that says "saved" proves nothing: companies were fined whose
// opt-out worked on paper while their pages went on calling advertisers
// (Sephora 2022, Healthline 2025).
//
// What it owes its callers: a real browser visits the pages as somebody who did
// not opt out, as somebody who sends Global Privacy Control, and as somebody who
// opted out in each way the company offers, each with a fresh profile. Every
// connection of that profile passes a listening post, so that nothing a page does
// goes unseen: frames, workers, beacons, tags that tags load. After an opt-out
// nobody may be contacted but the company itself and the service providers it
// names with their contracts. A page that does not open or a button that is not
// there is never a success: the result is then "not_tested".
//
// What it can't see: what the company's servers pass on behind the pages, and
// another company that answers under the company's own name.
package effect
