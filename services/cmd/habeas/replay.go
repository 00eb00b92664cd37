package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/aftercare"
	"github.com/habeas-data/habeas/services/internal/room"
)

// replayPause is how often the progress of a replay is asked for.
const replayPause = 300 * time.Millisecond

func replayCommand() *cobra.Command {
	var flags clientFlags
	var connector, since, by string
	var dryRun, noWait bool
	cmd := &cobra.Command{
		Use: "replay --connector NAME --since TIME", Short: "Do again what a restored system has forgotten", Args: cobra.NoArgs,
		Long: `Do again every erasure, opt-out and limit that a system has forgotten because it
was restored from a backup. TIME is when the backup was made; say a little
earlier when in doubt, for what is done twice is done once.

Stop the connector before the restore and start it afterwards. The replay goes on
when this command ends; starting it again shows the one that is under way.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := parseSince(since)
			if err != nil {
				return err
			}
			c, err := flags.open()
			if err != nil {
				return err
			}
			if dryRun {
				return previewReplay(cmd.Context(), c, connector, at, flags.json, cmd.OutOrStdout())
			}
			var r aftercare.Replay
			if err := c.call(cmd.Context(), http.MethodPost, "/v1/replays", nil, map[string]any{"connector": connector, "since": at, "by": by}, &r); err != nil {
				return err
			}
			if !noWait {
				if err := followReplay(cmd.Context(), c, &r, cmd.ErrOrStderr()); err != nil {
					return err
				}
			}
			return showReplay(&r, flags.json, cmd.OutOrStdout())
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&connector, "connector", "", "the connector whose system was restored")
	cmd.Flags().StringVar(&since, "since", "", "when the backup was made: 2026-11-20, or 2026-11-20T03:00:00Z")
	cmd.Flags().StringVar(&by, "by", "", "who does it, for the list of replays")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "count what would be done, and do nothing")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "start it and don't wait for its end")
	return cmd
}

func parseSince(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("--since: %.60q is no time; want 2026-11-20 (UTC) or 2026-11-20T03:00:00Z", text)
}

func previewReplay(ctx context.Context, c *client, connector string, since time.Time, asJSON bool, w io.Writer) error {
	query := url.Values{"connector": {connector}, "since": {since.Format(time.RFC3339)}}
	var p aftercare.Preview
	if err := c.call(ctx, http.MethodGet, "/v1/replays:preview?"+query.Encode(), nil, nil, &p); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(w).Encode(p)
	}
	_, err := fmt.Fprintf(w, "%s would be asked for %d erasures, %d opt-outs and %d limits done since %s.\n", p.Connector, p.Erasures, p.OptOuts, p.Limits, p.Since.Format(time.RFC3339))
	if err == nil && p.Lost > 0 {
		_, err = fmt.Fprintf(w, "%d more can't be done again: their identifiers are destroyed.\n", p.Lost)
	}
	return err
}

// followReplay shows how a replay goes until nothing is left that goes on by
// itself.
func followReplay(ctx context.Context, c *client, r *aftercare.Replay, w io.Writer) error {
	shown := ""
	for {
		line := fmt.Sprintf("%d of %d requests closed", r.Closed, r.Requests)
		if !r.Planned {
			line += ", still looking for more"
		}
		if line != shown {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
			shown = line
		}
		if r.Planned && r.Closed+r.Attention == r.Requests {
			return nil
		}
		if !room.Sleep(ctx, replayPause) {
			return fmt.Errorf("replay %s goes on without this command; start it again to see it: %w", r.ID, ctx.Err())
		}
		if err := c.call(ctx, http.MethodGet, "/v1/replays/"+url.PathEscape(r.ID), nil, nil, r); err != nil {
			return err
		}
	}
}

var errReplayIncomplete = errors.New("not everything was done again")

// showReplay prints the end of a replay. It is an error when something the
// system has forgotten was not done again.
func showReplay(r *aftercare.Replay, asJSON bool, w io.Writer) error {
	if asJSON {
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return err
		}
	} else if _, err := fmt.Fprintf(w, "replay %s of %s since %s\n  %d requests: %d found what the restore brought back and did it again, %d found nothing\n",
		r.ID, r.Connector, r.Since.Format(time.RFC3339), r.Requests, r.Again, r.Clean); err != nil {
		return err
	}
	for _, part := range []struct {
		n    int64
		text string
	}{
		{r.Released, "jobs left out: their people are not to stay erased or opted out any more"},
		{r.Lost, "jobs can't be done again: their identifiers are destroyed"},
		{r.Failed, "requests could not be carried out in full"},
		{r.Attention, "requests wait for a person; see the console"},
	} {
		if part.n == 0 || asJSON {
			continue
		}
		if _, err := fmt.Fprintf(w, "  %d %s\n", part.n, part.text); err != nil {
			return err
		}
	}
	if r.Lost+r.Failed+r.Attention > 0 {
		return errReplayIncomplete
	}
	return nil
}

func incidentCommand() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{Use: "incident", Short: "What went wrong after an answer"}
	flags.add(cmd)
	cmd.AddCommand(incidentList(&flags), incidentClose(&flags))
	return cmd
}

func incidentList(flags *clientFlags) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "list", Short: "List open incidents", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			var list struct {
				Incidents []aftercare.Incident `json:"incidents"`
			}
			path := "/v1/incidents?limit=500&open=true"
			if all {
				path = "/v1/incidents?limit=500"
			}
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, nil, &list); err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(list)
			}
			return printIncidents(cmd.OutOrStdout(), list.Incidents)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "closed ones too")
	return cmd
}

func printIncidents(w io.Writer, incidents []aftercare.Incident) error {
	if len(incidents) == 0 {
		_, err := fmt.Fprintln(w, "no incidents")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := fmt.Fprintln(t, "ID\tOPENED\tKIND\tSOURCE\tRECORDS\tREQUEST\tCLOSED BY"); err != nil {
		return err
	}
	for _, i := range incidents {
		source := i.Connector
		if i.Store != "" {
			source += "/" + i.Store
		}
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", i.ID, i.OpenedAt.Format(time.RFC3339), i.Kind, source, i.Records, i.Request, i.By); err != nil {
			return err
		}
	}
	return t.Flush()
}

func incidentClose(flags *clientFlags) *cobra.Command {
	var by, note string
	cmd := &cobra.Command{
		Use: "close ID --by NAME", Short: "Close an incident that somebody has looked at", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), http.MethodPost, "/v1/incidents/"+url.PathEscape(args[0])+"/close", nil, map[string]string{"by": by, "note": note}, nil)
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who has looked at it")
	cmd.Flags().StringVar(&note, "note", "", "what it was; names nobody")
	return cmd
}
