package litestore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Suppressed implements [store.Suppressions].
func (s *Store) Suppressed(ctx context.Context, digests [][]byte) ([]store.Suppressed, error) {
	out, err := query(ctx, s.db, row.Suppressions, "SELECT "+row.Names(row.Suppressions)+" FROM suppression WHERE digest IN (SELECT unhex(value) FROM json_each(?))", hexList(digests))
	if err != nil {
		return nil, fmt.Errorf("reading the suppression list: %w", err)
	}
	return out, nil
}

// SuppressedAfter implements [store.Suppressions].
func (s *Store) SuppressedAfter(ctx context.Context, last store.Suppressed, limit int) ([]store.Suppressed, error) {
	digest := last.Digest
	if digest == nil {
		digest = []byte{}
	}
	out, err := query(ctx, s.db, row.Suppressions, "SELECT "+row.Names(row.Suppressions)+" FROM suppression WHERE (digest, why) > (?, ?) ORDER BY digest, why LIMIT ?", digest, string(last.Why), limit)
	if err != nil {
		return nil, fmt.Errorf("reading the suppression list: %w", err)
	}
	return out, nil
}

// Suppress implements [store.Suppressions].
func (s *Store) Suppress(ctx context.Context, entries []store.Suppressed) error {
	if err := s.tx(ctx, func(tx *sql.Tx) error { return suppress(ctx, tx, entries) }); err != nil {
		return fmt.Errorf("adding to the suppression list: %w", err)
	}
	return nil
}

func suppress(ctx context.Context, tx *sql.Tx, entries []store.Suppressed) error {
	return anyNumber(ctx, tx, `INSERT INTO suppression (digest, why, pepper, since) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, entries,
		func(e store.Suppressed) []any { return []any{e.Digest, string(e.Why), e.Pepper, micros(e.Since)} })
}

// Unsuppress implements [store.Suppressions].
func (s *Store) Unsuppress(ctx context.Context, entries []store.Suppressed) error {
	if err := s.tx(ctx, func(tx *sql.Tx) error { return unsuppress(ctx, tx, entries) }); err != nil {
		return fmt.Errorf("taking off the suppression list: %w", err)
	}
	return nil
}

func unsuppress(ctx context.Context, tx *sql.Tx, entries []store.Suppressed) error {
	return anyNumber(ctx, tx, `DELETE FROM suppression WHERE digest = ? AND why = ?`, entries,
		func(e store.Suppressed) []any { return []any{e.Digest, string(e.Why)} })
}

// retain remembers what was kept; of what is there it takes the newer end.
func retain(ctx context.Context, tx *sql.Tx, kept []store.Retained) error {
	return anyNumber(ctx, tx, `INSERT INTO retained (digest, pepper, connector, store, basis, until) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (digest, connector, store, basis) DO UPDATE SET until = excluded.until`, kept,
		func(k store.Retained) []any {
			return []any{k.Digest, k.Pepper, k.Connector, k.Store, k.Basis, micros(k.Until)}
		})
}

// Retained implements [store.Suppressions].
func (s *Store) Retained(ctx context.Context, digests [][]byte) ([]store.Retained, error) {
	out, err := query(ctx, s.db, row.Retained, "SELECT "+row.Names(row.Retained)+" FROM retained WHERE digest IN (SELECT unhex(value) FROM json_each(?)) ORDER BY digest, connector, store, basis", hexList(digests))
	if err != nil {
		return nil, fmt.Errorf("reading what was kept: %w", err)
	}
	return out, nil
}

// anyNumber runs a statement for each row, whether or not it changes one.
func anyNumber[T any](ctx context.Context, tx *sql.Tx, text string, rows []T, args func(T) []any) error {
	if len(rows) == 0 {
		return nil
	}
	stmt, err := tx.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, r := range rows {
		if _, err := stmt.ExecContext(ctx, args(r)...); err != nil {
			return err
		}
	}
	return nil
}

// CountSuppressed implements [store.Suppressions].
func (s *Store) CountSuppressed(ctx context.Context) (n int64, err error) {
	if err := s.db.QueryRowContext(ctx, `SELECT count(*) FROM suppression`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the suppression list: %w", err)
	}
	return n, nil
}

// Peppers implements [store.Suppressions].
func (s *Store) Peppers(ctx context.Context) ([]store.Pepper, error) {
	out, err := query(ctx, s.db, row.Peppers, "SELECT "+row.Names(row.Peppers)+" FROM suppression_pepper ORDER BY created_at, id")
	if err != nil {
		return nil, fmt.Errorf("reading the keys of the suppression list: %w", err)
	}
	return out, nil
}

// PutPeppers implements [store.Suppressions].
func (s *Store) PutPeppers(ctx context.Context, peppers []store.Pepper) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return anyNumber(ctx, tx, `INSERT INTO suppression_pepper (id, wrapped_key, sealed, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, peppers,
			func(p store.Pepper) []any { return []any{p.ID, p.WrappedKey, p.Sealed, micros(p.CreatedAt)} })
	})
	if err != nil {
		return fmt.Errorf("storing a key of the suppression list: %w", err)
	}
	return nil
}
