// Package coordinator carries requests through.
//
// It plans which connectors must be asked, in which order and with which
// identifiers; sends the jobs; believes signed answers and nothing else; and
// closes a request when everything planned has ended and every record of it is
// in the log.
//
// What it owes its callers: a request that was accepted ends once, whatever
// crashes, as long as the database lives. The bus is transport: everything on
// it can be sent again from the database. All decisions are made by one pure
// function over a request and its jobs, inside a transaction that holds the
// request ([step]); messages are published after the commit and acknowledged
// after the commit, so that the crash between any two lines repeats work and
// never skips it. Outcomes are taken in batches, as many as have arrived, and
// nothing in the path waits for a clock.
//
// Several coordinators may run at once.
package coordinator
