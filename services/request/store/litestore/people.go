package litestore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// insertNotices stores notices that are not there yet.
func insertNotices(ctx context.Context, tx *sql.Tx, notices []store.Notice) error {
	for _, n := range row.NoticesOf(notices) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO notice (request_id, kind, key, created_at, told) VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING`,
			n.RequestID, n.Kind, row.CleanText(n.Key), micros(n.CreatedAt)); err != nil {
			return err
		}
	}
	return nil
}

// Related implements [store.Store].
func (s *Store) Related(ctx context.Context, digests [][]byte) ([]store.Related, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	rows, err := query(ctx, s.db, row.RelatedColumns, "SELECT "+row.Names(row.RelatedColumns)+" FROM person p JOIN request r ON r.id = p.request_id WHERE p.digest IN (SELECT unhex(value) FROM json_each(?)) ORDER BY r.created_at, r.id", hexList(digests))
	if err != nil {
		return nil, fmt.Errorf("looking for a person's requests: %w", err)
	}
	return row.TryMap(rows, (*row.Related).Domain)
}

// PeopleOf implements [store.Store].
func (s *Store) PeopleOf(ctx context.Context, id request.ID) ([][]byte, error) {
	rows, err := query(ctx, s.db, row.Persons[:1], `SELECT digest FROM person WHERE request_id = ? ORDER BY digest`, string(id))
	if err != nil {
		return nil, fmt.Errorf("reading the digests of request %s: %w", id, err)
	}
	out := make([][]byte, len(rows))
	for i := range rows {
		out[i] = rows[i].Digest
	}
	return out, nil
}

// Notices implements [store.Store].
func (s *Store) Notices(ctx context.Context, limit int) ([]store.Notice, error) {
	rows, err := query(ctx, s.db, row.Notices, "SELECT "+row.Names(row.Notices)+" FROM notice WHERE told = 0 ORDER BY created_at, request_id, kind, key LIMIT ?", limit)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return row.Map(rows, (*row.Notice).Domain), nil
}

// Noticed implements [store.Store].
func (s *Store) Noticed(ctx context.Context, told []store.Notice) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		for _, n := range told {
			if _, err := tx.ExecContext(ctx, `UPDATE notice SET told = 1 WHERE request_id = ? AND kind = ? AND key = ?`, string(n.RequestID), string(n.Kind), n.Key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("marking notices as told: %w", err)
	}
	return nil
}
