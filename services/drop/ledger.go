package drop

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/suppression"
)

// Ledger is what is kept of batches, items and answers, in tables beside the
// requests. A platform's hash is not keyed and would give people away, so what
// is stored of it is a digest under the keys of the suppression list: a dump of
// the tables names nobody without the master key.
type Ledger struct {
	DB   *sql.DB
	Keys *suppression.List
}

const (
	// chunk is how many people are worked on together.
	chunk = 500
	// width is about how many parameters one statement has. Naming them costs the
	// driver of SQLite their number squared, and PostgreSQL a trip for each
	// statement: this is much faster than ten times as many on the one and hardly
	// slower on the other.
	width = 300
	// batchRows is how many rows one transaction has.
	batchRows = 20_000
)

// Batch is one download.
type Batch struct {
	Name   string
	State  string // "reading", "read" or "closed"
	How    string // "api" or "hand"
	Opened time.Time
}

const (
	batchReading = "reading"
	batchRead    = "read"
	batchClosed  = "closed"
)

// inTx runs fn in one transaction.
func (l *Ledger) inTx(ctx context.Context, doing string, fn func(*sql.Tx) error) (err error) {
	tx, err := l.DB.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() {
		if back := tx.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			err = errors.Join(err, back)
		}
	}()
	if err := fn(tx); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// marks are the parameters of rows of a statement: "($1,$2),($3,$4)".
func marks(first, rows, columns int) string {
	var b strings.Builder
	for r := range rows {
		if r > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for c := range columns {
			if c > 0 {
				b.WriteByte(',')
			}
			b.WriteString("$" + strconv.Itoa(first+r*columns+c))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// list are the parameters of a set: "($2,$3)".
func list(first, n int) string { return marks(first, 1, n) }

// OpenBatch is the batch that is not fully answered, nil when there is none.
func (l *Ledger) OpenBatch(ctx context.Context) (*Batch, error) {
	var b Batch
	var opened int64
	err := l.DB.QueryRowContext(ctx, `SELECT name, state, how, opened FROM drop_batch WHERE state <> 'closed' ORDER BY opened LIMIT 1`).Scan(&b.Name, &b.State, &b.How, &opened)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading the open batch: %w", err)
	}
	b.Opened = time.UnixMicro(opened).UTC()
	return &b, nil
}

// ErrBatch says that a download is not the one that is open, or was answered
// already.
var ErrBatch = errors.New("another download is open, or this one is answered")

// Take reads a downloaded archive into the ledger. It may be done again at any
// point: what is there stays as it is. With [ErrBatch] the name is that of the
// download, too.
func (l *Ledger) Take(ctx context.Context, path, how string, now time.Time) (name string, err error) {
	peppers, err := l.Keys.Peppers(ctx)
	if err != nil {
		return "", err
	}
	t := taking{ctx: ctx, ledger: l, peppers: peppers, how: how, now: now}
	name, err = ReadArchive(path, t.take)
	if err == nil {
		err = t.begin(name) // of an archive of empty lists
	}
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		return t.batch, err
	}
	return name, l.inTx(ctx, "closing the reading of the lists", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE drop_batch SET state = CASE WHEN EXISTS (SELECT 1 FROM drop_item WHERE batch = $1 AND reported = 0) THEN 'read' ELSE 'closed' END,
			closed = $2 WHERE name = $1 AND state = 'reading'`, name, now.UnixMicro()); err != nil {
			return err
		}
		return access(ctx, tx, now, how, accessDone)
	})
}

// has reports whether a download was read to its end.
func (l *Ledger) has(ctx context.Context, batch string) (yes bool, err error) {
	var n int
	if err := l.DB.QueryRowContext(ctx, `SELECT count(*) FROM drop_batch WHERE name = $1 AND state <> 'reading'`, batch).Scan(&n); err != nil {
		return false, fmt.Errorf("looking for a download: %w", err)
	}
	return n > 0, nil
}

type taking struct {
	ctx     context.Context
	ledger  *Ledger
	peppers suppression.Peppers
	how     string
	now     time.Time
	batch   string
	removed bool
	rows    []any
}

// begin makes the batch durable before anything of it is read.
func (t *taking) begin(batch string) error {
	if t.batch != "" {
		return nil
	}
	t.batch = batch
	return t.ledger.inTx(t.ctx, "opening the batch", func(tx *sql.Tx) error {
		var others int
		if err := tx.QueryRowContext(t.ctx, `SELECT count(*) FROM drop_batch WHERE (name = $1 AND state <> 'reading') OR (name <> $1 AND state <> 'closed')`, batch).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return fmt.Errorf("%s: %w", batch, ErrBatch)
		}
		_, err := tx.ExecContext(t.ctx, `INSERT INTO drop_batch (name, state, how, opened, closed) VALUES ($1, 'reading', $2, $3, 0) ON CONFLICT DO NOTHING`, batch, t.how, t.now.UnixMicro())
		return err
	})
}

func (t *taking) take(batch string, from List, item Item) error {
	if err := t.begin(batch); err != nil {
		return err
	}
	if removed := from == ListRemoved; removed != t.removed {
		if err := t.flush(); err != nil {
			return err
		}
		t.removed = removed
	}
	if t.removed {
		t.rows = append(t.rows, item.ID)
		if len(t.rows) < batchRows {
			return nil
		}
		return t.flush()
	}
	digests := digests(t.peppers, item.List, item.Hash)
	t.rows = append(t.rows, item.ID, string(item.List), digests[len(digests)-1])
	if len(t.rows) < batchRows*itemColumns {
		return nil
	}
	return t.flush()
}

// itemColumns are an item's own: its id, its list and its digest.
const itemColumns = 3

func (t *taking) flush() error {
	rows := t.rows
	t.rows = nil
	if len(rows) == 0 {
		return nil
	}
	return t.ledger.inTx(t.ctx, "storing items", func(tx *sql.Tx) error {
		if t.removed {
			return t.withdraw(tx, rows)
		}
		for some := range slices.Chunk(rows, width/itemColumns*itemColumns) {
			var q strings.Builder
			q.WriteString(`INSERT INTO drop_item (id, list, digest, batch, status, reported, removed, part, version) VALUES `)
			for at := 0; at < len(some); at += itemColumns {
				if at > 0 {
					q.WriteByte(',')
				}
				fmt.Fprintf(&q, "($%d,$%d,$%d,$1,0,0,0,'',$2)", at+3, at+4, at+5)
			}
			if _, err := tx.ExecContext(t.ctx, q.String()+` ON CONFLICT DO NOTHING`, append([]any{t.batch, Version}, some...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

// withdraw takes off the items what names their person, so that the trail has no
// gap.
func (t *taking) withdraw(tx *sql.Tx, ids []any) error {
	for some := range slices.Chunk(ids, width) {
		//nolint:gosec // what is added is parameters
		if _, err := tx.ExecContext(t.ctx, `UPDATE drop_item SET removed = 1, digest = NULL, status = CASE WHEN reported <> 0 AND part = '' THEN reported ELSE status END
			WHERE removed = 0 AND id IN `+list(1, len(some)), some...); err != nil {
			return err
		}
	}
	return nil
}

// digests are those of a platform's hash under all keys, the one in force last.
func digests(p suppression.Peppers, of List, h Hash) [][]byte {
	return p.KeyedEvery("drop item", string(of), string(h))
}

const (
	accessDone   = "done"   // the lists were asked for, which is what the cycle counts
	accessWorked = "worked" // all calls of a session were answered
	accessFailed = "failed"
)

func access(ctx context.Context, tx interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
}, now time.Time, how, result string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO drop_access (at, how, result) VALUES ($1, $2, $3)`, now.UnixMicro(), how, result)
	return err
}

// accessed records how the platform's API behaved.
func (l *Ledger) accessed(ctx context.Context, now time.Time, result string) error {
	if err := access(ctx, l.DB, now, "api", result); err != nil {
		return fmt.Errorf("recording the access: %w", err)
	}
	return nil
}

// lookup returns the items that each of some people are named by.
func (l *Ledger) lookup(ctx context.Context, p suppression.Peppers, people []Holding) ([][]string, error) {
	owner := make(map[string][]int)
	var all [][]byte
	for i, h := range people {
		person, err := h.person()
		if err != nil {
			return nil, fmt.Errorf("reading a person: %w", ErrPeople) // the cause may quote the value
		}
		for of, hashes := range person.Hashes() {
			for _, hash := range hashes {
				for _, d := range digests(p, of, hash) {
					if owner[string(d)] == nil {
						all = append(all, d)
					}
					owner[string(d)] = append(owner[string(d)], i)
				}
			}
		}
	}
	out := make([][]string, len(people))
	for len(all) > 0 {
		some := all[:min(len(all), width)]
		all = all[len(some):]
		args := make([]any, len(some))
		for i, d := range some {
			args[i] = d
		}
		if err := l.each(ctx, `SELECT id, digest FROM drop_item WHERE removed = 0 AND digest IN `+list(1, len(args)), args, func(rows *sql.Rows) error {
			var id string
			var digest []byte
			if err := rows.Scan(&id, &digest); err != nil {
				return err
			}
			for _, i := range owner[string(digest)] {
				out[i] = append(out[i], id)
			}
			return nil
		}); err != nil {
			return nil, fmt.Errorf("holding people against the items: %w", err)
		}
	}
	return out, nil
}

// each reads the rows of a query.
func (l *Ledger) each(ctx context.Context, query string, args []any, fn func(*sql.Rows) error) error {
	return each(ctx, l.DB, query, args, fn)
}

func each(ctx context.Context, in interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, query string, args []any, fn func(*sql.Rows) error,
) (err error) {
	rows, err := in.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := fn(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Listed reports for each person whether an item names them: they are not to be
// taken into use, sold or shared.
func (l *Ledger) Listed(ctx context.Context, people []Holding) ([]bool, error) {
	peppers, err := l.Keys.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	found, err := l.lookup(ctx, peppers, people)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(people))
	for i := range found {
		out[i] = len(found[i]) > 0
	}
	return out, nil
}
