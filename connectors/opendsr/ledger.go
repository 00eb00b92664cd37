package opendsr

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Ledger remembers the requests that were sent, or are about to be. It works
// on SQLite and PostgreSQL. A request's body, which holds identities, is in it
// only until the processor has acknowledged the request; what remains names
// nobody.
type Ledger struct{ db *sql.DB }

// Entry is one request in the ledger.
type Entry struct {
	ID        string
	Processor string
	Type      RequestType
	Body      []byte // nil once acknowledged
	Status    Status // empty until acknowledged
	Expected  time.Time
	Created   time.Time
	Submitted time.Time // when it was acknowledged
}

// ErrNoEntry is returned for a request that is not in the ledger.
var ErrNoEntry = errors.New("the request is not in the ledger")

// status_rank mirrors [Status.rank]: 0 is prepared, 3 completed, 4 cancelled.
const ledgerTable = `CREATE TABLE IF NOT EXISTS opendsr_requests (
	request_id   TEXT PRIMARY KEY,
	processor    TEXT NOT NULL,
	request_type TEXT NOT NULL,
	body         TEXT,
	status       TEXT NOT NULL,
	status_rank  INTEGER NOT NULL,
	expected_at  TEXT NOT NULL,
	created_at   TEXT NOT NULL,
	submitted_at TEXT NOT NULL,
	updated_at   TEXT NOT NULL
)`

// OpenLedger makes a ledger in db, creating its table when it is missing.
func OpenLedger(ctx context.Context, db *sql.DB) (*Ledger, error) {
	if _, err := db.ExecContext(ctx, ledgerTable); err != nil {
		return nil, fmt.Errorf("creating table opendsr_requests: %w", err)
	}
	return &Ledger{db: db}, nil
}

// Prepare writes e before it is sent. When the ledger has the request already
// it changes nothing, returns what is there, and fresh is false.
func (l *Ledger) Prepare(ctx context.Context, e Entry) (entry Entry, fresh bool, err error) {
	res, err := l.db.ExecContext(ctx, `INSERT INTO opendsr_requests
		(request_id, processor, request_type, body, status, status_rank, expected_at, created_at, submitted_at, updated_at)
		VALUES ($1, $2, $3, $4, '', 0, '', $5, '', $6) ON CONFLICT (request_id) DO NOTHING`,
		e.ID, e.Processor, string(e.Type), string(e.Body), stamp(e.Created), stamp(e.Created))
	if err != nil {
		return Entry{}, false, fmt.Errorf("preparing a request: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return Entry{}, false, fmt.Errorf("preparing a request: %w", err)
	}
	entry, err = l.Get(ctx, e.ID)
	return entry, n == 1, err
}

// Get returns one entry, or [ErrNoEntry].
func (l *Ledger) Get(ctx context.Context, id string) (Entry, error) {
	var e Entry
	var body sql.NullString
	var expected, created, submitted string
	err := l.db.QueryRowContext(ctx, `SELECT request_id, processor, request_type, body, status, expected_at, created_at, submitted_at
		FROM opendsr_requests WHERE request_id = $1`, id).
		Scan(&e.ID, &e.Processor, &e.Type, &body, &e.Status, &expected, &created, &submitted)
	if errors.Is(err, sql.ErrNoRows) {
		return Entry{}, ErrNoEntry
	}
	if err != nil {
		return Entry{}, fmt.Errorf("reading the ledger: %w", err)
	}
	if body.Valid {
		e.Body = []byte(body.String)
	}
	for _, field := range []struct {
		text string
		to   *time.Time
	}{{expected, &e.Expected}, {created, &e.Created}, {submitted, &e.Submitted}} {
		if field.text == "" {
			continue
		}
		if *field.to, err = time.Parse(time.RFC3339Nano, field.text); err != nil {
			return Entry{}, fmt.Errorf("reading the ledger: %w", err)
		}
	}
	return e, nil
}

// Advance records what the processor reported and returns the entry as it then
// is. A status never goes back, and a finished request stays as it is: reports
// come more than once and out of order. The body is forgotten.
func (l *Ledger) Advance(ctx context.Context, processor string, p Progress, now time.Time) (Entry, error) {
	_, err := l.db.ExecContext(ctx, `UPDATE opendsr_requests SET status = $1, status_rank = $2, body = NULL, updated_at = $3,
			expected_at = CASE WHEN $4 = '' THEN expected_at ELSE $5 END,
			submitted_at = CASE WHEN submitted_at = '' THEN $6 ELSE submitted_at END
		WHERE request_id = $7 AND processor = $8 AND status_rank <= $9 AND status_rank < $10`,
		string(p.Status), p.Status.rank(), stamp(now), stamp(p.Expected.Time), stamp(p.Expected.Time), stamp(now),
		p.ID, processor, p.Status.rank(), Completed.rank())
	if err != nil {
		return Entry{}, fmt.Errorf("recording a status: %w", err)
	}
	e, err := l.Get(ctx, p.ID)
	if err == nil && e.Processor != processor {
		return Entry{}, ErrNoEntry // one processor cannot speak of another's requests
	}
	return e, err
}

// Drop forgets a request that the processor refused for good.
func (l *Ledger) Drop(ctx context.Context, id string) error {
	if _, err := l.db.ExecContext(ctx, `DELETE FROM opendsr_requests WHERE request_id = $1 AND status_rank = 0`, id); err != nil {
		return fmt.Errorf("dropping a request: %w", err)
	}
	return nil
}

// Expire removes requests that were prepared before the given time and never
// acknowledged: their jobs are gone, and their bodies hold identities.
func (l *Ledger) Expire(ctx context.Context, before time.Time) error {
	if _, err := l.db.ExecContext(ctx, `DELETE FROM opendsr_requests WHERE status_rank = 0 AND created_at < $1`, stamp(before)); err != nil {
		return fmt.Errorf("expiring requests: %w", err)
	}
	return nil
}

// stamp writes t so that text order is time order; the zero time is empty.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000000000Z")
}
