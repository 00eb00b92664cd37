package room

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// LoadConfig reads settings over the defaults that v, a pointer to a struct
// with yaml tags, holds already. The file is YAML and decoded strictly: a name
// it does not know is an error, and errors name file, line and setting. An
// empty path means no file.
//
// Then variables of env ("NAME=value", as from os.Environ) go over it:
// HABEAS_<SECTION>_<FIELD> sets field of section, HABEAS_<FIELD> one at the
// top. A variable that begins like a section and names no field is an error;
// other variables are not ours. Lists are written with commas.
//
// Secrets are not settings: a setting names the file, with type [SecretFile].
func LoadConfig(path string, v any, env []string) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("loading settings into %T: want a pointer to a struct", v)
	}
	if path != "" {
		content, err := os.ReadFile(path) //nolint:gosec // G304: the path is the operator's
		if err != nil {
			return fmt.Errorf("reading settings: %w", err)
		}
		if err := decodeConfig(path, content, v); err != nil {
			return err
		}
	}
	return overrideConfig(target.Elem(), env)
}

func decodeConfig(path string, content []byte, v any) error {
	target := reflect.ValueOf(v).Elem()
	defaults := reflect.New(target.Type()).Elem()
	defaults.Set(target)
	dec := yaml.NewDecoder(bytes.NewReader(content), yaml.Strict())
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) { // nothing but comments
		target.Set(defaults) // the decoder clears what it has no document for
		return nil
	}
	if err != nil {
		return configError(path, content, err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: want one YAML document, have several", path)
	}
	return nil
}

// configError gives an error its place, without the excerpt of the file that
// the decoder would print around it.
func configError(path string, content []byte, err error) error {
	var at yaml.Error
	if errors.As(err, &at) && at.GetToken() != nil {
		pos := at.GetToken().Position
		line, field := findNode(content, func(n ast.Node) bool {
			p := n.GetToken().Position
			return p.Line == pos.Line && p.Column == pos.Column
		})
		if line == 0 { // it is the syntax that is wrong
			return fmt.Errorf("%s:%d: %s", path, pos.Line, at.GetMessage())
		}
		return fmt.Errorf("%s:%d: %s: %s", path, line, field, at.GetMessage())
	}
	// A duration's or a text type's own error has no place, but quotes the value.
	line, field := findNode(content, func(n ast.Node) bool {
		_, scalar := n.(ast.ScalarNode)
		return scalar && strings.Contains(err.Error(), strconv.Quote(n.GetToken().Value))
	})
	if line == 0 {
		return fmt.Errorf("%s: %w", path, err)
	}
	return fmt.Errorf("%s:%d: %s: %w", path, line, field, err)
}

// findNode returns the line and the dotted name of the deepest setting for
// which match holds, or 0.
func findNode(content []byte, match func(ast.Node) bool) (line int, field string) {
	file, err := parser.ParseBytes(content, 0)
	if err != nil {
		return 0, ""
	}
	finder := &nodeFinder{match: match}
	for _, doc := range file.Docs {
		if doc.Body != nil {
			ast.Walk(finder, doc.Body)
		}
	}
	return finder.line, strings.TrimPrefix(strings.TrimPrefix(finder.path, "$"), ".")
}

type nodeFinder struct {
	match func(ast.Node) bool
	line  int
	path  string
}

// Visit implements [ast.Visitor].
func (f *nodeFinder) Visit(n ast.Node) ast.Visitor {
	if n.GetToken() != nil && n.GetToken().Position != nil && len(n.GetPath()) > len(f.path) && f.match(n) {
		f.line, f.path = n.GetToken().Position.Line, n.GetPath()
	}
	return f
}

const envPrefix = "HABEAS_"

func overrideConfig(root reflect.Value, env []string) error {
	fields, sections := map[string]reflect.Value{}, []string{}
	collectFields(root, envPrefix, fields, &sections)
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		field, ok := fields[name]
		if !ok {
			for _, section := range sections {
				if strings.HasPrefix(name, section) {
					return fmt.Errorf("environment variable %s: there is no such setting", name)
				}
			}
			continue
		}
		if err := setField(field, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	return nil
}

// collectFields lists the settings under v by their variables' names, and the
// prefixes that only a section's settings have.
func collectFields(v reflect.Value, prefix string, fields map[string]reflect.Value, sections *[]string) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if opts == "inline" {
			collectFields(v.Field(i), prefix, fields, sections)
			continue
		}
		if name == "" {
			name = strings.ToLower(f.Name)
		}
		key := prefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if f.Type.Kind() == reflect.Struct && !isText(v.Field(i)) {
			*sections = append(*sections, key+"_")
			collectFields(v.Field(i), key+"_", fields, sections)
			continue
		}
		fields[key] = v.Field(i)
	}
}

func isText(v reflect.Value) bool {
	_, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr())
	return ok
}

// setField sets a setting from text. Its errors do not repeat the text.
func setField(v reflect.Value, text string) error {
	if t, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		return t.UnmarshalText([]byte(text))
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("want a duration such as 10s or 2h")
		}
		v.SetInt(int64(d))
		return nil
	case v.Kind() == reflect.String:
		v.SetString(text)
		return nil
	case v.Type() == reflect.TypeFor[[]string]():
		var items []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		v.Set(reflect.ValueOf(items))
		return nil
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), v.Addr().Interface(), yaml.Strict()); err != nil {
		return fmt.Errorf("want a value of type %s", v.Type())
	}
	return nil
}
