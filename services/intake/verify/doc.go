// Package verify finds out whether a requester is the consumer, or may act for
// her, with as little as the law lets one ask (11 CCR 7060-7063).
//
// What it owes its callers: nothing that a requester can see, in an answer, in
// its text or in the time it takes, tells whether the company knows somebody:
// submitting only stores, and what the systems say is looked at afterwards.
// Codes go to a channel that a system held before the request, and nowhere
// else. What is collected for verifying lies in cases of its own, under keys of
// their own, and is destroyed with a record of it once the request is decided.
// A request to opt out never comes here.
package verify
