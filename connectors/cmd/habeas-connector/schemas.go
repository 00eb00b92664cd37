package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/connectors/clickhouse"
	"github.com/habeas-data/habeas/connectors/internal/yamlschema"
	"github.com/habeas-data/habeas/connectors/keyspace"
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/manual"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// schemas are the written JSON Schemas, so that the tool hands out those of
// its own version. "make schemas" writes them.
//
//go:embed schemas/*.schema.json
var schemas embed.FS

// schemaBase is where the JSON Schemas of docs/schemas are published.
const schemaBase = "https://raw.githubusercontent.com/habeas-data/habeas/main/docs/schemas/"

// schemaAddress is the address of a published schema.
func schemaAddress(name string) string { return schemaBase + schemaFile(name) }

func schemaFile(name string) string { return name + ".schema.json" }

// schemaLine is what an editor finds a file's schema by: the copy beside the
// file if there is one, or else the published one.
func schemaLine(name, file string) string {
	if file != "" {
		if _, err := os.Stat(filepath.Join(filepath.Dir(file), schemaFile(name))); err == nil {
			return "./" + schemaFile(name)
		}
	}
	return schemaAddress(name)
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema NAME",
		Short: "Print the JSON Schema of a file: " + strings.Join(slices.Sorted(maps.Keys(documents())), ", "),
		Long: `Print the JSON Schema of a file, which editors complete and check it with.

The skeletons of "habeas-connector new" have a copy beside each file. A file finds
its schema by its first line:

    # yaml-language-server: $schema=./dataset.schema.json`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: slices.Sorted(maps.Keys(documents())),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readSchema(args[0])
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
}

func readSchema(name string) ([]byte, error) {
	text, err := schemas.ReadFile("schemas/" + schemaFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("schema %q: want one of %s", name, strings.Join(slices.Sorted(maps.Keys(documents())), ", "))
	}
	return text, err
}

// connectorFile is a connector's file as package sdk reads it.
type connectorFile struct {
	// Name is the connector's name on the bus; lower-case letters, digits and
	// hyphens.
	Name string `yaml:"name"`
	// Version goes into the manifest; without it that of the program does.
	Version string `yaml:"version"`
	// Kind names the engine, for habeas-connector run.
	Kind string `yaml:"kind"`
	// NATS is the bus.
	NATS natsSection `yaml:"nats"`
	// StateDir holds the connector's keys and journal. Keep it.
	StateDir string `yaml:"state_dir"`
	// HTTP is the address of health and metrics; empty means no listener.
	HTTP string `yaml:"http"`
	// Cap is the most records one person may plausibly have; more erases
	// nothing. It overrides the manifest's.
	Cap int64 `yaml:"cap"`
	// CoordinatorKey is the only public curve key jobs may be sealed by.
	CoordinatorKey string `yaml:"coordinator_key"`
	// IntakeKey is the only public curve key that may ask whether what a person
	// says of herself agrees with what the system holds.
	IntakeKey string `yaml:"intake_key"`
	// DeskKey is the only public curve key that may ask about the tasks of a
	// connector whose work is done by people, and change them.
	DeskKey string `yaml:"desk_key"`
	// ListKey is the only public curve key that may ask whom the system holds.
	ListKey string `yaml:"list_key"`
	// Config is the engine's own section.
	Config any `yaml:"config"`
}

// natsSection says how to reach the bus.
type natsSection struct {
	// URL is nats://host:4222 or tls://host:4222.
	URL string `yaml:"url"`
	// User belongs to PasswordFile.
	User string `yaml:"user"`
	// PasswordFile holds the user's password.
	PasswordFile string `yaml:"password_file"`
	// NkeySeedFile holds an nkey's seed.
	NkeySeedFile string `yaml:"nkey_seed_file"`
	// Creds is a NATS credentials file.
	Creds string `yaml:"creds"`
}

// sections are the types of the config sections, by kind.
var sections = map[string]reflect.Type{
	"sqlmap":     reflect.TypeFor[sqlmap.Settings](),
	"restspec":   reflect.TypeFor[restspec.Config](),
	"lake":       reflect.TypeFor[lake.Config](),
	"keyspace":   reflect.TypeFor[keyspace.Settings](),
	"manual":     reflect.TypeFor[manual.Settings](),
	"clickhouse": reflect.TypeFor[clickhouse.Settings](),
}

// documents are the kinds of files with a schema, by name.
func documents() map[string]yamlschema.Document {
	all := map[string]yamlschema.Document{
		"dataset":    {Title: "Data map of a SQL database", Root: reflect.TypeFor[sqlmap.Map]()},
		"restspec":   {Title: "Specification of a REST system", Root: reflect.TypeFor[restspec.Spec]()},
		"lake":       {Title: "Data map of files", Root: reflect.TypeFor[lake.Map]()},
		"keyspace":   {Title: "Data map of a key-value server", Root: reflect.TypeFor[keyspace.Map]()},
		"clickhouse": {Title: "Data map of a ClickHouse server", Root: reflect.TypeFor[clickhouse.Map]()},
		"connector":  {Title: "A connector's file", Root: reflect.TypeFor[connectorFile](), Add: addSections},
	}
	for name, d := range all {
		d.ID, d.Rules = schemaAddress(name), schemaRules
		all[name] = d
	}
	return all
}

// addSections gives each kind of connector its config section.
func addSections(root yamlschema.Schema, of func(reflect.Type) yamlschema.Schema) {
	var all []any
	for _, kind := range slices.Sorted(maps.Keys(sections)) {
		all = append(all, yamlschema.Schema{
			"if":   yamlschema.Schema{"required": []string{"kind"}, "properties": map[string]any{"kind": yamlschema.Schema{"const": kind}}},
			"then": yamlschema.Schema{"properties": map[string]any{"config": of(sections[kind])}},
		})
	}
	root["allOf"] = all
}

var (
	letters = strings.Split("ABCDEFGHIJKL", "")
	roles   = []string{"business", "service_provider"}
	tiers   = []string{"own", "third_party", "identity"}
	methods = []string{"delete", "null", "mask", "deidentify", "retain"}
)

// schemaRules are what the types do not say and their checks do.
var schemaRules = yamlschema.Rules{
	Required: map[string][]string{
		"sqlmap.Map":           {"dataset"},
		"sqlmap.Dataset":       {"fides_key"},
		"sqlmap.Collection":    {"name"},
		"sqlmap.Field":         {"name"},
		"sqlmap.Reference":     {"dataset", "field"},
		"restspec.Spec":        {"restspec", "system", "locate"},
		"lake.Map":             {"stores"},
		"lake.StoreMap":        {"name", "files"},
		"keyspace.Map":         {"stores"},
		"keyspace.StoreMap":    {"name", "keys", "type"},
		"clickhouse.Map":       {"stores"},
		"clickhouse.StoreMap":  {"name", "table", "identifiers", "categories"},
		"manual.Settings":      {"accepts", "stores"},
		"manual.StoreSettings": {"name"},
	},
	Enums: map[string][]string{
		"main.connectorFile.Kind":        slices.Sorted(maps.Keys(sections)),
		"sqlmap.DatasetRules.Tier":       tiers,
		"sqlmap.CollectionRules.Erase":   methods,
		"sqlmap.CollectionRules.Role":    roles,
		"sqlmap.CollectionRules.Source":  {"consumer", "third_party"},
		"sqlmap.CollectionRules.Letters": letters,
		"sqlmap.FieldRules.Erase":        {"null", "mask", "retain"},
		"sqlmap.FieldRules.Letter":       letters,
		"sqlmap.FieldRules.Match":        {"lower", "exact"},
		"sqlmap.Reference.Direction":     {"to", "from"},
		"restspec.Facts.Source":          {"primary", "secondary"},
		"restspec.Rule.Means":            {"done", "missing", "accepted", "not_yet", "never", "retry"},
		"restspec.ManifestSpec.Tier":     tiers,
		"restspec.Store.Role":            roles,
		"restspec.Step.Only":             {"free", "kept", "all"},
		"lake.Config.OldVersions":        {"erase", "expire"},
		"manual.Settings.Can":            {"erase", "opt_out"},
		"manual.Settings.Tier":           tiers,
		"manual.StoreSettings.Role":      roles,
		"manual.CategorySettings.Letter": letters,
		"declared.Category.Letter":       letters,
		"lake.StoreMap.Format":           {"jsonl", "csv", "parquet"},
		"lake.StoreMap.Role":             roles,
		"clickhouse.StoreMap.Role":       roles,
		"keyspace.StoreMap.Role":         roles,
		"keyspace.StoreMap.Type":         {"string", "json", "hash", "set", "zset", "list", "stream"},
	},
	Scalars: map[string]yamlschema.Schema{
		"sqlmap.Period":     {"type": []string{"string", "null"}, "pattern": `^\s*[0-9]+ (year|month|day)s?\s*$`},
		"restspec.Duration": {"type": []string{"string", "null"}, "pattern": `^([0-9]+d|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+|0)$`},
		"restspec.Size":     {"type": []string{"string", "integer", "null"}, "pattern": `^[0-9]+ ?(KiB|MiB|GiB)?$`},
		"restspec.Strings":  listOrOne,
		"declared.Texts":    listOrOne,
	},
}

// listOrOne is one value or a list of them.
var listOrOne = yamlschema.Schema{
	"type":  []string{"string", "number", "boolean", "array", "null"},
	"items": yamlschema.Schema{"type": []string{"string", "number", "boolean"}},
}
