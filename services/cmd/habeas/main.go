// Command habeas is every room of Habeas in one program, and the tools of
// those who run it.
//
// Each room is a subcommand with its own configuration and credentials;
// "habeas up" runs all of them in one process with an embedded NATS server and
// SQLite, and the connectors as child processes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	root := rootCommand()
	err := misspelt(root, os.Args[1:])
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errSilent):
		os.Exit(1)
	default:
		fmt.Fprintf(os.Stderr, "habeas: %v\n", err)
		os.Exit(1)
	}
}

// errSilent ends the program with a failure that was explained already.
var errSilent = errors.New("failed")

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "habeas",
		Short:         "Answers people's privacy requests in every system, and can prove it",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
	}
	root.AddCommand(upCommand(), demoCommand(), migrateCommand(), requestCommand(), evidenceCommand(), verifyCommand(),
		connectorCommand(), regimeCommand(), metricsCommand(), recordsCommand(), suppressionCommand(), replayCommand(), incidentCommand(), disclosureCommand(), effectCommand(), dropCommand(), benchCommand(), brokerCommand(), keysCommand(), tokenCommand(), witnessCommand())
	for _, r := range roomCommands() {
		root.AddCommand(r)
	}
	return root
}

// misspelt refuses a word where a command of a group is wanted: the library would show
// help and end well, and a script would take that for done.
func misspelt(root *cobra.Command, args []string) error {
	group, rest, err := root.Find(args)
	if err != nil || !group.HasSubCommands() || group.Runnable() || group.ParseFlags(rest) != nil || group.Flags().NArg() == 0 {
		return nil //nolint:nilerr // the library says what it does not find
	}
	word := group.Flags().Arg(0)
	text := fmt.Sprintf("unknown command %.40q for %q", word, group.CommandPath())
	group.SuggestionsMinimumDistance = 2
	if near := group.SuggestionsFor(word); len(near) > 0 {
		text += ", is it " + strings.Join(near, " or ") + "?"
	}
	return fmt.Errorf("%s; %s --help lists them", text, group.CommandPath())
}

// version is what the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
