package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/pack"
	"github.com/habeas-data/habeas/services/request"
)

// evidenceFlags are how to reach the log, and the days of a period.
type evidenceFlags struct {
	clientFlags
	log, from, to string
}

func (f *evidenceFlags) source() (*auditapi.Client, error) {
	c, err := f.open()
	if err != nil {
		return nil, err
	}
	if f.log == "" {
		f.log = c.server + logPrefix
	}
	return &auditapi.Client{URL: f.log, Token: c.token}, nil
}

func (f *evidenceFlags) addDays(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.from, "from", "", "first day of a period, UTC, yyyy-mm-dd")
	cmd.Flags().StringVar(&f.to, "to", "", "the day after its last, UTC, yyyy-mm-dd")
}

func evidenceCommand() *cobra.Command {
	var flags evidenceFlags
	cmd := &cobra.Command{Use: "evidence", Short: "Take evidence away"}
	flags.add(cmd)
	cmd.PersistentFlags().StringVar(&flags.log, "log", "", "address of the audit room; left out, /log of the API's server")
	cmd.AddCommand(evidenceExportCommand(&flags), evidenceSampleCommand(&flags), evidenceCertificateCommand(&flags))
	return cmd
}

func evidenceExportCommand(flags *evidenceFlags) *cobra.Command {
	var id, out string
	cmd := &cobra.Command{
		Use: "export (--request ID | --from DAY --to DAY) --out DIR", Args: cobra.NoArgs,
		Short: "Write the evidence of a request, or of a period, into a new folder",
		Long: `Write an evidence pack into a new folder. Of a request: its records. Of a period:
every record that was logged between the last head of the log signed before one day
and the last one signed before another (UTC), with what became of the requests that
came in then, so that the list of requests is complete by arithmetic.`,
		Example: "  habeas evidence export --request 01912d68-… --out evidence\n  habeas evidence export --from 2026-07-01 --to 2026-10-01 --out third-quarter",
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := flags.source()
			if err != nil {
				return err
			}
			tell := func(s string) { fmt.Fprintln(cmd.ErrOrStderr(), s) }
			if id != "" {
				return pack.Export(cmd.Context(), source, id, out, tell)
			}
			return pack.ExportPeriodFolder(func(sink pack.Sink) (*pack.Summary, error) {
				return pack.ExportPeriod(cmd.Context(), source, flags.from, flags.to, sink)
			}, out, tell)
		},
	}
	cmd.Flags().StringVar(&id, "request", "", "the request")
	cmd.Flags().StringVar(&out, "out", "", "the folder to make")
	flags.addDays(cmd)
	if err := cmd.MarkFlagRequired("out"); err != nil {
		panic(err) // the flag is defined above
	}
	cmd.MarkFlagsOneRequired("request", "from")
	cmd.MarkFlagsMutuallyExclusive("request", "from")
	cmd.MarkFlagsRequiredTogether("from", "to")
	return cmd
}

func evidenceCertificateCommand(flags *evidenceFlags) *cobra.Command {
	var id, out string
	cmd := &cobra.Command{
		Use: "certificate --request ID --out FILE", Short: "Write what the records of a request say as a PDF, for reading", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := flags.source()
			if err != nil {
				return err
			}
			var text bytes.Buffer // a page or two
			if err := (logPages{source}).Certificate(cmd.Context(), request.ID(id), &text); err != nil {
				return err
			}
			file, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640) //nolint:gosec // the caller names it
			if err != nil {
				return fmt.Errorf("writing the certificate: %w", err)
			}
			_, err = text.WriteTo(file)
			return errors.Join(err, file.Close())
		},
	}
	cmd.Flags().StringVar(&id, "request", "", "the request")
	cmd.Flags().StringVar(&out, "out", "", "the file to make")
	for _, name := range []string{"request", "out"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(err) // the flags are defined above
		}
	}
	return cmd
}

func evidenceSampleCommand(flags *evidenceFlags) *cobra.Command {
	var n int
	var word string
	cmd := &cobra.Command{
		Use: "sample --from DAY --to DAY", Short: "Draw requests of a period that nobody chose", Args: cobra.NoArgs,
		Long: `Draw requests of a period by the root of the head that ended it, which nobody knew
before the last record was in. Who has the period's pack draws the same with
"habeas verify --sample" or verify.py.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, err := flags.source()
			if err != nil {
				return err
			}
			rows := csv.NewWriter(cmd.OutOrStdout())
			err = source.Sample(cmd.Context(), flags.from, flags.to, n, word, func(l auditapi.Line) error {
				switch {
				case l.Head != nil:
					fmt.Fprintf(cmd.ErrOrStderr(), "root %s, %d intakes\n", l.Head.Period.CloseRoot, l.Head.Period.Types["intake"])
					return rows.Write([]string{"intake_leaf", "request_id", "right", "receive_date", "result"})
				case l.Request != nil:
					r := l.Request
					return rows.Write([]string{strconv.FormatInt(r.IntakeLeaf, 10), r.RequestID, r.Right, r.ReceiveDate, r.Result})
				}
				return nil
			})
			rows.Flush()
			return errors.Join(err, rows.Error())
		},
	}
	flags.addDays(cmd)
	cmd.Flags().IntVar(&n, "n", 25, "how many")
	cmd.Flags().StringVar(&word, "word", "", "a word of the auditor's that the company could not know before")
	cmd.MarkFlagsRequiredTogether("from", "to")
	cmd.MarkFlagsOneRequired("from")
	return cmd
}

func verifyCommand() *cobra.Command {
	var keys []string
	var asJSON bool
	var sample int
	var word, policy string
	cmd := &cobra.Command{
		Use: "verify DIR", Short: "Check an evidence pack, trusting nothing but it and public keys", Args: one("DIR"),
		Long: `Check every signature, every proof and the arithmetic of an evidence pack. With
--key it trusts only the keys you got another way: the log's public key and the
rooms' evidence keys, as "habeas up" keeps them in .state/keys/public. Without,
the pack's own keys show that it is whole, and not who made it.

With --policy the head that everything is proven against must have been cosigned
by the witnesses that a C2SP tlog-policy of yours wants. Without, it says who of
those that the company named did.`,
		Example: "  habeas verify evidence --key .state/keys/public\n  habeas verify evidence --key keys --policy witnesses.policy",
		RunE: func(cmd *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return fmt.Errorf("DIR: there is no folder %s; unpack the pack first if it is a zip, or make one with habeas evidence export", args[0])
			}
			trust, err := loadTrust(keys)
			if err != nil {
				return err
			}
			if trust.Policy, err = loadPolicy(policy); err != nil {
				return err
			}
			report, err := pack.Verify(args[0], trust)
			if report != nil {
				if printErr := printReport(cmd.OutOrStdout(), report, asJSON); printErr != nil {
					return printErr
				}
				if sample > 0 {
					printSample(cmd.OutOrStdout(), report, sample, word)
				}
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "file or folder with public keys to trust; may be given more than once")
	cmd.Flags().StringVar(&policy, "policy", "", "file with the witnesses that must have cosigned the log's head (C2SP tlog-policy)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().IntVar(&sample, "sample", 0, "draw so many requests out of a period's pack")
	cmd.Flags().StringVar(&word, "word", "", "for --sample: a word that the company could not know before")
	return cmd
}

// printSample draws requests as verify.py does.
func printSample(w io.Writer, r *pack.Report, n int, word string) {
	if r.Period == nil {
		fmt.Fprintln(w, "  note: this is the pack of one request; there is nothing to draw")
		return
	}
	leaves, ids := []int64{}, map[int64]string{}
	for i := range r.Requests {
		leaves, ids[r.Requests[i].IntakeLeaf] = append(leaves, r.Requests[i].IntakeLeaf), r.Requests[i].RequestID
	}
	for _, leaf := range auditapi.Sample(r.Period.CloseRoot, strings.TrimSpace(word), leaves, n) {
		fmt.Fprintf(w, "sample: leaf %d, request %s\n", leaf, ids[leaf])
	}
}

// loadTrust reads keys from files, and from the *.pub and *.vkey files of
// folders.
func loadTrust(paths []string) (pack.Trust, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return pack.Trust{}, fmt.Errorf("reading keys: %w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		before := len(files)
		for _, pattern := range []string{"*.evidence.pub", "*.vkey"} {
			found, err := filepath.Glob(filepath.Join(path, pattern))
			if err != nil {
				return pack.Trust{}, fmt.Errorf("reading keys: %w", err)
			}
			files = append(files, found...)
		}
		// Without a key the pack's own would be believed.
		if len(files) == before {
			return pack.Trust{}, fmt.Errorf("reading keys: %s has no *.evidence.pub and no *.vkey file", path)
		}
	}
	return pack.LoadTrust(files...)
}

func printReport(w io.Writer, r *pack.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("printing the report: %w", err)
		}
		return nil
	}
	if p := r.Period; p != nil {
		if _, err := fmt.Fprintf(w, "From %s to before %s: leaves %d to %d, all %d are here. Intakes among them: %d. Requests in the list: %d, still open: %d.\n",
			p.From, p.To, p.Start, p.Close-1, p.Leaves(), p.Types["intake"], p.Requests, p.Open); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d records hold: every signature, and every proof against the head of %d leaves of %s.\n", r.Records, r.Size, r.Origin)
	if r.Witnesses != nil && err == nil {
		_, err = fmt.Fprintln(w, "  "+r.Witnesses.Words())
	}
	for _, warning := range r.Warnings {
		if err == nil {
			_, err = fmt.Fprintf(w, "  note: %s\n", warning)
		}
	}
	return err
}

// tellEvidence exports and checks the evidence of one request in the demo.
func tellEvidence(ctx context.Context, cl *client, id, dir, keys string, out io.Writer) error {
	source := &auditapi.Client{URL: cl.server + logPrefix, Token: cl.token}
	if err := pack.Export(ctx, source, id, dir, nil); err != nil {
		return err
	}
	trust, err := loadTrust([]string{keys})
	if err != nil {
		return err
	}
	report, err := pack.Verify(dir, trust)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "\nhabeas verify %s --key %s\n  ", dir, keys); err != nil {
		return err
	}
	return printReport(out, report, false)
}
