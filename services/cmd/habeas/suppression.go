package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/suppression"
)

// withSuppressions opens the suppression list for one use.
func withSuppressions(ctx context.Context, file string, use func(*suppression.List) error) (err error) {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	if err := c.requireMasterKey(requestsAndBus); err != nil {
		return err
	}
	dsn, err := c.Store.dsn()
	if err != nil {
		return err
	}
	s, err := openStore(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	v, err := vault.New(ctx, c.Vault.Key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	return use(&suppression.List{Store: s, Vault: v})
}

func suppressionCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{Use: "suppression", Short: "The list of who is to stay erased or opted out"}
	cmd.PersistentFlags().StringVar(&config, "config", "", "configuration file (YAML); of it the store and the master key are used")
	cmd.AddCommand(suppressionExport(&config), suppressionImport(&config), suppressionFilter(&config), suppressionRotate(&config))
	return cmd
}

func suppressionExport(config *string) *cobra.Command {
	var to, out string
	cmd := &cobra.Command{
		Use: "export --to RECIPIENT --out FILE", Short: "Write the whole list, encrypted, for a company that takes it over", Args: cobra.NoArgs,
		Long: `Write the whole list with the keys of its digests to a file that only the owner
of an age key can read. Whoever has it can find out whether somebody is on it: it
is for a merger or a move to another installation, and for nothing else.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSuppressions(cmd.Context(), *config, func(l *suppression.List) error {
				var n int64
				err := encryptedFile(out, to, func(w io.Writer, r age.Recipient) (err error) {
					n, err = l.Export(cmd.Context(), w, r)
					return err
				})
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries written to %s\n", n, out)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the age recipient of the other company, age1…")
	cmd.Flags().StringVar(&out, "out", "", "the file to write; it must not be there")
	return cmd
}

func suppressionFilter(config *string) *cobra.Command {
	var to, out string
	var rate float64
	cmd := &cobra.Command{
		Use: "filter --to RECIPIENT --out FILE", Short: "Write a Bloom filter of the list, encrypted, for a program that imports people", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSuppressions(cmd.Context(), *config, func(l *suppression.List) error {
				var f *suppression.Filter
				err := encryptedFile(out, to, func(w io.Writer, r age.Recipient) (err error) {
					f, err = l.WriteFilter(cmd.Context(), w, rate, r)
					return err
				})
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries at a false-positive rate of %g written to %s\n", f.Entries(), f.Rate(), out)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the age recipient of the program, age1…")
	cmd.Flags().StringVar(&out, "out", "", "the file to write; it must not be there")
	cmd.Flags().Float64Var(&rate, "rate", 0.001, "the share of people not on the list that may seem to be, for each key in use")
	return cmd
}

// encryptedFile makes a file that must not be there, and none when fn fails.
func encryptedFile(path, to string, fn func(io.Writer, age.Recipient) error) (err error) {
	if path == "" {
		return errors.New("--out: name the file to write")
	}
	recipient, err := age.ParseX25519Recipient(to)
	if err != nil {
		return errors.New("--to: want an age recipient, age1…; age-keygen makes a key and prints it")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	err = fn(f, recipient)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func suppressionImport(config *string) *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use: "import --identity KEYFILE FILE", Short: "Add the list of another company or installation", Args: one("FILE"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			key, err := os.Open(identity) //nolint:gosec // the operator names it
			if err != nil {
				return fmt.Errorf("--identity: %w", err)
			}
			identities, err := age.ParseIdentities(key)
			if err = errors.Join(err, key.Close()); err != nil {
				return fmt.Errorf("--identity: not a file of age-keygen: %w", err)
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.Close()) }()
			return withSuppressions(cmd.Context(), *config, func(l *suppression.List) error {
				n, err := l.Import(cmd.Context(), f, identities...)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries read\n", n)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "the file with the age key the list was encrypted to")
	return cmd
}

func suppressionRotate(config *string) *cobra.Command {
	return &cobra.Command{
		Use: "rotate", Short: "Make a new key for digests from now on; what is on the list still matches", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSuppressions(cmd.Context(), *config, func(l *suppression.List) error { return l.Rotate(cmd.Context(), time.Now().UTC()) })
		},
	}
}
