package effect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// Watch tests again and again, so that a tag somebody adds to a page is found
// within one round.
type Watch struct {
	// Settings are read anew for every round.
	Settings func() (Settings, error)
	Test     func(context.Context, Settings) (*habeasv1.EffectRecord, error)
	File     func(context.Context, *habeasv1.EffectRecord) error
	Every    time.Duration
	Logger   *slog.Logger
}

// Run tests at once and then every Every until ctx ends. It keeps the gauge
// habeas.effect.failing: 1 while an opt-out has no effect, or that could not be
// tested.
func (w Watch) Run(ctx context.Context) error {
	gauge, err := otel.Meter("habeas/effect").Int64Gauge("habeas.effect.failing", metric.WithDescription("Whether opting out had no effect on the pages when it was last tested, or could not be tested."))
	if err != nil {
		return fmt.Errorf("watching what opting out does: %w", err)
	}
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	for {
		err := w.Once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		failing := int64(0)
		if err != nil {
			failing = 1
			w.Logger.ErrorContext(ctx, "testing what opting out does", slog.Any("error", err))
		}
		gauge.Record(ctx, failing)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Once tests and files what was seen. The error is the verdict's or says what
// could not be done.
func (w Watch) Once(ctx context.Context) error {
	s, err := w.Settings()
	if err != nil {
		return err
	}
	rec, err := w.Test(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(Verdict(rec), w.File(ctx, rec))
}
