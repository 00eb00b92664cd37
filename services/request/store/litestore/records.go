package litestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Records = (*Store)(nil)

// SQLite knows no time zones: habeas_date(micros, zone) is the day that an
// instant is in a zone, or NULL for no instant.
func init() {
	var zones sync.Map // reading one takes longer than everything else
	sqlite.MustRegisterDeterministicScalarFunction("habeas_date", 2, func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
		micros, ok := args[0].(int64)
		if !ok {
			return nil, nil
		}
		zone, _ := args[1].(string)
		loc, ok := zones.Load(zone)
		if !ok {
			read, err := time.LoadLocation(zone)
			if err != nil {
				return nil, fmt.Errorf("habeas_date: %w", err)
			}
			loc, _ = zones.LoadOrStore(zone, read)
		}
		return request.DateOf(time.UnixMicro(micros), loc.(*time.Location)).String(), nil
	})
}

// received is the condition of a query: a request is stored on the day it is
// received or later, which the index on created_at knows.
const received = `r.channel <> 'probe' AND (@tenant = '' OR r.tenant = @tenant) AND (@regime = '' OR r.regime = @regime)
	AND r.created_at >= @created AND json_extract(r.terms, '$.Due.received') BETWEEN @from AND @to`

func named(q store.LogQuery, more ...any) []any {
	return append(more, sql.Named("tenant", q.Tenant), sql.Named("regime", q.Regime), sql.Named("from", q.From.String()),
		sql.Named("to", q.To.String()), sql.Named("created", micros(q.From.AddDays(-1).Start(time.UTC))))
}

// Tally implements [store.Records].
func (s *Store) Tally(ctx context.Context, q store.LogQuery) ([]store.Tally, error) {
	rows, err := query(ctx, s.db, row.Tallies, `
		WITH fallback AS MATERIALIZED (
			SELECT json_extract(details, '$.parent') AS parent, closed_at FROM request
			WHERE json_extract(details, '$.origin') = 'fallback' AND closed_at IS NOT NULL AND result IN ('complete', 'complete_with_exceptions', 'partial')
		), ended AS (
			SELECT r.consumer_right, r.reason_code, r.terms, CASE WHEN r.closed_at IS NULL THEN '' ELSE r.result END AS result, r.closed_at
			FROM request r
			WHERE coalesce(json_extract(r.details, '$.origin'), '') NOT IN ('fallback', 'retention', 'appeal', 'recheck', 'replay', 'consent') AND `+received+`
				AND NOT (r.result = 'denied' AND r.closed_at IS NOT NULL AND r.id IN (SELECT parent FROM fallback))
			UNION ALL
			SELECT r.consumer_right, r.reason_code, r.terms, 'partial', f.closed_at
			FROM fallback f CROSS JOIN request r ON r.id = f.parent
			WHERE r.result = 'denied' AND r.closed_at IS NOT NULL AND coalesce(json_extract(r.details, '$.origin'), '') NOT IN ('fallback', 'retention', 'appeal', 'recheck', 'replay', 'consent') AND `+received+`
		), counted AS (
			SELECT consumer_right, result, CASE WHEN result IN ('', 'complete') THEN '' ELSE reason_code END AS reason_code,
				CAST(coalesce(julianday(habeas_date(closed_at, json_extract(terms, '$.Due.zone'))) - julianday(json_extract(terms, '$.Due.received')), -1) AS integer) AS days
			FROM ended
		)
		SELECT consumer_right, result, reason_code, days, count(*) AS n FROM counted
		GROUP BY consumer_right, result, reason_code, days ORDER BY consumer_right, result, reason_code, days`, named(q)...)
	if err != nil {
		return nil, fmt.Errorf("counting requests: %w", err)
	}
	return row.Map(rows, (*row.Tally).Domain), nil
}

// Log implements [store.Records].
func (s *Store) Log(ctx context.Context, q store.LogQuery, after store.Cursor, limit int) ([]store.LogEntry, error) {
	place := int64(-1 << 62) // before everything
	if !after.CreatedAt.IsZero() {
		place = after.CreatedAt.UnixMicro()
	}
	rows, err := query(ctx, s.db, row.LogEntries, `
		SELECT r.id, r.regime, json_extract(r.terms, '$.Due.received') AS received, r.consumer_right, r.channel,
			json_extract(r.terms, '$.Due.zone') AS zone, r.result, r.reason_code, r.reason, r.created_at, r.closed_at
		FROM request r WHERE `+received+` AND (r.created_at, r.id) > (@after, @id) ORDER BY r.created_at, r.id LIMIT @limit`,
		named(q, sql.Named("after", place), sql.Named("id", string(after.ID)), sql.Named("limit", store.PageSize(limit)))...)
	if err != nil {
		return nil, fmt.Errorf("reading the log of requests: %w", err)
	}
	return row.TryMap(rows, (*row.LogEntry).Domain)
}

// Forget implements [store.Records].
func (s *Store) Forget(ctx context.Context, closedBefore time.Time, limit int) (n int64, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TEMP TABLE IF NOT EXISTS forgotten (id text PRIMARY KEY)"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM forgotten"); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO forgotten SELECT id FROM request WHERE state = 'closed' AND closed_at < ? AND wake_at IS NULL
			ORDER BY created_at, id LIMIT ?`, micros(closedBefore), limit)
		if err != nil {
			return err
		}
		if n, err = result.RowsAffected(); err != nil {
			return err
		}
		for _, table := range []string{"job", "person", "notice", "idempotency", "verification_case", "kept_document", "onward", "kept_subject"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE request_id IN (SELECT id FROM forgotten)"); err != nil { //nolint:gosec // the tables are named above
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "DELETE FROM request WHERE id IN (SELECT id FROM forgotten)")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("deleting old requests: %w", err)
	}
	s.wipe(ctx, n > 0)
	return n, nil
}

// PutAccess implements [store.Records].
func (s *Store) PutAccess(ctx context.Context, a store.Access) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return insert(ctx, tx, "log_access", row.AccessColumns, []*row.Access{row.OfAccess(a)})
	})
	if err != nil {
		return fmt.Errorf("recording a look at the log: %w", err)
	}
	return nil
}

// Accesses implements [store.Records].
func (s *Store) Accesses(ctx context.Context, since time.Time, limit int) ([]store.Access, error) {
	rows, err := query(ctx, s.db, row.AccessColumns, "SELECT "+row.Names(row.AccessColumns)+" FROM log_access WHERE at >= ? ORDER BY at LIMIT ?", since.UnixMicro(), limit)
	if err != nil {
		return nil, fmt.Errorf("reading who looked at the log: %w", err)
	}
	return row.Map(rows, (*row.Access).Domain), nil
}

// PutTraining implements [store.Records].
func (s *Store) PutTraining(ctx context.Context, t store.Training) error {
	if _, err := s.exec(ctx, `INSERT INTO training (who, trained_on, course) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, t.Who, t.On.String(), t.Course); err != nil {
		return fmt.Errorf("recording a training: %w", err)
	}
	return nil
}

// LastTraining implements [store.Records].
func (s *Store) LastTraining(ctx context.Context, who string) (store.Training, error) {
	rows, err := query(ctx, s.db, row.Trainings, "SELECT "+row.Names(row.Trainings)+" FROM training WHERE who = ? ORDER BY trained_on DESC, course LIMIT 1", who)
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
	err = s.tx(ctx, func(tx *sql.Tx) error {
		var known bool
		err := tx.QueryRowContext(ctx, `SELECT digest = ?3 FROM version WHERE kind = ?1 AND name = ?2 ORDER BY at DESC LIMIT 1`, v.Kind, v.Name, v.Digest).Scan(&known)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
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
	err := s.tx(ctx, func(tx *sql.Tx) error { return insert(ctx, tx, "record", row.Records, row.Pointers(records)) })
	if err != nil {
		return fmt.Errorf("keeping records for the log: %w", err)
	}
	return nil
}

// VersionsAt implements [store.Records].
func (s *Store) VersionsAt(ctx context.Context, at time.Time) ([]store.Version, error) {
	out, err := query(ctx, s.db, row.Versions, `SELECT `+row.Names(row.Versions)+` FROM version v
		WHERE at = (SELECT max(at) FROM version w WHERE w.kind = v.kind AND w.name = v.name AND w.at <= ?) ORDER BY kind, name`, at.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("reading versions: %w", err)
	}
	return out, nil
}
