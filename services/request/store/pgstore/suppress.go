package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/row"
)

// Suppressed implements [store.Suppressions].
func (s *Store) Suppressed(ctx context.Context, digests [][]byte) ([]store.Suppressed, error) {
	out, err := read(ctx, s, row.Suppressions, "SELECT "+row.Names(row.Suppressions)+" FROM suppression WHERE digest = ANY($1)", digests)
	if err != nil {
		return nil, fmt.Errorf("reading the suppression list: %w", err)
	}
	return out, nil
}

// SuppressedAfter implements [store.Suppressions].
func (s *Store) SuppressedAfter(ctx context.Context, last store.Suppressed, limit int) ([]store.Suppressed, error) {
	digest := last.Digest
	if digest == nil {
		digest = []byte{}
	}
	out, err := read(ctx, s, row.Suppressions, "SELECT "+row.Names(row.Suppressions)+" FROM suppression WHERE (digest, why) > ($1, $2) ORDER BY digest, why LIMIT $3", digest, string(last.Why), limit)
	if err != nil {
		return nil, fmt.Errorf("reading the suppression list: %w", err)
	}
	return out, nil
}

// Suppress implements [store.Suppressions].
func (s *Store) Suppress(ctx context.Context, entries []store.Suppressed) error {
	if err := s.tx(ctx, func(tx pgx.Tx) error { return suppress(ctx, tx, entries) }); err != nil {
		return fmt.Errorf("adding to the suppression list: %w", err)
	}
	return nil
}

// suppress adds entries in the order of their key, so that two that add the
// same wait for each other.
func suppress(ctx context.Context, tx pgx.Tx, entries []store.Suppressed) error {
	if len(entries) == 0 {
		return nil
	}
	digests, whys, peppers, since := make([][]byte, len(entries)), make([]string, len(entries)), make([]string, len(entries)), make([]time.Time, len(entries))
	for i, e := range entries {
		digests[i], whys[i], peppers[i], since[i] = e.Digest, string(e.Why), e.Pepper, e.Since
	}
	_, err := tx.Exec(ctx, `INSERT INTO suppression (digest, why, pepper, since)
		SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::timestamptz[]) AS n (d, w, p, s) ORDER BY d, w ON CONFLICT DO NOTHING`, digests, whys, peppers, since)
	return err
}

// Unsuppress implements [store.Suppressions].
func (s *Store) Unsuppress(ctx context.Context, entries []store.Suppressed) error {
	if err := s.tx(ctx, func(tx pgx.Tx) error { return unsuppress(ctx, tx, entries) }); err != nil {
		return fmt.Errorf("taking off the suppression list: %w", err)
	}
	return nil
}

func unsuppress(ctx context.Context, tx pgx.Tx, entries []store.Suppressed) error {
	if len(entries) == 0 {
		return nil
	}
	digests, whys := make([][]byte, len(entries)), make([]string, len(entries))
	for i, e := range entries {
		digests[i], whys[i] = e.Digest, string(e.Why)
	}
	_, err := tx.Exec(ctx, `DELETE FROM suppression USING unnest($1::bytea[], $2::text[]) AS n (d, w) WHERE digest = d AND why = w`, digests, whys)
	return err
}

// retain remembers what was kept; of what is there it takes the newer end. It
// writes in the order of the key, so that two that write the same wait for each
// other.
func retain(ctx context.Context, tx pgx.Tx, kept []store.Retained) error {
	if len(kept) == 0 {
		return nil
	}
	var digests [][]byte
	var peppers, connectors, stores, bases []string
	var until []*time.Time
	for i := range kept {
		k := &kept[i]
		digests, peppers, connectors = append(digests, k.Digest), append(peppers, k.Pepper), append(connectors, k.Connector)
		stores, bases = append(stores, k.Store), append(bases, k.Basis)
		var end *time.Time
		if !k.Until.IsZero() {
			end = &k.Until
		}
		until = append(until, end)
	}
	_, err := tx.Exec(ctx, `INSERT INTO retained (digest, pepper, connector, store, basis, until)
		SELECT DISTINCT ON (d, c, s, b) d, p, c, s, b, u FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) AS n (d, p, c, s, b, u)
		ORDER BY d, c, s, b, u DESC ON CONFLICT (digest, connector, store, basis) DO UPDATE SET until = excluded.until`, digests, peppers, connectors, stores, bases, until)
	return err
}

// Retained implements [store.Suppressions].
func (s *Store) Retained(ctx context.Context, digests [][]byte) ([]store.Retained, error) {
	out, err := read(ctx, s, row.Retained, "SELECT "+row.Names(row.Retained)+" FROM retained WHERE digest = ANY($1) ORDER BY digest, connector, store, basis", digests)
	if err != nil {
		return nil, fmt.Errorf("reading what was kept: %w", err)
	}
	return out, nil
}

// CountSuppressed implements [store.Suppressions].
func (s *Store) CountSuppressed(ctx context.Context) (n int64, err error) {
	if err := s.pool.QueryRow(ctx, `SELECT count(*) FROM suppression`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the suppression list: %w", redact(err))
	}
	return n, nil
}

// Peppers implements [store.Suppressions].
func (s *Store) Peppers(ctx context.Context) ([]store.Pepper, error) {
	out, err := read(ctx, s, row.Peppers, "SELECT "+row.Names(row.Peppers)+" FROM suppression_pepper ORDER BY created_at, id")
	if err != nil {
		return nil, fmt.Errorf("reading the keys of the suppression list: %w", err)
	}
	return out, nil
}

// PutPeppers implements [store.Suppressions].
func (s *Store) PutPeppers(ctx context.Context, peppers []store.Pepper) error {
	err := s.tx(ctx, func(tx pgx.Tx) error {
		for _, p := range peppers { // a handful
			if _, err := tx.Exec(ctx, `INSERT INTO suppression_pepper (id, wrapped_key, sealed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
				p.ID, p.WrappedKey, p.Sealed, p.CreatedAt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("storing a key of the suppression list: %w", err)
	}
	return nil
}
