package suppression

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// filterFormat names the file of [List.WriteFilter]: a line of JSON, and the
// bits of a Bloom filter, encrypted with age together.
const filterFormat = "habeas-suppression-filter/1"

// Filter says of an identifier, without asking anybody, that it is surely not on
// the list or that it probably is: then ask the list. It never forgets an entry
// of the list it was made from, and errs the other way about as often as Rate.
type Filter struct {
	head    filterHead
	bits    []byte
	peppers Peppers
}

type filterHead struct {
	header
	// Entries is how many entries went in, Rate the share of others that
	// nevertheless seem to be in, Bits the size and Hashes the number of bits
	// looked at.
	Entries int64   `json:"entries"`
	Rate    float64 `json:"false_positive_rate"`
	Bits    uint64  `json:"bits"`
	Hashes  int     `json:"hashes"`
}

const (
	filterBitsMost   = 1 << 33 // a gigabyte
	filterHashesMost = 64
)

// ErrFilter is wrapped by errors of reading a file that is not a whole filter.
var ErrFilter = errors.New("not a whole suppression filter; export it again")

// Rate is the false-positive rate the filter was made for.
func (f *Filter) Rate() float64 { return f.head.Rate }

// Entries is how many entries the filter was made of.
func (f *Filter) Entries() int64 { return f.head.Entries }

// Made is when the filter was made; what came later is not in it.
func (f *Filter) Made() time.Time { return f.head.Made }

// MayHave reports whether an identifier, in canonical form, may be on the list
// for a reason.
func (f *Filter) MayHave(id request.Identifier, why store.Why) bool {
	for _, d := range f.peppers.digests(id) {
		if f.has(d, why) {
			return true
		}
	}
	return false
}

// place is where the k-th bit of an entry is. A digest is as good as random, so
// two halves of it are the two hashes that the others are made of; the reason
// turns the first.
func (f *Filter) place(digest []byte, why store.Why, k int) uint64 {
	first, second := binary.BigEndian.Uint64(digest), binary.BigEndian.Uint64(digest[8:])|1
	if why == store.WhyOptedOut {
		first ^= binary.BigEndian.Uint64(digest[16:])
	}
	return (first + uint64(k)*second) % f.head.Bits //nolint:gosec // k is small and not negative
}

func (f *Filter) has(digest []byte, why store.Why) bool {
	for k := range f.head.Hashes {
		if p := f.place(digest, why, k); f.bits[p/8]&(1<<(p%8)) == 0 {
			return false
		}
	}
	return true
}

func (f *Filter) add(digest []byte, why store.Why) {
	for k := range f.head.Hashes {
		p := f.place(digest, why, k)
		f.bits[p/8] |= 1 << (p % 8)
	}
}

// WriteFilter writes a filter of the list as it is, for a false-positive rate
// between 0 and 1, encrypted to the program that imports people: it holds the
// keys of the digests. It needs memory for the filter: two bytes for each entry
// at a rate of a thousandth.
func (l *List) WriteFilter(ctx context.Context, w io.Writer, rate float64, to age.Recipient) (*Filter, error) {
	if !(rate >= 1e-9 && rate <= 0.5) {
		return nil, errors.New("writing a suppression filter: rate: want 0.000000001 to 0.5")
	}
	f, err := l.filter(ctx, rate)
	if err != nil {
		return nil, fmt.Errorf("writing a suppression filter: %w", err)
	}
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return nil, fmt.Errorf("writing a suppression filter: %w", err)
	}
	out := bufio.NewWriter(sealed)
	err = json.NewEncoder(out).Encode(f.head)
	if err == nil {
		_, err = out.Write(f.bits)
	}
	if err = errors.Join(err, out.Flush(), sealed.Close()); err != nil {
		return nil, fmt.Errorf("writing a suppression filter: %w", err)
	}
	return f, nil
}

func (l *List) filter(ctx context.Context, rate float64) (*Filter, error) {
	peppers, err := l.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	n, err := l.Store.CountSuppressed(ctx)
	if err != nil {
		return nil, err
	}
	perEntry := -math.Log(rate) / (math.Ln2 * math.Ln2)
	// A few entries that come while it is made don't change the rate.
	bits := max(64, uint64(math.Ceil(float64(n)*1.001*perEntry)))
	if bits > filterBitsMost {
		return nil, fmt.Errorf("%d entries need more than a gigabyte; choose a higher rate", n)
	}
	f := &Filter{
		head: filterHead{header: header{Format: filterFormat, Made: time.Now().UTC(), Peppers: peppers.open()}, Rate: rate, Bits: bits, Hashes: max(1, int(math.Round(perEntry*math.Ln2)))},
		bits: make([]byte, (bits+7)/8), peppers: peppers,
	}
	return f, l.eachPage(ctx, func(page []store.Suppressed) error {
		for _, e := range page {
			f.add(e.Digest, e.Why)
		}
		f.head.Entries += int64(len(page))
		return nil
	})
}

// ReadFilter reads what [List.WriteFilter] wrote. Errors wrap [ErrFilter] when
// the file is at fault.
func ReadFilter(r io.Reader, with ...age.Identity) (*Filter, error) {
	plain, err := age.Decrypt(r, with...)
	if err != nil {
		return nil, fmt.Errorf("reading a suppression filter: %w: %w", ErrFilter, err)
	}
	in := bufio.NewReader(plain)
	text, err := in.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("reading a suppression filter: %w", ErrFilter)
	}
	f := &Filter{}
	h := &f.head
	if json.Unmarshal(text, h) != nil || h.Format != filterFormat || h.Bits == 0 || h.Bits > filterBitsMost || h.Hashes < 1 || h.Hashes > filterHashesMost {
		return nil, fmt.Errorf("reading a suppression filter: its header: %w", ErrFilter)
	}
	f.bits = make([]byte, (h.Bits+7)/8)
	if _, err := io.ReadFull(in, f.bits); err != nil {
		return nil, fmt.Errorf("reading a suppression filter: it is cut off: %w", ErrFilter)
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a suppression filter: it goes on after its end: %w", ErrFilter)
	}
	for _, p := range h.Peppers {
		f.peppers.all = append(f.peppers.all, pepper{p.ID, p.Key})
	}
	return f, nil
}
