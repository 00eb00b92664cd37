// Package main is the analytics connector: event files of one JSON object a
// line, found, copied and rewritten by package lake. It answers for user and
// device ids, which other connectors yield.
package main

func main() {}
