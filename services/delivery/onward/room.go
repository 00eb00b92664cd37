package onward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Store is what the room needs remembered.
type Store interface {
	Get(ctx context.Context, id request.ID) (store.Request, []store.Job, error)
	Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error)
	store.Onwards
}

// Config is what the room needs; all of it but Mail, Contact, Client, Publish,
// Hint and Now.
type Config struct {
	Store  Store
	Vault  *vault.Vault
	Book   *disclosure.Book
	Signer *wire.Signer
	// Mail is the company's mail server; without one, those who are told by
	// e-mail wait.
	Mail mail.Sender
	// Client calls webhooks; nil is one of our own.
	Client *http.Client
	// Company is who speaks, and Contact says where to ask.
	Company, Contact string
	// URL is where the pages of [Room.Handler] are reached, without a slash at
	// the end. Secret makes their links.
	URL    string
	Secret []byte
	// Publish sends a record on its way to the log, and Hint has the coordinator
	// look at a request; what is lost of either is found later.
	Publish func(*nats.Msg) error
	Hint    func(request.ID)
	Logger  *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Room tells recipients. It is safe for concurrent use, and several may run:
// then a recipient may get the same message twice, under one message id.
type Room struct {
	Desk
	link []byte
	sent metric.Int64Counter
}

// New makes a room.
func New(c Config) (*Room, error) {
	if c.Store == nil || c.Vault == nil || c.Book == nil || c.Signer == nil || c.Company == "" || c.URL == "" || len(c.Secret) == 0 {
		return nil, errors.New("telling recipients: Store, Vault, Book, Signer, Company, URL and Secret are required")
	}
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 20 * time.Second}
	}
	client := *c.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the file says where, and nobody else
	c.Client = &client
	desk, err := NewDesk(c)
	if err != nil {
		return nil, err
	}
	c = desk.Config
	r := &Room{Desk: *desk, link: linkKey(c.Secret)}
	meter := otel.Meter("habeas/onward")
	if r.sent, err = meter.Int64Counter("habeas.recipients.notices", metric.WithDescription("Notices to recipients of data, by what came of the try.")); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	_, err = meter.Int64ObservableGauge("habeas.recipients.open", metric.WithDescription("Recipients of data that something is expected of, by how they stand."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			s, err := c.Store.OnwardStanding(ctx, c.Now())
			for state, n := range map[string]int64{"waiting": s.Waiting, "told": s.Told, "unsent": s.Unsent, "overdue": s.Overdue} {
				o.Observe(n, metric.WithAttributes(attribute.String("state", state)))
			}
			return err
		}))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	return r, nil
}

const (
	batch    = 100 // notices in one look
	parallel = 4   // messages on their way at once
	look     = time.Second
)

// A recipient that is silent is reminded so often, so far apart.
const (
	reminders   = 4
	remindAfter = 5 * 24 * time.Hour
)

// Codes of tries that failed.
const (
	CodeUnavailable = "unavailable"       // it could not be taken over; it is tried again soon
	CodeRefused     = "refused"           // it will not be taken over; somebody should look
	CodeNoChannel   = "no_channel"        // nothing says how to reach the recipient: tell it another way
	CodeUnknown     = "unknown_recipient" // the company's file does not have it any more
)

// Run tells recipients until ctx is cancelled.
func (r *Room) Run(ctx context.Context) error {
	for {
		n, err := r.Once(ctx)
		if err != nil && ctx.Err() == nil {
			r.Logger.ErrorContext(ctx, "telling recipients; trying again", slog.Any("error", err))
		}
		if n == batch && err == nil {
			continue
		}
		timer := time.NewTimer(look)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// Once tries the notices whose time has come and returns how many those were.
func (r *Room) Once(ctx context.Context) (int, error) {
	due, err := r.Store.DueOnward(ctx, r.Now(), batch)
	if err != nil {
		return 0, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i := range due {
		g.Go(func() error { return r.tell(ctx, &due[i]) })
	}
	return len(due), g.Wait()
}

// again is when a try is repeated that failed so often with the code.
func again(code string, tries int) time.Duration {
	if code == CodeUnavailable {
		return min(time.Minute<<min(tries, 10), 6*time.Hour)
	}
	return 24 * time.Hour
}

// tell sends one notice or reminder, or puts it off. Its error is the store's.
func (r *Room) tell(ctx context.Context, o *store.Onward) error {
	code, err := r.send(ctx, o)
	if ctx.Err() != nil {
		return nil // stopped in the middle; it is still to be told
	}
	outcome := code
	if code == "" {
		outcome = "sent"
	}
	r.sent.Add(ctx, 1, metric.WithAttributes(attribute.String("outcome", outcome)))
	if code != "" {
		r.Logger.WarnContext(ctx, "a recipient of data was not told; it will be tried again", slog.String("notice", string(o.ID)),
			slog.String("request", string(o.RequestID)), slog.String("recipient", o.Recipient), slog.String("code", code), slog.Any("error", err))
		return r.Store.PutOffOnward(ctx, o.ID, r.Now().Add(again(code, o.Tries)), code)
	}
	sent := o.Reminders
	return r.change(ctx, o.RequestID, o.ID, func(_ *store.Snapshot, o *store.Onward, now time.Time) (*habeasv1.DecisionRecord, error) {
		switch {
		case o.State == request.OnwardWaiting:
			o.State, o.ToldAt, o.Tries, o.Failed, o.NextAt = request.OnwardTold, now, 0, "", now.Add(remindAfter)
			return &habeasv1.DecisionRecord{Decision: "recipient_told", Facts: map[string]string{"channel": o.Channel}}, nil
		case o.State == request.OnwardTold && o.Reminders == sent:
			o.Reminders++
			o.Tries, o.Failed, o.NextAt = 0, "", now.Add(remindAfter)
			if o.Reminders >= reminders {
				o.NextAt = time.Time{} // it is overdue, and a person has to look
			}
			return &habeasv1.DecisionRecord{Decision: "recipient_reminded", Facts: map[string]string{"channel": o.Channel}}, nil
		default:
			return nil, nil //nolint:nilnil // it acknowledged meanwhile, or another process told it
		}
	})
}
