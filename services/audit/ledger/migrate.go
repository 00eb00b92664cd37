package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// Direction says which way to migrate.
type Direction string

// The directions.
const (
	Up   Direction = "up"   // to the newest tables
	Down Direction = "down" // to no tables: the log is gone
)

// Migrate makes, brings up to date or removes the log's tables at dsn, which
// is as in [Open]. It is run on its own and never beside a working log: DDL
// and appends wait for each other's locks.
func Migrate(ctx context.Context, dsn string, direction Direction) (err error) {
	db, provider, err := migrator(ctx, dsn, true)
	if err != nil {
		return fmt.Errorf("migrating the audit tables: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	switch direction {
	case Up:
		_, err = provider.Up(ctx)
	case Down:
		_, err = provider.DownTo(ctx, 0)
	default:
		err = fmt.Errorf("direction %q: want up or down", direction)
	}
	if err != nil {
		return fmt.Errorf("migrating the audit tables: %w", err)
	}
	return nil
}

// checkVersion returns ErrNotMigrated unless the tables are the newest.
func checkVersion(ctx context.Context, dsn string) (err error) {
	db, provider, err := migrator(ctx, dsn, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	pending, err := provider.HasPending(ctx)
	if err != nil {
		return fmt.Errorf("reading the tables' version: %w", err)
	}
	if pending {
		return ErrNotMigrated
	}
	return nil
}

func migrator(ctx context.Context, dsn string, makeSchema bool) (*sql.DB, *goose.Provider, error) {
	if isPostgres(dsn) {
		return pgMigrator(ctx, dsn, makeSchema)
	}
	if !strings.HasPrefix(dsn, litePrefix) {
		_, err := openStore(ctx, dsn)
		return nil, nil, err
	}
	s, err := openLite(strings.TrimPrefix(dsn, litePrefix))
	if err != nil {
		return nil, nil, err
	}
	provider, err := newProvider(goose.DialectSQLite3, s.db, "migrations/sqlite")
	if err != nil {
		return nil, nil, errors.Join(err, s.close())
	}
	return s.db, provider, nil
}

func pgMigrator(ctx context.Context, dsn string, makeSchema bool) (*sql.DB, *goose.Provider, error) {
	config, err := pgConfig(dsn)
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDB(*config.ConnConfig)
	if makeSchema {
		schema, _, _ := strings.Cut(config.ConnConfig.RuntimeParams["search_path"], ",")
		name := pgx.Identifier{strings.Trim(strings.TrimSpace(schema), `"`)}.Sanitize()
		// Looked up first: IF NOT EXISTS wants the right to create even when
		// there is nothing to do.
		var exists bool
		err := db.QueryRowContext(ctx, `SELECT to_regnamespace($1) IS NOT NULL`, name).Scan(&exists)
		if err == nil && !exists {
			_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+name)
		}
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("making schema %s: %w", name, err), db.Close())
		}
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	provider, err := newProvider(goose.DialectPostgres, db, "migrations/postgres", goose.WithSessionLocker(locker))
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, provider, nil
}

func newProvider(dialect goose.Dialect, db *sql.DB, dir string, opts ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(dialect, db, files, append(opts, goose.WithDisableGlobalRegistry(true))...)
}
