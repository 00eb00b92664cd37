package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/connectors/lake"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// previewFlags are the choices of habeas-connector preview.
type previewFlags struct {
	config, file, folder, base string
	database, password         string
	email, phone               string
	ids                        []string
	reads                      bool
}

func previewCommand() *cobra.Command {
	var f previewFlags
	cmd := &cobra.Command{
		Use:   "preview (--config FILE | --map FILE WHERE) (--email ADDRESS | --phone NUMBER | --id KIND=VALUE)...",
		Short: "Show what erasing a person would do, and do nothing",
		Long: `Show what erasing a person would do, and do nothing.

It prints what is held on the person, store by store, and the statements,
requests or rewritten files that an erasure would consist of, with how many rows
or records each would touch. No value of anybody's is printed. The system is only
read: a database in a transaction that can't write, an API by the reading steps of
its specification, files without so much as tidying up.

    --config FILE   a connector's file, as habeas-connector run takes it
    --map FILE      a data map, a specification or a lake's map alone, with
                    --database ADDRESS, --base URL or --folder DIR`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return preview(cmd.Context(), f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "a connector's YAML")
	flags.StringVar(&f.file, "map", "", "a data map, a specification or a lake's map")
	flags.StringVar(&f.database, "database", "", "address of the database, for a data map")
	flags.StringVar(&f.password, "password-file", "", "a file that holds the database account's password")
	flags.StringVar(&f.base, "base", "", "where the system is, for a specification")
	flags.StringVar(&f.folder, "folder", "", "the files' folder, for a lake's map")
	flags.StringVar(&f.email, "email", "", "an e-mail address of the person")
	flags.StringVar(&f.phone, "phone", "", "a telephone number of the person, E.164")
	flags.StringArrayVar(&f.ids, "id", nil, "another identifier of the person, KIND=VALUE")
	flags.BoolVar(&f.reads, "reads", false, "also print what only reads")
	cmd.MarkFlagsOneRequired("config", "map")
	cmd.MarkFlagsMutuallyExclusive("config", "map")
	cmd.MarkFlagsOneRequired("email", "phone", "id")
	return cmd
}

// person is whom the flags name. Errors do not repeat a value.
func (f previewFlags) person() (sdk.Person, error) {
	ids := []sdk.Identifier{sdk.ID(sdk.Email, strings.ToLower(strings.TrimSpace(f.email))), sdk.ID(sdk.Phone, strings.TrimSpace(f.phone))}
	for i, text := range f.ids {
		kind, value, ok := strings.Cut(text, "=")
		if !ok || kind == "" || value == "" {
			return sdk.Person{}, fmt.Errorf("--id, number %d: want KIND=VALUE, such as customer_id=42", i+1)
		}
		ids = append(ids, sdk.ID(sdk.Kind(kind), value))
	}
	return sdk.NewPerson(ids...), nil
}

// preview opens the connector and lets it rehearse.
func preview(ctx context.Context, f previewFlags, out, errOut io.Writer) (err error) {
	person, err := f.person()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "habeas-connector-preview-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if f.config != "" {
		kind, err := kindOf(f.config)
		if err != nil {
			return err
		}
		// The state of the connector in service is not for a preview to touch.
		rehearse := func(ctx context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
			env.Describe, env.Preview, env.Dir = false, true, dir
			m, c, err := engines[kind](ctx, env)
			if err != nil {
				return m, c, err
			}
			return m, c, show(ctx, m, c, person, f.reads, out)
		}
		return sdk.Command(ctx, kind, rehearse, []string{"--config", f.config, "--describe"}, io.Discard, errOut)
	}
	kind, section, err := f.section()
	if err != nil {
		return err
	}
	env, err := sdk.NewEnv("preview", dir, section)
	if err != nil {
		return err
	}
	env.Preview, env.Logger = true, slog.New(slog.NewTextHandler(errOut, nil))
	m, c, err := engines[kind](ctx, env)
	if err != nil {
		return err
	}
	err = show(ctx, m, c, person, f.reads, out)
	if closer, ok := c.(io.Closer); ok {
		err = errors.Join(err, closer.Close())
	}
	return err
}

// section makes the config section of a connector that is the map alone.
func (f previewFlags) section() (kind, section string, err error) {
	text, err := os.ReadFile(f.file)
	if err != nil {
		return "", "", fmt.Errorf("reading the map: %w", err)
	}
	var head map[string]any
	if err := yaml.Unmarshal(text, &head); err != nil {
		return "", "", fmt.Errorf("reading %s: %s", f.file, yaml.FormatError(err, false, false))
	}
	file, err := filepath.Abs(f.file)
	if err != nil {
		return "", "", err
	}
	has := func(key string) bool { _, ok := head[key]; return ok }
	var where, flag string
	config := map[string]string{}
	switch {
	case has("dataset"):
		if where, err = withPassword(f.database, f.password); err != nil {
			return "", "", err
		}
		kind, flag = "sqlmap", "--database"
		config["map"], config["database"] = file, where
	case has("restspec"):
		kind, flag = "restspec", ""
		config["spec"], config["base"] = file, f.base
	case has("stores") && !ofFiles(head["stores"]):
		return "", "", fmt.Errorf("%s: it is the map of a server; give --config with the connector's file", f.file)
	case has("stores"):
		kind, where, flag = "lake", f.folder, "--folder"
		if config["map"] = file; where != "" {
			if where, err = filepath.Abs(where); err != nil {
				return "", "", err
			}
		}
		config["folder"] = where
	default:
		return "", "", fmt.Errorf("reading %s: it has none of the keys dataset, restspec and stores", f.file)
	}
	if flag != "" && where == "" {
		return "", "", fmt.Errorf("%s: give %s too, or --config with the connector's file", f.file, flag)
	}
	for key, value := range config {
		config[key] = strings.ReplaceAll(value, "${", "$${") // which is not a variable here
	}
	raw, err := json.Marshal(config)
	return kind, string(raw), err
}

// ofFiles reports whether a map's stores are files.
func ofFiles(stores any) bool {
	list, _ := stores.([]any)
	for _, s := range list {
		if store, ok := s.(map[string]any); ok && store["files"] == nil && (store["keys"] != nil || store["table"] != nil) {
			return false
		}
	}
	return true
}

// show prints what the connector would do.
func show(ctx context.Context, m sdk.Manifest, c sdk.Connector, person sdk.Person, reads bool, out io.Writer) error {
	if known := person.Only(m.Accepts...); len(known.Kinds()) == 0 {
		return fmt.Errorf("it finds people by %s, and none of these was given", join(m.Accepts))
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format+"\n", args...) } // Flush reports it
	var err error
	switch c := c.(type) {
	case interface {
		Preview(context.Context, sdk.Person) (*sqlmap.Preview, error)
	}:
		var p *sqlmap.Preview
		if p, err = c.Preview(ctx, person); err == nil {
			showSQL(say, p, reads)
		}
	case interface {
		Preview(context.Context, sdk.Person) (*lake.Preview, error)
	}:
		var p *lake.Preview
		if p, err = c.Preview(ctx, person); err == nil {
			showLake(say, p)
		}
	case interface {
		Preview(context.Context, sdk.Person) (*restspec.Preview, error)
	}:
		var p *restspec.Preview
		if p, err = c.Preview(ctx, person); err == nil {
			showREST(say, p, reads)
		}
	default:
		var found []sdk.Found
		if found, err = c.Locate(ctx, person); err == nil {
			showFound(say, found)
			say("This kind of connector does not tell how it erases.")
		}
	}
	if err != nil {
		return err
	}
	return table.Flush()
}

func join(kinds []sdk.Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// showFound prints what is held, and reports whether there is anything.
func showFound(say func(string, ...any), found []sdk.Found) bool {
	if len(found) == 0 {
		say("Nothing is held on this person.")
		return false
	}
	say("STORE\tRECORDS\tWOULD BE")
	for _, f := range found {
		fate := "erased"
		if f.Keep != nil {
			fate = "kept: " + f.Keep.Basis + " until " + f.Keep.Until.Format(time.DateOnly)
		}
		store := f.Store
		if f.Category != "" {
			store += " (" + f.Category + ")"
		}
		say("%s\t%d\t%s", store, f.Count, fate)
	}
	say("")
	return true
}

func showSQL(say func(string, ...any), p *sqlmap.Preview, reads bool) {
	if !showFound(say, p.Found) {
		return
	}
	say("In one transaction:")
	for _, s := range p.Statements {
		switch {
		case s.Writes:
			say("%s  -- %d rows", s.SQL, s.Rows)
		case reads:
			say("%s  -- reads, runs %d times", s.SQL, s.Runs)
		}
	}
	say("Nothing was changed.")
}

func showLake(say func(string, ...any), p *lake.Preview) {
	if !showFound(say, p.Found) {
		return
	}
	say("REWRITTEN FILE\tSTORE\tRECORDS")
	for _, f := range p.Files {
		say("%s\t%s\t%d", f.Key, f.Store, f.Records)
	}
	say("%d files were searched. Nothing was changed.", p.Searched)
}

func showREST(say func(string, ...any), p *restspec.Preview, reads bool) {
	if !showFound(say, p.Found) {
		return
	}
	say("STEP\tREQUEST\tTIMES")
	for _, c := range p.Calls {
		note := ""
		if c.Follows {
			note = ", then followed until it is done"
		}
		if c.Writes {
			say("%s\t%s\t%d%s", c.Step, c.Call, c.Times, note)
		} else if reads {
			say("%s\t%s\t%d, only reads", c.Step, c.Call, c.Times)
		}
	}
	say("Nothing was changed.")
}
