package coordinator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// follow does what committed steps ask for beyond their own request. What a
// crash here loses is found again: a child that is due stays due until it is
// made, and a request that waits for another looks every [lookAgain].
func (r *Room) follow(ctx context.Context, steps []*step) {
	r.askLedger(ctx, steps)
	for _, st := range steps {
		req := &st.s.Request
		if st.spawn {
			if err := r.spawnChildren(ctx, req); err != nil {
				r.Logger.ErrorContext(ctx, "making a request that follows; the sweeper will try again", slog.String("request", string(req.ID)), slog.Any("error", err))
			}
		}
		if len(st.look) > 0 {
			r.lookAt(ctx, req.ID, st.look)
		}
		if st.closing && len(req.Case.Blocks) > 0 {
			r.letGo(ctx, req.Case.Blocks, req.ID)
		}
		if len(st.withdrawn) > 0 {
			jobs := st.withdrawn
			r.background.Go(func() { r.recallJobs(ctx, jobs) })
		}
	}
}

// lookAt lets a request go whose predecessors have been answered. What can't be
// read now is looked at again later.
func (r *Room) lookAt(ctx context.Context, id request.ID, others []request.ID) {
	for _, other := range others {
		was, _, err := r.Store.Get(ctx, other)
		if err == nil && was.State() != request.Closing && was.State() != request.Closed {
			continue
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			r.Logger.WarnContext(ctx, "looking at a request that another waits for; later again", slog.String("request", string(other)), slog.Any("error", err))
			continue
		}
		r.letGo(ctx, []request.ID{id}, other)
	}
}

// letGo ends the holds of requests that waited for one that is answered.
func (r *Room) letGo(ctx context.Context, waiting []request.ID, answered request.ID) {
	_, err := r.advance(ctx, store.Selector{IDs: waiting}, func(st *step) error {
		req := &st.s.Request
		for i := range req.Case.Holds {
			h := &req.Case.Holds[i]
			if h.Kind == request.OrderHold && h.Ref == string(answered) && h.Ended.IsZero() {
				h.Ended, h.EndedBy, st.s.Changed = st.w.now, Name, true
			}
		}
		return nil
	})
	if err != nil {
		r.Logger.WarnContext(ctx, "letting requests go on; they look for themselves", slog.Any("error", err))
	}
}

// spawnChildren makes the requests that follow from one and are due. Their ids
// were fixed when they were decided upon, so that making one twice, after a
// crash or by two coordinators, makes it once.
func (r *Room) spawnChildren(ctx context.Context, parent *store.Request) error {
	now := r.Now().UTC()
	var made []request.ID
	for _, c := range parent.Case.Children {
		if c.Made || now.Before(c.At) {
			continue
		}
		if err := r.spawnChild(ctx, parent, c); err != nil {
			return err
		}
		made = append(made, c.ID)
	}
	_, err := r.advance(ctx, store.Selector{IDs: []request.ID{parent.ID}}, func(st *step) error {
		for i := range st.s.Request.Case.Children {
			c := &st.s.Request.Case.Children[i]
			for _, id := range made {
				if c.ID == id && !c.Made {
					c.Made, st.s.Changed = true, true
				}
			}
		}
		return nil
	})
	r.wake()
	return err
}

// errKeyGone says that a request can't be followed by another because what it
// was about is destroyed.
var errKeyGone = errors.New("the identifiers of the request are destroyed")

func (r *Room) spawnChild(ctx context.Context, parent *store.Request, c request.Child) error {
	if len(parent.WrappedKey) == 0 {
		return fmt.Errorf("request %s after %s: %w", c.ID, parent.ID, errKeyGone)
	}
	now := r.Now().UTC()
	child, err := parent.MakeChild(c, now)
	if err != nil {
		return err
	}
	of, err := r.Vault.Unwrap(ctx, parent.WrappedKey)
	if err != nil {
		return err
	}
	defer of.Destroy()
	ids, err := of.OpenIdentifiers(parent.ID, parent.Sealed)
	if err != nil {
		return err
	}
	key, wrapped, err := r.Vault.NewDataKey(ctx)
	if err != nil {
		return err
	}
	defer key.Destroy()
	commitment := key.Commitment(vault.Pairs(ids))
	fingerprint := sha256.Sum256([]byte(c.ID))
	n := store.New{Request: store.Request{
		Request: child, RespondBy: child.RespondByLatest(), WrappedKey: wrapped, Sealed: key.SealIdentifiers(child.ID, ids),
		Kinds: ownKinds(parent.Kinds), Commitment: commitment[:], IdempotencyKey: "habeas:child:" + string(c.ID), Fingerprint: fingerprint[:],
		CreatedAt: now, UpdatedAt: now, Version: 1,
	}}
	if n.People, err = r.Store.PeopleOf(ctx, parent.ID); err != nil {
		return err
	}
	due := child.Terms.Due
	predicates := []wire.Predicate{&habeasv1.IntakeRecord{
		RequestId: string(child.ID), Regime: child.Regime, RegimeVersion: due.RuleVersion, Right: string(child.Right()), Channel: string(child.Channel),
		ReceiveTime: timestamppb.New(child.Terms.Received), ReceiveDate: due.Received.String(), DueDates: due.Dates(), Calendar: due.Calendar.String(),
		SubjectCommitment: commitment[:],
	}, &habeasv1.DecisionRecord{RequestId: string(child.ID), Decision: "child", Code: string(c.Origin), OtherRequestId: string(parent.ID)}}
	for _, p := range predicates {
		rec, err := r.Signer.Sign(p, string(child.ID), commitment[:])
		if err != nil {
			return err
		}
		n.Request.RecordDigests = append(n.Request.RecordDigests, rec.Digest[:]...)
		n.Records = append(n.Records, store.Record{
			Digest: rec.Digest[:], RequestID: child.ID, Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now,
		})
	}
	created, err := r.Store.Create(ctx, []store.New{n})
	if err != nil {
		return err
	}
	if created[0].Err != nil || created[0].Existing {
		return created[0].Err
	}
	for i := range n.Records {
		msg := wire.RecordEnvelopeMessage(n.Records[i].Issuer, n.Records[i].Envelope, n.Records[i].Digest)
		if _, err := r.JS.PublishMsgAsync(msg); err != nil {
			r.Logger.WarnContext(ctx, "publishing a record; the sweeper will", slog.String("request", string(child.ID)), slog.Any("error", err))
			break
		}
	}
	return nil
}

// ownKinds are the kinds in hand as a new request's own.
func ownKinds(kinds []store.Kind) []store.Kind {
	var out []store.Kind
	seen := make(map[string]bool)
	for _, k := range kinds {
		if !seen[k.Name] {
			seen[k.Name] = true
			out = append(out, store.Kind{Name: k.Name})
		}
	}
	return out
}
