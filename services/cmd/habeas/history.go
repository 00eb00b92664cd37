package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/delivery/notice"
	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// texts are what this program decides and shows by: the regimes and calendars,
// the pages of the portal and their words, the notices, the reports, and the company's own
// files.
func (c *config) texts() ([]records.Text, error) {
	all, err := records.Files("regime", regimes.Files())
	if err != nil {
		return nil, err
	}
	for _, fsys := range portal.Texts() {
		forms, err := records.Files("form", fsys)
		if err != nil {
			return nil, err
		}
		all = append(all, forms...)
	}
	notices, err := records.Files("notice", notice.Texts())
	if err != nil {
		return nil, err
	}
	all = append(all, notices...)
	for _, fsys := range delivery.Texts() {
		reports, err := records.Files("report", fsys)
		if err != nil {
			return nil, err
		}
		all = append(all, reports...)
	}
	for kind, name := range map[string]string{"tenant": c.Intake.Tenant, "doors": c.Intake.Doors} {
		if name == "" {
			continue
		}
		content, err := os.ReadFile(name) //nolint:gosec // the path is the operator's
		if err != nil {
			return nil, fmt.Errorf("reading the file of kind %s: %w", kind, err)
		}
		all = append(all, records.Text{Kind: kind, Name: filepath.Base(name), Content: content})
	}
	return all, nil
}

// declare puts what is in force from now on record.
func (r *runtime) declare(ctx context.Context) error {
	kept, ok := r.store.(store.Records)
	if !ok {
		return nil
	}
	texts, err := r.texts()
	if err != nil {
		return err
	}
	signer, err := r.signer("intake", r.instance)
	if err != nil {
		return err
	}
	fresh, err := records.History{Store: kept, Signer: signer, By: "habeas " + version()}.Declare(ctx, texts)
	if err != nil {
		return err
	}
	if fresh > 0 {
		r.logger.InfoContext(ctx, "forms and rules changed", slog.Int("texts", fresh))
	}
	return nil
}

func versionsCommand() *cobra.Command {
	var config, at, id, out string
	cmd := &cobra.Command{
		Use: "versions [--at TIME | --request ID]", Short: "Which forms and rules were in force", Args: cobra.NoArgs,
		Long: `List the forms, rules and files in force at a time, or when a request came, with
the digests that the log of evidence has. With --out the texts themselves are
written into a new folder.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			when := time.Now()
			if at != "" {
				var err error
				if when, err = time.Parse(time.RFC3339, at); err != nil {
					return fmt.Errorf("--at: want a time such as 2026-11-22T10:00:00Z")
				}
			}
			return withRecords(cmd.Context(), config, func(s store.Records) error {
				if id != "" {
					r, _, err := s.(store.Store).Get(cmd.Context(), request.ID(id))
					if err != nil {
						return err
					}
					when = r.CreatedAt
				}
				list, err := s.VersionsAt(cmd.Context(), when)
				if err != nil {
					return err
				}
				for _, v := range list {
					fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\t%s\t%x\tsince %s\n", v.Kind, v.Name, v.Version, v.Digest, v.At.Format(time.RFC3339))
				}
				return writeTexts(out, list)
			})
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file (YAML); of it the store is used")
	cmd.Flags().StringVar(&at, "at", "", "the time; now by default")
	cmd.Flags().StringVar(&id, "request", "", "the request: the time it came")
	cmd.Flags().StringVar(&out, "out", "", "a folder to make and write the texts into")
	return cmd
}

func writeTexts(dir string, list []store.Version) error {
	if dir == "" {
		return nil
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	for _, v := range list {
		name := filepath.Join(dir, v.Kind, filepath.FromSlash(v.Name))
		if !filepath.IsLocal(filepath.Join(v.Kind, v.Name)) {
			return fmt.Errorf("text %s %q: its name leaves the folder", v.Kind, v.Name)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
			return fmt.Errorf("writing the texts: %w", err)
		}
		if err := os.WriteFile(name, v.Content, 0o600); err != nil {
			return fmt.Errorf("writing the texts: %w", err)
		}
	}
	return nil
}
