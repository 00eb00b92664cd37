// Package disclosure knows to whom a company gave which personal data, since
// when and for what, and who of them has to be told when a person deletes or
// opts out.
//
// It owes its callers this: what flows all the time is read from the company's
// file and what was given once from an import; a recipient without a proper
// contract counts as a third party, and what it got as sold (11 CCR 7050(e));
// and the ledger holds keyed digests of identifiers, never one in clear, so that
// whoever does not have the master key can't read from it who anybody is.
package disclosure
