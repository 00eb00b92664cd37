package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Post = (*Store)(nil)

// DueNotices implements [store.Post].
func (s *Store) DueNotices(ctx context.Context, now time.Time, limit int) ([]store.Posted, error) {
	return s.posted(ctx, "told = 0 AND (next_at IS NULL OR next_at <= $1) ORDER BY created_at, request_id, kind, key LIMIT $2", now, limit)
}

// NoticesOf implements [store.Post].
func (s *Store) NoticesOf(ctx context.Context, id request.ID) ([]store.Posted, error) {
	return s.posted(ctx, "request_id = $1 ORDER BY created_at, kind, key", string(id))
}

func (s *Store) posted(ctx context.Context, where string, args ...any) ([]store.Posted, error) {
	rows, err := read(ctx, s, row.Posteds, "SELECT "+row.Names(row.Posteds)+" FROM notice WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return row.Map(rows, (*row.Posted).Domain), nil
}

// PutOffNotice implements [store.Post].
func (s *Store) PutOffNotice(ctx context.Context, n store.Notice, again time.Time, code string) error {
	_, err := s.pool.Exec(ctx, `UPDATE notice SET tries = tries + 1, next_at = $4, failed = $5 WHERE request_id = $1 AND kind = $2 AND key = $3 AND told = 0`,
		string(n.RequestID), string(n.Kind), n.Key, again, code)
	if err != nil {
		return fmt.Errorf("putting a notice off: %w", redact(err))
	}
	return nil
}

// Untold implements [store.Post].
func (s *Store) Untold(ctx context.Context) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx, `SELECT failed, count(*) FROM notice WHERE told = 0 GROUP BY failed`)
	if err != nil {
		return nil, fmt.Errorf("counting notices: %w", redact(err))
	}
	out := make(map[string]int64)
	var code string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&code, &n}, func() error { out[code] = n; return nil }); err != nil {
		return nil, fmt.Errorf("counting notices: %w", redact(err))
	}
	return out, nil
}
