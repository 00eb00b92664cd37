package drop

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	kindUpload = "upload"
	kindAmend  = "amend"
)

// part is one file of answers. Its rows are fixed once it is made, and its name
// follows from them: what is sent again has the same name.
type part struct {
	Name, Kind string
	Tried      bool
}

// prepare makes files of the answers that are not in one: of the batch's items
// that have their first status, and of earlier ones whose status is news.
func (l *Ledger) prepare(ctx context.Context, batch string, rows int, now time.Time) error {
	prefix := batch
	if prefix == "" {
		err := l.DB.QueryRowContext(ctx, `SELECT name FROM drop_batch ORDER BY opened DESC LIMIT 1`).Scan(&prefix)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // nothing was ever downloaded
		}
		if err != nil {
			return fmt.Errorf("reading the last batch: %w", err)
		}
	}
	for _, of := range Lists() {
		for _, kind := range []struct {
			name, where string
			skip        bool
		}{
			{kindUpload, `batch = $2 AND status <> 0 AND reported = 0 AND part = ''`, batch == ""},
			{kindAmend, `batch <> $2 AND reported <> 0 AND status <> reported AND removed = 0 AND part = ''`, false},
		} {
			for more := !kind.skip; more; {
				n, err := l.preparePart(ctx, prefix, of, kind.name, kind.where, batch, rows, now)
				if err != nil {
					return err
				}
				more = n == rows
			}
		}
	}
	return nil
}

func (l *Ledger) preparePart(ctx context.Context, prefix string, of List, kind, where, batch string, most int, now time.Time) (n int, err error) {
	err = l.inTx(ctx, "preparing answers", func(tx *sql.Tx) error {
		// The digest is of what the file says, so that the name is the content's.
		sum := sha256.New()
		fmt.Fprintf(sum, "%s\n", kind)
		var last string
		if err := each(ctx, tx, `SELECT id, status FROM drop_item WHERE list = $1 AND `+where+` ORDER BY id LIMIT $3`, []any{string(of), batch, most}, func(rows *sql.Rows) error {
			var status int
			if err := rows.Scan(&last, &status); err != nil {
				return err
			}
			fmt.Fprintf(sum, "%s,%d\n", last, status)
			n++
			return nil
		}); err != nil || n == 0 {
			return err
		}
		name := fmt.Sprintf("%s_%s_%s.csv", prefix, of, hex.EncodeToString(sum.Sum(nil))[:10])
		//nolint:gosec // where is one of two constants
		if _, err := tx.ExecContext(ctx, `UPDATE drop_item SET part = $4 WHERE list = $1 AND `+where+` AND id <= $3`, string(of), batch, last, name); err != nil {
			return err
		}
		// The same items with the same statuses may have been amended to and fro.
		_, err = tx.ExecContext(ctx, `INSERT INTO drop_part (name, kind, state, tried, made) VALUES ($1, $2, 'ready', 0, $3)
			ON CONFLICT (name) DO UPDATE SET state = 'ready', tried = 0`, name, kind, now.UnixMicro())
		return err
	})
	return n, err
}

// ready are the files that are not known to have arrived, uploads first.
func (l *Ledger) ready(ctx context.Context) ([]part, error) {
	var out []part
	err := l.each(ctx, `SELECT name, kind, tried FROM drop_part WHERE state = 'ready' ORDER BY kind DESC, name`, nil, func(rows *sql.Rows) error {
		var p part
		var tried int
		if err := rows.Scan(&p.Name, &p.Kind, &tried); err != nil {
			return err
		}
		p.Tried = tried != 0
		out = append(out, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what to upload: %w", err)
	}
	return out, nil
}

// write writes a file of answers as the platform wants it, a page at a time.
func (l *Ledger) write(ctx context.Context, name string, w io.Writer) error {
	if _, err := io.WriteString(w, "Id,Status\n"); err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	for after, more := "", true; more; {
		n := 0
		if err := l.each(ctx, `SELECT id, status FROM drop_item WHERE part = $1 AND id > $2 ORDER BY id LIMIT 5000`, []any{name, after}, func(rows *sql.Rows) error {
			var status int
			if err := rows.Scan(&after, &status); err != nil {
				return err
			}
			if !Status(status).Valid() {
				return fmt.Errorf("item %s has status %d: %w", after, status, ErrCoverage)
			}
			n++
			_, err := fmt.Fprintf(w, "%s,%d\n", after, status)
			return err
		}); err != nil {
			return fmt.Errorf("writing answers: %w", err)
		}
		more = n == 5000
	}
	return nil
}

// send uploads what is not known to have arrived. That a file was tried is
// stored before it is: when the answer was lost, "already uploaded" and "no
// download waits" are the answer.
func (l *Ledger) send(ctx context.Context, to *Platform, now time.Time) error {
	parts, err := l.ready(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := l.DB.ExecContext(ctx, `UPDATE drop_part SET tried = 1 WHERE name = $1`, p.Name); err != nil {
			return fmt.Errorf("recording an upload: %w", err)
		}
		err := to.Upload(ctx, p.Kind, p.Name, func(w io.Writer) error { return l.write(ctx, p.Name, w) })
		switch {
		case err == nil, errors.Is(err, ErrUploaded):
		case errors.Is(err, ErrNoneWaits) && p.Tried && p.Kind == kindUpload:
		default:
			return err
		}
		if err := l.sent(ctx, p.Name, now); err != nil {
			return err
		}
	}
	return nil
}

// sent records that a file has arrived, and closes the batch with its last.
func (l *Ledger) sent(ctx context.Context, name string, now time.Time) error {
	return l.inTx(ctx, "recording an upload", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE drop_item SET reported = status, part = '' WHERE part = $1`, name); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE drop_part SET state = 'sent' WHERE name = $1`, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE drop_batch SET state = 'closed', closed = $1 WHERE state = 'read'
			AND NOT EXISTS (SELECT 1 FROM drop_item i WHERE i.batch = drop_batch.name AND i.reported = 0)`, now.UnixMicro())
		return err
	})
}
