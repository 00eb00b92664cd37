package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Pause implements [store.Fleet].
func (s *Store) Pause(ctx context.Context, p store.Pause, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		var known int
		if err := tx.QueryRow(ctx, `SELECT count(*) FROM connector WHERE name = $1`, p.Connector).Scan(&known); err != nil {
			return err
		}
		if known == 0 {
			return store.ErrNotFound
		}
		return changeOnce(ctx, tx, &fresh, r, `INSERT INTO connector_pause (connector, since, who, reason, ended_by) VALUES ($1, $2, $3, $4, '') ON CONFLICT DO NOTHING`,
			p.Connector, p.Since, p.By, p.Reason)
	})
	if err != nil {
		return false, fmt.Errorf("pausing connector %s: %w", p.Connector, err)
	}
	return fresh, nil
}

// Resume implements [store.Fleet].
func (s *Store) Resume(ctx context.Context, connector, by string, at time.Time, r store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		return changeOnce(ctx, tx, &fresh, r, `UPDATE connector_pause SET until_at = $1, ended_by = $2 WHERE connector = $3 AND until_at IS NULL`,
			at, by, connector)
	})
	if err != nil {
		return false, fmt.Errorf("resuming connector %s: %w", connector, err)
	}
	return fresh, nil
}

// changeOnce runs a statement and stores the record that says so when it changed
// a row.
func changeOnce(ctx context.Context, tx pgx.Tx, fresh *bool, r store.Record, text string, args ...any) error {
	tag, err := tx.Exec(ctx, text, args...)
	if *fresh = err == nil && tag.RowsAffected() == 1; !*fresh {
		return err
	}
	return insert(ctx, tx, "record", row.Records, []*store.Record{&r})
}

// Pauses implements [store.Fleet].
func (s *Store) Pauses(ctx context.Context) ([]store.Pause, error) {
	out, err := read(ctx, s, row.Pauses, "SELECT "+row.Names(row.Pauses)+" FROM connector_pause WHERE until_at IS NULL ORDER BY connector")
	if err != nil {
		return nil, fmt.Errorf("reading pauses: %w", err)
	}
	return out, nil
}

// PausesOf implements [store.Fleet].
func (s *Store) PausesOf(ctx context.Context, connector string, limit int) ([]store.Pause, error) {
	out, err := read(ctx, s, row.Pauses, "SELECT "+row.Names(row.Pauses)+" FROM connector_pause WHERE connector = $1 ORDER BY since DESC LIMIT $2", connector, store.PageSize(limit))
	if err != nil {
		return nil, fmt.Errorf("reading pauses: %w", err)
	}
	return out, nil
}

// DeadEnds implements [store.Fleet].
func (s *Store) DeadEnds(ctx context.Context) ([]store.Stuck, error) {
	out, err := read(ctx, s, row.DeadEnds, "SELECT "+row.Names(row.DeadEnds)+" "+row.Dead+
		" GROUP BY j.connector, j.state, j.code ORDER BY j.connector, j.state, j.code")
	if err != nil {
		return nil, fmt.Errorf("counting dead letters: %w", err)
	}
	return out, nil
}

// Letters implements [store.Fleet].
func (s *Store) Letters(ctx context.Context, f store.LetterFilter) ([]store.Letter, error) {
	text, args := "SELECT "+row.Names(row.Letters)+" "+row.Dead, []any{}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if f.Connector != "" {
		text += " AND j.connector = " + arg(f.Connector)
	}
	if f.State != "" {
		text += " AND j.state = " + arg(string(f.State))
	}
	if f.HasCode {
		text += " AND j.code = " + arg(f.Code)
	}
	if !f.Before.IsZero() {
		text += " AND j.updated_at < " + arg(f.Before)
	}
	if f.After.Job != "" {
		text += " AND (j.updated_at, j.id) > (" + arg(f.After.EndedAt) + ", " + arg(string(f.After.Job)) + ")"
	}
	out, err := read(ctx, s, row.Letters, text+" ORDER BY j.updated_at, j.id LIMIT "+arg(store.PageSize(f.Limit)), args...)
	if err != nil {
		return nil, fmt.Errorf("listing dead letters: %w", err)
	}
	return out, nil
}
