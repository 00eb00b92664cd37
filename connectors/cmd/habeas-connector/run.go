package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/connectors/clickhouse"
	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/keyspace"
	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/manual"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/restspec/catalogue"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap/draft"
)

// engines are the kinds of connectors that need no code.
var engines = map[string]sdk.Opener{
	"sqlmap":     draft.Open,
	"restspec":   restspec.Open,
	"lake":       lake.Connect,
	"keyspace":   keyspace.Open,
	"manual":     manual.Open,
	"clickhouse": clickhouse.Open,
}

func runCommand() *cobra.Command {
	var describe bool
	var config string
	cmd := &cobra.Command{
		Use:   "run FILE | run catalogue:NAME --config FILE",
		Short: "Run a connector from a YAML alone",
		Long: "Run a connector from a YAML alone. Its kind names the engine: " + strings.Join(slices.Sorted(maps.Keys(engines)), ", ") + `.

    kind: sqlmap
    name: billing
    nats: {url: "nats://127.0.0.1:4222"}
    state_dir: /var/lib/billing
    config: {}   # the engine's own section

catalogue:NAME runs the catalogue's specification of a system; the file says the
rest. See "habeas-connector catalogue".`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file, name, open, err := opener(args[0], config)
			if err != nil {
				return err
			}
			flags := []string{"--config", file}
			if describe {
				flags = append(flags, "--describe")
			}
			return sdk.Command(sdk.WithParentPipe(cmd.Context()), name, open, flags, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().BoolVar(&describe, "describe", false, "print the manifest as JSON and exit, touching nothing")
	cmd.Flags().StringVar(&config, "config", "", "the connector's file, with catalogue:NAME")
	return cmd
}

// opener finds the engine for what is to be run, the file it reads and the
// connector's name unless that file gives one.
func opener(what, config string) (file, name string, open sdk.Opener, err error) {
	name, isEntry := strings.CutPrefix(what, "catalogue:")
	switch {
	case isEntry && config == "":
		return "", "", nil, errors.New("catalogue:" + name + " needs --config FILE: where the bus is, and the settings of your account")
	case isEntry:
		_, err := catalogue.Read(name)
		return config, name, restspec.OpenCatalogue(name), err
	case config != "":
		return "", "", nil, fmt.Errorf("--config goes with catalogue:NAME; %s is the file itself", what)
	}
	kind, err := kindOf(what)
	return what, kind, engines[kind], err
}

// kindOf reads the engine's name from a connector's file.
func kindOf(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("reading the configuration: %w", err)
	}
	if text, err = declared.Text(file, text); err != nil {
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
