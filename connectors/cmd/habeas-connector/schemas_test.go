package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/habeas-data/habeas/connectors/internal/yamlschema"
)

var update = flag.Bool("update", false, "write the JSON Schemas anew")

const published = "../../../docs/schemas/"

// TestSchemasAreWritten compares the written schemas, the tool's and the
// published ones, with the types they come from.
func TestSchemasAreWritten(t *testing.T) {
	comments, err := yamlschema.Comments(".", "../../sqlmap", "../../restspec", "../../lake", "../../keyspace", "../../clickhouse", "../../internal/declared")
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range documents() {
		d.Comments = comments
		want, err := yamlschema.Generate(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"schemas", published} {
			file := filepath.Join(dir, schemaFile(name))
			if *update {
				if err := os.WriteFile(file, want, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, want) {
				t.Errorf("%s is not what the types say; run make schemas (%v)", file, err)
			}
		}
	}
}
