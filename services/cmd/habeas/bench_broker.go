package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// startNATS starts a NATS server in a process of its own, as production has
// it.
func (b *benchRun) startNATS(ctx context.Context, connectors []string) (*broker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	cmd, stdin, err := childCommand(ctx, self, "broker", "--dir", b.dir, "--connectors", strings.Join(connectors, ","))
	if err != nil {
		return nil, err
	}
	cmd.Env, cmd.Stderr = append(os.Environ(), "HABEAS_PARENT_PIPE=1"), os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	b.nats = cmd
	context.AfterFunc(ctx, func() { _ = stdin.Close() }) // it ends with its input
	var told struct {
		URL       string
		Passwords map[string]string
	}
	if err := json.NewDecoder(pipe).Decode(&told); err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	return &broker{url: told.URL, passwords: told.Passwords}, nil
}

// brokerCommand runs only the NATS server, for the benchmark.
func brokerCommand() *cobra.Command {
	var dir string
	var connectors []string
	cmd := &cobra.Command{
		Use: "broker", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := startBroker(dir, connectors)
			if err != nil {
				return err
			}
			defer b.stop()
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"url": b.url, "passwords": b.passwords}); err != nil {
				return fmt.Errorf("telling the address: %w", err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
			}()
			select {
			case <-ended:
			case <-cmd.Context().Done():
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the JetStream store")
	cmd.Flags().StringSliceVar(&connectors, "connectors", nil, "names of connectors that may connect")
	return cmd
}
