package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// Opener makes a connector from its environment and declares its manifest. An
// empty Manifest.Name or Manifest.Version is filled in from the environment.
//
// An Opener does not wait for its system: the system may come up later, and
// nothing may be touched when [Env.Describe] is set.
type Opener func(ctx context.Context, env Env) (Manifest, Connector, error)

// Env is what a connector is started with.
type Env struct {
	// Name is the connector's name on the bus.
	Name string
	// Version is the version from the configuration, or that of the build.
	Version string
	// ConfigFile is the path of the connector's configuration.
	ConfigFile string
	// Logger is where the connector logs. It never logs an identifier.
	Logger *slog.Logger
	// Dir is a directory that outlives the process, for the connector's own
	// state. Instances of one connector share it.
	Dir string
	// Describe is set when only the manifest is wanted.
	Describe bool
	// Preview is set when the connector is only going to be asked what it would
	// do, perhaps beside the one in service: it listens nowhere.
	Preview bool

	section ast.Node
}

// NewEnv makes an Env from the text of a "config:" section, for tests of an
// [Opener]. dir becomes [Env.Dir].
func NewEnv(name, dir, section string) (Env, error) {
	env := Env{Name: name, Version: "test", ConfigFile: "config", Logger: slog.Default(), Dir: dir}
	node, err := parseYAML(env.ConfigFile, []byte(section), os.LookupEnv)
	env.section = node
	return env, err
}

// Decode reads the "config:" section of the connector's file into v, which
// points to a struct with yaml tags. Unknown fields are errors, and errors name
// the file, the line and the field. "${VAR}" in a value stands for an
// environment variable.
func (e Env) Decode(v any) error {
	if e.section == nil {
		return fmt.Errorf("reading %s: section config: is missing", e.ConfigFile)
	}
	return decodeYAML(e.ConfigFile, e.section, v)
}

// Secret returns a credential: the content of the file that the environment
// variable NAME_FILE names, or the value of the variable NAME. Neither being
// set is an error that says so.
func (e Env) Secret(name string) (Secret, error) {
	value, err := lookupSecret(name)
	if err != nil {
		return "", err
	}
	if value == "" {
		return "", fmt.Errorf("secret %s: set %s_FILE to a file that holds it, or %s itself", name, name, name)
	}
	return value, nil
}

// lookupSecret is Secret where not being set is fine.
func lookupSecret(name string) (Secret, error) {
	if path := os.Getenv(name + "_FILE"); path != "" {
		return readSecretFile(path)
	}
	return Secret(os.Getenv(name)), nil
}

// readSecretFile reads one line; the end of the line is not part of it.
func readSecretFile(path string) (Secret, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	return Secret(strings.TrimRight(string(text), "\r\n")), nil
}

// parseYAML reads one document and expands variables in its string values.
func parseYAML(file string, text []byte, lookup func(string) (string, bool)) (ast.Node, error) {
	var node ast.Node
	if err := yaml.Unmarshal(text, &node); err != nil {
		return nil, fmt.Errorf("reading %s: %s", file, yaml.FormatError(err, false, false))
	}
	if node == nil {
		return nil, nil
	}
	e := &expander{file: file, lookup: lookup}
	ast.Walk(e, node)
	return node, errors.Join(e.errs...)
}

func decodeYAML(file string, node ast.Node, v any) error {
	if err := yaml.NodeToValue(node, v, yaml.Strict()); err != nil {
		return fmt.Errorf("reading %s: %s", file, yaml.FormatError(err, false, false))
	}
	return nil
}

// expander replaces ${VAR} in string values; "$${" stands for "${" itself.
type expander struct {
	file   string
	lookup func(string) (string, bool)
	errs   []error
}

// Visit implements [ast.Visitor].
func (e *expander) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.StringNode:
		n.Value = e.expand(n.Value, n.GetToken().Position.Line)
	case *ast.LiteralNode:
		n.Value.Value = e.expand(n.Value.Value, n.GetToken().Position.Line)
		return nil
	}
	return e
}

func (e *expander) expand(s string, line int) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		if strings.HasSuffix(before, "$") {
			out.WriteString("{")
			s = rest
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		value, set := e.lookup(name)
		if !closed || !set {
			e.errs = append(e.errs, fmt.Errorf("reading %s: line %d: environment variable %q is not set", e.file, line, name))
			return out.String()
		}
		out.WriteString(value)
		s = after
	}
}
