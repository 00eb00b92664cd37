package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/connectors/sqlmap"
	"github.com/habeas-data/habeas/connectors/sqlmap/draft"
)

// mapFlags are the choices of habeas-connector map.
type mapFlags struct {
	output, key, check string
	password           string
	sample             int
	threshold          float64
	timeout            time.Duration
}

func mapCommand() *cobra.Command {
	var f mapFlags
	cmd := &cobra.Command{
		Use:   "map ADDRESS",
		Short: "Draft a data map from a live database, or find what a map in use misses",
		Long: `Draft a data map from a live database, or find what a map in use misses.

ADDRESS is that of a SQL database, such as postgres://user@host/name or
sqlite:///path/file.db. Give the password as --password-file, so that nobody sees
it in the list of processes.
The database is only read, in one transaction: its schema, and the first rows of
each table to guess what the columns hold. Sampled values are never printed.

With --check FILE nothing is drafted. Columns that look personal and of which
the map says nothing are listed, with the map's file and line, and so is what the
map has and the database has not. The exit code is 0 when there are none, 1 when
there are, and 2 when the check could not be made: a gate for CI.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
			defer cancel()
			address, err := withPassword(args[0], f.password)
			if err != nil {
				return err
			}
			if f.check != "" {
				return checkMap(ctx, address, f, cmd.OutOrStdout())
			}
			return draftMap(ctx, address, f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", "", "the file to write; it must not be there yet (default: print)")
	flags.StringVar(&f.key, "key", "", "the dataset's fides_key (default: the database's name)")
	flags.StringVar(&f.check, "check", "", "a data map to check against the database, instead of drafting one")
	flags.StringVar(&f.password, "password-file", "", "a file that holds the database account's password")
	flags.IntVar(&f.sample, "sample", 200, "rows of each table to look at; 0 looks at names and types alone")
	flags.Float64Var(&f.threshold, "threshold", draft.Threshold, "the confidence, 0 to 1, from which --check reports a column")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long to wait for the database")
	return cmd
}

// withPassword puts the password in a file, if there is one, into an address.
// Errors repeat neither.
func withPassword(address, file string) (string, error) {
	if file == "" {
		return address, nil
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return "", fmt.Errorf("reading the password: %w", err)
	}
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return "", errors.New("--password-file: the address must be one with an account, such as postgres://user@host/name")
	}
	u.User = url.UserPassword(u.User.Username(), strings.TrimRight(string(text), "\r\n"))
	return u.String(), nil
}

// draftMap writes a draft.
func draftMap(ctx context.Context, address string, f mapFlags, out, errOut io.Writer) error {
	s, err := sqlmap.TakeSurvey(ctx, address, f.sample)
	if err != nil {
		return err
	}
	if f.key == "" {
		f.key = databaseName(address)
	}
	d := draft.New(f.key, s)
	editor := schemaLine("dataset", f.output)
	if f.output == "" {
		if _, err := out.Write(d.YAML(editor)); err != nil {
			return err
		}
	} else if err := writeNew(f.output, d.YAML(editor)); err != nil {
		return err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(errOut, format+"\n", args...) } // a remark
	say("%d tables read, people can be found in %d", len(s.Tables), d.Reached())
	if skipped := d.Skipped(); len(skipped) > 0 {
		say("skipped until something leads to them: %s", strings.Join(skipped, ", "))
	}
	return nil
}

// databaseName makes a key of the last part of an address.
func databaseName(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return draft.KeyOf("")
	}
	name := path.Base(u.Path + u.Opaque)
	return draft.KeyOf(strings.TrimSuffix(name, filepath.Ext(name)))
}

// writeNew writes a file that is not there yet.
func writeNew(file string, text []byte) error {
	w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("writing the map: %w", err)
	}
	_, err = w.Write(text)
	return errors.Join(err, w.Close())
}

// checkMap compares a map with a database.
func checkMap(ctx context.Context, address string, f mapFlags, out io.Writer) error {
	m, err := sqlmap.LoadMap(f.check)
	if err != nil {
		return err
	}
	s, err := sqlmap.TakeSurvey(ctx, address, f.sample)
	if err != nil {
		return err
	}
	findings := draft.Drift(m, s, f.threshold)
	for _, found := range findings {
		where := f.check
		if found.Line > 0 {
			where = fmt.Sprintf("%s:%d", f.check, found.Line)
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", where, found); err != nil {
			return err
		}
	}
	bad := len(findings)
	wrong, err := fitting(ctx, address, m)
	if err != nil {
		return err
	}
	if wrong != nil {
		bad++
		if _, err := fmt.Fprintln(out, wrong); err != nil {
			return err
		}
	}
	if bad > 0 {
		return finding(fmt.Sprintf("%s: %d things to settle", f.check, bad))
	}
	_, err = fmt.Fprintf(out, "%s: every column that looks personal is mapped, and the map fits the database\n", f.check)
	return err
}

// fitting examines the map against the live schema as a connector does when it
// starts.
func fitting(ctx context.Context, address string, m *sqlmap.Map) (wrong *sqlmap.MapError, err error) {
	c, err := sqlmap.New(sqlmap.Config{Name: "check", Version: "check", Database: address, Map: m})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := c.Check(ctx); err != nil && !errors.As(err, &wrong) {
		return nil, err
	}
	return wrong, nil
}
