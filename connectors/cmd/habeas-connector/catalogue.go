package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/restspec/catalogue"
)

func catalogueCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "catalogue [NAME]",
		Short: "List the systems that need only settings, or tell about one",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return listCatalogue(cmd.OutOrStdout())
			}
			return showEntry(cmd.OutOrStdout(), args[0])
		},
	}
}

func listCatalogue(w io.Writer) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, "name\tfacts\tchecked\tholds")
	for _, name := range catalogue.Names() {
		prog, err := restspec.FromCatalogue(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name, prog.Facts().Source, prog.Facts().Checked, prog.Description())
	}
	return t.Flush()
}

// showEntry tells what to know and what to configure before an entry is run.
func showEntry(w io.Writer, name string) error {
	prog, err := restspec.FromCatalogue(name)
	if err != nil {
		return err
	}
	f := prog.Facts()
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\nfacts: %s, checked %s\n", name, prog.Description(), f.Source, f.Checked)
	for _, s := range f.Sources {
		fmt.Fprintf(&b, "  from %s\n", s)
	}
	b.WriteString("know before you trust it:\n")
	for _, p := range f.Pitfalls {
		fmt.Fprintf(&b, "  - %s\n", p)
	}
	fmt.Fprintf(&b, "\n    kind: restspec\n    name: %s\n    config:\n      catalogue: %s\n", name, name)
	if settings := prog.Settings(); len(settings) > 0 {
		b.WriteString("      settings:\n")
		for _, s := range slices.Sorted(maps.Keys(settings)) {
			value := settings[s]
			if value == "" {
				value = "# has to be given"
			}
			fmt.Fprintf(&b, "        %s: %s\n", s, value)
		}
	}
	if secrets := prog.Secrets(); len(secrets) > 0 {
		b.WriteString("      secret_files:  # or the environment variables of these names\n")
		for _, s := range secrets {
			fmt.Fprintf(&b, "        %s: FILE\n", s)
		}
	}
	_, err = io.WriteString(w, b.String())
	return err
}
