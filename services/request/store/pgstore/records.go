package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Records = (*Store)(nil)

// received is the condition of a query: a request is stored on the day it is
// received or later, which the index on created_at knows. What the company made up
// itself was received from nobody.
const received = `r.channel <> 'probe' AND (@tenant = '' OR r.tenant = @tenant) AND (@regime = '' OR r.regime = @regime)
	AND r.created_at >= @created AND r.terms -> 'Due' ->> 'received' BETWEEN @from AND @to`

func named(q store.LogQuery) pgx.NamedArgs {
	return pgx.NamedArgs{
		"tenant": q.Tenant, "regime": q.Regime, "from": q.From.String(), "to": q.To.String(),
		"created": q.From.AddDays(-1).Start(time.UTC),
	}
}

// Tally implements [store.Records].
func (s *Store) Tally(ctx context.Context, q store.LogQuery) ([]store.Tally, error) {
	rows, err := read(ctx, s, row.Tallies, `
		WITH fallback AS MATERIALIZED (
			SELECT details ->> 'parent' AS parent, closed_at FROM request
			WHERE details ->> 'origin' = 'fallback' AND closed_at IS NOT NULL AND result IN ('complete', 'complete_with_exceptions', 'partial')
		), ended AS (
			SELECT r.consumer_right, r.reason_code, r.terms,
				CASE WHEN r.closed_at IS NULL THEN '' WHEN f.parent IS NOT NULL AND r.result = 'denied' THEN 'partial' ELSE r.result END AS result,
				CASE WHEN f.parent IS NOT NULL AND r.result = 'denied' THEN f.closed_at ELSE r.closed_at END AS closed_at
			FROM request r LEFT JOIN fallback f ON f.parent = r.id
			WHERE coalesce(r.details ->> 'origin', '') NOT IN ('fallback', 'retention', 'appeal', 'recheck', 'replay', 'consent') AND `+received+`
		), counted AS (
			SELECT consumer_right, result, CASE WHEN result IN ('', 'complete') THEN '' ELSE reason_code END AS reason_code,
				coalesce((closed_at AT TIME ZONE (terms -> 'Due' ->> 'zone'))::date - (terms -> 'Due' ->> 'received')::date, -1)::bigint AS days
			FROM ended
		)
		SELECT consumer_right, result, reason_code, days, count(*) AS n FROM counted
		GROUP BY consumer_right, result, reason_code, days ORDER BY consumer_right, result, reason_code, days`, named(q))
	if err != nil {
		return nil, fmt.Errorf("counting requests: %w", err)
	}
	return row.Map(rows, (*row.Tally).Domain), nil
}

// Log implements [store.Records].
func (s *Store) Log(ctx context.Context, q store.LogQuery, after store.Cursor, limit int) ([]store.LogEntry, error) {
	args := named(q)
	args["after"], args["id"], args["limit"] = after.CreatedAt, string(after.ID), store.PageSize(limit)
	rows, err := read(ctx, s, row.LogEntries, `
		SELECT r.id, r.regime, r.terms -> 'Due' ->> 'received' AS received, r.consumer_right, r.channel, r.terms -> 'Due' ->> 'zone' AS zone,
			r.result, r.reason_code, r.reason, r.created_at, r.closed_at
		FROM request r WHERE `+received+` AND (r.created_at, r.id) > (@after, @id) ORDER BY r.created_at, r.id LIMIT @limit`, args)
	if err != nil {
		return nil, fmt.Errorf("reading the log of requests: %w", err)
	}
	return row.TryMap(rows, (*row.LogEntry).Domain)
}

// Forget implements [store.Records].
func (s *Store) Forget(ctx context.Context, closedBefore time.Time, limit int) (n int64, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id FROM request WHERE state = 'closed' AND closed_at < $1 AND wake_at IS NULL
			ORDER BY created_at, id LIMIT $2 FOR UPDATE SKIP LOCKED`, closedBefore, limit)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, table := range []string{"job", "person", "notice", "idempotency", "verification_case", "kept_document", "onward", "kept_subject"} {
			if _, err := tx.Exec(ctx, "DELETE FROM "+table+" WHERE request_id = ANY($1)", ids); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, "DELETE FROM request WHERE id = ANY($1)", ids)
		n = int64(len(ids))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("deleting old requests: %w", err)
	}
	return n, nil
}

// PutAccess implements [store.Records].
func (s *Store) PutAccess(ctx context.Context, a store.Access) error {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		return insert(ctx, tx, "log_access", row.AccessColumns, []*row.Access{row.OfAccess(a)})
	})
	if err != nil {
		return fmt.Errorf("recording a look at the log: %w", err)
	}
	return nil
}

// Accesses implements [store.Records].
func (s *Store) Accesses(ctx context.Context, since time.Time, limit int) ([]store.Access, error) {
	rows, err := read(ctx, s, row.AccessColumns, "SELECT "+row.Names(row.AccessColumns)+" FROM log_access WHERE at >= $1 ORDER BY at LIMIT $2", since, limit)
	if err != nil {
		return nil, fmt.Errorf("reading who looked at the log: %w", err)
	}
	return row.Map(rows, (*row.Access).Domain), nil
}

// PutTraining implements [store.Records].
func (s *Store) PutTraining(ctx context.Context, t store.Training) error {
	if _, err := s.pool.Exec(ctx, `INSERT INTO training (who, trained_on, course) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, t.Who, t.On.String(), t.Course); err != nil {
		return fmt.Errorf("recording a training: %w", redact(err))
	}
	return nil
}

// LastTraining implements [store.Records].
func (s *Store) LastTraining(ctx context.Context, who string) (store.Training, error) {
	rows, err := read(ctx, s, row.Trainings, "SELECT "+row.Names(row.Trainings)+" FROM training WHERE who = $1 ORDER BY trained_on DESC, course LIMIT 1", who)
	if err != nil {
		return store.Training{}, fmt.Errorf("looking for a training: %w", err)
	}
	if len(rows) == 0 {
		return store.Training{}, fmt.Errorf("training: %w", store.ErrNotFound)
	}
	return rows[0].Domain()
}

// PutVersion implements [store.Records].
func (s *Store) PutVersion(ctx context.Context, v store.Version, records []store.Record) (fresh bool, err error) {
	err = s.tx(ctx, func(tx pgx.Tx) error {
		// One at a time for each thing, so that two that start together say it once.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext($1))", "version "+v.Kind+" "+v.Name); err != nil {
			return err
		}
		var known bool
		err := tx.QueryRow(ctx, `SELECT digest = $3 FROM version WHERE kind = $1 AND name = $2 ORDER BY at DESC LIMIT 1`, v.Kind, v.Name, v.Digest).Scan(&known)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if fresh = !known; !fresh {
			return nil
		}
		if err := insert(ctx, tx, "version", row.Versions, []*store.Version{&v}); err != nil {
			return err
		}
		return insert(ctx, tx, "record", row.Records, row.Pointers(records))
	})
	if err != nil {
		return false, fmt.Errorf("recording a version: %w", err)
	}
	return fresh, nil
}

// PutRecords implements [store.Records].
func (s *Store) PutRecords(ctx context.Context, records []store.Record) error {
	err := s.tx(ctx, func(tx pgx.Tx) error { return insert(ctx, tx, "record", row.Records, row.Pointers(records)) })
	if err != nil {
		return fmt.Errorf("keeping records for the log: %w", err)
	}
	return nil
}

// VersionsAt implements [store.Records].
func (s *Store) VersionsAt(ctx context.Context, at time.Time) ([]store.Version, error) {
	out, err := read(ctx, s, row.Versions, `SELECT DISTINCT ON (kind, name) `+row.Names(row.Versions)+` FROM version WHERE at <= $1 ORDER BY kind, name, at DESC`, at)
	if err != nil {
		return nil, fmt.Errorf("reading versions: %w", err)
	}
	return out, nil
}
