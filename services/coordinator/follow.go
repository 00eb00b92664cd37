package coordinator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

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
	var parents []*step
	for _, st := range steps {
		req := &st.s.Request
		if st.spawn {
			parents = append(parents, st)
		}
		if len(st.forgotten) > 0 {
			r.Vault.Forget(st.forgotten)
		}
		if len(st.look) > 0 {
			r.lookAt(ctx, req, st.look)
		}
		if st.closing && len(req.Case.Blocks) > 0 {
			r.letGo(ctx, req.Case.Blocks, req.ID)
		}
		if len(st.withdrawn) > 0 {
			jobs := st.withdrawn
			r.background.Go(func() { r.recallJobs(ctx, jobs) })
		}
	}
	if err := r.spawnChildren(ctx, parents); err != nil {
		r.Logger.ErrorContext(ctx, "making requests that follow; the sweeper will try again", slog.Int("parents", len(parents)), slog.Any("error", err))
	}
}

// waitUnproven is how long after it came an erasure waits for requests of which
// nobody has shown to be the person: anybody can make them in her name, one after
// the other.
const waitUnproven = 7 * 24 * time.Hour

// unproven reports whether nobody has shown yet that a request is the person's.
func unproven(r *store.Request) bool {
	if !r.Right().Verifiable() || r.Case.Reached != "" {
		return false
	}
	v, _ := r.Verification()
	_, done := v.(request.Verified)
	return !done
}

// lookAt lets a request go whose predecessors have been answered, or were made in
// the person's name by nobody knows whom. What can't be read now is looked at again
// later.
func (r *Room) lookAt(ctx context.Context, of *store.Request, others []request.ID) {
	long := r.Now().Sub(of.CreatedAt) >= waitUnproven
	id := of.ID
	for _, other := range others {
		was, _, err := r.Store.Get(ctx, other)
		if err == nil && was.State() != request.Closing && was.State() != request.Closed && (!long || !unproven(&was)) {
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

// spawnChildren makes the requests that follow from others and are due. Their
// ids were fixed when they were decided upon, so that making one twice, after a
// crash or by two coordinators, makes it once.
func (r *Room) spawnChildren(ctx context.Context, parents []*step) error {
	if len(parents) == 0 {
		return nil
	}
	now := r.Now().UTC()
	var news []store.New
	made := make(map[request.ID][]request.ID)
	var looks []look
	for _, st := range parents {
		parent := &st.s.Request
		for _, c := range parent.Case.Children {
			if c.Made || now.Before(c.At) {
				continue
			}
			n, ids, err := r.childOf(ctx, parent, c, now)
			if err != nil {
				r.Logger.ErrorContext(ctx, "making a request that follows; the sweeper will try again", slog.String("request", string(parent.ID)), slog.Any("error", err))
				continue
			}
			if c.Origin == request.FromRecheck {
				n.Request.Case.Left = left(st.s.Jobs)
				looks = append(looks, look{n: n, ids: ids})
			} else {
				news = append(news, n)
			}
			made[parent.ID] = append(made[parent.ID], c.ID)
		}
	}
	stay, err := r.stay(ctx, looks)
	if err != nil {
		return err
	}
	for i, l := range looks {
		if stay[i] {
			news = append(news, l.n)
		}
	}
	if _, err := r.make(ctx, news); err != nil {
		return err
	}
	ids := make([]request.ID, 0, len(made))
	for id := range made {
		ids = append(ids, id)
	}
	_, err = r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		for i := range st.s.Request.Case.Children {
			if c := &st.s.Request.Case.Children[i]; !c.Made && slices.Contains(made[st.s.Request.ID], c.ID) {
				c.Made, st.s.Changed = true, true
			}
		}
		return nil
	})
	r.wake()
	return err
}

// look is a request of our own that is about to be made.
type look struct {
	n   store.New
	ids []request.Identifier
}

// errKeyGone says that a request can't be followed by another because what it
// was about is destroyed.
var errKeyGone = errors.New("the identifiers of the request are destroyed")

// childOf makes a request that follows from a parent, about the same person.
func (r *Room) childOf(ctx context.Context, parent *store.Request, c request.Child, now time.Time) (store.New, []request.Identifier, error) {
	if len(parent.WrappedKey) == 0 || len(parent.Sealed) == 0 {
		return store.New{}, nil, fmt.Errorf("request %s after %s: %w", c.ID, parent.ID, errKeyGone)
	}
	of, err := r.Vault.Unwrap(ctx, parent.WrappedKey)
	if err != nil {
		return store.New{}, nil, err
	}
	defer of.Destroy()
	ids, err := of.OpenIdentifiers(parent.ID, parent.Sealed)
	if err != nil {
		return store.New{}, nil, err
	}
	n, err := r.childAbout(ctx, parent, c, now, ids)
	if err == nil && !c.Origin.Ours() { // ours is no request that others wait for
		n.People, err = r.Store.PeopleOf(ctx, parent.ID)
	}
	return n, ids, err
}

// childAbout is childOf about the given identifiers.
func (r *Room) childAbout(ctx context.Context, parent *store.Request, c request.Child, now time.Time, ids []request.Identifier) (store.New, error) {
	child, err := parent.MakeChild(c, now)
	if err != nil {
		return store.New{}, err
	}
	key, wrapped, err := r.Vault.NewDataKey(ctx)
	if err != nil {
		return store.New{}, err
	}
	defer key.Destroy()
	commitment := key.Commitment(vault.Pairs(ids))
	fingerprint := sha256.Sum256([]byte(c.ID))
	n := store.New{Request: store.Request{
		Request: child, RespondBy: child.RespondByLatest(), WrappedKey: wrapped, Sealed: key.SealIdentifiers(child.ID, ids),
		Kinds: kindsOf(ids), Commitment: commitment[:], IdempotencyKey: "habeas:child:" + string(c.ID), Fingerprint: fingerprint[:],
		CreatedAt: now, UpdatedAt: now, Version: 1,
	}}
	due := child.Terms.Due
	predicates := []wire.Predicate{&habeasv1.IntakeRecord{
		RequestId: string(child.ID), Regime: child.Regime, RegimeVersion: due.RuleVersion, Right: string(child.Right()), Channel: string(child.Channel),
		ReceiveTime: timestamppb.New(child.Terms.Received), ReceiveDate: due.Received.String(), DueDates: due.Dates(), Calendar: due.Calendar.String(),
		SubjectCommitment: commitment[:],
	}, &habeasv1.DecisionRecord{RequestId: string(child.ID), Decision: "child", Code: string(c.Origin), OtherRequestId: string(parent.ID)}}
	for _, p := range predicates {
		rec, err := r.Signer.Sign(p, string(child.ID), commitment[:])
		if err != nil {
			return store.New{}, err
		}
		n.Request.RecordDigests = append(n.Request.RecordDigests, rec.Digest[:]...)
		n.Records = append(n.Records, store.Record{
			Digest: rec.Digest[:], RequestID: child.ID, Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now,
		})
	}
	return n, nil
}

// make stores requests that follow from others and publishes their records. It
// returns how many there were not.
func (r *Room) make(ctx context.Context, news []store.New) (fresh int64, err error) {
	for batch := range slices.Chunk(news, sweepBatch) {
		created, err := r.Store.Create(ctx, batch)
		if err != nil {
			return fresh, err
		}
		for i := range batch {
			switch {
			case created[i].Err != nil:
				return fresh, fmt.Errorf("request %s: %w", batch[i].Request.ID, created[i].Err)
			case created[i].Existing:
				continue
			}
			fresh++
			r.publishRecords(ctx, batch[i].Records)
		}
	}
	return fresh, nil
}

// publishRecords sends records that are stored; the sweeper sends what can't be
// sent now.
func (r *Room) publishRecords(ctx context.Context, records []store.Record) {
	for i := range records {
		msg := wire.RecordEnvelopeMessage(records[i].Issuer, records[i].Envelope, records[i].Digest)
		if _, err := r.JS.PublishMsgAsync(msg); err != nil {
			r.Logger.WarnContext(ctx, "publishing a record; the sweeper will", slog.Any("error", err))
			return
		}
	}
}

// kindsOf are the kinds of identifiers, as a new request's own.
func kindsOf(ids []request.Identifier) []store.Kind {
	var out []store.Kind
	for _, id := range ids {
		k := store.Kind{Name: string(id.Kind)}
		if !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}
