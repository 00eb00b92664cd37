package litestore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Disclosures = (*Store)(nil)

// PutDisclosures implements [store.Disclosures].
func (s *Store) PutDisclosures(ctx context.Context, rows []store.Disclosure) (added int64, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		added = 0
		stmt, err := tx.PrepareContext(ctx, `INSERT INTO disclosure (key, ref, digest, pepper, recipient, connector, letters, sense, purpose, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
		if err != nil {
			return err
		}
		defer stmt.Close()
		for i := range rows {
			d := &rows[i]
			result, err := stmt.ExecContext(ctx, d.Key, d.Ref, d.Digest, d.Pepper, d.Recipient, d.Connector, d.Letters, d.As, d.Purpose, micros(d.At))
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("adding to the disclosure ledger: %w", err)
	}
	return added, nil
}

// DisclosuresOf implements [store.Disclosures].
func (s *Store) DisclosuresOf(ctx context.Context, digests [][]byte) ([]store.Disclosure, error) {
	out, err := query(ctx, s.db, row.Disclosures, "SELECT "+row.Names(row.Disclosures)+" FROM disclosure WHERE digest IN (SELECT unhex(value) FROM json_each(?)) ORDER BY at, key", hexList(digests))
	if err != nil {
		return nil, fmt.Errorf("reading the disclosure ledger: %w", err)
	}
	return out, nil
}

// ForgetDisclosures implements [store.Disclosures].
func (s *Store) ForgetDisclosures(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM disclosure WHERE key IN (SELECT key FROM disclosure WHERE at < ? LIMIT ?)`, micros(before), limit)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("shortening the disclosure ledger: %w", err)
	}
	return n, nil
}

// Disclosed implements [store.Disclosures].
func (s *Store) Disclosed(ctx context.Context) ([]store.Disclosed, error) {
	out, err := query(ctx, s.db, row.Disclosed, `SELECT recipient, sense, count(DISTINCT ref) AS n, max(at) AS last FROM disclosure GROUP BY recipient, sense ORDER BY recipient, sense`)
	if err != nil {
		return nil, fmt.Errorf("counting the disclosure ledger: %w", err)
	}
	return out, nil
}
