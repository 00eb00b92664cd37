package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/tlog"
)

// Prover makes proofs against one signed head. It keeps the tiles it read, so
// that many proofs cost little more than one; it is for one goroutine.
type Prover struct {
	head   SignedHead
	hashes tlog.HashReader
}

// Prover returns a maker of proofs against a head of this log.
func (l *Log) Prover(ctx context.Context, head SignedHead) *Prover {
	return &Prover{head: head, hashes: l.hashReader(ctx, head.tree())}
}

// Size is how many leaves the head has.
func (p *Prover) Size() int64 { return p.head.Size }

// Inclusion proves that the leaf is under the head, as a C2SP tlog-proof@v1.
func (p *Prover) Inclusion(leaf int64) ([]byte, error) {
	if leaf < 0 || leaf >= p.head.Size {
		return nil, fmt.Errorf("proving leaf %d: the signed log has %d", leaf, p.head.Size)
	}
	path, err := tlog.ProveRecord(p.head.Size, leaf, p.hashes)
	if err != nil {
		return nil, fmt.Errorf("proving leaf %d: %w", leaf, because(ErrCorrupt, err))
	}
	out := proof.TLogProof{Index: uint64(leaf), Checkpoint: p.head.Note}
	for _, h := range path {
		out.Hashes = append(out.Hashes, h)
	}
	return out.Marshal(), nil
}

// Consistency proves that the head begins with the leaves of an older one
// (RFC 6962, section 2.1.2).
func (p *Prover) Consistency(old SignedHead) (tlog.TreeProof, error) {
	if old.Size == 0 || old.Size == p.head.Size {
		return nil, nil
	}
	path, err := tlog.ProveTree(p.head.Size, old.Size, p.hashes)
	if err != nil {
		return nil, fmt.Errorf("proving that %d leaves begin with %d: %w", p.head.Size, old.Size, because(ErrCorrupt, err))
	}
	return path, nil
}

func (l *Log) hashReader(ctx context.Context, tree tlog.Tree) tlog.HashReader {
	return tlog.TileHashReader(tree, &tileReader{ctx: ctx, store: l.store, seen: map[tileID][]byte{}})
}

// tileReader hands the database's tiles to tlog, which checks each against the
// root before it believes it.
type tileReader struct {
	ctx   context.Context
	store store
	seen  map[tileID][]byte
}

func (r *tileReader) Height() int { return tileHeight }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var missing []tileID
	for _, t := range tiles {
		if id := (tileID{t.L, t.N}); len(r.seen[id]) < t.W*tlog.HashSize {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		found, err := r.store.tiles(r.ctx, missing)
		if err != nil {
			return nil, &readError{fmt.Errorf("reading tiles: %w", err)}
		}
		maps.Copy(r.seen, found)
	}
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		have := r.seen[tileID{t.L, t.N}]
		if len(have) < t.W*tlog.HashSize {
			return nil, fmt.Errorf("tile %s is not in the database", t.Path())
		}
		data[i] = have[:t.W*tlog.HashSize]
	}
	return data, nil
}

// readError is a database that did not answer, which says nothing of the log.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// because says what a proof that could not be made means, unless it is only
// that the database did not answer.
func because(meaning, err error) error {
	if _, unread := errors.AsType[*readError](err); unread {
		return err
	}
	return errors.Join(meaning, err)
}

func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// Tile returns the first width hashes of a tile of height 8, or fs.ErrNotExist
// when the log has not grown so far.
func (l *Log) Tile(ctx context.Context, level int, index int64, width int) ([]byte, error) {
	id := tileID{level, index}
	found, err := l.store.tiles(ctx, []tileID{id})
	if err != nil {
		return nil, fmt.Errorf("reading tile %d/%d: %w", level, index, err)
	}
	if len(found[id]) < width*tlog.HashSize {
		return nil, fmt.Errorf("tile %d/%d of width %d: %w", level, index, width, fs.ErrNotExist)
	}
	return found[id][:width*tlog.HashSize], nil
}

// Entries returns the first width entries of an entry bundle, each behind its
// length in two bytes (C2SP tlog-tiles), or fs.ErrNotExist when the log has
// not grown so far.
func (l *Log) Entries(ctx context.Context, index int64, width int) ([]byte, error) {
	digests, err := l.store.digests(ctx, index*tileWidth, width)
	if err != nil {
		return nil, fmt.Errorf("reading entries %d: %w", index, err)
	}
	if len(digests) < width {
		return nil, fmt.Errorf("entries %d of width %d: %w", index, width, fs.ErrNotExist)
	}
	var bundle []byte
	for _, d := range digests {
		entry := Entry(d)
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(entry))), entry...) //nolint:gosec // an entry has 82 bytes
	}
	return bundle, nil
}
