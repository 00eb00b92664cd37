package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

//go:embed skeleton/*.tmpl
var skeleton embed.FS

var connectorName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func newCommand() *cobra.Command {
	var kind, dir string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the skeleton of a connector: working, tested, ready to be changed",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kind != "go" {
				return fmt.Errorf("--kind %q: want go", kind)
			}
			if dir == "" {
				dir = args[0]
			}
			if err := writeSkeleton(dir, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote %s: go test ./%s shows that it keeps its promises\n", dir, filepath.ToSlash(dir))
			return err
		},
	}
	cmd.Flags().StringVar(&kind, "kind", "go", "what to write it in")
	cmd.Flags().StringVar(&dir, "dir", "", "the folder to make (default: NAME)")
	return cmd
}

// writeSkeleton makes the folder and its files, and touches nothing that is
// there already.
func writeSkeleton(dir, name string) error {
	if !connectorName.MatchString(name) {
		return fmt.Errorf("name %q: want 1 to 40 lower-case letters, digits and hyphens, starting with a letter", name)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("making %s: it is there already", dir)
		}
		return fmt.Errorf("making the folder: %w", err)
	}
	files, err := fs.Glob(skeleton, "skeleton/*.tmpl")
	if err != nil {
		return err
	}
	for _, file := range files {
		t, err := template.New(filepath.Base(file)).Delims("<<", ">>").ParseFS(skeleton, file)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		var text strings.Builder
		if err := t.Execute(&text, struct{ Name string }{name}); err != nil {
			return fmt.Errorf("writing %s: %w", file, err)
		}
		path := filepath.Join(dir, strings.TrimSuffix(filepath.Base(file), ".tmpl"))
		if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
			return fmt.Errorf("writing the skeleton: %w", err)
		}
	}
	return nil
}
