package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Cosignature is a witness's signature on a head of this log.
type Cosignature struct {
	// Size is that of the head.
	Size int64
	// Witness is the witness's public key in note format.
	Witness string
	// Line is the signature's line, with its line feed.
	Line string
	// Time is when the witness says that it signed, to the second.
	Time time.Time
}

// Statements that both databases share. Of two signatures of a witness on one
// head the first is kept: heads that were handed out stay as they are.
const (
	insertCosignature    = `INSERT INTO cosignature (size, witness, line, cosigned_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	selectCosignatures   = `SELECT size, witness, line, cosigned_at FROM cosignature WHERE size = $1 ORDER BY witness`
	selectLastCosigned   = `SELECT size, witness, line, cosigned_at FROM cosignature WHERE witness = $1 ORDER BY size DESC LIMIT 1`
	selectCosignedBefore = `SELECT DISTINCT size FROM cosignature WHERE size <= $1 ORDER BY size DESC LIMIT $2`
)

// Cosign keeps a witness's signature. A second one of the same witness on the
// same head changes nothing.
func (l *Log) Cosign(ctx context.Context, c Cosignature) error {
	if err := l.store.saveCosignature(ctx, c); err != nil {
		return fmt.Errorf("keeping a cosignature: %w", err)
	}
	return nil
}

// Cosignatures are those on the head of a size.
func (l *Log) Cosignatures(ctx context.Context, size int64) ([]Cosignature, error) {
	found, err := l.store.cosignatures(ctx, selectCosignatures, size)
	if err != nil {
		return nil, fmt.Errorf("reading cosignatures: %w", err)
	}
	return found, nil
}

// LastCosigned is the signature of a witness on the largest head, or nil.
func (l *Log) LastCosigned(ctx context.Context, witness string) (*Cosignature, error) {
	found, err := l.store.cosignatures(ctx, selectLastCosigned, witness)
	if err != nil {
		return nil, fmt.Errorf("reading cosignatures: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	return &found[0], nil
}

// CosignedSizes are the sizes of heads up to one, largest first and at most
// limit, that anybody cosigned.
func (l *Log) CosignedSizes(ctx context.Context, upTo int64, limit int) ([]int64, error) {
	sizes, err := l.store.numbers(ctx, selectCosignedBefore, upTo, limit)
	if err != nil {
		return nil, fmt.Errorf("reading cosignatures: %w", err)
	}
	return sizes, nil
}

// HeadOf is the head of a size that this log signed.
func (l *Log) HeadOf(ctx context.Context, size int64) (SignedHead, error) {
	signed, err := l.store.checkpoint(ctx, size, time.Now().Add(24*time.Hour))
	if err != nil {
		return SignedHead{}, fmt.Errorf("reading checkpoints: %w", err)
	}
	if signed == nil {
		return SignedHead{}, fmt.Errorf("no head of %d leaves is kept", size)
	}
	head, err := l.ParseHead(signed)
	if err == nil && head.Size != size {
		err = fmt.Errorf("no head of %d leaves is kept", size)
	}
	return head, err
}

// Contains reports whether the leaves in the database begin with those of a
// head that this log signed.
func (l *Log) Contains(ctx context.Context, head SignedHead) (bool, error) {
	st, err := l.store.state(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the log's size: %w", err)
	}
	err = l.consistent(ctx, head, st)
	if errors.Is(err, ErrForked) || errors.Is(err, ErrRolledBack) {
		return false, nil
	}
	return err == nil, err
}
