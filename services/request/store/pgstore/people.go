package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// insertNotices stores notices that are not there yet, in one statement.
func insertNotices(ctx context.Context, tx pgx.Tx, notices []store.Notice) error {
	if len(notices) == 0 {
		return nil
	}
	args := make([][]any, len(row.Notices))
	for _, n := range row.NoticesOf(notices) {
		for i, c := range row.Notices {
			args[i] = append(args[i], row.Value(c, n, stamp))
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO notice (request_id, kind, key, created_at, told)
		SELECT DISTINCT ON (r, k, y) * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[]) AS n (r, k, y, c, t)
		ON CONFLICT DO NOTHING`, args[0], args[1], args[2], args[3], args[4])
	return err
}

// Related implements [store.Store].
func (s *Store) Related(ctx context.Context, digests [][]byte) ([]store.Related, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	rows, err := read(ctx, s, row.RelatedColumns, "SELECT "+row.Names(row.RelatedColumns)+" FROM person p JOIN request r ON r.id = p.request_id WHERE p.digest = ANY($1) ORDER BY r.created_at, r.id", digests)
	if err != nil {
		return nil, fmt.Errorf("looking for a person's requests: %w", err)
	}
	return row.TryMap(rows, (*row.Related).Domain)
}

// PeopleOf implements [store.Store].
func (s *Store) PeopleOf(ctx context.Context, id request.ID) ([][]byte, error) {
	rows, err := s.pool.Query(ctx, `SELECT digest FROM person WHERE request_id = $1 ORDER BY digest`, string(id))
	if err != nil {
		return nil, fmt.Errorf("reading the digests of request %s: %w", id, redact(err))
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return nil, fmt.Errorf("reading the digests of request %s: %w", id, redact(err))
	}
	return out, nil
}

// Notices implements [store.Store].
func (s *Store) Notices(ctx context.Context, limit int) ([]store.Notice, error) {
	rows, err := read(ctx, s, row.Notices, "SELECT "+row.Names(row.Notices)+" FROM notice WHERE told = 0 ORDER BY created_at, request_id, kind, key LIMIT $1", limit)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return row.Map(rows, (*row.Notice).Domain), nil
}

// Noticed implements [store.Store].
func (s *Store) Noticed(ctx context.Context, told []store.Notice) error {
	var ids, kinds, keys []string
	for _, n := range told {
		ids, kinds, keys = append(ids, string(n.RequestID)), append(kinds, string(n.Kind)), append(keys, n.Key)
	}
	_, err := s.pool.Exec(ctx, `UPDATE notice SET told = 1 FROM unnest($1::text[], $2::text[], $3::text[]) AS n (r, k, y)
		WHERE request_id = n.r AND kind = n.k AND key = n.y`, ids, kinds, keys)
	if err != nil {
		return fmt.Errorf("marking notices as told: %w", redact(err))
	}
	return nil
}
