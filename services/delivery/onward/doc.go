// Package onward tells the recipients of a person's data of a deletion or an
// opt-out, and takes their word that they did their part.
//
// What it promises its callers:
//
//   - What goes out by e-mail or webhook names nobody: it carries a reference and
//     a link. Whom it is about the recipient sees behind the link, after pressing
//     a button, in the kinds of identifiers it knows people by and no others, and
//     only until it acknowledges.
//   - A recipient counts as told once the company's mail server or its own system
//     has taken the message over, and not before. What fails is tried again, a
//     recipient that is silent is reminded, and both are shown until they end.
//   - Telling, acknowledging and looking for the first time are on record, each
//     in the transaction that remembers it. All of it may happen twice.
//   - No identifier, address or link is in a log, an error or a metric.
package onward
