// Command habeas-connector is the connector author's tool: it starts a new
// connector, runs one from a YAML alone, and tests one in any language over
// the bus.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "habeas-connector:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "habeas-connector",
		Short:         "Write, run and test connectors",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(newCommand(), runCommand(), testCommand())
	return cmd
}
