package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/suppression"
)

type dropConfig struct {
	// URL is the state's deletion platform.
	URL string `yaml:"url"`
	// KeyFile holds the broker's own key for it.
	KeyFile room.SecretFile `yaml:"key_file"`
	// People is the company's own file of whom it holds data on.
	People string `yaml:"people"`
	// Connectors are those that say themselves whom their systems hold.
	Connectors []string `yaml:"connectors"`
	// Spool keeps a download until it is read.
	Spool string `yaml:"spool"`
}

// sqlStore is a store that has its database for tables beside the requests.
type sqlStore interface{ SQL() *sql.DB }

func ledgerOf(s database, v *vault.Vault) (*drop.Ledger, error) {
	in, ok := s.(sqlStore)
	if !ok {
		return nil, errors.New("this store keeps no lists of the platform")
	}
	return &drop.Ledger{DB: in.SQL(), Keys: &suppression.List{Store: s, Vault: v}}, nil
}

type dropFlags struct {
	client clientFlags
	config string
	wait   time.Duration
	now    func() time.Time
	every  time.Duration // how often --repeat looks whether something is due
}

func dropCommand() *cobra.Command {
	return (&dropFlags{now: time.Now, every: time.Hour}).command()
}

func (f *dropFlags) command() *cobra.Command {
	cmd := &cobra.Command{Use: "drop", Short: "For data brokers: California's deletion platform"}
	f.client.add(cmd)
	cmd.PersistentFlags().StringVar(&f.config, "config", "", "configuration file (YAML); of it drop, the store and the master key are used")
	cmd.PersistentFlags().DurationVar(&f.wait, "wait", 0, "how long to wait for requests that are not answered; what is left goes on at the next run")
	cmd.AddCommand(dropSession(f), dropLook(f), dropUploaded(f), dropStatus(f))
	return cmd
}

// with opens what a run needs.
func (f *dropFlags) with(ctx context.Context, use func(config, *drop.Broker) error) (err error) {
	c, err := loadConfig(f.config)
	if err != nil {
		return err
	}
	return withSuppressions(ctx, f.config, func(l *suppression.List) error {
		s, ok := l.Store.(database)
		if !ok {
			return errors.New("this store keeps no lists of the platform")
		}
		ledger, err := ledgerOf(s, l.Vault)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(c.Drop.Spool, 0o700); err != nil {
			return fmt.Errorf("making drop.spool: %w", err)
		}
		people, end, err := f.people(ctx, c, s)
		if err != nil {
			return err
		}
		defer end()
		return use(c, &drop.Broker{
			Ledger: ledger, Spool: c.Drop.Spool, Wait: f.wait, File: f.file,
			Now:    func() time.Time { return f.now().UTC() },
			People: people,
		})
	})
}

// people opens all that say whom the company holds: its file, and the systems
// that do so themselves.
func (f *dropFlags) people(ctx context.Context, c config, s database) (open func() (io.ReadCloser, error), end func(), err error) {
	end = func() {}
	var all []func() (io.ReadCloser, error)
	if c.Drop.People != "" {
		all = append(all, func() (io.ReadCloser, error) { return os.Open(c.Drop.People) })
	}
	if len(c.Drop.Connectors) > 0 {
		key, err := c.sealKey(listerName)
		if err != nil {
			return nil, end, err
		}
		r := &runtime{config: f.onBus(c), instance: listerName, logger: slog.Default(), checks: map[string]func() error{}}
		if err := r.connect([]nats.Option{nats.CustomInboxPrefix(wire.InboxPrefix(listerName))}); err != nil {
			return nil, end, err
		}
		end = r.conn.Close
		systems := &drop.Systems{Conn: r.conn, Key: key, Store: s, Names: c.Drop.Connectors}
		all = append(all, func() (io.ReadCloser, error) { return systems.Open(ctx) })
	}
	if len(all) == 0 {
		return func() (io.ReadCloser, error) {
			return nil, errors.New("drop.people and drop.connectors are not set: name the file of whom the company holds data on, one JSON object a line, or the connectors that can say it")
		}, end, nil
	}
	return drop.Together(all...), end, nil
}

// onBus is the configuration with the bus of a "habeas up" on this machine, where
// there is one.
func (f *dropFlags) onBus(c config) config {
	if text, err := os.ReadFile(filepath.Join(f.client.state, "client.json")); err == nil && f.client.server == "" {
		var local clientFile
		if json.Unmarshal(text, &local) == nil && local.Bus != "" {
			c.NATS = natsConfig{URL: local.Bus}
		}
	}
	return c
}

// file hands requests in through the API, many at once. The state has verified
// who they are.
func (f *dropFlags) file(ctx context.Context, filings []drop.Filing) ([]string, error) {
	c, err := f.client.open()
	if err != nil {
		return nil, err
	}
	var body struct {
		Requests []map[string]any `json:"requests"`
	}
	for _, one := range filings {
		var ids []map[string]string
		for _, id := range one.Identifiers {
			ids = append(ids, map[string]string{"kind": string(id.Kind), "value": id.Reveal()})
		}
		r := map[string]any{"idempotency_key": one.Key, "right": string(one.Right), "channel": string(request.ChannelDROP), "regime": "us-ca-ccpa", "identifiers": ids}
		if one.Right == request.Delete {
			r["verification"] = map[string]string{"method": "drop", "level": string(request.ReasonablyHigh)}
		}
		body.Requests = append(body.Requests, r)
	}
	var answer struct {
		Results []struct {
			ID     string `json:"id"`
			Errors []struct {
				Field, Message string
			} `json:"errors"`
		} `json:"results"`
	}
	if err := c.call(ctx, http.MethodPost, "/v1/requests:bulk", nil, body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(filings) {
		return nil, fmt.Errorf("the API answered %d of %d requests", len(answer.Results), len(filings))
	}
	ids := make([]string, len(filings))
	for i, r := range answer.Results {
		if r.ID == "" {
			if len(r.Errors) > 0 {
				return nil, fmt.Errorf("the API refused a request: %s: %s", r.Errors[0].Field, r.Errors[0].Message)
			}
			return nil, errors.New("the API refused a request")
		}
		ids[i] = r.ID
	}
	return ids, nil
}

func (c *config) platform() (*drop.Platform, error) {
	if c.Drop.KeyFile == "" {
		return nil, errors.New("drop.key_file is not set: name the file with your key of the platform, or get the lists by hand and give them with --lists")
	}
	key, err := c.Drop.KeyFile.Read()
	if err != nil {
		return nil, err
	}
	return &drop.Platform{URL: strings.TrimRight(c.Drop.URL, "/"), Key: key.Reveal()}, nil
}

func dropSession(f *dropFlags) *cobra.Command {
	var lists, answers string
	var repeat bool
	cmd := &cobra.Command{
		Use: "session", Short: "Fetch the lists, erase and opt out who is on them, and answer for every item", Args: cobra.NoArgs,
		Long: `Fetch the lists of California's deletion platform with your own key, hold them
and all earlier ones against the file of people, have done what follows, and
answer for every item. Run it again as long as it says that something is left; it
goes on where it was broken off.

With --lists or --answers it works by hand: on lists that you downloaded from the
platform's pages, writing the answers to files that you upload there. Say so with
"habeas drop uploaded".`,
		Example: "  habeas drop session --config habeas.yaml --wait 1h\n  habeas drop session --lists 20260901_4821_DROP.zip --answers out",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), func(c config, b *drop.Broker) error {
				if lists != "" || answers != "" {
					if answers == "" {
						return errors.New("--answers is missing: name the folder for the answers that you will upload")
					}
					r, err := b.ByHand(cmd.Context(), lists, answers)
					return f.tell(cmd.OutOrStdout(), r, err)
				}
				platform, err := c.platform()
				if err != nil {
					return err
				}
				b.Platform = platform
				if !repeat {
					r, err := b.Session(cmd.Context())
					return f.tell(cmd.OutOrStdout(), r, err)
				}
				return f.repeat(cmd, b)
			})
		},
	}
	cmd.Flags().StringVar(&lists, "lists", "", "an archive of lists that was downloaded by hand")
	cmd.Flags().StringVar(&answers, "answers", "", "the folder for files of answers that are uploaded by hand")
	cmd.Flags().BoolVar(&repeat, "repeat", false, "go on: a session when it is due or something is left, else a look once a day")
	return cmd
}

// repeat runs sessions when they are due and looks once a day in between. What
// goes wrong is shown and tried again.
func (f *dropFlags) repeat(cmd *cobra.Command, b *drop.Broker) error {
	set, err := regimes.Load()
	if err != nil {
		return err
	}
	var looked request.Date
	for ctx := cmd.Context(); ; {
		today, err := drop.Today(f.now())
		if err != nil {
			return err
		}
		s, err := b.Ledger.Standing(ctx, set, today)
		var r drop.Report
		switch {
		case err != nil:
		case s.Late:
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "the session is late: the law's last day was %s\n", s.By); err != nil {
				return err
			}
			fallthrough
		case s.Due || s.Open != "":
			r, err = b.Session(ctx)
		case looked != today:
			if r, err = b.Look(ctx); err == nil {
				looked = today
			}
		}
		if err == nil && !r.Whole() {
			err = r.Write(cmd.OutOrStdout())
		}
		if err != nil {
			if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "habeas: %v\n", err); err != nil {
				return err
			}
		}
		if !room.Sleep(ctx, f.every) {
			return nil
		}
	}
}

var errDropLeft = errors.New("something is left: run it again once the requests are answered")

// tell prints a report. It is an error when something is left to do.
func (f *dropFlags) tell(w io.Writer, r drop.Report, err error) error {
	if err != nil {
		return err
	}
	if f.client.json {
		err = json.NewEncoder(w).Encode(r)
	} else {
		err = r.Write(w)
	}
	if err == nil && (r.Open > 0 || r.Undone > 0) {
		err = errDropLeft
	}
	return err
}

func dropLook(f *dropFlags) *cobra.Command {
	return &cobra.Command{
		Use: "look", Short: "Hold the file of people against everything received, between sessions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), func(_ config, b *drop.Broker) error {
				r, err := b.Look(cmd.Context())
				return f.tell(cmd.OutOrStdout(), r, err)
			})
		},
	}
}

func dropUploaded(f *dropFlags) *cobra.Command {
	return &cobra.Command{
		Use: "uploaded FILE …", Short: "Say that files of answers were uploaded by hand", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.with(cmd.Context(), func(_ config, b *drop.Broker) error {
				for _, name := range args {
					if err := b.Uploaded(cmd.Context(), filepath.Base(name)); err != nil {
						return err
					}
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d files count as uploaded\n", len(args))
				return err
			})
		},
	}
}

func dropStatus(f *dropFlags) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show when the next session is due, and what is open", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			set, err := regimes.Load()
			if err != nil {
				return err
			}
			return f.with(cmd.Context(), func(_ config, b *drop.Broker) error {
				today, err := drop.Today(f.now())
				if err != nil {
					return err
				}
				s, err := b.Ledger.Standing(cmd.Context(), set, today)
				if err != nil {
					return err
				}
				if f.client.json {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
				}
				return s.Write(cmd.OutOrStdout())
			})
		},
	}
}
