package demo

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// callbackAttempts is how often the partner tries to deliver a callback.
const callbackAttempts = 8

// Run carries out requests when they are due and delivers callbacks until ctx
// ends; it returns nil then.
func (p *Partner) Run(ctx context.Context) error {
	for {
		err := p.advance(ctx)
		if err == nil {
			err = p.deliverCallbacks(ctx)
		}
		var next time.Time
		if err == nil {
			next, err = p.nextWork(ctx)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopping is what was asked for
		}
		if err != nil {
			return fmt.Errorf("running the partner: %w", err)
		}
		timer := time.NewTimer(min(max(next.Sub(p.now()), time.Millisecond), time.Minute))
		select {
		case <-timer.C:
		case <-p.kick:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// nextWork is when something is due next; in an hour when nothing is.
func (p *Partner) nextWork(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	err := p.db.QueryRowContext(ctx, `SELECT MIN(at) FROM (
		SELECT MIN(due_at) AS at FROM requests WHERE status = 'pending' UNION ALL SELECT MIN(next_at) FROM callbacks)`).Scan(&at)
	if err != nil || !at.Valid {
		return p.now().Add(time.Hour), err
	}
	return time.Unix(0, at.Int64), nil
}

// deliverCallbacks delivers what is due, oldest first, each at least once.
func (p *Partner) deliverCallbacks(ctx context.Context) error {
	for {
		var seq int64
		var url, body string
		var attempts int
		err := p.db.QueryRowContext(ctx, `SELECT seq, url, body, attempts FROM callbacks WHERE next_at <= ? ORDER BY seq LIMIT 1`, p.now().UnixNano()).
			Scan(&seq, &url, &body, &attempts)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if p.callback(ctx, url, []byte(body)) == nil || attempts+1 >= callbackAttempts {
			_, err = p.db.ExecContext(ctx, `DELETE FROM callbacks WHERE seq = ?`, seq)
		} else {
			_, err = p.db.ExecContext(ctx, `UPDATE callbacks SET attempts = attempts + 1, next_at = ? WHERE seq = ?`,
				p.now().Add(time.Second<<attempts).UnixNano(), seq)
		}
		if err != nil {
			return err
		}
	}
}

func (p *Partner) callback(ctx context.Context, url string, body []byte) error {
	signature, err := p.Sign(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-OpenDSR-Processor-Domain", PartnerDomain)
	req.Header.Set("X-OpenDSR-Signature", signature)
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("callback answered %d", resp.StatusCode)
	}
	return nil
}

// partnerSchema is the partner's own database. people has what the partner
// holds, one row for each key it knows somebody by.
const partnerSchema = `
CREATE TABLE people (key TEXT PRIMARY KEY, segment TEXT NOT NULL, suppressed INTEGER NOT NULL);
CREATE TABLE requests (id TEXT PRIMARY KEY, type TEXT NOT NULL, digest TEXT NOT NULL, keys TEXT NOT NULL,
	callbacks TEXT NOT NULL, status TEXT NOT NULL, received_at INTEGER NOT NULL, due_at INTEGER NOT NULL);
CREATE INDEX requests_due ON requests (due_at) WHERE status = 'pending';
CREATE TABLE callbacks (seq INTEGER PRIMARY KEY AUTOINCREMENT, url TEXT NOT NULL, body TEXT NOT NULL,
	attempts INTEGER NOT NULL, next_at INTEGER NOT NULL);`

// seedPartner makes the partner's database; it appears complete or not at all.
func seedPartner(ctx context.Context, path string, n int) (err error) {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	db, err := sql.Open("sqlite", sqliteFile(part, "synchronous(off)", "journal_mode(memory)"))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = fillPartner(ctx, db, n)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return os.Rename(part, path)
}

func fillPartner(ctx context.Context, db *sql.DB, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	if _, err := tx.ExecContext(ctx, partnerSchema); err != nil {
		return err
	}
	for person := range People(n) {
		if !person.InAdtech {
			continue
		}
		if err := insertPartner(ctx, tx, person); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// PlantPartner adds what the partner would know of one person.
func (p *Partner) PlantPartner(ctx context.Context, person Person) error {
	return insertPartner(ctx, p.db, person)
}

func insertPartner(ctx context.Context, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, person Person) error {
	var keys []string
	if person.N != OptOuter && person.N != CookieOnly {
		keys = append(keys, "email:"+EmailSHA256(person.Email))
	}
	for _, cookie := range person.CookieIDs {
		keys = append(keys, "cookie:"+cookie)
	}
	for _, key := range keys {
		if _, err := db.ExecContext(ctx, `INSERT INTO people (key, segment, suppressed) VALUES (?, ?, 0) ON CONFLICT (key) DO NOTHING`,
			key, segments[person.N%len(segments)]); err != nil {
			return err
		}
	}
	return nil
}
