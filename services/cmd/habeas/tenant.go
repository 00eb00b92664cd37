package main

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// loadTenant takes the company's file into use, when there is one: the laws it
// confirms, and how old the training of those who decide may be. What departs
// from the law is said and starts all the same: a room that stays down because
// the law has changed would lose requests.
func (c *config) loadTenant(set *regimes.Set, logger *slog.Logger) (*tenant.File, error) {
	if c.Intake.Tenant == "" {
		return nil, nil //nolint:nilnil // there is no file, and that is allowed
	}
	f, err := tenant.Open(c.Intake.Tenant)
	if err != nil {
		return nil, err
	}
	for _, confirmed := range f.Confirmations {
		if !slices.Contains(f.Regimes, confirmed.Regime) || confirmed.By == "" || confirmed.On.IsZero() {
			continue // the linter says so
		}
		if err := set.Confirm(confirmed.Regime); err != nil {
			return nil, err
		}
	}
	found, err := f.Lint(set, request.DateOf(time.Now(), time.Local))
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		level := slog.LevelWarn
		if one.Severity == tenant.Error {
			level = slog.LevelError
		}
		logger.Log(context.Background(), level, "the company's file departs from the law; see habeas regime lint",
			slog.String("row", one.Row), slog.String("file", one.File), slog.Int("line", one.Line), slog.String("field", one.Path))
	}
	return f, nil
}

// training is the gate for those who decide, when the company's file sets one.
func training(f *tenant.File, s store.Store) intake.Training {
	kept, ok := s.(store.Records)
	if f == nil || f.TrainingMonths <= 0 || !ok {
		return nil
	}
	return records.Gate{Store: kept, Months: f.TrainingMonths, Untrained: intake.ErrUntrained}
}
