package standin

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// Audit logs every record once and tells of it. A closure waits until all that
// it names is logged, as the contract has it.
type Audit struct {
	t    testing.TB
	js   jetstream.JetStream
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	leaves map[[sha256.Size]byte]*wire.Record
}

// NewAudit starts an audit that works until the test ends or [Audit.Leave].
func NewAudit(t testing.TB, js jetstream.JetStream) *Audit {
	t.Helper()
	a := &Audit{t: t, js: js, leaves: make(map[[sha256.Size]byte]*wire.Record)}
	ctx, cancel := context.WithCancel(t.Context())
	a.stop = cancel
	a.done.Go(func() {
		for ctx.Err() == nil {
			if err := a.serve(ctx); err != nil {
				pause(ctx, 20*time.Millisecond)
			}
		}
	})
	t.Cleanup(a.Leave)
	return a
}

// Leave stops the audit.
func (a *Audit) Leave() {
	a.stop()
	a.done.Wait()
}

// Records returns the logged records of a request and type, in no order.
func (a *Audit) Records(requestID string, typ wire.RecordType) []*wire.Record {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []*wire.Record
	for _, rec := range a.leaves {
		if rec.RequestID() == requestID && rec.Type == typ {
			out = append(out, rec)
		}
	}
	return out
}

// Has reports whether a record is logged.
func (a *Audit) Has(digest []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(digest) == sha256.Size && a.leaves[[sha256.Size]byte(digest)] != nil
}

func (a *Audit) serve(ctx context.Context) error {
	consumer, err := a.js.Consumer(ctx, wire.StreamEvidence, wire.ConsumerAudit)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		batch, err := consumer.Fetch(512, jetstream.FetchMaxWait(200*time.Millisecond))
		if err != nil {
			return err
		}
		for msg := range batch.Messages() {
			if err := a.log(msg); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if _, err := consumer.Info(ctx); err != nil {
			return err // it is gone
		}
	}
	return nil
}

func (a *Audit) log(msg jetstream.Msg) error {
	rec, err := wire.ParseRecord(msg.Data())
	if err != nil {
		return msg.Ack() // set aside
	}
	if closure, ok := rec.Predicate.(*habeasv1.ClosureRecord); ok {
		for _, d := range closure.GetRecordDigests() {
			if !a.Has(d) {
				return msg.NakWithDelay(20 * time.Millisecond)
			}
		}
	}
	a.mu.Lock()
	a.leaves[rec.Digest] = rec
	size := int64(len(a.leaves))
	a.mu.Unlock()
	told, err := wire.LoggedMessage(&habeasv1.Logged{Origin: "standin", Size: size, Records: []*habeasv1.LoggedRecord{
		{Digest: rec.Digest[:], Leaf: size - 1, RequestId: rec.RequestID(), Type: string(rec.Type)},
	}})
	if err != nil {
		return err
	}
	told.Header.Del(nats.MsgIdHdr) // what is logged already is told again
	if _, err := a.js.PublishMsgAsync(told); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return msg.Ack()
}
