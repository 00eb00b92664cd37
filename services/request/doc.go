// Package request is the domain: what a consumer asked, under which law, how
// sure we are of who they are, by when the law wants the answer, and where the
// request stands.
//
// It promises its callers three things. A request to opt out of sale or to
// limit the use of sensitive data has no verification state; there is no value
// of [Request] that holds one. A request moves only along a fixed table of
// transitions, so two rooms that race can compare and set. And what is personal, the
// identifiers, never sits in a [Request]: it travels in a [Submission] and in
// [Identifier], which print without their values.
//
// The package is pure. It reads no clock, opens no connection, and imports no
// room, no driver and no other package of this repository.
package request
