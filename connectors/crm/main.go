// Package main is the CRM connector: contacts and what hangs under them in a
// system reached over REST, found, copied and erased as the specification that
// its configuration names says. It answers for e-mail addresses and phone
// numbers and yields the customer and user ids that other connectors need.
package main

import (
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
)

func main() { sdk.Main("crm", restspec.Open) }
