package main

import "github.com/habeas-data/habeas/connectors/sdk"

func main() { sdk.Main("adtech", open) }
