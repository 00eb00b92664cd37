package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// recordsFlags say which store and who looks into it.
type recordsFlags struct{ config, who, role, purpose, tenant, regime string }

func (f *recordsFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file (YAML); of it the store is used")
	cmd.Flags().StringVar(&f.who, "by", myself(), "who looks; it goes on record")
	cmd.Flags().StringVar(&f.role, "role", "operator", "in which role: auditor, operator or privacy")
	cmd.Flags().StringVar(&f.purpose, "purpose", records.Compliance, "what for; the log serves compliance alone")
	cmd.Flags().StringVar(&f.tenant, "tenant", "", "requests of one tenant alone")
	cmd.Flags().StringVar(&f.regime, "regime", "us-ca-ccpa", `requests under one law alone; "" is every one`)
}

// myself is who works here, as the machine knows them; --by says otherwise.
func myself() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func (f *recordsFlags) reader() records.Reader {
	return records.Reader{Who: f.who, Role: f.role, Purpose: f.purpose}
}

// withRecords opens the store of requests for one use.
func withRecords(ctx context.Context, config string, use func(store.Records) error) (err error) {
	c, err := loadConfig(config)
	if err != nil {
		return err
	}
	dsn, err := c.Store.dsn()
	if err != nil {
		return err
	}
	s, err := openStore(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	kept, ok := s.(store.Records)
	if !ok {
		return errors.New("this store keeps no records")
	}
	return use(kept)
}

func metricsCommand() *cobra.Command {
	var flags recordsFlags
	var year int
	var format string
	cmd := &cobra.Command{
		Use: "metrics --year YEAR", Short: "The numbers of a calendar year (11 CCR 7102)", Args: cobra.NoArgs,
		Long: `Count the requests received in a calendar year, by kind: received, complied with
in whole and in part, denied and on what ground, and the median and mean days to
answer. The law wants them published by 1 July of the next year by those who
handle the data of ten million consumers or more; they are computed for everyone.
Each look is on record.`,
		Example: "  habeas metrics --year 2026 --config habeas.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if year < 2020 || year > time.Now().Year() {
				return fmt.Errorf("--year: want a calendar year from 2020 to %d", time.Now().Year())
			}
			if format != "csv" && format != "json" {
				return fmt.Errorf("--format: want csv or json, not %.20q", format)
			}
			return withRecords(cmd.Context(), flags.config, func(s store.Records) error {
				m, err := records.Log{Store: s}.Metrics(cmd.Context(), flags.reader(), year, flags.tenant, flags.regime)
				if err != nil {
					return err
				}
				if format == "json" {
					out := json.NewEncoder(cmd.OutOrStdout())
					out.SetIndent("", "  ")
					return out.Encode(m)
				}
				return m.WriteCSV(cmd.OutOrStdout())
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().IntVar(&year, "year", time.Now().Year()-1, "the calendar year of receipt")
	cmd.Flags().StringVar(&format, "format", "csv", "csv or json")
	return cmd
}

func recordsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "records", Short: "What has to be shown: the log of requests, who was trained, what was in force"}
	cmd.AddCommand(logCommand(), purgeCommand(), trainedCommand(), versionsCommand())
	return cmd
}

func logCommand() *cobra.Command {
	var flags recordsFlags
	var from, to string
	cmd := &cobra.Command{
		Use: "log --from DATE --to DATE", Short: "The log of requests (11 CCR 7101), as CSV", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := store.LogQuery{Tenant: flags.tenant, Regime: flags.regime}
			var err error
			if q.From, err = request.ParseDate(from); err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			if q.To, err = request.ParseDate(to); err != nil {
				return fmt.Errorf("--to: %w", err)
			}
			out := csv.NewWriter(cmd.OutOrStdout())
			defer out.Flush()
			return withRecords(cmd.Context(), flags.config, func(s store.Records) error {
				head := []string{"request", "date_of_request", "nature_of_request", "manner", "date_of_response", "nature_of_response", "basis_for_denial", "basis_in_words"}
				return records.Log{Store: s}.Read(cmd.Context(), flags.reader(), q, func(e store.LogEntry) error {
					if head != nil {
						if err := out.Write(head); err != nil {
							return err
						}
						head = nil
					}
					return out.Write([]string{
						string(e.ID), e.Received.String(), string(e.Nature), string(e.Manner), e.Responded.String(), string(e.Response), e.Basis, e.BasisWords,
					})
				})
			})
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "first day of receipt, yyyy-mm-dd")
	cmd.Flags().StringVar(&to, "to", "", "last day of receipt, yyyy-mm-dd")
	return cmd
}

func purgeCommand() *cobra.Command {
	var config string
	var months int
	cmd := &cobra.Command{
		Use: "purge", Short: "Delete requests whose records need not be kept any more", Args: cobra.NoArgs,
		Long: `Delete requests that were closed so many months ago, and thirty days, with all
that belongs to them in the rooms' database. Fewer than 24 months are refused (11
CCR 7101(a)). The log of evidence is not touched: it names nobody.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRecords(cmd.Context(), config, func(s store.Records) error {
				n, err := records.Purge(cmd.Context(), s, time.Now(), months)
				fmt.Fprintf(cmd.OutOrStdout(), "%d requests deleted\n", n)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML); of it the store is used")
	cmd.Flags().IntVar(&months, "months", 24, "how long records are kept, from the response")
	return cmd
}

func trainedCommand() *cobra.Command {
	var config, who, course, on string
	cmd := &cobra.Command{
		Use: "trained --who NAME --course COURSE --on DATE", Short: "Record that somebody who answers requests was trained (11 CCR 7100)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			day, err := request.ParseDate(on)
			if err != nil {
				return fmt.Errorf("--on: %w", err)
			}
			if who == "" || course == "" {
				return errors.New("--who and --course are required")
			}
			if day.After(request.DateOf(time.Now(), time.Local)) {
				return errors.New("--on: is in the future")
			}
			return withRecords(cmd.Context(), config, func(s store.Records) error {
				return s.PutTraining(cmd.Context(), store.Training{Who: who, Course: course, On: day})
			})
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML); of it the store is used")
	cmd.Flags().StringVar(&who, "who", "", "the person, as the console or the API names them")
	cmd.Flags().StringVar(&course, "course", "", "what the training was")
	cmd.Flags().StringVar(&on, "on", "", "the day, yyyy-mm-dd")
	return cmd
}
