// Package room is what every room's process has in common: it starts, listens,
// logs, measures, stops, and loads its settings and keys in the same way in all
// of them. It knows nothing of requests, connectors or evidence.
//
// What it promises its callers: no log line, span, metric or error made here
// carries a query string, a header, a body or the value of a setting; a key
// that it made is on disk before it is used; a server that stops lets its
// requests finish.
package room
