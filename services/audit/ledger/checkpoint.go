package ledger

import (
	"context"
	"errors"
	"fmt"
	"math"

	flog "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// SignedHead is a checkpoint that was signed.
type SignedHead struct {
	// Size is the number of leaves under it.
	Size int64
	// Root is the Merkle tree hash of those leaves.
	Root tlog.Hash
	// Note is the checkpoint as a signed note.
	Note []byte
}

func (h SignedHead) known() bool { return h.Note != nil }

func (h SignedHead) tree() tlog.Tree { return tlog.Tree{N: h.Size, Hash: h.Root} }

// ParseHead reads a checkpoint of the log whose key is given and checks its
// signature. The origin is the key's name. Extension lines are refused.
func ParseHead(signed []byte, verifier note.Verifier) (SignedHead, error) {
	cp, rest, _, err := flog.ParseCheckpoint(signed, verifier.Name(), verifier)
	if err != nil {
		return SignedHead{}, fmt.Errorf("checkpoint: %w", err)
	}
	if len(cp.Hash) != tlog.HashSize || cp.Size > math.MaxInt64 || len(rest) != 0 {
		return SignedHead{}, errors.New("checkpoint: the root is not a SHA-256, the size is too big, or there are extension lines")
	}
	return SignedHead{Size: int64(cp.Size), Root: tlog.Hash(cp.Hash), Note: signed}, nil
}

// keptHead is what one Head had.
type keptHead struct {
	keeper   Head
	head     SignedHead
	revision uint64
}

func (l *Log) loadHeads(ctx context.Context) ([]keptHead, error) {
	kept := make([]keptHead, len(l.heads))
	for i, keeper := range l.heads {
		signed, revision, err := keeper.Load(ctx)
		if err != nil {
			return nil, err
		}
		kept[i] = keptHead{keeper: keeper, revision: revision}
		if signed == nil {
			continue
		}
		if kept[i].head, err = ParseHead(signed, l.verifier); err != nil {
			return nil, fmt.Errorf("the kept head of the log is not one it signed: %w", err)
		}
	}
	return kept, nil
}

// newest is the kept head with most leaves, or one that is not known.
func newest(kept []keptHead) SignedHead {
	var head SignedHead
	for _, k := range kept {
		if k.head.known() && (!head.known() || k.head.Size > head.Size) {
			head = k.head
		}
	}
	return head
}

// Signed is the newest head this process knows to be signed. It is what the
// log shows to the world.
func (l *Log) Signed() SignedHead {
	l.signedMu.RLock()
	defer l.signedMu.RUnlock()
	return l.signed
}

// Checkpoint signs a head over every committed leaf, unless there is one, and
// returns it. The database is first held against every kept head: when one of
// them has more leaves or other leaves nothing is signed and the error wraps
// [ErrRolledBack] or [ErrForked]. A head that can't be read or written is an
// error too, so a head is never shown that is not kept in all places.
func (l *Log) Checkpoint(ctx context.Context) (SignedHead, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	for range 8 {
		head, err := l.checkpoint(ctx)
		if !errors.Is(err, ErrConflict) {
			return head, err
		}
	}
	return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", ErrConflict)
}

func (l *Log) checkpoint(ctx context.Context) (SignedHead, error) {
	signed := l.Signed()
	st, err := l.store.state(ctx)
	if err != nil {
		return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	if signed.known() && signed.Size == st.size && signed.Root == st.root {
		return signed, nil
	}
	kept, err := l.loadHeads(ctx)
	if err != nil {
		return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	// The database is read after the heads: another process may have appended
	// and signed in between, and a log only grows.
	if st, err = l.store.state(ctx); err != nil {
		return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", err)
	}
	// What this process signed or saw guards as well as what is kept.
	for _, old := range append(kept, keptHead{head: signed}) {
		if err := l.consistent(ctx, old.head, st); err != nil {
			return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", err)
		}
	}
	head := newest(kept)
	if !head.known() || head.Size != st.size {
		if head, err = l.sign(st); err != nil {
			return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", err)
		}
	}
	for _, k := range kept {
		if k.head.known() && k.head.Size == head.Size {
			continue
		}
		if err := k.keeper.Swap(ctx, head.Note, k.revision); err != nil {
			return SignedHead{}, fmt.Errorf("signing a checkpoint: %w", err)
		}
	}
	if err := l.store.saveCheckpoint(ctx, head.Size, head.Note); err != nil {
		return SignedHead{}, fmt.Errorf("keeping a checkpoint: %w", err)
	}
	l.signedMu.Lock()
	defer l.signedMu.Unlock()
	l.signed = head
	return head, nil
}

func (l *Log) sign(st state) (SignedHead, error) {
	text := flog.Checkpoint{Origin: l.Origin(), Size: uint64(st.size), Hash: st.root[:]}.Marshal() //nolint:gosec // a size is never negative
	signed, err := note.Sign(&note.Note{Text: string(text)}, l.signer)
	if err != nil {
		return SignedHead{}, err
	}
	return SignedHead{Size: st.size, Root: st.root, Note: signed}, nil
}

// consistent shows that the tree in the database is the old head's tree with
// leaves added (RFC 6962, section 2.1.2).
func (l *Log) consistent(ctx context.Context, old SignedHead, st state) error {
	switch {
	case !old.known():
		return nil
	case st.size < old.Size:
		return fmt.Errorf("the database has %d leaves, a head of %d was signed: %w", st.size, old.Size, ErrRolledBack)
	case st.size == old.Size && st.root != old.Root, old.Size == 0 && old.Root != emptyRoot:
		return fmt.Errorf("at %d leaves: %w", old.Size, ErrForked)
	case st.size == old.Size, old.Size == 0:
		return nil
	}
	tree := tlog.Tree{N: st.size, Hash: st.root}
	proof, err := tlog.ProveTree(st.size, old.Size, l.hashReader(ctx, tree))
	if err != nil {
		return fmt.Errorf("proving that %d leaves begin with the %d that were signed: %w", st.size, old.Size, because(ErrForked, err))
	}
	if err := tlog.CheckTree(proof, st.size, st.root, old.Size, old.Root); err != nil {
		return fmt.Errorf("the first %d of %d leaves are not those that were signed: %w", old.Size, st.size, ErrForked)
	}
	return nil
}
