package main

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
	_ "modernc.org/sqlite" // makes the sample database
)

//go:embed skeleton
var skeleton embed.FS

var connectorName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// kinds are what a skeleton can be of, with the schemas its files have.
var kinds = map[string][]string{
	"sql":  {"connector", "dataset"},
	"rest": {"connector", "restspec"},
	"lake": {"connector", "lake"},
	"go":   {"connector"},
}

// skeletonOptions are the choices of habeas-connector new.
type skeletonOptions struct {
	name, kind, dir, module, sdk string
}

func newCommand() *cobra.Command {
	var o skeletonOptions
	cmd := &cobra.Command{
		Use:   "new NAME --kind sql|rest|lake|go",
		Short: "Write the skeleton of a connector: working, tested, ready to be changed",
		Long: `Write the skeleton of a connector: working, tested, ready to be changed.

    sql    a data map for a SQL database, with a sample database
    rest   a specification of a REST API, with a sample API
    lake   a data map of files, with sample files
    go     a Go module that implements the connector itself

The first three are files only: their test.sh tests them with this tool. A Go
skeleton is a module that needs the SDK: the release of this tool when it is one,
or a checkout of the repository, given as --sdk-path CHECKOUT/connectors/sdk.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			if o.dir == "" {
				o.dir = o.name
			}
			if err := writeSkeleton(cmd.Context(), o); err != nil {
				return err
			}
			how := "./test.sh"
			if o.kind == "go" {
				how = "go test ."
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; in it, %s shows that it keeps its promises\n", o.dir, how)
			return err
		},
	}
	cmd.Flags().StringVar(&o.kind, "kind", "go", "sql, rest, lake or go")
	cmd.Flags().StringVar(&o.dir, "dir", "", "the folder to make (default: NAME)")
	cmd.Flags().StringVar(&o.module, "module", "", "for go: the module's path (default: NAME)")
	cmd.Flags().StringVar(&o.sdk, "sdk-path", "", "for go: the SDK's folder in a checkout, instead of a release")
	return cmd
}

// writeSkeleton makes the folder and its files, and touches nothing that is
// there already.
func writeSkeleton(ctx context.Context, o skeletonOptions) (err error) {
	names, ok := kinds[o.kind]
	switch {
	case !ok:
		return fmt.Errorf("--kind %q: want sql, rest, lake or go", o.kind)
	case !connectorName.MatchString(o.name):
		return fmt.Errorf("name %q: want 1 to 40 lower-case letters, digits and hyphens, starting with a letter", o.name)
	case o.kind != "go" && o.module+o.sdk != "":
		return errors.New("--module and --sdk-path are for --kind go")
	}
	data := struct{ Name, Key, Module, Requires string }{o.name, strings.ReplaceAll(o.name, "-", "_"), o.module, ""}
	if data.Module == "" {
		data.Module = o.name
	}
	var sums []byte
	if o.kind == "go" {
		if data.Requires, sums, err = requirements(o.sdk); err != nil {
			return err
		}
	}
	if err := os.Mkdir(o.dir, 0o750); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making %s: it is there already", o.dir)
		}
		return fmt.Errorf("making the folder: %w", err)
	}
	write := func(name string, text []byte) error {
		file, mode := filepath.Join(o.dir, filepath.FromSlash(name)), fs.FileMode(0o644)
		if strings.HasSuffix(name, ".sh") {
			mode = 0o755
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return fmt.Errorf("writing the skeleton: %w", err)
		}
		if err := os.WriteFile(file, text, mode); err != nil {
			return fmt.Errorf("writing the skeleton: %w", err)
		}
		return nil
	}
	files, err := fs.Glob(skeleton, "skeleton/"+o.kind+"/*.tmpl")
	if err != nil {
		return err
	}
	for _, file := range append(files, "skeleton/people.yaml.tmpl") {
		text, err := fill(file, data)
		if err != nil {
			return err
		}
		if err := write(target(file, o.name), text); err != nil {
			return err
		}
	}
	for _, name := range names {
		text, err := readSchema(name)
		if err != nil {
			return err
		}
		if err := write(schemaFile(name), text); err != nil {
			return err
		}
	}
	switch o.kind {
	case "sql":
		return sampleDatabase(ctx, o.dir)
	case "go":
		if len(sums) > 0 {
			return write("go.sum", sums)
		}
	}
	return nil
}

// target is where a template's text goes.
func target(file, name string) string {
	base := strings.TrimSuffix(filepath.Base(file), ".tmpl")
	if base == "events.jsonl" {
		return "sample/events/dt=2026-01-31/part-000.jsonl"
	}
	return strings.Replace(base, "NAME", name, 1)
}

func fill(file string, data any) ([]byte, error) {
	t, err := template.New(filepath.Base(file)).Delims("<<", ">>").ParseFS(skeleton, file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var text strings.Builder
	if err := t.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("writing %s: %w", file, err)
	}
	return []byte(text.String()), nil
}

// sampleDatabase makes sample.db of sample.sql.
func sampleDatabase(ctx context.Context, dir string) (err error) {
	text, err := os.ReadFile(filepath.Join(dir, "sample.sql")) //nolint:gosec // written a moment ago
	if err != nil {
		return err
	}
	file, err := filepath.Abs(filepath.Join(dir, "sample.db"))
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath()}).String())
	if err != nil {
		return fmt.Errorf("making the sample database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, string(text)); err != nil {
		return fmt.Errorf("making the sample database: %w", err)
	}
	return nil
}
