// Package records keeps what a company has to be able to show of the requests
// it got: the log of 11 CCR 7101, the yearly numbers of 7102, that who answers
// was trained (7100), and what its forms, rules and notices said at the time.
//
// It promises that the log serves compliance alone: it is read for that purpose,
// by the roles that have it, and every look, refused ones too, is on record
// before anything is shown. Nothing is deleted before its time. Nothing it keeps
// names a consumer.
package records
