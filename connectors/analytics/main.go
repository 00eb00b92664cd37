// Package main is the analytics connector: event files of one JSON object a
// line, in folders by day, found, copied and rewritten by package lake as its
// data map says. It answers for user and device ids, which only other
// connectors yield.
package main

import (
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/sdk"
)

func main() { sdk.Main("analytics", lake.Connect) }
