package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

func connectorCommand() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{Use: "connector", Short: "Look at connectors, and pause them"}
	flags.add(cmd)
	cmd.AddCommand(connectorList(&flags), connectorPause(&flags), connectorResume(&flags))
	return cmd
}

func connectorList(flags *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List connectors", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			var raw json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, "/v1/connectors", nil, nil, &raw); err != nil {
				return err
			}
			if flags.json {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
				return err
			}
			return printConnectors(cmd.OutOrStdout(), raw)
		},
	}
}

func printConnectors(out io.Writer, raw json.RawMessage) error {
	var list struct {
		Connectors []struct {
			Name, Version                      string
			Up, Ready                          bool
			Abilities, Accepts, Yields, Stores []string
			Facts                              string
			Unfounded                          []string
			Paused                             *struct {
				Since  time.Time
				Reason string
			}
		}
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	t := tabwriter.NewWriter(out, 2, 4, 2, ' ', 0)
	fmt.Fprintln(t, "connector\tversion\tstate\tabilities\taccepts\tyields\tstores\tfacts")
	for _, v := range list.Connectors {
		state := "down"
		switch {
		case v.Up && v.Ready:
			state = "up"
		case v.Up:
			state = "not ready"
		}
		if v.Paused != nil {
			state += ", paused"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", v.Name, v.Version, state, strings.Join(v.Abilities, ","),
			strings.Join(v.Accepts, ","), strings.Join(v.Yields, ","), len(v.Stores), v.Facts)
	}
	for _, v := range list.Connectors {
		if v.Paused != nil {
			fmt.Fprintf(t, "\n%s gets no jobs since %s: %s\n", v.Name, v.Paused.Since.UTC().Format("2006-01-02 15:04 UTC"), v.Paused.Reason)
		}
	}
	for _, v := range list.Connectors {
		for _, text := range v.Unfounded {
			fmt.Fprintf(t, "\n%s would erase nothing: %s\n", v.Name, text)
		}
	}
	return t.Flush()
}

func connectorPause(flags *clientFlags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause NAME --reason TEXT", Short: "Send a connector no jobs until it is resumed", Args: one("NAME"),
		Long: `Send a connector no jobs until it is resumed. What it has in hand it finishes; its
other jobs wait, the requests say so, and the clocks run on. The pause is on record
and lasts through restarts.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.decide(cmd, args[0], "pause", map[string]string{"reason": reason}, "is paused", "was paused already")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in one line that names nobody")
	if err := cmd.MarkFlagRequired("reason"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func connectorResume(flags *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "resume NAME", Short: "Let a paused connector have jobs again", Args: one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.decide(cmd, args[0], "resume", nil, "gets jobs again", "was not paused")
		},
	}
}

// decide makes a decision about a connector and says what came of it.
func (f *clientFlags) decide(cmd *cobra.Command, name, decision string, body any, done, already string) error {
	c, err := f.open()
	if err != nil {
		return err
	}
	var answer struct{ Changed bool }
	if err := c.call(cmd.Context(), http.MethodPost, "/v1/connectors/"+url.PathEscape(name)+"/"+decision, nil, body, &answer); err != nil {
		return err
	}
	said := done
	if !answer.Changed {
		said = already
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", name, said)
	return err
}
