package pgstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Shred implements [store.Shredder].
func (s *Store) Shred(ctx context.Context, q store.Shreddable, sign func([]request.ID) ([]store.Record, error)) ([]store.Shredded, error) {
	var gone []store.Shredded
	err := s.tx(ctx, func(tx pgx.Tx) error {
		gone = nil
		var ids []request.ID
		rows, err := tx.Query(ctx, `SELECT r.id, CASE WHEN r.statements IS NULL THEN r.wrapped_key END FROM request r
			WHERE r.state = 'closed' AND r.sealed IS NOT NULL AND r.wake_at IS NULL AND r.closed_at < $1
			AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.request_id = r.id AND n.told = 0 AND n.created_at >= $2)
			AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(coalesce(r.details -> 'children', '[]')) AS k JOIN request c ON c.id = k ->> 'id' WHERE c.state <> 'closed')
			ORDER BY r.closed_at LIMIT $3 FOR UPDATE OF r SKIP LOCKED`, q.ClosedBefore, q.NoticedSince, q.Limit)
		if err != nil {
			return err
		}
		var one store.Shredded
		if _, err := pgx.ForEachRow(rows, []any{&one.ID, &one.WrappedKey}, func() error {
			ids, gone = append(ids, one.ID), append(gone, store.Shredded{ID: one.ID, WrappedKey: slices.Clone(one.WrappedKey)})
			return nil
		}); err != nil || len(ids) == 0 {
			return err
		}
		records, err := sign(ids)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE request SET sealed = NULL, corrections = NULL, version = version + 1, updated_at = $2,
			wrapped_key = CASE WHEN statements IS NULL THEN NULL ELSE wrapped_key END WHERE id = ANY($1)`, idStrings(ids), q.Now); err != nil {
			return err
		}
		list := make([]*store.Record, len(records))
		for i := range records {
			list[i] = &records[i]
		}
		return insert(ctx, tx, "record", row.Records, list)
	})
	if err != nil {
		return nil, fmt.Errorf("destroying the data of closed requests: %w", err)
	}
	return gone, nil
}
