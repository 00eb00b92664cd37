// Command billing is the connector of the billing database: any SQL database
// that the data map in its configuration describes.
package main

import (
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap/draft"
)

func main() { sdk.Main("billing", draft.Open) }
