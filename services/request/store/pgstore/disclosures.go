package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

var _ store.Disclosures = (*Store)(nil)

// PutDisclosures implements [store.Disclosures]. It adds rows in the order of
// their key, so that two that add the same wait for each other.
func (s *Store) PutDisclosures(ctx context.Context, rows []store.Disclosure) (int64, error) {
	if len(rows) == 0 {
		return 0, nil
	}
	var keys, digests [][]byte
	var refs, peppers, recipients, connectors, letters, senses, purposes []string
	var at []time.Time
	for i := range rows {
		d := &rows[i]
		keys, digests, at = append(keys, d.Key), append(digests, d.Digest), append(at, d.At)
		refs, peppers, recipients, connectors = append(refs, d.Ref), append(peppers, d.Pepper), append(recipients, d.Recipient), append(connectors, d.Connector)
		letters, senses, purposes = append(letters, d.Letters), append(senses, d.As), append(purposes, d.Purpose)
	}
	tag, err := s.pool.Exec(ctx, `INSERT INTO disclosure (`+row.Names(row.Disclosures)+`)
		SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[]) AS n (k)
		ORDER BY k ON CONFLICT DO NOTHING`, keys, refs, digests, peppers, recipients, connectors, letters, senses, purposes, at)
	if err != nil {
		return 0, fmt.Errorf("adding to the disclosure ledger: %w", redact(err))
	}
	return tag.RowsAffected(), nil
}

// DisclosuresOf implements [store.Disclosures].
func (s *Store) DisclosuresOf(ctx context.Context, digests [][]byte) ([]store.Disclosure, error) {
	out, err := read(ctx, s, row.Disclosures, "SELECT "+row.Names(row.Disclosures)+" FROM disclosure WHERE digest = ANY($1) ORDER BY at, key", digests)
	if err != nil {
		return nil, fmt.Errorf("reading the disclosure ledger: %w", err)
	}
	return out, nil
}

// ForgetDisclosures implements [store.Disclosures].
func (s *Store) ForgetDisclosures(ctx context.Context, before time.Time, limit int) (int64, error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM disclosure WHERE key IN (SELECT key FROM disclosure WHERE at < $1 ORDER BY key LIMIT $2)`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("shortening the disclosure ledger: %w", redact(err))
	}
	return tag.RowsAffected(), nil
}

// Disclosed implements [store.Disclosures].
func (s *Store) Disclosed(ctx context.Context) ([]store.Disclosed, error) {
	out, err := read(ctx, s, row.Disclosed, `SELECT recipient, sense, count(DISTINCT ref) AS n, max(at) AS last FROM disclosure GROUP BY recipient, sense ORDER BY recipient, sense`)
	if err != nil {
		return nil, fmt.Errorf("counting the disclosure ledger: %w", err)
	}
	return out, nil
}
