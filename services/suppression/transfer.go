package suppression

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/services/request/store"
)

// transferFormat names the file of [List.Export]: lines of JSON, encrypted with
// age. The first line is a header with the keys, the last a count, and between
// them is one line for each entry.
const transferFormat = "habeas-suppression/1"

type header struct {
	Format  string       `json:"format"`
	Made    time.Time    `json:"made"`
	Peppers []openPepper `json:"peppers"`
}

type openPepper struct {
	ID  string `json:"id"`
	Key []byte `json:"key"`
}

type line struct {
	Digest []byte    `json:"d,omitempty"`
	Why    store.Why `json:"w,omitempty"`
	Pepper string    `json:"p,omitempty"`
	Since  time.Time `json:"s,omitzero"`
	// End is the number of entries, on the last line.
	End *int64 `json:"end,omitempty"`
}

// ErrTransfer is wrapped by errors of reading a file that is not a whole list.
var ErrTransfer = errors.New("not a whole suppression list; export it again")

// Export writes the whole list with its keys to w, encrypted to a recipient,
// for a company that takes it over (AB 1824). It needs constant memory.
func (l *List) Export(ctx context.Context, w io.Writer, to age.Recipient) (n int64, err error) {
	sealed, err := age.Encrypt(w, to)
	if err != nil {
		return 0, fmt.Errorf("exporting the suppression list: %w", err)
	}
	out := bufio.NewWriter(sealed)
	enc := json.NewEncoder(out)
	if err := l.writeHeader(ctx, enc); err != nil {
		return 0, fmt.Errorf("exporting the suppression list: %w", err)
	}
	err = l.eachPage(ctx, func(page []store.Suppressed) error {
		for _, e := range page {
			if err := enc.Encode(line{Digest: e.Digest, Why: e.Why, Pepper: e.Pepper, Since: e.Since}); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err == nil {
		err = enc.Encode(line{End: &n})
	}
	if err = errors.Join(err, out.Flush(), sealed.Close()); err != nil {
		return 0, fmt.Errorf("exporting the suppression list: %w", err)
	}
	return n, nil
}

func (l *List) writeHeader(ctx context.Context, enc *json.Encoder) error {
	peppers, err := l.Peppers(ctx)
	if err != nil {
		return err
	}
	return enc.Encode(header{Format: transferFormat, Made: time.Now().UTC(), Peppers: peppers.open()})
}

func (p Peppers) open() []openPepper {
	out := make([]openPepper, len(p.all))
	for i, one := range p.all {
		out[i] = openPepper{one.id, one.key}
	}
	return out
}

// Import adds what [List.Export] wrote. The keys that come with it match from
// then on and digest nothing new, unless there are no others. It may be done
// again: what is there stays. When it fails, what was read before stays, and
// doing it again with a whole file completes it. Errors wrap [ErrTransfer] when
// the file is at fault.
func (l *List) Import(ctx context.Context, r io.Reader, with ...age.Identity) (n int64, err error) {
	plain, err := age.Decrypt(r, with...)
	if err != nil {
		return 0, fmt.Errorf("importing a suppression list: %w: %w", ErrTransfer, err)
	}
	dec := json.NewDecoder(bufio.NewReader(plain))
	known, err := l.importPeppers(ctx, dec)
	if err != nil {
		return 0, fmt.Errorf("importing a suppression list: %w", err)
	}
	const batch = 5000
	entries := make([]store.Suppressed, 0, batch)
	flush := func() error {
		err := l.Store.Suppress(ctx, entries)
		n, entries = n+int64(len(entries)), entries[:0]
		return err
	}
	for {
		var e line
		if err := dec.Decode(&e); err != nil {
			return n, fmt.Errorf("importing a suppression list: entry %d: %w", n+int64(len(entries)), ErrTransfer)
		}
		if e.End != nil {
			if err := flush(); err != nil {
				return n, err
			}
			if *e.End != n {
				return n, fmt.Errorf("importing a suppression list: %d entries, the file says %d: %w", n, *e.End, ErrTransfer)
			}
			return n, nil
		}
		if !known[e.Pepper] || len(e.Digest) != 32 || e.Why != store.WhyDeleted && e.Why != store.WhyOptedOut || e.Since.IsZero() {
			return n, fmt.Errorf("importing a suppression list: entry %d has a field that can't be: %w", n+int64(len(entries)), ErrTransfer)
		}
		entries = append(entries, store.Suppressed{Digest: e.Digest, Why: e.Why, Pepper: e.Pepper, Since: e.Since})
		if len(entries) == batch {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
}

// importPeppers stores the keys of a header as older than any of our own.
func (l *List) importPeppers(ctx context.Context, dec *json.Decoder) (map[string]bool, error) {
	var h header
	if err := dec.Decode(&h); err != nil || h.Format != transferFormat || len(h.Peppers) == 0 || len(h.Peppers) > 1000 {
		return nil, ErrTransfer
	}
	known := make(map[string]bool, len(h.Peppers))
	sealed := make([]store.Pepper, len(h.Peppers))
	for i, p := range h.Peppers {
		if len(p.Key) != 32 || p.ID != pepperID(p.Key) {
			return nil, fmt.Errorf("key %d: %w", i, ErrTransfer)
		}
		var err error
		if sealed[i], err = l.seal(ctx, p.Key, time.Unix(int64(i+1), 0).UTC()); err != nil {
			return nil, err
		}
		known[p.ID] = true
	}
	return known, l.Store.PutPeppers(ctx, sealed)
}
