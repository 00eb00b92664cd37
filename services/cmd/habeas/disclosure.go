package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
)

func disclosureCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{Use: "disclosure", Short: "Who got which data, and who was told of deletions and opt-outs"}
	stored := []*cobra.Command{disclosureImport(&config), disclosureList(&config), disclosurePurge(&config)}
	for _, c := range stored {
		c.Flags().StringVar(&config, "config", "", "configuration file (YAML); of it the store, the master key and the company's file are used")
	}
	cmd.AddCommand(append(stored, disclosureNotices(), disclosureAcknowledge())...)
	return cmd
}

// withLedger opens the disclosure ledger for one use.
func withLedger(ctx context.Context, file string, use func(*disclosure.Ledger) error) (err error) {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	if c.Intake.Tenant == "" {
		return errors.New("intake.tenant is not set: the ledger is about the vendors in the company's file")
	}
	if err := c.requireMasterKey(requestsAndBus); err != nil {
		return err
	}
	dsn, err := c.Store.dsn()
	if err != nil {
		return err
	}
	r := &runtime{config: c}
	if r.store, err = openStore(ctx, dsn); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.store.Close()) }()
	if r.vault, err = vault.New(ctx, c.Vault.Key); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.vault.Close()) }()
	ledger, err := r.openLedger()
	if err != nil {
		return err
	}
	return use(ledger)
}

func disclosureImport(config *string) *cobra.Command {
	return &cobra.Command{
		Use: "import FILE", Short: "Put what was given away of single persons on the ledger", Args: one("FILE"),
		Long: `Read lines of JSON, one disclosure each:

  {"id": "sale-17", "at": "2026-11-02T10:00:00Z", "recipient": "adnet", "from": "crm",
   "categories": ["A", "F"], "as": "sold", "purpose": "advertising",
   "identifiers": [{"kind": "email", "value": "…"}]}

recipient is the id of a vendor in the company's file. The identifiers are stored
as keyed digests and never in clear; the file itself is yours to delete. The same
file may be imported again: what is there stays.`,
		Example: "  habeas disclosure import sales-2026-11.jsonl --config habeas.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("importing disclosures: %w", err)
			}
			defer func() { _ = file.Close() }() // it was only read
			return withLedger(cmd.Context(), *config, func(l *disclosure.Ledger) error {
				read, added, err := l.Import(cmd.Context(), file, time.Now())
				_, printErr := fmt.Fprintf(cmd.OutOrStdout(), "%d disclosures read, %d rows added\n", read, added)
				return errors.Join(err, printErr)
			})
		},
	}
}

func disclosurePurge(config *string) *cobra.Command {
	var before string
	cmd := &cobra.Command{
		Use: "purge --before DATE", Short: "Delete what was given away of single persons before a day", Args: cobra.NoArgs,
		Long: `Delete rows of the ledger that are older than a day. Who got data before that day
and is in no standing flow of the company's file is not told of deletions any more,
and no report names them: keep what a recipient may still have.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			day, err := request.ParseDate(before)
			if err != nil {
				return fmt.Errorf("--before: %w", err)
			}
			return withLedger(cmd.Context(), *config, func(l *disclosure.Ledger) error {
				const batch = 5000
				var n int64
				for {
					gone, err := l.Store.ForgetDisclosures(cmd.Context(), day.Start(time.UTC), batch)
					if n += gone; err != nil || gone < batch {
						_, printErr := fmt.Fprintf(cmd.OutOrStdout(), "%d rows deleted\n", n)
						return errors.Join(err, printErr)
					}
				}
			})
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "the day, yyyy-mm-dd, UTC")
	return cmd
}

func disclosureList(config *string) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "The company's recipients, what they get and how they are told", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withLedger(cmd.Context(), *config, func(l *disclosure.Ledger) error {
				counts, err := l.Store.Disclosed(cmd.Context())
				if err != nil {
					return err
				}
				single := map[string]int64{}
				for _, c := range counts {
					single[c.Recipient] += c.N
				}
				out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "ID\tCOUNTS AS\tCONTRACT\tGETS\tSINGLE\tTOLD BY")
				for _, r := range l.Book.Recipients() {
					var gets []string
					for _, f := range r.Flows {
						gets = append(gets, fmt.Sprintf("%s from %s (%s)", strings.Join(f.Categories, ""), f.Connector, f.As))
					}
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%s\n", r.ID, r.Role, orElse(r.Contract, "none"), orElse(strings.Join(gets, ", "), "-"), single[r.ID], toldBy(r))
				}
				return out.Flush()
			})
		},
	}
}

func toldBy(r disclosure.Recipient) string {
	switch t := r.Tell; {
	case t.Cannot != nil:
		return "nobody: " + string(t.Cannot.Why)
	case t.Connector != "":
		return "connector " + t.Connector
	case t.Webhook != "":
		return "webhook"
	case t.Email != "":
		return "e-mail"
	default:
		return "nobody can"
	}
}

func disclosureNotices() *cobra.Command {
	var flags clientFlags
	var of string
	cmd := &cobra.Command{
		Use: "notices [--request ID]", Short: "Recipients that should have confirmed and did not, or all of one request", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.open()
			if err != nil {
				return err
			}
			path := "/v1/recipients/notices"
			if of != "" {
				path += "?request=" + url.QueryEscape(of)
			}
			var list onward.List
			if err := c.call(cmd.Context(), http.MethodGet, path, nil, nil, &list); err != nil {
				return err
			}
			if flags.json {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(list)
			}
			s := list.Standing
			fmt.Fprintf(cmd.OutOrStdout(), "%d to be told (%d could not be), %d told, %d overdue\n", s.Waiting, s.Unsent, s.Told, s.Overdue)
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for i := range list.Notices {
				n := &list.Notices[i]
				state := string(n.State)
				if n.Overdue {
					state += ", overdue"
				}
				if n.Failed != "" {
					state += ": " + n.Failed
				}
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\tby %s\n", n.ID, n.Recipient, orElse(n.Channel, "-"), state, n.Deadline.Format(time.DateOnly))
			}
			return out.Flush()
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&of, "request", "", "all notices of this request")
	return cmd
}

func disclosureAcknowledge() *cobra.Command {
	var flags clientFlags
	var by string
	cmd := &cobra.Command{
		Use: "acknowledge ID --by NAME", Short: "Record that a recipient confirmed another way, by phone or letter", Args: one("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := request.ParseID(args[0])
			if err != nil {
				return fmt.Errorf("ID: %w", err)
			}
			if by == "" {
				return errors.New("--by: say who was told")
			}
			c, err := flags.open()
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), http.MethodPost, "/v1/recipients/notices/"+string(id)+"/acknowledge", map[string]string{intake.HeaderActor: by}, nil, nil)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&by, "by", myself(), "who of the staff was told")
	return cmd
}
