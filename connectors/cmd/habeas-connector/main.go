// Command habeas-connector is the connector author's tool: it starts a new
// connector, drafts and checks data maps, shows what a connector would do, runs
// one from a YAML alone, and tests one in any language over the bus.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit codes: a check that finds something is not one that can't be made.
const (
	exitFound  = 1
	exitFailed = 2
)

// finding is what a check reports when it was made and found something.
type finding string

// Error implements error.
func (f finding) Error() string { return string(f) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes the tool and returns its exit code.
func run(ctx context.Context, args []string) int {
	cmd := root()
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "habeas-connector:", err)
	if _, ok := errors.AsType[finding](err); ok {
		return exitFound
	}
	return exitFailed
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "habeas-connector",
		Short:         "Write, run and test connectors",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(newCommand(), mapCommand(), previewCommand(), sampleCommand(), runCommand(), catalogueCommand(), schemaCommand(), testCommand())
	return cmd
}
