package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/habeas-data/habeas/connectors/clickhouse"
	"github.com/habeas-data/habeas/connectors/keyspace"
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// examples are files that are known to be good, by schema: those written for
// this test, and those in use.
var examples = map[string][]string{
	"dataset":    {"testdata/examples/dataset.yaml", demoMaps + "billing.map.yaml"},
	"restspec":   {"testdata/examples/restspec.yaml", demoMaps + "crm.spec.yaml", "../../crm/testdata/pocketbase.spec.yaml"},
	"lake":       {"testdata/examples/lake.yaml", demoMaps + "analytics.map.yaml"},
	"keyspace":   {"testdata/examples/keyspace.yaml"},
	"clickhouse": {"testdata/examples/clickhouse.yaml"},
	"connector":  {"testdata/examples/connector.yaml"},
}

// readers are what the programs read the files with.
var readers = map[string]func(t *testing.T, text []byte) error{
	"dataset":    func(_ *testing.T, text []byte) error { _, err := sqlmap.ParseMap("x", text); return err },
	"restspec":   func(_ *testing.T, text []byte) error { _, err := restspec.Parse("x", text); return err },
	"lake":       readLake,
	"keyspace":   func(_ *testing.T, text []byte) error { _, err := keyspace.ParseMap("x", text); return err },
	"clickhouse": func(_ *testing.T, text []byte) error { _, err := clickhouse.ParseMap("x", text); return err },
	"connector":  readConnector,
}

func readLake(t *testing.T, text []byte) error {
	file := filepath.Join(t.TempDir(), "lake.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := lake.ReadMap(file)
	return err
}

// readConnector reads a connector's file as package sdk and the engine's
// section do.
func readConnector(t *testing.T, text []byte) error {
	file := filepath.Join(t.TempDir(), "connector.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	kind, err := kindOf(file)
	if err != nil {
		return err
	}
	open := func(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
		m := sdk.Manifest{Accepts: []sdk.Kind{sdk.Email}, Stores: []sdk.Store{{Name: "a", Categories: []sdk.Category{{Letter: "A"}}}}}
		return m, nobody{}, env.Decode(reflect.New(sections[kind]).Interface())
	}
	return sdk.Command(t.Context(), kind, open, []string{"--config", file, "--describe"}, &strings.Builder{}, &strings.Builder{})
}

type nobody struct{}

func (nobody) Locate(context.Context, sdk.Person) ([]sdk.Found, error) { return nil, nil }

func compileSchema(t *testing.T, name string) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	text, err := readSchema(name)
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaAddress(name), tree); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaAddress(name))
	if err != nil {
		t.Fatal(err)
	}
	return s, tree
}

// readExample decodes a file as an editor would.
func readExample(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return plainJSON(t, v)
}

// plainJSON is a value as JSON has it; also a deep copy.
func plainJSON(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// place is an element's place in a list.
var place = regexp.MustCompile(`\[\d+\]`)

// spots calls visit with a setter for every place in a tree.
func spots(v any, path string, set func(any), visit func(path string, v any, set func(any))) {
	visit(path, v, set)
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			spots(v[k], path+"."+k, func(x any) { v[k] = x }, visit)
		}
	case []any:
		for i := range v {
			spots(v[i], fmt.Sprintf("%s[%d]", path, i), func(x any) { v[i] = x }, visit)
		}
	}
}

// TestSchemasAreTheDecoders shows that a schema accepts what the program's
// strict decoder accepts: good files pass both; for every mapping, an unknown
// key is refused by both or by neither; and so is every value of another shape. Places
// that differ only in an element's number are tried once.
func TestSchemasAreTheDecoders(t *testing.T) {
	for name, files := range examples {
		t.Run(name, func(t *testing.T) {
			schema, _ := compileSchema(t, name)
			root := documents()[name].Root
			strict := func(v any) error {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				if name == "connector" {
					return readConnector(t, text)
				}
				return yaml.UnmarshalWithOptions(text, reflect.New(root).Interface(), yaml.Strict())
			}
			compared := 0
			seen := map[string]bool{}
			same := func(what string, v any) {
				t.Helper()
				compared++
				if have, want := schema.Validate(v), strict(v); (have == nil) != (want == nil) {
					t.Errorf("%s:\n  schema:  %v\n  decoder: %v", what, have, want)
				}
			}
			for _, file := range files {
				good := readExample(t, file)
				if err := schema.Validate(good); err != nil {
					t.Errorf("%s: the schema refuses it: %v", file, err)
				}
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := readers[name](t, text); err != nil {
					t.Errorf("%s: the program refuses it: %v", file, err)
				}
				holder := plainJSON(t, good)
				spots(holder, "$", func(any) {}, func(path string, v any, set func(any)) {
					if path == "$" || name == "connector" && (path == "$.kind" || path == "$.config") {
						return
					}
					kind := place.ReplaceAllString(path, "[]") + fmt.Sprintf(" %T", v)
					if seen[kind] {
						return
					}
					seen[kind] = true
					old := v
					switch v := v.(type) {
					case map[string]any:
						v["zzz_unknown"] = "x"
						same(file+" "+path+" with an unknown key", holder)
						delete(v, "zzz_unknown")
						set([]any{"x"})
						same(file+" "+path+" as a list", holder)
					case []any:
						set(map[string]any{"zzz_unknown": "x"})
						same(file+" "+path+" as a mapping", holder)
					default:
						set(map[string]any{"zzz_unknown": "x"})
						same(file+" "+path+" as a mapping", holder)
					}
					set(old)
				})
				top := holder.(map[string]any)
				top["zzz_unknown"] = "x"
				same(file+" with an unknown key", holder)
			}
			if compared < 10*len(files) {
				t.Errorf("only %d variants were compared, of %d files", compared, len(files))
			}
		})
	}
}

// TestSchemaAcceptsTheCatalogue checks every specification that comes with the
// program.
func TestSchemaAcceptsTheCatalogue(t *testing.T) {
	schema, _ := compileSchema(t, "restspec")
	files, err := filepath.Glob("../../restspec/catalogue/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no catalogue", err)
	}
	for _, file := range files {
		if err := schema.Validate(readExample(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestSchemaWordsAreTheChecks takes every word list and every required key of
// the schemas, and shows that the program refuses another word and a missing
// key too. Each must occur in an example.
func TestSchemaWordsAreTheChecks(t *testing.T) {
	covered := map[string]bool{}
	for name, files := range examples {
		schema, tree := compileSchema(t, name)
		for _, file := range files {
			v := readExample(t, file)
			both := func(what string) {
				t.Helper()
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(plainJSON(t, v)); err == nil {
					t.Errorf("%s: %s: the schema accepts it", file, what)
				}
				if err := readers[name](t, text); err == nil {
					t.Errorf("%s: %s: the program accepts it", file, what)
				}
			}
			walkSchema(tree, tree, name, v, func(any) {}, func(place string, s map[string]any, v any, set func(any)) {
				if s["enum"] != nil {
					covered[place] = true
					set("zzz")
					both(place + ": another word")
					set(v)
				}
				object, ok := v.(map[string]any)
				required, _ := s["required"].([]any)
				if !ok {
					return
				}
				for _, key := range required {
					covered[place+" "+key.(string)] = true
					old := object[key.(string)]
					delete(object, key.(string))
					both(place + ": without " + key.(string))
					object[key.(string)] = old
				}
			})
		}
		walkRules(tree, tree, name, map[string]bool{}, func(place string) {
			if !covered[place] {
				t.Errorf("no example has %s", place)
			}
		})
	}
}

// resolve follows a reference; place becomes the definition's name.
func resolve(tree, s map[string]any, place string) (map[string]any, string) {
	ref, ok := s["$ref"].(string)
	if !ok {
		return s, place
	}
	name := strings.TrimPrefix(ref, "#/$defs/")
	return tree["$defs"].(map[string]any)[name].(map[string]any), name
}

// walkSchema goes through a value along its schema.
func walkSchema(tree, s map[string]any, place string, v any, set func(any), visit func(string, map[string]any, any, func(any))) {
	s, place = resolve(tree, s, place)
	visit(place, s, v, set)
	switch v := v.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		for _, k := range slices.Sorted(maps.Keys(v)) {
			next, ok := properties[k].(map[string]any)
			if !ok {
				if next, ok = s["additionalProperties"].(map[string]any); !ok {
					continue
				}
			}
			walkSchema(tree, next, place+"."+k, v[k], func(x any) { v[k] = x }, visit)
		}
	case []any:
		if next, ok := s["items"].(map[string]any); ok {
			for i := range v {
				walkSchema(tree, next, place+"[]", v[i], func(x any) { v[i] = x }, visit)
			}
		}
	}
}

// walkRules calls visit with every word list and required key of a schema.
func walkRules(tree, s map[string]any, place string, seen map[string]bool, visit func(string)) {
	s, place = resolve(tree, s, place)
	if seen[place] {
		return
	}
	seen[place] = true
	if s["enum"] != nil {
		visit(place)
	}
	required, _ := s["required"].([]any)
	for _, key := range required {
		visit(place + " " + key.(string))
	}
	properties, _ := s["properties"].(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(properties)) {
		walkRules(tree, properties[k].(map[string]any), place+"."+k, seen, visit)
	}
	for _, key := range []string{"items", "additionalProperties"} {
		if next, ok := s[key].(map[string]any); ok {
			walkRules(tree, next, place+map[string]string{"items": "[]"}[key], seen, visit)
		}
	}
}

// TestEveryEngineHasASection shows that no engine was added without a schema.
func TestEveryEngineHasASection(t *testing.T) {
	for kind := range engines {
		if sections[kind] == nil {
			t.Errorf("kind %s has no schema of its config section: add it to sections and documents", kind)
		}
	}
}

// TestConnectorFileIsTheSDKs compares the keys of a connector's file with those
// that package sdk declares.
func TestConnectorFileIsTheSDKs(t *testing.T) {
	text, err := os.ReadFile("../../sdk/config.go")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, typ := range []reflect.Type{reflect.TypeFor[connectorFile](), reflect.TypeFor[natsSection]()} {
		for f := range typ.Fields() {
			have[f.Tag.Get("yaml")] = true
		}
	}
	want := 0
	for line := range strings.SplitSeq(string(text), "\n") {
		_, rest, ok := strings.Cut(line, "`yaml:\"")
		if !ok {
			continue
		}
		want++
		if key, _, _ := strings.Cut(rest, "\""); !have[key] {
			t.Errorf("connectorFile lacks the key %s of package sdk", key)
		}
	}
	if want != len(have) {
		t.Errorf("connectorFile has %d keys, package sdk %d", len(have), want)
	}
}
