package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNoPeriod says that nothing was signed yet when a period ended.
var ErrNoPeriod = errors.New("the log has no signed head from before the end of that period")

// Period is a stretch of the log between two heads that were signed when it
// began and when it ended, and the newest head, which tells what became of it
// since. Start is not known when the log began later.
type Period struct {
	Start, Close, End SignedHead
}

// Period finds the heads for a stretch of time: Start is the last head signed no
// later than from, Close the last one signed no later than to. End is a head
// over every committed leaf.
func (l *Log) Period(ctx context.Context, from, to time.Time) (Period, error) {
	end, err := l.Checkpoint(ctx)
	if err != nil {
		return Period{}, err
	}
	p := Period{End: end}
	for _, at := range []struct {
		time time.Time
		head *SignedHead
	}{{from, &p.Start}, {to, &p.Close}} {
		signed, err := l.store.checkpoint(ctx, end.Size, at.time)
		if err != nil {
			return Period{}, fmt.Errorf("reading checkpoints: %w", err)
		}
		if signed == nil {
			continue
		}
		if *at.head, err = ParseHead(signed, l.verifier); err != nil {
			return Period{}, fmt.Errorf("reading checkpoints: %w", errors.Join(ErrCorrupt, err))
		}
	}
	if !p.Close.known() {
		return Period{}, ErrNoPeriod
	}
	return p, nil
}

// batch is how many leaves are in memory at a time.
const batch = 256

// PeriodLeaves calls fn for each leaf of a period, and for what one needs to
// judge them: the other records of the requests that came in during it, and the
// key and retention records from anywhere. It goes by leaf number, and holds no
// query open while fn works. In memory it has the numbers of those others, and
// of leaves themselves a few hundred.
func (l *Log) PeriodLeaves(ctx context.Context, p Period, fn func(Leaf) error) error {
	others, err := l.store.numbersAround(ctx, p.Start.Size, p.Close.Size, p.End.Size)
	if err != nil {
		return fmt.Errorf("reading leaves: %w", err)
	}
	slices.Sort(others)
	cut, _ := slices.BinarySearch(others, p.Start.Size)
	if err := l.eachOf(ctx, others[:cut], fn); err != nil {
		return err
	}
	for first := p.Start.Size; first < p.Close.Size; {
		numbers := make([]int64, 0, batch)
		for ; first < p.Close.Size && len(numbers) < batch; first++ {
			numbers = append(numbers, first)
		}
		if err := l.eachOf(ctx, numbers, fn); err != nil {
			return err
		}
	}
	return l.eachOf(ctx, others[cut:], fn)
}

// eachOf calls fn for leaves by number.
func (l *Log) eachOf(ctx context.Context, numbers []int64, fn func(Leaf) error) error {
	for some := range slices.Chunk(numbers, batch) {
		leaves, err := l.store.leavesAt(ctx, some)
		if err != nil {
			return fmt.Errorf("reading leaves: %w", err)
		}
		if len(leaves) != len(some) {
			return fmt.Errorf("%d of %d leaves from number %d on are not in the database: %w", len(some)-len(leaves), len(some), some[0], ErrCorrupt)
		}
		for _, leaf := range leaves {
			if err := fn(leaf); err != nil {
				return err
			}
		}
	}
	return nil
}

// Rests returns what the log has of requests, by their ids.
func (l *Log) Rests(ctx context.Context, requests []string) (map[string]Rest, error) {
	found, err := l.store.rests(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("reading the records of requests: %w", err)
	}
	return found, nil
}

// Tally counts the leaves of a period by type, and those of them whose envelope
// was erased.
func (l *Log) Tally(ctx context.Context, p Period) (types map[string]int64, erased int64, err error) {
	types, erased, err = l.store.tally(ctx, p.Start.Size, p.Close.Size)
	if err != nil {
		return nil, 0, fmt.Errorf("counting leaves: %w", err)
	}
	return types, erased, nil
}

// Intakes returns the numbers of a period's intake records.
func (l *Log) Intakes(ctx context.Context, p Period) ([]int64, error) {
	numbers, err := l.store.intakes(ctx, p.Start.Size, p.Close.Size)
	if err != nil {
		return nil, fmt.Errorf("reading leaves: %w", err)
	}
	return numbers, nil
}

// At returns leaves by number, in the order of the numbers.
func (l *Log) At(ctx context.Context, numbers []int64) ([]Leaf, error) {
	byNumber := make(map[int64]Leaf, len(numbers))
	sorted := slices.Sorted(slices.Values(numbers))
	if err := l.eachOf(ctx, sorted, func(leaf Leaf) error { byNumber[leaf.Number] = leaf; return nil }); err != nil {
		return nil, err
	}
	leaves := make([]Leaf, len(numbers))
	for i, n := range numbers {
		leaves[i] = byNumber[n]
	}
	return leaves, nil
}

// ParseHead reads a head that this log signed.
func (l *Log) ParseHead(signed []byte) (SignedHead, error) { return ParseHead(signed, l.verifier) }
