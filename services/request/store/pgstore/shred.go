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

// shreddableRequest is the condition on request r to be destroyed; $2 is before
// when it was closed, $3 since when a notice counts.
const shreddableRequest = `r.state = 'closed' AND r.sealed IS NOT NULL AND r.wake_at IS NULL AND r.closed_at < $2
	AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.request_id = r.id AND n.told = 0 AND n.created_at >= $3)
	AND NOT EXISTS (SELECT 1 FROM jsonb_array_elements(coalesce(r.details -> 'children', '[]')) AS c JOIN request o ON o.id = c ->> 'id' WHERE o.state <> 'closed')`

// Shred implements [store.Shredder].
func (s *Store) Shred(ctx context.Context, q store.Shreddable, sign func([]request.ID) ([]store.Record, error)) ([]store.Shredded, error) {
	var gone []store.Shredded
	err := s.tx(ctx, func(tx pgx.Tx) error {
		gone = nil
		var ids []request.ID
		rows, err := tx.Query(ctx, `SELECT r.id, CASE WHEN r.statements IS NULL THEN r.wrapped_key END FROM request r
			WHERE `+shreddableRequest+` AND NOT EXISTS (SELECT 1 FROM job j`+unkept+` AND j.request_id = r.id)
			ORDER BY r.closed_at LIMIT $4 FOR UPDATE OF r SKIP LOCKED`, shredArgs(q)...)
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
		return insert(ctx, tx, "record", row.Records, pointers(records))
	})
	if err != nil {
		return nil, fmt.Errorf("destroying the data of closed requests: %w", err)
	}
	return gone, nil
}
