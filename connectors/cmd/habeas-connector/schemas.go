package main

// schemaBase is where the JSON Schemas of docs/schemas are published.
const schemaBase = "https://raw.githubusercontent.com/habeas-data/habeas/main/docs/schemas/"

// schemaAddress is the address of a published schema.
func schemaAddress(name string) string { return schemaBase + name + ".schema.json" }
