package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/keyring"
	"github.com/habeas-data/habeas/services/audit/ledger"
	"github.com/habeas-data/habeas/services/internal/room"
)

// handle logs a batch, and then whatever waited for something in it. It tries
// again while the database is away, and returns an error only when the log
// must stop.
func (w *worker) handle(ctx context.Context, items []*item) error {
	for len(items) > 0 {
		wait := newBackoff()
		for {
			freed, err := w.process(ctx, items)
			if err == nil {
				w.room.fault("append", nil)
				items = freed
				break
			}
			if needsPerson(err) || ctx.Err() != nil {
				w.returnAll(items)
				return err
			}
			w.room.fault("append", err)
			if !wait.sleep(ctx) {
				w.returnAll(items)
				return nil
			}
		}
	}
	w.room.metrics.waiting.Record(ctx, int64(len(w.waiting)))
	return nil
}

// returnAll lets the bus deliver the batch again.
func (w *worker) returnAll(items []*item) {
	for _, it := range items {
		if it.msg != nil {
			w.dropped(it.msg.Nak())
		}
	}
}

// process does one batch: check, append, commit, tell, acknowledge. It returns
// held records that the batch made ready. Until the append it changes nothing
// but the items, so it can be tried again.
func (w *worker) process(ctx context.Context, items []*item) (freed []*item, err error) {
	ctx, span := otel.Tracer(scope).Start(ctx, "audit.append", trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithLinks(links(items)...), trace.WithAttributes(attribute.Int("messaging.batch.message_count", len(items))))
	defer span.End()

	parse(items)
	w.takeOver(items)
	keys, err := w.judge(ctx, items)
	if err != nil {
		return nil, err
	}
	ready, held, refused, err := w.sort(ctx, items)
	if err != nil {
		return nil, err
	}
	records := make([]ledger.Record, len(ready))
	for i, it := range ready {
		records[i] = toLedger(it.rec)
	}
	if err := w.reject(ctx, refused); err != nil {
		return nil, err
	}
	begun := time.Now()
	var placed []ledger.Placed
	var size int64
	if len(records) > 0 {
		if placed, size, err = w.ledger.Append(ctx, records); err != nil {
			return nil, err
		}
	}
	w.keys = keys
	for _, it := range held {
		w.waiting[it.digest] = it
	}
	w.settle(ctx, ready, placed, size, time.Since(begun))
	return w.freed(ctx, ready)
}

// links join the batch's span to the traces of the requests in it.
func links(items []*item) []trace.Link {
	const enough = 32
	var out []trace.Link
	for _, it := range items {
		if it.msg == nil || len(out) == enough {
			continue
		}
		ctx := room.Extract(context.Background(), it.msg.Headers())
		if link := trace.LinkFromContext(ctx); link.SpanContext.IsValid() {
			out = append(out, link)
		}
	}
	return out
}

// inParallel calls fn for every item on all processors.
func inParallel(items []*item, fn func(*item)) {
	const share = 16 // items below which a goroutine costs more than it saves
	workers := min(runtime.GOMAXPROCS(0), (len(items)+share-1)/share)
	if workers < 2 {
		for _, it := range items {
			fn(it)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < len(items); i += workers {
				fn(items[i])
			}
		})
	}
	wg.Wait()
}

// parse reads every envelope that was not read yet.
func parse(items []*item) {
	inParallel(items, func(it *item) {
		if it.rec != nil || it.refused != nil {
			return
		}
		it.digest = sha256.Sum256(it.msg.Data())
		rec, err := wire.ParseRecord(it.msg.Data())
		if err != nil {
			it.refused = keyring.Refuse(keyring.Malformed, "%s", whatIsWrong(err))
			return
		}
		it.rec = rec
		if closure, ok := rec.Predicate.(*habeasv1.ClosureRecord); ok {
			for _, d := range closure.GetRecordDigests() {
				if len(d) != sha256.Size {
					it.refused = keyring.Refuse(keyring.Malformed, "record_digests: want SHA-256 digests")
				}
			}
		}
	})
}

// whatIsWrong is the part of a parser's error that names the place. What comes
// after it may quote the bytes, which may hold anything.
func whatIsWrong(err error) string {
	parts := strings.SplitN(err.Error(), ": ", 3)
	return strings.Join(parts[:min(len(parts), 2)], ": ")
}

// incomplete is why a closure is refused whose records never came.
const incomplete = "incomplete"

// takeOver lets a record that was delivered again take the place of the one
// that is held.
func (w *worker) takeOver(items []*item) {
	for _, it := range items {
		if before := w.waiting[it.digest]; before != nil {
			it.checked = before.checked
			delete(w.waiting, it.digest)
		}
	}
}

// judge checks every signature that was not checked yet, the key records first
// and in their order. It returns the keys as they are after the batch.
func (w *worker) judge(ctx context.Context, items []*item) (*keyring.Ring, error) {
	keys, missing := w.learnFrom(w.keys, items), false
	for _, it := range items {
		if it.rec != nil && !it.checked && it.refused == nil && !keys.Has(it.rec.KeyID) {
			missing = true
		}
	}
	if missing {
		// Another process may have logged the key.
		if err := w.learnLogged(ctx); err != nil {
			return nil, err
		}
		keys = w.learnFrom(w.keys, items)
	}
	inParallel(items, func(it *item) {
		if it.rec == nil || it.checked || it.refused != nil {
			return
		}
		it.awaitsKey = ""
		refused := keys.Check(it.rec, wire.IssuerOf(it.subject))
		switch {
		case refused == nil:
			it.checked = true
		case refused.Reason == keyring.UnknownKey:
			it.awaitsKey = it.rec.KeyID
		default:
			it.refused = refused
		}
	})
	return keys, nil
}

// learnFrom adds the keys of the batch's key records.
func (w *worker) learnFrom(keys *keyring.Ring, items []*item) *keyring.Ring {
	for _, it := range items {
		if it.rec == nil || it.refused != nil {
			continue
		}
		predicate, ok := it.rec.Predicate.(*habeasv1.KeyRecord)
		if !ok || keys.Check(it.rec, wire.IssuerOf(it.subject)) != nil {
			continue // judged with the others
		}
		next, refused := keys.With(predicate)
		if refused != nil {
			it.refused = refused
			continue
		}
		keys, it.checked = next, true
	}
	return keys
}

// sort splits the batch into what can be logged now, closures last, what has
// to wait, and what is refused. What is a leaf already counts as ready,
// whatever became of its key since.
func (w *worker) sort(ctx context.Context, items []*item) (ready, held, refused []*item, err error) {
	want := map[[sha256.Size]byte]bool{}
	for _, it := range items {
		if !it.checked {
			want[it.digest] = true
			continue
		}
		for _, d := range closureDigests(it) {
			want[d] = true
		}
	}
	logged, err := w.logged(ctx, want)
	if err != nil {
		return nil, nil, nil, err
	}
	// A key's leaf is before the leaves it signed, even within a batch, so that
	// the log can be checked from its beginning on.
	slices.SortStableFunc(items, func(a, b *item) int { return cmp.Compare(rank(a), rank(b)) })
	var closures []*item
	for _, it := range items {
		_, already := logged[it.digest]
		switch {
		case it.checked && it.rec.Type == wire.RecordClosure:
			closures = append(closures, it)
		case it.checked, already && it.rec != nil:
			ready = append(ready, it)
			logged[it.digest] = 0
		case it.refused != nil:
			refused = append(refused, it)
		case w.patient(it, keyDeliveries):
			held = append(held, it)
		default:
			it.refused = keyring.Refuse(keyring.UnknownKey, "no key record names key %s", it.rec.KeyID)
			refused = append(refused, it)
		}
	}
	for _, it := range closures {
		missing := 0
		for _, d := range closureDigests(it) {
			if _, ok := logged[d]; !ok {
				it.awaitsLeaf = d
				missing++
			}
		}
		switch {
		case missing == 0:
			ready = append(ready, it)
		case w.patient(it, closureDeliveries):
			held = append(held, it)
		default:
			it.refused = keyring.Refuse(incomplete, "%d of the %d records it names are not logged", missing, len(closureDigests(it)))
			refused = append(refused, it)
		}
	}
	return ready, held, refused, nil
}

// rank orders a batch: keys, then the rest.
func rank(it *item) int {
	if it.rec != nil && it.rec.Type == wire.RecordKey {
		return 0
	}
	return 1
}

func (w *worker) logged(ctx context.Context, want map[[sha256.Size]byte]bool) (map[[sha256.Size]byte]int64, error) {
	if len(want) == 0 {
		return map[[sha256.Size]byte]int64{}, nil
	}
	digests := make([][]byte, 0, len(want))
	for d := range want {
		digests = append(digests, d[:])
	}
	return w.ledger.LeavesOf(ctx, digests)
}

func closureDigests(it *item) [][sha256.Size]byte {
	closure, ok := it.rec.Predicate.(*habeasv1.ClosureRecord)
	if !ok {
		return nil
	}
	digests := make([][sha256.Size]byte, 0, len(closure.GetRecordDigests()))
	for _, d := range closure.GetRecordDigests() {
		digests = append(digests, [sha256.Size]byte(d))
	}
	return digests
}

// patient reports whether a record may still wait: it has been delivered less
// than the given number of times and not too many others wait.
func (w *worker) patient(it *item, deliveries uint64) bool {
	if it.msg == nil || len(w.waiting) >= maxWaiting {
		return false
	}
	meta, err := it.msg.Metadata()
	return err == nil && meta.NumDelivered < deliveries
}

// reject keeps refused records aside and acknowledges them.
func (w *worker) reject(ctx context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	rejected := make([]ledger.Rejected, 0, len(items))
	for _, it := range items {
		if it.msg == nil || it.aside {
			continue // it is there already
		}
		r := ledger.Rejected{Digest: it.digest, Subject: it.subject, Reason: it.refused.Reason, Detail: it.refused.Detail, Envelope: it.msg.Data()}
		if it.rec != nil {
			r.KeyID = it.rec.KeyID
		}
		rejected = append(rejected, r)
	}
	if err := w.ledger.Reject(ctx, rejected); err != nil {
		return err
	}
	for _, it := range items {
		if it.msg == nil || it.aside {
			continue
		}
		it.aside = true
		w.room.metrics.rejected(ctx, it.refused.Reason)
		w.room.logger.WarnContext(ctx, "a record was refused and set aside", "subject", it.subject,
			"reason", it.refused.Reason, "detail", it.refused.Detail, "digest", fmt.Sprintf("%x", it.digest))
		w.dropped(it.msg.Ack())
	}
	return nil
}
