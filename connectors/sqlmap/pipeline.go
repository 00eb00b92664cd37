package sqlmap

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// question is a statement that reads; row is called with every row of its
// answer, in a slice that is used again.
type question struct {
	text string
	args []any
	row  func([]any) error
}

// effect is a statement that must change so many rows of a collection, and no
// others.
type effect struct {
	text string
	args []any
	c    *collection
	rows int
}

// done takes note of how many rows an effect had.
func (e effect) done(affected int64) error {
	if affected == int64(e.rows) {
		return nil
	}
	return &dbError{failure: failure{
		text:  fmt.Sprintf("collection %s: %d rows were touched instead of %d; everything is rolled back", e.c.store, affected, e.rows),
		retry: true,
	}}
}

// pipeline is a querier that takes many statements in one trip to the server.
type pipeline interface {
	askAll(ctx context.Context, questions []question) error
	changeAll(ctx context.Context, effects []effect) error
}

// ask reads the answers of all questions, in order.
func ask(ctx context.Context, q querier, questions []question) error {
	if p, ok := q.(pipeline); ok {
		return p.askAll(ctx, questions)
	}
	for _, s := range questions {
		if err := each(ctx, q, s.text, s.args, s.row); err != nil {
			return err
		}
	}
	return nil
}

// carryOut runs all effects, in order.
func carryOut(ctx context.Context, q querier, effects []effect) error {
	if p, ok := q.(pipeline); ok {
		return p.changeAll(ctx, effects)
	}
	for _, s := range effects {
		result, err := q.ExecContext(ctx, s.text, s.args...)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if err := s.done(n); err != nil {
			return err
		}
	}
	return nil
}

// postgresTx is a transaction on one connection, whose statements can be sent
// together.
type postgresTx struct {
	*sql.Conn
	// start begins the transaction; it travels with the first statement.
	start string
}

func beginPostgres(ctx context.Context, db *sql.DB, start string) (transaction, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &postgresTx{conn, start}, nil
}

// begun sends the start when nothing else was sent yet.
func (t *postgresTx) begun(ctx context.Context) error {
	if t.start == "" {
		return nil
	}
	_, err := t.Conn.ExecContext(ctx, t.start)
	t.start = ""
	return err
}

// QueryContext implements querier.
func (t *postgresTx) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := t.begun(ctx); err != nil {
		return nil, err
	}
	return t.Conn.QueryContext(ctx, text, args...)
}

// ExecContext implements querier.
func (t *postgresTx) ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := t.begun(ctx); err != nil {
		return nil, err
	}
	return t.Conn.ExecContext(ctx, text, args...)
}

// Commit implements transaction.
func (t *postgresTx) Commit() error {
	if t.start != "" { // nothing happened
		return t.Close()
	}
	if _, err := t.ExecContext(context.Background(), "COMMIT"); err != nil {
		// Whether it was committed is not known; the next attempt will see.
		discard(t.Conn)
		return err
	}
	return t.Close()
}

// Rollback implements transaction.
func (t *postgresTx) Rollback() error {
	if t.start != "" {
		return t.Close()
	}
	if _, err := t.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		discard(t.Conn)
		return nil //nolint:nilerr // closing the connection rolls back
	}
	return t.Close()
}

// batch is empty, or holds the start.
func (t *postgresTx) batch() *pgx.Batch {
	b := &pgx.Batch{}
	if t.start != "" {
		b.Queue(t.start)
		t.start = ""
	}
	return b
}

func (t *postgresTx) send(ctx context.Context, b *pgx.Batch) error {
	if b.Len() == 0 {
		return nil
	}
	return t.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return errors.New("the connection is not the one of the PostgreSQL driver")
		}
		return conn.Conn().SendBatch(ctx, b).Close()
	})
}

func (t *postgresTx) askAll(ctx context.Context, questions []question) error {
	b := t.batch()
	for _, s := range questions {
		b.Queue(s.text, s.args...).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			for rows.Next() {
				values, err := rows.Values()
				if err != nil {
					return err
				}
				if err := s.row(values); err != nil {
					return err
				}
			}
			return rows.Err()
		})
	}
	return t.send(ctx, b)
}

func (t *postgresTx) changeAll(ctx context.Context, effects []effect) error {
	b := t.batch()
	for _, s := range effects {
		b.Queue(s.text, s.args...).Exec(func(tag pgconn.CommandTag) error { return s.done(tag.RowsAffected()) })
	}
	return t.send(ctx, b)
}
