package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/nats-io/nats.go"
)

// Name is the room's name on the bus.
const Name = "delivery"

// Queue is [Orders] out of the requests that wait for their package. A hint on
// the bus wakes it; a look every second is for hints that were lost. Two
// deliveries may make the same package: the first that is done counts.
type Queue struct {
	config QueueConfig
	now    func() time.Time
	wake   chan struct{}
	// page is how many waiting requests are read at once.
	page int

	mu sync.Mutex
	// making holds, by request, what its package is made for.
	making map[request.ID]making
	// later are requests whose package failed, and when to try again.
	later map[request.ID]time.Time
}

// making is a package on its way: the identity that opens it, and the round of the
// request's [request.Review] that it is made for.
type making struct {
	identity *age.X25519Identity
	round    int
}

// QueueConfig is what a queue needs. Company, Regimes and Ledger may be nil: then
// reports have nothing to say of what follows from them, and say so.
type QueueConfig struct {
	Store store.Store
	Vault *vault.Vault
	Conn  *nats.Conn
	// Identity opens the parts that connectors seal to delivery.
	Identity age.Identity
	// Company is the company's file, and Regimes the law its exceptions are of.
	Company *tenant.Tenant
	Regimes *regimes.Set
	// Ledger says to whom personal data was given.
	Ledger Ledger
	// Review says which copies a person looks at before they are handed over; ""
	// is [ReviewNever].
	Review ReviewMode
}

// NewQueue makes a queue.
func NewQueue(c QueueConfig) (*Queue, error) {
	q := &Queue{
		config: c, now: time.Now, wake: make(chan struct{}, 1), page: 500,
		making: map[request.ID]making{}, later: map[request.ID]time.Time{},
	}
	if _, err := c.Conn.Subscribe(wire.HintSubject(Name), func(*nats.Msg) {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}); err != nil {
		return nil, fmt.Errorf("subscribing to hints: %w", err)
	}
	return q, nil
}

// Next implements [Orders].
func (q *Queue) Next(ctx context.Context) (Order, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		id, err := q.oldest(ctx)
		if ctx.Err() != nil {
			return Order{}, ctx.Err() // whatever the database made of it
		}
		if err != nil {
			return Order{}, err
		}
		if id != "" {
			if identity, ours := q.claim(id); ours {
				o, err := q.order(ctx, id, identity)
				if err != nil && ctx.Err() == nil {
					err = errors.Join(err, q.Fail(ctx, string(id), err)) // nobody else would say so
				}
				return o, err
			}
			continue // somebody else was first
		}
		select {
		case <-ctx.Done():
			return Order{}, ctx.Err()
		case <-q.wake:
		case <-tick.C:
		}
	}
}

// oldest is the oldest request whose package can be made now, or "". It looks
// through all that wait: any number of them may wait for the post, for somebody to
// look at them, or for another try, and must not hide one behind them.
func (q *Queue) oldest(ctx context.Context) (request.ID, error) {
	filter, found := store.Filter{State: request.Packaging, Limit: q.page}, request.ID("")
	for {
		page, err := q.config.Store.List(ctx, filter)
		if err != nil {
			return "", err
		}
		for i := range page {
			if !page[i].WaitsForMail() && !page[i].WaitsForReview() && q.free(page[i].ID) {
				found = page[i].ID
			}
		}
		if len(page) < q.page {
			return found, nil
		}
		last := &page[len(page)-1]
		filter.Before = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// free reports whether nobody here makes a request's package, or waits with it.
func (q *Queue) free(id request.ID) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, making := q.making[id]
	return !making && !q.now().Before(q.later[id])
}

func (q *Queue) claim(id request.ID) (*age.X25519Identity, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, making := q.making[id]; making || q.now().Before(q.later[id]) {
		return nil, false
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, false
	}
	q.making[id] = making{identity: identity}
	return identity, true
}

func (q *Queue) release(id request.ID, again time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.making, id)
	delete(q.later, id)
	if !again.IsZero() {
		q.later[id] = again
	}
}

// retryAfter is when a package that failed is tried again.
const retryAfter = 30 * time.Second

func identityAAD(id request.ID) []byte { return []byte("request.package.identity/" + string(id)) }

// Done implements [Orders]: it ends the request with its package. When that
// can't be stored the order is handed out again.
func (q *Queue) Done(ctx context.Context, requestID string, result Result) (err error) {
	id := request.ID(requestID)
	defer func() {
		if err != nil {
			q.release(id, q.now().Add(time.Second))
		}
	}()
	q.mu.Lock()
	made := q.making[id]
	q.mu.Unlock()
	if made.identity == nil {
		return fmt.Errorf("request %s: nobody is making its package", id)
	}
	req, _, err := q.config.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	key, err := q.config.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return err
	}
	defer key.Destroy()
	sealed := key.Seal([]byte(made.identity.String()), identityAAD(id))
	_, err = q.config.Store.Advance(ctx, store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		for _, s := range snaps {
			if s.Request.State() != request.Packaging {
				continue // cancelled meanwhile, or another delivery was first
			}
			ending, err := s.Concluded()
			if err != nil {
				return err
			}
			review := s.Request.Case.Review
			switch {
			case s.Request.WaitsForMail(), s.Request.WaitsForReview():
				continue // another delivery was first
			case review != nil && review.Round != made.round:
				continue // somebody asked for more to be masked since it was begun
			}
			s.Request.Package = store.Package{Key: result.Key, Identity: sealed, SHA256: result.SHA256[:], Size: result.Size}
			s.Request.Attention, s.Request.UpdatedAt, s.Changed = "", q.now().UTC(), true
			if review != nil || q.config.Review.wants(&result) {
				s.Request.Attention = store.AttentionReview
				s.Request.Case.Review = reviewOf(review, &result)
				continue
			}
			if byMail(&s.Request) {
				s.Request.Attention = store.AttentionMail
				continue
			}
			if err := s.Request.Close(request.Ending{Result: ending}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	q.release(id, time.Time{})
	return q.hint(id)
}

// AttentionPackage says that a package could not be made.
const AttentionPackage = "package_failed"

// Fail implements [Orders]. Where a part can't be used, its connector is asked
// to export again; else a person must look, and it is tried again.
func (q *Queue) Fail(ctx context.Context, requestID string, cause error) error {
	id := request.ID(requestID)
	var part *PartError
	errors.As(cause, &part)
	again := false
	defer func() {
		if again {
			q.release(id, time.Time{}) // once its state has changed nobody takes it
			return
		}
		q.release(id, q.now().Add(retryAfter))
	}()
	_, err := q.config.Store.Advance(ctx, store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		for _, s := range snaps {
			if s.Request.State() != request.Packaging {
				continue
			}
			s.Request.UpdatedAt, s.Changed = q.now().UTC(), true
			plan, asked := exports(s, part)
			if asked == 0 || asked >= mostExports {
				s.Request.Attention = AttentionPackage
				continue
			}
			// A success is final, so the lost part is a new job's to make. It is
			// bound to the connector and put into the plan when it is sent.
			s.Jobs = append(s.Jobs, store.Job{
				ID: request.NewID(), RequestID: id, Connector: part.Connector, Action: request.ActionExport, State: request.JobPlanned,
				PlanDigest: plan, Round: s.Request.Round, NextAt: q.now().UTC(), UpdatedAt: q.now().UTC(),
			})
			s.Request.Attention = ""
			if err := s.Request.Move(request.Running); err != nil {
				return err
			}
			again = true
		}
		return nil
	})
	if err != nil || !again {
		return err
	}
	return q.hint(id)
}

// mostExports is how often one connector is asked to export for one request
// before a person must look.
const mostExports = 5

// exports counts the jobs that asked the connector of a part to export, and
// gives the plan of the last one.
func exports(s *store.Snapshot, part *PartError) (plan []byte, asked int) {
	for i := range s.Jobs {
		if j := &s.Jobs[i]; part != nil && j.Connector == part.Connector && j.Action == request.ActionExport {
			plan, asked = j.PlanDigest, asked+1
		}
	}
	return plan, asked
}

func (q *Queue) hint(id request.ID) error {
	body, err := json.Marshal([]request.ID{id})
	if err != nil {
		return fmt.Errorf("making a hint: %w", err)
	}
	if err := q.config.Conn.Publish(wire.HintSubject("coordinator"), body); err != nil {
		return fmt.Errorf("waking the coordinator: %w", err)
	}
	return nil
}

// ErrNoPackage says that a request has no package to download.
var ErrNoPackage = request.ErrNoPackage

// Download opens the package of a request as the zip the person gets. Its errors are
// [ErrNoPackage], [request.ErrReview] for one that waits for a look and is not opened to
// be looked at, [ErrNotFound] once its time is over, and those of the store.
func (q *Queue) Download(ctx context.Context, r *Room, id request.ID, toReview bool) (io.ReadCloser, int64, error) {
	req, _, err := q.config.Store.Get(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	switch {
	case len(req.WrappedKey) == 0:
		return nil, 0, ErrNoPackage
	case req.WaitsForReview() && !toReview:
		return nil, 0, request.ErrReview
	case !req.WaitsForReview() && !req.HandsOver():
		return nil, 0, ErrNoPackage // or it is no more for anybody
	}
	key, err := q.config.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return nil, 0, err
	}
	defer key.Destroy()
	plain, err := key.Open(req.Package.Identity, identityAAD(id))
	if err != nil {
		return nil, 0, err
	}
	identity, err := age.ParseX25519Identity(string(plain))
	if err != nil {
		return nil, 0, errors.New("the package's identity can't be read")
	}
	return r.Open(ctx, req.Package.Key, identity)
}
