package litestore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var shredded = []row.Column[store.Shredded]{
	{Name: "id", Ptr: func(s *store.Shredded) any { return (*string)(&s.ID) }},
	{Name: "wrapped_key", Type: row.Bytes, Ptr: func(s *store.Shredded) any { return &s.WrappedKey }},
}

// shreddableRequest is the condition on request r to be destroyed; ?2 is before
// when it was closed, ?3 since when a notice counts.
const shreddableRequest = `r.state = 'closed' AND r.sealed IS NOT NULL AND r.wake_at IS NULL AND r.closed_at < ?2
	AND NOT EXISTS (SELECT 1 FROM notice n WHERE n.request_id = r.id AND n.told = 0 AND n.created_at >= ?3)
	AND NOT EXISTS (SELECT 1 FROM json_each(r.details, '$.children') AS c JOIN request o ON o.id = json_extract(c.value, '$.id') WHERE o.state <> 'closed')`

// Shred implements [store.Shredder].
func (s *Store) Shred(ctx context.Context, q store.Shreddable, sign func([]request.ID) ([]store.Record, error)) ([]store.Shredded, error) {
	var gone []store.Shredded
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		if gone, err = query(ctx, tx, shredded, `SELECT r.id, CASE WHEN r.statements IS NULL THEN r.wrapped_key END FROM request r
			WHERE `+shreddableRequest+` AND NOT EXISTS (SELECT 1 FROM job j`+unkept+` AND j.request_id = r.id)
			ORDER BY r.closed_at LIMIT ?4`, q.Now.UnixMicro(), q.ClosedBefore.UnixMicro(), q.NoticedSince.UnixMicro(), q.Limit, backups(q)); err != nil || len(gone) == 0 {
			return err
		}
		ids := make([]request.ID, len(gone))
		for i := range gone {
			ids[i] = gone[i].ID
		}
		records, err := sign(ids)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE request SET sealed = NULL, corrections = NULL, version = version + 1, updated_at = ?,
			wrapped_key = CASE WHEN statements IS NULL THEN NULL ELSE wrapped_key END WHERE id IN (SELECT value FROM json_each(?))`, q.Now.UnixMicro(), idList(ids)); err != nil {
			return err
		}
		return insert(ctx, tx, "record", row.Records, pointers(records))
	})
	if err != nil {
		return nil, fmt.Errorf("destroying the data of closed requests: %w", err)
	}
	s.wipe(ctx, len(gone) > 0)
	return gone, nil
}
