package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/witness"
	"github.com/habeas-data/habeas/services/internal/room"
)

// loadPolicy reads a policy of witnesses; nil when no file is named.
func loadPolicy(path string) (*cosign.Policy, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, fmt.Errorf("reading the policy of witnesses: %w", err)
	}
	policy, err := cosign.ParsePolicy(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return policy, nil
}

func witnessCommand() *cobra.Command {
	var address, dir, name string
	var logs []string
	cmd := &cobra.Command{
		Use: "witness --name NAME --log FILE", Short: "Run a small witness that cosigns the heads of logs", Args: cobra.NoArgs,
		Long: `Run a witness (C2SP tlog-witness): it remembers the newest head of each log it is
told of, and cosigns a head only when that one begins with the leaves of the one
before. Its key and state are in --dir; keep that folder, and never restore it from
a copy.

It is worth something only in other hands, on another machine than the log: on the
same machine it goes along with whoever controls that machine. It is also the same
code as the log. A witness that others wrote and others run is better.`,
		Example: "  habeas witness --name witness.example.org/habeas --log log.vkey --listen 0.0.0.0:8490",
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := room.Logger("info", "text")
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("making the witness's folder: %w", err)
			}
			lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the folder
			if err != nil {
				return fmt.Errorf("locking the witness's folder: %w", err)
			}
			defer func() { _ = lock.Close() }() // ends with the process in any case
			if err := tryLock(lock); err != nil {
				return fmt.Errorf("another process is the witness of %s: %w", dir, err)
			}
			w, public, err := openWitness(dir, name, logs)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "witness %s %s http://%s\n", strings.ReplaceAll(name, "#", "-"), public, address); err != nil {
				return err
			}
			server := &room.Server{Addr: address, Mount: map[string]http.Handler{"/add-checkpoint": w.Handler(logger)}, Logger: logger}
			return server.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8490", "address to listen at")
	cmd.Flags().StringVar(&dir, "dir", ".state/witness", "folder of its key and state")
	cmd.Flags().StringVar(&name, "name", "", "its name, such as a host and a path; it never changes")
	cmd.Flags().StringArrayVar(&logs, "log", nil, "file with the public key of a log; may be given more than once")
	for _, flag := range []string{"name", "log"} {
		if err := cmd.MarkFlagRequired(flag); err != nil {
			panic(err) // the flags are defined above
		}
	}
	return cmd
}

// openWitness loads or makes the witness's key and returns the witness and its
// public key.
func openWitness(dir, name string, files []string) (*witness.Witness, string, error) {
	if name == "" || strings.ContainsAny(name, " +\t\n") {
		return nil, "", errors.New("--name: want a name without spaces and plus signs, such as witness.example.org/habeas")
	}
	secret, err := room.KeyFile(filepath.Join(dir, "witness.key"), func() ([]byte, error) {
		text, err := witness.GenerateKey(name)
		return []byte(text + "\n"), err
	})
	if err != nil {
		return nil, "", fmt.Errorf("key of the witness: %w", err)
	}
	signer, public, err := witness.Signer(string(secret))
	if err != nil {
		return nil, "", err
	}
	if signer.Name() != name {
		return nil, "", fmt.Errorf("--name: the key in %s is of %q; a witness never changes its name", dir, signer.Name())
	}
	trust, err := loadTrustedLogs(files)
	if err != nil {
		return nil, "", err
	}
	w, err := witness.New(filepath.Join(dir, "heads"), signer, trust)
	return w, public, err
}

// loadTrustedLogs reads the public keys of logs, one in each file.
func loadTrustedLogs(files []string) ([]string, error) {
	var logs []string
	for _, path := range files {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names it
		if err != nil {
			return nil, fmt.Errorf("reading the key of a log: %w", err)
		}
		logs = append(logs, strings.TrimSpace(string(text)))
	}
	return logs, nil
}
