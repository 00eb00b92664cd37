package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"golang.org/x/mod/sumdb/tlog"
)

// Placed is where a record is in the log.
type Placed struct {
	// Leaf is its number.
	Leaf int64
	// Fresh says that this append put it there; it was there before otherwise.
	Fresh bool
}

// Append makes the records leaves, all or none, and says where each is; the
// result has one element for each record, in their order. Records whose
// envelope is a leaf already keep their place. size is the log's size after
// the append. When Append returns an error it may still have happened, and
// appending the same records again is safe.
func (l *Log) Append(ctx context.Context, records []Record) (placed []Placed, size int64, err error) {
	err = l.write(ctx, func(t txn, e *edge) (*edge, error) {
		placed, e, err = l.place(ctx, t, e, records)
		if err != nil {
			return nil, err
		}
		size = e.size
		return e, nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("appending %d records: %w", len(records), err)
	}
	return placed, size, nil
}

// Erase empties the envelopes of leaves first to last and appends the record
// that says so, in one transaction. sign is given the number of envelopes that
// go and makes the record; it is not called, and nothing is appended, when
// there are none. Key and retention records are left alone.
func (l *Log) Erase(ctx context.Context, first, last int64, sign func(count int64) (Record, error)) (count int64, err error) {
	if signed := l.Signed(); first < 0 || first > last || last >= signed.Size {
		return 0, fmt.Errorf("erasing leaves %d to %d: the signed log has leaves 0 to %d", first, last, signed.Size-1)
	}
	err = l.write(ctx, func(t txn, e *edge) (*edge, error) {
		if count, err = t.countEnvelopes(ctx, first, last); err != nil || count == 0 {
			return e, err
		}
		record, err := sign(count)
		if err != nil {
			return nil, err
		}
		if err := t.erase(ctx, first, last); err != nil {
			return nil, err
		}
		_, e, err = l.place(ctx, t, e, []Record{record})
		return e, err
	})
	if err != nil {
		return 0, fmt.Errorf("erasing leaves %d to %d: %w", first, last, err)
	}
	return count, nil
}

// write runs fn in a transaction that holds the log's row. fn is given the
// edge of the tree as it is locked and returns the edge after its writes.
func (l *Log) write(ctx context.Context, fn func(txn, *edge) (*edge, error)) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t, err := l.store.begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.rollback(ctx))
		}
	}()
	e, err := l.lockedEdge(ctx, t)
	if err != nil {
		return err
	}
	after, err := fn(t, e)
	if err != nil {
		return err
	}
	// Until the commit's answer is in, what the database has is unknown.
	l.edge = nil
	if err := t.commit(ctx); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	l.edge = after
	return nil
}

// lockedEdge returns the edge of the tree that t has locked: the one in memory
// when no other process wrote since, else read from the tiles and checked.
func (l *Log) lockedEdge(ctx context.Context, t txn) (*edge, error) {
	st := t.state()
	if signed := l.Signed(); st.size < signed.Size {
		return nil, fmt.Errorf("the database has %d leaves, a head of %d was signed: %w", st.size, signed.Size, ErrRolledBack)
	}
	if l.edge != nil && l.edge.size == st.size && l.edge.root() == st.root {
		return l.edge, nil
	}
	tiles, err := t.tiles(ctx, edgeTiles(st.size))
	if err != nil {
		return nil, fmt.Errorf("reading the edge of the tree: %w", err)
	}
	e, err := newEdge(st.size, tiles)
	if err != nil {
		return nil, err
	}
	if e.root() != st.root {
		return nil, fmt.Errorf("the tiles of %d leaves do not hash to the root kept for them: %w", st.size, ErrCorrupt)
	}
	return e, nil
}

// place gives every record its leaf and writes those that are new.
func (l *Log) place(ctx context.Context, t txn, e *edge, records []Record) ([]Placed, *edge, error) {
	digests := make([][]byte, len(records))
	for i := range records {
		digests[i] = records[i].Digest[:]
	}
	known, err := t.leavesOf(ctx, digests)
	if err != nil {
		return nil, nil, fmt.Errorf("finding duplicates: %w", err)
	}
	placed, fresh := make([]Placed, len(records)), make([]Record, 0, len(records))
	seen := maps.Clone(known)
	for i, r := range records {
		leaf, ok := seen[r.Digest]
		if !ok {
			leaf = e.size + int64(len(fresh))
			seen[r.Digest] = leaf
			fresh = append(fresh, r)
		}
		placed[i] = Placed{Leaf: leaf, Fresh: !ok}
	}
	if len(fresh) == 0 {
		return placed, e, nil
	}
	after, changed := e.clone(), map[tileID][]byte{}
	for _, r := range fresh {
		after.add(tlog.RecordHash(l.entry(r)), changed)
	}
	after.flush(e.size, changed)
	if err := t.append(ctx, e.size, fresh, changed, after.size, after.root()); err != nil {
		return nil, nil, fmt.Errorf("writing %d leaves: %w", len(fresh), err)
	}
	return placed, after, nil
}
