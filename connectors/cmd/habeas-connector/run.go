package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/connectors/keyspace"
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// engines are the kinds of connectors that need no code.
var engines = map[string]sdk.Opener{
	"sqlmap":   sqlmap.Open,
	"restspec": restspec.Open,
	"lake":     lake.Connect,
	"keyspace": keyspace.Open,
}

func runCommand() *cobra.Command {
	var describe bool
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a connector from a YAML alone",
		Long: "Run a connector from a YAML alone. Its kind names the engine: " + strings.Join(slices.Sorted(maps.Keys(engines)), ", ") + `.

    kind: sqlmap
    name: billing
    nats: {url: "nats://127.0.0.1:4222"}
    state_dir: /var/lib/billing
    config: {}   # the engine's own section`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, err := kindOf(args[0])
			if err != nil {
				return err
			}
			flags := []string{"--config", args[0]}
			if describe {
				flags = append(flags, "--describe")
			}
			return sdk.Command(sdk.WithParentPipe(cmd.Context()), kind, engines[kind], flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&describe, "describe", false, "print the manifest as JSON and exit, touching nothing")
	return cmd
}

// kindOf reads the engine's name from a connector's file.
func kindOf(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("reading the configuration: %w", err)
	}
	var head struct {
		Kind string `yaml:"kind"`
	}
	if err := yaml.Unmarshal(text, &head); err != nil {
		return "", fmt.Errorf("reading %s: %s", file, yaml.FormatError(err, false, false))
	}
	if engines[head.Kind] == nil {
		return "", fmt.Errorf("reading %s: kind %q: want one of %s", file, head.Kind, strings.Join(slices.Sorted(maps.Keys(engines)), ", "))
	}
	return head.Kind, nil
}
