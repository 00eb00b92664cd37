package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/pack"
)

func evidenceCommand() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{Use: "evidence", Short: "Take evidence away"}
	flags.add(cmd)
	var id, out, log string
	export := &cobra.Command{
		Use: "export --request ID --out DIR", Short: "Write the evidence of a request into a new folder", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			if log == "" {
				log = c.server + logPrefix
			}
			source := &auditapi.Client{URL: log, Token: c.token}
			return pack.Export(cmd.Context(), source, id, out, func(s string) { fmt.Fprintln(cmd.ErrOrStderr(), s) })
		},
	}
	export.Flags().StringVar(&id, "request", "", "the request")
	export.Flags().StringVar(&out, "out", "", "the folder to make")
	export.Flags().StringVar(&log, "log", "", "address of the audit room; left out, /log of the API's server")
	for _, name := range []string{"request", "out"} {
		if err := export.MarkFlagRequired(name); err != nil {
			panic(err) // the flags are defined above
		}
	}
	cmd.AddCommand(export)
	return cmd
}

func verifyCommand() *cobra.Command {
	var keys []string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "verify DIR", Short: "Check an evidence pack, trusting nothing but it and public keys", Args: cobra.ExactArgs(1),
		Long: `Check every signature, every proof and the arithmetic of an evidence pack. With
--key it trusts only the keys you got another way: the log's public key and the
rooms' evidence keys, as "habeas up" keeps them in .state/keys/public. Without,
the pack's own keys show that it is whole, and not who made it.`,
		Example: "  habeas verify evidence --key .state/keys/public",
		RunE: func(cmd *cobra.Command, args []string) error {
			trust, err := loadTrust(keys)
			if err != nil {
				return err
			}
			report, err := pack.Verify(args[0], trust)
			if report != nil {
				if printErr := printReport(cmd.OutOrStdout(), report, asJSON); printErr != nil {
					return printErr
				}
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file or folder with public keys to trust; may be given more than once")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// loadTrust reads keys from files, and from the *.pub and *.vkey files of
// folders.
func loadTrust(paths []string) (pack.Trust, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return pack.Trust{}, fmt.Errorf("reading keys: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		before := len(files)
		for _, pattern := range []string{"*.evidence.pub", "*.vkey"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return pack.Trust{}, fmt.Errorf("reading keys: %w", err)
			}
			files = append(files, found...)
		}
		// Without a key the pack's own would be believed.
		if len(files) == before {
			return pack.Trust{}, fmt.Errorf("reading keys: %s has no *.evidence.pub and no *.vkey file", path)
		}
	}
	return pack.LoadTrust(files...)
}

func printReport(w io.Writer, r *pack.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("printing the report: %w", err)
		}
		return nil
	}
	_, err := fmt.Fprintf(w, "%d records hold: every signature, and every proof against the head of %d leaves of %s.\n", r.Records, r.Size, r.Origin)
	for _, warning := range r.Warnings {
		if err == nil {
			_, err = fmt.Fprintf(w, "  note: %s\n", warning)
		}
	}
	return err
}

// tellEvidence exports and checks the evidence of one request in the demo.
func tellEvidence(ctx context.Context, cl *client, id, dir, keys string, out io.Writer) error {
	source := &auditapi.Client{URL: cl.server + logPrefix, Token: cl.token}
	if err := pack.Export(ctx, source, id, dir, nil); err != nil {
		return err
	}
	trust, err := loadTrust([]string{keys})
	if err != nil {
		return err
	}
	report, err := pack.Verify(dir, trust)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\nhabeas verify %s --key %s\n  ", dir, keys); err != nil {
		return err
	}
	return printReport(out, report, false)
}
