package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/intake"
)

func approveCommand(flags *clientFlags) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use: "approve ID …", Short: "Approve plans that wait for it", Args: cobra.MinimumNArgs(1),
		Long: `Approve the plans of requests that wait for it, so that what was planned is done.
Where that takes two people (intake.plan_approvers), the first is noted and the plan
waits for another. Saying it again changes nothing.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return flags.decideMany(cmd, "approve-plans", by, map[string]any{"requests": args}, "the plan is approved")
		},
	}
	cmd.Flags().StringVar(&by, "by", "", "who decides; a token of one's own acts under its own name")
	return cmd
}

func denyCommand(flags *clientFlags) *cobra.Command {
	var by, code, reason string
	var evidence map[string]string
	cmd := &cobra.Command{
		Use: "deny ID … --code CODE --reason TEXT", Short: "Deny requests, such as those whose plan waits", Args: cobra.MinimumNArgs(1),
		Long: `Deny requests with a code that their law has for their right, and a reason that each
person is told. A denial for fraud or as unfounded takes two people; the first is noted.
Saying it again changes nothing.`,
		Example: `  habeas request deny 0197… --code unverified_delete --reason "We could not verify who asks."`,
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"requests": args, "code": code, "reason": reason}
			if len(evidence) > 0 {
				body["evidence"] = evidence
			}
			return flags.decideMany(cmd, "deny", by, body, "denied")
		},
	}
	f := cmd.Flags()
	f.StringVar(&by, "by", "", "who decides; a token of one's own acts under its own name")
	f.StringVar(&code, "code", "", "a code of the law, as its regime's file lists them")
	f.StringVar(&reason, "reason", "", "the reason, told to the consumer")
	f.StringToStringVar(&evidence, "evidence", nil, "what the code needs, NAME=TEXT, such as facts=…; may be given more than once")
	for _, name := range []string{"code", "reason"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags are defined above
		}
	}
	return cmd
}

// errRefused says that a decision about many requests was not carried out for all.
var errRefused = errors.New("not all could be decided; nothing was changed about those")

// decideMany decides about many requests and shows what came of each. Its error is
// [errRefused] when one was refused.
func (f *clientFlags) decideMany(cmd *cobra.Command, verb, by string, body map[string]any, done string) error {
	c, err := f.open()
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.call(cmd.Context(), http.MethodPost, "/v1/requests:"+verb, actorHeader(by), body, &raw); err != nil {
		return err
	}
	var answer struct {
		Results []intake.DecidedItem `json:"results"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if f.json {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
	} else {
		err = showDecided(cmd.OutOrStdout(), answer.Results, done)
	}
	for _, item := range answer.Results {
		if item.Result != "done" && item.Result != "second_needed" && err == nil {
			err = errRefused
		}
	}
	return err
}

func showDecided(w io.Writer, items []intake.DecidedItem, done string) error {
	t := tabwriter.NewWriter(w, 2, 4, 2, ' ', 0)
	for _, item := range items {
		text := done
		switch item.Result {
		case "done":
		case "second_needed":
			text = "noted: a second person must agree"
		default:
			text = "refused: " + item.Message
		}
		fmt.Fprintf(t, "%s\t%s\n", orElse(item.ID, "-"), text)
	}
	return t.Flush()
}
