package sdk

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/proto/wire"
)

// A Checker is a Connector that can ask its system whether it answers. Without
// it, the system is taken to be as it was at the last call.
type Checker interface {
	Connector
	// Check returns an error when the system does not answer.
	Check(ctx context.Context) error
}

// beat publishes the manifest, at once and then again and again, until ctx
// ends; leaving, when it comes, makes it say that the instance is not ready.
func (w *worker) beat(ctx context.Context, leaving <-chan struct{}) {
	message := manifestMessage(w.Manifest, w.Connector)
	message.SealKey, message.EvidenceKey = w.Keys.Seal.Public(), wire.PublicDER(w.signerKey())
	message.Instance, message.StartTime = w.instance, timestamppb.New(w.started)
	message.Cap = w.Cap
	var bucket jetstream.KeyValue
	pause := newPause()
	for ctx.Err() == nil {
		// Once leaving is nil the instance is on its way out.
		select {
		case <-leaving:
			leaving = nil
		default:
		}
		message.BeatTime, message.Ready = timestamppb.Now(), leaving != nil && w.ready(ctx)
		w.tell(ctx, message)
		body, err := proto.Marshal(message)
		if err == nil && bucket == nil {
			bucket, err = w.js.KeyValue(ctx, wire.BucketConnectors)
		}
		if err == nil {
			_, err = bucket.Put(ctx, w.Manifest.Name, body)
		}
		next := w.Beat
		if err != nil {
			bucket = nil
			if next = min(pause.NextBackOff(), w.Beat); ctx.Err() == nil {
				w.Logger.Debug("publishing the manifest", "error", err)
			}
		} else {
			pause.Reset()
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-leaving:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// ready reports whether the system behind the connector answers.
func (w *worker) ready(ctx context.Context) bool {
	c, ok := w.Connector.(Checker)
	if !ok {
		return w.system.Load()
	}
	ctx, cancel := context.WithTimeout(ctx, w.Beat)
	defer cancel()
	return c.Check(ctx) == nil
}
