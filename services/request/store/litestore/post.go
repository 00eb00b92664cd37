package litestore

import (
	"context"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Post = (*Store)(nil)

// DueNotices implements [store.Post].
func (s *Store) DueNotices(ctx context.Context, now time.Time, limit int) ([]store.Posted, error) {
	return s.posted(ctx, "told = 0 AND (next_at IS NULL OR next_at <= ?) ORDER BY created_at, request_id, kind, key LIMIT ?", micros(now), limit)
}

// NoticesOf implements [store.Post].
func (s *Store) NoticesOf(ctx context.Context, id request.ID) ([]store.Posted, error) {
	return s.posted(ctx, "request_id = ? ORDER BY created_at, kind, key", string(id))
}

func (s *Store) posted(ctx context.Context, where string, args ...any) ([]store.Posted, error) {
	rows, err := query(ctx, s.db, row.Posteds, "SELECT "+row.Names(row.Posteds)+" FROM notice WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return row.Map(rows, (*row.Posted).Domain), nil
}

// PutOffNotice implements [store.Post].
func (s *Store) PutOffNotice(ctx context.Context, n store.Notice, again time.Time, code string) error {
	_, err := s.db.ExecContext(ctx, `UPDATE notice SET tries = tries + 1, next_at = ?, failed = ? WHERE request_id = ? AND kind = ? AND key = ? AND told = 0`,
		micros(again), code, string(n.RequestID), string(n.Kind), n.Key)
	if err != nil {
		return fmt.Errorf("putting a notice off: %w", err)
	}
	return nil
}

// Untold implements [store.Post].
func (s *Store) Untold(ctx context.Context) (map[string]int64, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT failed, count(*) FROM notice WHERE told = 0 GROUP BY failed`)
	if err != nil {
		return nil, fmt.Errorf("counting notices: %w", err)
	}
	defer rows.Close()
	out := make(map[string]int64)
	for rows.Next() {
		var code string
		var n int64
		if err := rows.Scan(&code, &n); err != nil {
			return nil, fmt.Errorf("counting notices: %w", err)
		}
		out[code] = n
	}
	return out, rows.Err()
}
