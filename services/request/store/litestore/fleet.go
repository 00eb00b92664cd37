package litestore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Pause implements [store.Fleet].
func (s *Store) Pause(ctx context.Context, p store.Pause, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		var known int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM connector WHERE name = ?`, p.Connector).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return store.ErrNotFound
		}
		return changeOnce(ctx, tx, &fresh, r, `INSERT INTO connector_pause (connector, since, who, reason, ended_by) VALUES (?, ?, ?, ?, '') ON CONFLICT DO NOTHING`,
			p.Connector, micros(p.Since), p.By, p.Reason)
	})
	if err != nil {
		return false, fmt.Errorf("pausing connector %s: %w", p.Connector, err)
	}
	return fresh, nil
}

// Resume implements [store.Fleet].
func (s *Store) Resume(ctx context.Context, connector, by string, at time.Time, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		return changeOnce(ctx, tx, &fresh, r, `UPDATE connector_pause SET until_at = ?, ended_by = ? WHERE connector = ? AND until_at IS NULL`,
			micros(at), by, connector)
	})
	if err != nil {
		return false, fmt.Errorf("resuming connector %s: %w", connector, err)
	}
	return fresh, nil
}

// changeOnce runs a statement and stores the record that says so when it changed
// a row.
func changeOnce(ctx context.Context, tx *sql.Tx, fresh *bool, r store.Record, text string, args ...any) error {
	result, err := tx.ExecContext(ctx, text, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if *fresh = err == nil && n == 1; !*fresh {
		return err
	}
	return insert(ctx, tx, "record", row.Records, []*store.Record{&r})
}

// Pauses implements [store.Fleet].
func (s *Store) Pauses(ctx context.Context) ([]store.Pause, error) {
	out, err := query(ctx, s.db, row.Pauses, "SELECT "+row.Names(row.Pauses)+" FROM connector_pause WHERE until_at IS NULL ORDER BY connector")
	if err != nil {
		return nil, fmt.Errorf("reading pauses: %w", err)
	}
	return out, nil
}

// PausesOf implements [store.Fleet].
func (s *Store) PausesOf(ctx context.Context, connector string, limit int) ([]store.Pause, error) {
	out, err := query(ctx, s.db, row.Pauses, "SELECT "+row.Names(row.Pauses)+" FROM connector_pause WHERE connector = ? ORDER BY since DESC LIMIT ?", connector, store.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("reading pauses: %w", err)
	}
	return out, nil
}

// DeadEnds implements [store.Fleet].
func (s *Store) DeadEnds(ctx context.Context) ([]store.Stuck, error) {
	out, err := query(ctx, s.db, row.DeadEnds, "SELECT "+row.Names(row.DeadEnds)+" "+row.Dead+
		" GROUP BY j.connector, j.state, j.code ORDER BY j.connector, j.state, j.code")
	if err != nil {
		return nil, fmt.Errorf("counting dead letters: %w", err)
	}
	return out, nil
}

// Letters implements [store.Fleet].
func (s *Store) Letters(ctx context.Context, f store.LetterFilter) ([]store.Letter, error) {
	text, args := "SELECT "+row.Names(row.Letters)+" "+row.Dead, []any{}
	where := func(clause string, values ...any) {
		text += " AND " + clause
		args = append(args, values...)
	}
	if f.Connector != "" {
		where("j.connector = ?", f.Connector)
	}
	if f.State != "" {
		where("j.state = ?", string(f.State))
	}
	if f.HasCode {
		where("j.code = ?", f.Code)
	}
	if !f.Before.IsZero() {
		where("j.updated_at < ?", micros(f.Before))
	}
	if f.After.Job != "" {
		where("(j.updated_at, j.id) > (?, ?)", micros(f.After.EndedAt), string(f.After.Job))
	}
	out, err := query(ctx, s.db, row.Letters, text+" ORDER BY j.updated_at, j.id LIMIT ?", append(args, store.PageSize(f.Limit))...)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	return out, nil
}
