package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
)

func regimeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "regime", Short: "The law as data: check it, and a company's decisions against it"}
	cmd.AddCommand(lintCommand())
	return cmd
}

func lintCommand() *cobra.Command {
	var file, on, categories string
	cmd := &cobra.Command{
		Use: "lint [--tenant FILE]", Short: "Check the regimes, and a tenant's file against the law of a day", Args: cobra.NoArgs,
		Long: `Check the regimes built into the program: calendars that run out, and what a
regime in use lacks. With --tenant, hold a company's decisions against the law
for requests received on a day. It fails when it finds an error; a warning alone
does not fail.`,
		Example: "  habeas regime lint --tenant deploy/config/tenants/clientary.yaml --on 2027-01-02",
		RunE: func(cmd *cobra.Command, _ []string) error {
			day := request.DateOf(time.Now(), time.Local)
			if on != "" {
				var err error
				if day, err = request.ParseDate(on); err != nil {
					return fmt.Errorf("--on: %w", err)
				}
			}
			set, err := regimes.Load()
			if err != nil {
				return err
			}
			errors := 0
			out := cmd.OutOrStdout()
			for _, f := range set.Lint(day) {
				fmt.Fprintln(out, f)
				if f.Error {
					errors++
				}
			}
			if file != "" {
				n, err := lintTenant(cmd, set, file, categories, day)
				if err != nil {
					return err
				}
				errors += n
			}
			if errors > 0 {
				fmt.Fprintf(out, "%d errors for requests received on %s\n", errors, day)
				return errSilent
			}
			fmt.Fprintf(out, "no errors for requests received on %s\n", day)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "tenant", "", "the company's file")
	cmd.Flags().StringVar(&on, "on", "", "the day of receipt, yyyy-mm-dd; today by default")
	cmd.Flags().StringVar(&categories, "categories", "", "letters of the categories that systems hold, such as A,D,F, to compare with the policy")
	return cmd
}

func lintTenant(cmd *cobra.Command, set *regimes.Set, file, categories string, day request.Date) (errors int, err error) {
	f, err := tenant.Open(file)
	if err != nil {
		return 0, err
	}
	found, err := f.Lint(set, day)
	if err != nil {
		return 0, err
	}
	if categories != "" {
		found = append(found, f.Unclaimed(strings.Split(categories, ","))...)
	}
	for _, one := range found {
		fmt.Fprintln(cmd.OutOrStdout(), one)
		if one.Severity == tenant.Error {
			errors++
		}
	}
	return errors, nil
}
