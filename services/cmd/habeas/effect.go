package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/effect"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request/store"
)

type effectConfig struct {
	// Pages is the file that says what to visit; empty is no test.
	Pages string `yaml:"pages"`
	// Every is how often "habeas up" and "habeas effect --repeat" test; 0 is
	// never.
	Every time.Duration `yaml:"every"`
	// Browser is the Chromium to visit with; empty looks for one. Unsandboxed
	// runs it without its sandbox, for containers that give it none.
	Browser     string `yaml:"browser"`
	Unsandboxed bool   `yaml:"unsandboxed"`
}

// watch tests as the configuration says. file puts what was seen on record.
func (c effectConfig) watch(file func(context.Context, *habeasv1.EffectRecord) error, logger *slog.Logger) effect.Watch {
	return effect.Watch{
		Settings: func() (effect.Settings, error) { return effect.Load(c.Pages) },
		Test:     effect.Tester{Browser: c.Browser, Unsandboxed: c.Unsandboxed}.Test,
		File:     file, Every: c.Every, Logger: logger,
	}
}

// addEffect tests from time to time, where that is set up.
func (r *runtime) addEffect(context.Context) error {
	if r.Effect.Pages == "" || r.Effect.Every <= 0 {
		return nil
	}
	if _, err := effect.Load(r.Effect.Pages); err != nil {
		return err
	}
	kept, ok := r.store.(store.Records)
	if !ok {
		return errors.New("this store keeps no records")
	}
	r.group.Add("testing opt-outs", r.Effect.watch(func(ctx context.Context, rec *habeasv1.EffectRecord) error {
		return effect.File(ctx, kept, r.intake.Signer, rec)
	}, r.logger).Run)
	return nil
}

func effectCommand() *cobra.Command {
	var file, pages string
	var repeat, asJSON, dry bool
	cmd := &cobra.Command{
		Use: "effect", Args: cobra.NoArgs,
		Short: "Test in a browser that opting out has its effect on the company's pages",
		Long: `Visit the company's pages in a real browser as somebody who did not opt out, as
somebody who sends Global Privacy Control, and as somebody who opted out in each
way the company offers. Show which other companies were contacted, file it as
evidence, and end with an error when an opt-out has no effect or could not be
tested.`,
		Example: "  habeas effect --pages effect.yaml --dry-run\n  habeas effect --config habeas.yaml --repeat",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			if pages != "" {
				c.Effect.Pages = pages
			}
			if c.Effect.Pages == "" {
				return errors.New("effect.pages is not set: name the file that says what to visit there, or with --pages")
			}
			keep, end, err := c.filing(cmd.Context(), dry)
			if err != nil {
				return err
			}
			logger, err := room.Logger(c.Log.Level, c.Log.Format)
			if err != nil {
				return errors.Join(err, end())
			}
			tell := func(ctx context.Context, rec *habeasv1.EffectRecord) error {
				var told error
				if asJSON {
					_, told = fmt.Fprintln(cmd.OutOrStdout(), protojson.MarshalOptions{UseProtoNames: true, Multiline: true}.Format(rec))
				} else {
					told = effect.Tell(cmd.OutOrStdout(), rec)
				}
				return errors.Join(told, keep(ctx, rec))
			}
			w := c.Effect.watch(tell, logger)
			if !repeat {
				return errors.Join(w.Once(cmd.Context()), end())
			}
			if c.Effect.Every <= 0 {
				return errors.Join(errors.New("effect.every is not set: say how often to test, such as 24h"), end())
			}
			return errors.Join(w.Run(cmd.Context()), end())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML); of it effect, the store and intake's key are used")
	cmd.Flags().StringVar(&pages, "pages", "", "the file that says what to visit, instead of effect.pages")
	cmd.Flags().BoolVar(&repeat, "repeat", false, "go on testing every effect.every")
	cmd.Flags().BoolVar(&asJSON, "json", false, "show what was seen as JSON")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "file nothing")
	return cmd
}

// filing opens what records are filed with. Without the key of intake nothing
// is: a key made here would be nobody's.
func (c *config) filing(ctx context.Context, dry bool) (keep func(context.Context, *habeasv1.EffectRecord) error, end func() error, err error) {
	if dry {
		return func(context.Context, *habeasv1.EffectRecord) error { return nil }, func() error { return nil }, nil
	}
	key := filepath.Join(c.Keys.Dir, "intake.evidence.key")
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("filing what is seen needs intake's key, and %s is not there: run this where it is, or with --dry-run", key)
	}
	signer, err := c.signer("intake", randomHex(6))
	if err != nil {
		return nil, nil, err
	}
	dsn, err := c.Store.dsn()
	if err != nil {
		return nil, nil, err
	}
	s, err := openStore(ctx, dsn)
	if err != nil {
		return nil, nil, err
	}
	kept, ok := s.(store.Records)
	if !ok {
		return nil, nil, errors.Join(errors.New("this store keeps no records"), s.Close())
	}
	return func(ctx context.Context, rec *habeasv1.EffectRecord) error {
		return effect.File(ctx, kept, signer, rec)
	}, s.Close, nil
}
