package intake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// mostReason bounds the reason of a pause, in bytes.
const mostReason = 500

// Pause keeps a connector from getting jobs until [Room.Resume], and puts that on
// record. What it has in hand it finishes. It reports whether it was not paused
// before. Errors are [store.ErrNotFound] and [request.FieldErrors].
func (r *Room) Pause(ctx context.Context, connector, reason string) (fresh bool, err error) {
	reason = strings.TrimSpace(reason)
	if reason == "" || len(reason) > mostReason || strings.ContainsAny(reason, "\r\n") {
		return false, request.FieldErrors{{Field: "reason", Problem: "is missing, too long or has several lines", Fix: fmt.Sprintf("say why in one line of at most %d bytes that names nobody", mostReason)}}
	}
	now := r.Now().UTC()
	rec, err := r.recordFleet(connector, "paused", reason, now)
	if err != nil {
		return false, err
	}
	p := store.Pause{Connector: connector, Since: now, By: request.ActorOf(ctx), Reason: reason}
	if fresh, err = r.Store.Pause(ctx, p, rec); err == nil && fresh {
		r.announce(ctx, "", []store.Record{rec})
		r.hint(nil)
	}
	return fresh, err
}

// Resume lets a connector have jobs again, and puts that on record. It reports
// whether it was paused.
func (r *Room) Resume(ctx context.Context, connector string) (fresh bool, err error) {
	now := r.Now().UTC()
	rec, err := r.recordFleet(connector, "resumed", "", now)
	if err != nil {
		return false, err
	}
	if fresh, err = r.Store.Resume(ctx, connector, request.ActorOf(ctx), now, rec); err == nil && fresh {
		r.announce(ctx, "", []store.Record{rec})
		r.hint(nil)
	}
	return fresh, err
}

// recordFleet signs what was decided about a connector.
func (r *Room) recordFleet(connector, decision, reason string, now time.Time) (store.Record, error) {
	rec, err := r.Signer.Sign(&habeasv1.ConnectorRecord{
		Connector: connector, Decision: decision, Reason: reason, EffectTime: timestamppb.New(now),
	}, "", nil)
	if err != nil {
		return store.Record{}, err
	}
	return store.Record{Digest: rec.Digest[:], Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now}, nil
}

// lettersAtOnce is how many dead letters one transaction takes up.
const lettersAtOnce = store.MostPage

// RetryLetters sends the dead letters of a filter again, hundreds in one
// transaction, and returns how many jobs that were. It takes up what had ended
// when it was called: what fails again meanwhile stays. When the context ends,
// what was done stays done, and the error says that there is more.
//
// Jobs over a cap are left alone: lifting it takes two people and one request at
// a time.
func (r *Room) RetryLetters(ctx context.Context, f store.LetterFilter) (sent int, err error) {
	f.Before, f.Limit, f.After = r.Now().UTC(), lettersAtOnce, store.LetterCursor{}
	for {
		letters, err := r.Store.Letters(ctx, f)
		if err != nil {
			return sent, err
		}
		n, err := r.retryBatch(ctx, letters)
		sent += n
		if err != nil {
			return sent, err
		}
		if len(letters) < lettersAtOnce {
			return sent, nil
		}
		last := letters[len(letters)-1]
		f.After = store.LetterCursor{EndedAt: last.EndedAt, Job: last.JobID}
	}
}

func (r *Room) retryBatch(ctx context.Context, letters []store.Letter) (sent int, err error) {
	wanted, of := make(map[request.ID]bool, len(letters)), make(map[request.ID]bool, len(letters))
	for _, l := range letters {
		if l.State != request.JobOverLimit {
			wanted[l.JobID], of[l.RequestID] = true, true
		}
	}
	ids := slices.Sorted(maps.Keys(of))
	if len(ids) == 0 {
		return 0, nil
	}
	_, err = r.Store.Advance(ctx, store.Selector{IDs: ids}, true, func(snaps []*store.Snapshot) error {
		sent = 0
		var errs []error
		for _, s := range snaps {
			if state := s.Request.State(); state != request.Resolving && state != request.Running {
				continue
			}
			n := r.sendAgain(s, 0, func(j *store.Job) bool { return wanted[j.ID] && j.State.Terminal() && j.State != request.JobOverLimit })
			if n == 0 {
				continue
			}
			sent, s.Request.UpdatedAt = sent+n, r.Now().UTC()
			errs = append(errs, r.recordRetry(s, "", n))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return 0, fmt.Errorf("retrying dead letters: %w", err)
	}
	r.hint(ids)
	return sent, nil
}
