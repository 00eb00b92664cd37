// Package schema brings the tables of a store to a version. It owes the stores
// that a step is made once, and that one with a lower number than what is there
// already, which another branch brought, is not passed over.
package schema

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// Steps are the migrations of a store, in its folder migrations.
func Steps(dialect goose.Dialect, db *sql.DB, store fs.FS) (*goose.Provider, error) {
	files, err := fs.Sub(store, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	steps, err := goose.NewProvider(dialect, db, files, goose.WithTableName("habeas_migration"), goose.WithAllowOutofOrder(true))
	if err != nil {
		return nil, fmt.Errorf("migrating: %w", err)
	}
	return steps, nil
}

// Migrate takes all steps that were not taken, or with down takes back the last.
func Migrate(ctx context.Context, dialect goose.Dialect, db *sql.DB, store fs.FS, down bool) error {
	steps, err := Steps(dialect, db, store)
	if err != nil {
		return err
	}
	if down {
		_, err = steps.Down(ctx)
	} else {
		_, err = steps.Up(ctx)
	}
	if err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}
