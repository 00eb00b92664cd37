package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func requestCommand() *cobra.Command {
	var flags clientFlags
	cmd := &cobra.Command{Use: "request", Short: "Submit, show, list, approve, deny, cancel and retry requests"}
	flags.add(cmd)
	cmd.AddCommand(submitCommand(&flags), showCommand(&flags), listCommand(&flags), approveCommand(&flags), denyCommand(&flags), confirmCommand(&flags), cancelCommand(&flags), retryCommand(&flags), downloadCommand(&flags), reviewCommand(&flags), postedCommand(&flags))
	return cmd
}

func submitCommand(flags *clientFlags) *cobra.Command {
	var ids []string
	var right, method, level, key, channel, regime string
	var everything, mail bool
	cmd := &cobra.Command{
		Use: "submit --right RIGHT --id KIND=VALUE …", Short: "Submit a request", Args: cobra.NoArgs,
		Long: `Submit a request. --verified attests who the requester is; without it, requests
that the law wants verified wait. Opt-outs are never verified.`,
		Example: "  habeas request submit --right delete --id email=ada@example.com --verified operator_attested",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			body := map[string]any{"right": right, "channel": channel}
			if regime != "" {
				body["regime"] = regime
			}
			if everything {
				body["everything"] = true
			}
			if mail {
				body["answer"] = "mail"
			}
			if len(ids) == 0 {
				return errors.New("--id is missing: give at least one, such as --id email=ada@example.com")
			}
			var list []map[string]string
			for _, id := range ids {
				kind, value, ok := strings.Cut(id, "=")
				if !ok {
					return errors.New("--id: want KIND=VALUE, such as email=ada@example.com")
				}
				list = append(list, map[string]string{"kind": kind, "value": value})
			}
			body["identifiers"] = list
			if method != "" {
				body["verification"] = map[string]string{"method": method, "level": level}
			}
			headers := map[string]string{}
			if key != "" {
				headers["Idempotency-Key"] = key
			}
			return flags.print(cmd.OutOrStdout(), func(answer any) error {
				return c.call(cmd.Context(), http.MethodPost, "/v1/requests", headers, body, answer)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&right, "right", "", "know_categories, know_specific, delete, correct, opt_out_sale_share or limit_spi; opt_in_sale_share or opt_in_spi to take a choice back")
	f.StringArrayVar(&ids, "id", nil, "an identifier, KIND=VALUE; may be given more than once")
	f.StringVar(&method, "verified", "", "how the requester was verified, as a short code")
	f.StringVar(&level, "level", "reasonably_high", "how sure that makes you: reasonable or reasonably_high")
	f.StringVar(&key, "idempotency-key", "", "the same key gives the same request")
	f.StringVar(&channel, "channel", "api", "how the request was made")
	f.StringVar(&regime, "regime", "", "the law; left out, the configured one")
	f.BoolVar(&everything, "everything", false, "for requests to know: as far back as the law reaches")
	f.BoolVar(&mail, "mail", false, "for requests to know: the answer goes on paper, by mail")
	return cmd
}

// print runs a call that answers with one request and shows it.
func (f *clientFlags) print(w io.Writer, call func(answer any) error) error {
	var raw json.RawMessage
	if err := call(&raw); err != nil {
		return err
	}
	if f.json {
		_, err := fmt.Fprintf(w, "%s\n", raw)
		return err
	}
	var v requestView
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return showRequest(w, v)
}

func showRequest(w io.Writer, v requestView) error {
	var b strings.Builder
	fmt.Fprintf(&b, "request   %s\nright     %s (%s, by %s)\nstate     %s", v.ID, v.Right, v.Regime, v.Channel, v.State)
	if v.Result != "" {
		fmt.Fprintf(&b, ", %s", v.Result)
	}
	fmt.Fprintf(&b, "\nanswer by %s\n", v.AnswerBy)
	if v.ReasonCode != "" {
		fmt.Fprintf(&b, "reason    %s: %s\n", v.ReasonCode, v.Reason)
	}
	if v.Attention != "" {
		fmt.Fprintf(&b, "attention %s\n", v.Attention)
	}
	if len(v.Waiting) > 0 {
		fmt.Fprintf(&b, "waits for %s\n", strings.Join(v.Waiting, ", "))
	}
	if len(v.Jobs) > 0 {
		b.WriteString("\n")
		t := tabwriter.NewWriter(&b, 2, 4, 2, ' ', 0)
		fmt.Fprintln(t, "connector\taction\tstate\tstore\tlocated\tremaining\tkept\twhy")
		for _, j := range v.Jobs {
			why := strings.TrimSpace(j.Code + " " + j.Message)
			if len(j.Stores) == 0 {
				fmt.Fprintf(t, "%s\t%s\t%s\t\t\t\t\t%s\n", j.Connector, j.Action, j.State, why)
			}
			for i, s := range j.Stores {
				connector, action, state := j.Connector, j.Action, j.State
				if i > 0 {
					connector, action, state = "", "", ""
				}
				because := ""
				if s.Kept > 0 {
					because = s.Basis + " until " + s.Until
				} else if i == 0 {
					because = why
				}
				because = strings.TrimSpace(s.became() + " " + because)
				store := s.Store
				if s.Category != "" {
					store += " (" + s.Category + ")"
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", connector, action, state, store, s.Located, s.Remaining, s.Kept, because)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// became says what became of records that were not removed.
func (s *storeView) became() string {
	var parts []string
	for _, c := range []struct {
		n    int64
		what string
	}{
		{s.Deidentified, "deidentified, not erased"}, {s.Emptied, "emptied, not removed"}, {s.Masked, "masked, not removed"},
		{s.Standing, "in force already"}, {s.Anew, "put in force anew"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

func showCommand(flags *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a request with its jobs", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			return flags.print(cmd.OutOrStdout(), func(answer any) error {
				return c.call(cmd.Context(), http.MethodGet, requestPath(args[0]), nil, nil, answer)
			})
		},
	}
}

func listCommand(flags *clientFlags) *cobra.Command {
	var state, right, cursor string
	var attention bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List requests, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			q := url.Values{"limit": {strconv.Itoa(limit)}}
			for name, v := range map[string]string{"state": state, "right": right, "cursor": cursor} {
				if v != "" {
					q.Set(name, v)
				}
			}
			if attention {
				q.Set("attention", "true")
			}
			var raw json.RawMessage
			if err := c.call(cmd.Context(), http.MethodGet, "/v1/requests?"+q.Encode(), nil, nil, &raw); err != nil {
				return err
			}
			if flags.json {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", raw)
				return err
			}
			var page struct {
				Requests []requestView
				Next     string
			}
			if err := json.Unmarshal(raw, &page); err != nil {
				return fmt.Errorf("reading the answer: %w", err)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 2, 4, 2, ' ', 0)
			fmt.Fprintln(t, "request\tright\tstate\tresult\tanswer by\twaits for\tattention")
			for _, v := range page.Requests {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Right, v.State, v.Result, v.AnswerBy, strings.Join(v.Waiting, ","), v.Attention)
			}
			if page.Next != "" {
				fmt.Fprintf(t, "more: --cursor %s\n", page.Next)
			}
			return t.Flush()
		},
	}
	f := cmd.Flags()
	f.StringVar(&state, "status", "", "only requests in this state")
	f.StringVar(&right, "right", "", "only requests for this right")
	f.StringVar(&cursor, "cursor", "", "from the previous page")
	f.BoolVar(&attention, "attention", false, "only requests a person must look at")
	f.IntVar(&limit, "limit", 50, "how many, at most 500")
	return cmd
}

func cancelCommand(flags *clientFlags) *cobra.Command {
	var code, reason string
	cmd := &cobra.Command{
		Use: "cancel ID --reason TEXT", Short: "Cancel a request", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			body := map[string]string{"code": code, "reason": reason}
			return flags.print(cmd.OutOrStdout(), func(answer any) error {
				return c.call(cmd.Context(), http.MethodPost, requestPath(args[0], "/cancel"), nil, body, answer)
			})
		},
	}
	cmd.Flags().StringVar(&code, "code", "withdrawn", "a short code of the reason")
	cmd.Flags().StringVar(&reason, "reason", "", "the reason, told to the consumer")
	return cmd
}

func confirmCommand(flags *clientFlags) *cobra.Command {
	return &cobra.Command{
		Use: "confirm ID", Short: "Take the second step of a request that has two, for the person who confirmed it", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			return flags.print(cmd.OutOrStdout(), func(answer any) error {
				return c.call(cmd.Context(), http.MethodPost, requestPath(args[0], "/confirm"), nil, nil, answer)
			})
		},
	}
}

func retryCommand(flags *clientFlags) *cobra.Command {
	var connector string
	cmd := &cobra.Command{
		Use: "retry ID", Short: "Send jobs again that failed or wait", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			body := map[string]string{}
			if connector != "" {
				body["connector"] = connector
			}
			return flags.print(cmd.OutOrStdout(), func(answer any) error {
				return c.call(cmd.Context(), http.MethodPost, requestPath(args[0], "/retry"), nil, body, answer)
			})
		},
	}
	cmd.Flags().StringVar(&connector, "connector", "", "only this connector's jobs")
	return cmd
}

func postedCommand(flags *clientFlags) *cobra.Command {
	var on, tracking string
	cmd := &cobra.Command{
		Use: "posted ID", Short: "Say that the answer to a request was printed and mailed, as the person chose", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			body := map[string]string{}
			if on != "" {
				body["on"] = on
			}
			if tracking != "" {
				body["tracking"] = tracking
			}
			if err := c.call(cmd.Context(), http.MethodPost, requestPath(args[0], "/package"), nil, body, nil); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the answer counts as mailed; the request ends")
			return err
		},
	}
	cmd.Flags().StringVar(&on, "on", "", "the day it was mailed, as yyyy-mm-dd; today without it")
	cmd.Flags().StringVar(&tracking, "tracking", "", "the carrier's number; it stays out of the evidence")
	return cmd
}

func downloadCommand(flags *clientFlags) *cobra.Command {
	var out string
	var review bool
	cmd := &cobra.Command{
		Use: "download ID --out FILE", Short: "Download the package of a copy request", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			path := requestPath(args[0], "/package")
			if review {
				path += "/review"
			}
			size, err := c.download(cmd.Context(), path, out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %d bytes\n", out, size)
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "package.zip", "where to save it")
	cmd.Flags().BoolVar(&review, "review", false, "take one that waits for a look (habeas request review)")
	return cmd
}
