package opendsr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Controller sends requests to processors and follows them. It is safe for
// concurrent use.
type Controller struct {
	ledger   *Ledger
	settings Settings
	clients  map[string]*Client // by processor name

	mu      sync.Mutex
	busy    map[string]chan struct{}   // request id: closed when its turn ends
	waiters map[string][]chan struct{} // request id: closed when a callback came
}

// Settings are a controller's settings. Zero values take the defaults.
type Settings struct {
	// CallbackURL is where processors reach [Controller.ServeHTTP]. Empty asks
	// for no callbacks; the controller then only polls.
	CallbackURL string
	// Patience is how long Ensure waits in place for a request to finish
	// before it says NotYet. Default: not at all.
	Patience time.Duration
	// PollMin and PollMax bound how soon to ask again for an unfinished
	// request. Defaults: 30 seconds and 6 hours.
	PollMin, PollMax time.Duration
	// MaxWait is how long after its acknowledgement a request may take.
	// Default: 45 days (Civ. Code 1798.130(a)(2)).
	MaxWait time.Duration
	// HTTP and Now are for tests; nil means the real ones.
	HTTP *http.Client
	Now  func() time.Time
}

// Outgoing is a request to be sent.
type Outgoing struct {
	// Key names the effect, stably over retries; the request id follows from it.
	Key        string
	Type       RequestType
	Regulation string
	Submitted  time.Time // when the consumer asked
	Identities []Identity
	Extensions map[string]json.RawMessage
}

// NewController makes a controller for the given processors. It removes from
// the ledger what was prepared so long ago that its job is gone.
func NewController(ctx context.Context, ledger *Ledger, processors []Processor, s Settings) (*Controller, error) {
	s.PollMin = orDefault(s.PollMin, 30*time.Second)
	s.PollMax = max(orDefault(s.PollMax, 6*time.Hour), s.PollMin)
	s.MaxWait = orDefault(s.MaxWait, 45*24*time.Hour)
	if s.Now == nil {
		s.Now = time.Now
	}
	c := &Controller{
		ledger: ledger, settings: s, clients: map[string]*Client{},
		busy: map[string]chan struct{}{}, waiters: map[string][]chan struct{}{},
	}
	for _, p := range processors {
		client, err := NewClient(p, s.HTTP, s.Now)
		if err != nil {
			return nil, err
		}
		if c.clients[p.Name] != nil {
			return nil, fmt.Errorf("processor name %q is used twice", p.Name)
		}
		if other := c.byDomain(client.Domain()); other != nil {
			return nil, fmt.Errorf("processors %s and %s have the same domain: a signature could not tell them apart", other.Name(), p.Name)
		}
		c.clients[p.Name] = client
	}
	return c, ledger.Expire(ctx, s.Now().Add(-s.MaxWait))
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// Discover returns what a configured processor says of itself.
func (c *Controller) Discover(ctx context.Context, processor string) (Discovery, error) {
	client, err := c.client(processor)
	if err != nil {
		return Discovery{}, err
	}
	d, err := client.Discover(ctx)
	return d, instruct(err)
}

func (c *Controller) client(processor string) (*Client, error) {
	client := c.clients[processor]
	if client == nil {
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, fmt.Errorf("no processor is named %q", processor)))
	}
	return client, nil
}

// Ensure brings a request to its end at the processor: it is sent once however
// often Ensure is called with the same key, and nil means the processor signed
// that it is completed. Until then Ensure returns [sdk.NotYet]. An answer that
// was lost is looked up before anything is sent again.
func (c *Controller) Ensure(ctx context.Context, processor string, out Outgoing) error {
	client, err := c.client(processor)
	if err != nil {
		return err
	}
	id := RequestID(processor + "\x00" + out.Key)
	release, err := c.turn(ctx, id)
	if err != nil {
		return err
	}
	defer release()

	body, err := c.marshal(id, out)
	if err != nil {
		return sdk.Permanent(sdk.WithCode(sdk.Internal, err))
	}
	entry, fresh, err := c.ledger.Prepare(ctx, Entry{ID: id, Processor: processor, Type: out.Type, Body: body, Created: c.settings.Now()})
	if err != nil {
		return err
	}
	if entry.Status == "" {
		if entry, err = c.deliver(ctx, client, entry, !fresh); err != nil {
			return c.refused(ctx, id, instruct(err))
		}
	}
	return c.await(ctx, client, entry)
}

// marshal fixes the request's bytes; a retry sends the bytes in the ledger.
func (c *Controller) marshal(id string, out Outgoing) ([]byte, error) {
	r := Request{
		Regulation: out.Regulation, ID: id, Type: out.Type, Submitted: out.Submitted.UTC(),
		Identities: out.Identities, APIVersion: APIVersion, Extensions: out.Extensions,
	}
	if r.Identities == nil {
		r.Identities = []Identity{}
	}
	if r.Submitted.IsZero() {
		r.Submitted = c.settings.Now().UTC()
	}
	if c.settings.CallbackURL != "" {
		r.StatusCallbackURLs = []string{c.settings.CallbackURL}
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, errors.New("writing the request: an extension is not JSON")
	}
	return body, nil
}

// deliver sends a prepared request. When an earlier attempt may have been
// heard it asks first, and it also asks when the processor says it has the
// request already.
func (c *Controller) deliver(ctx context.Context, client *Client, e Entry, mayBeThere bool) (Entry, error) {
	if mayBeThere {
		p, err := client.Status(ctx, e.ID)
		if err == nil {
			return c.ledger.Advance(ctx, e.Processor, p, c.settings.Now())
		}
		if !errors.Is(err, ErrUnknownRequest) {
			return e, err
		}
	}
	receipt, err := client.Submit(ctx, e.Body)
	if errors.Is(err, ErrConflict) {
		p, statusErr := client.Status(ctx, e.ID)
		switch {
		case statusErr == nil:
			return c.ledger.Advance(ctx, e.Processor, p, c.settings.Now())
		case errors.Is(statusErr, ErrUnknownRequest):
			// It is busy with another request for the same person; ours comes after.
			return e, sdk.NotYet(c.settings.PollMin, err)
		}
		return e, statusErr
	}
	if err != nil {
		return e, err
	}
	if receipt.ID != e.ID {
		return e, sdk.WithCode(sdk.Rejected, fmt.Errorf("processor %s acknowledged another request than it was sent", client.Name()))
	}
	return c.ledger.Advance(ctx, e.Processor, Progress{ID: e.ID, Status: Pending, Expected: receipt.Expected}, c.settings.Now())
}

// refused forgets a request that will never be sent again as it is.
func (c *Controller) refused(ctx context.Context, id string, err error) error {
	if sdk.IsPermanent(err) {
		if dropErr := c.ledger.Drop(ctx, id); dropErr != nil {
			return errors.Join(err, dropErr)
		}
	}
	return err
}

// await asks how far an acknowledged request is, waits a little for it when the
// settings say so, and says what the outcome means.
func (c *Controller) await(ctx context.Context, client *Client, e Entry) error {
	patience := time.NewTimer(c.settings.Patience)
	defer patience.Stop()
	for waiting := c.settings.Patience > 0; ; {
		heard, forget := c.listen(e.ID)
		e, err := c.ask(ctx, client, e)
		if err != nil || finished(e) || !waiting {
			forget()
			if err != nil {
				return err
			}
			return c.verdict(client, e)
		}
		select {
		case <-heard:
		case <-patience.C:
			waiting = false
		case <-ctx.Done():
		}
		forget()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// ask returns what the ledger or else the processor knows of a request.
func (c *Controller) ask(ctx context.Context, client *Client, e Entry) (Entry, error) {
	e, err := c.ledger.Get(ctx, e.ID) // a callback may have been recorded
	if err != nil || finished(e) {
		return e, err
	}
	p, err := client.Status(ctx, e.ID)
	if errors.Is(err, ErrUnknownRequest) {
		return e, sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("processor %s acknowledged the request and no longer knows it", client.Name())))
	}
	if err != nil {
		return e, instruct(err)
	}
	return c.ledger.Advance(ctx, e.Processor, p, c.settings.Now())
}

func finished(e Entry) bool { return e.Status == Completed || e.Status == Cancelled }

func (c *Controller) verdict(client *Client, e Entry) error {
	now := c.settings.Now()
	switch {
	case e.Status == Completed:
		return nil
	case e.Status == Cancelled:
		return sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("processor %s cancelled the request", client.Name())))
	case now.Sub(e.Submitted) > c.settings.MaxWait:
		return sdk.Permanent(sdk.WithCode(sdk.Unavailable, fmt.Errorf("processor %s has not completed the request within %s", client.Name(), c.settings.MaxWait)))
	}
	after := min(max(e.Expected.Sub(now), c.settings.PollMin), c.settings.PollMax)
	return sdk.NotYet(after, fmt.Errorf("processor %s: the request is %s", client.Name(), e.Status))
}

// turn makes calls for one request follow each other within this process, so
// that a job delivered twice at once is not submitted twice.
func (c *Controller) turn(ctx context.Context, id string) (release func(), err error) {
	for {
		c.mu.Lock()
		before, taken := c.busy[id]
		if !taken {
			mine := make(chan struct{})
			c.busy[id] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.busy, id)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// listen returns a channel that is closed when a callback for id was recorded.
func (c *Controller) listen(id string) (heard <-chan struct{}, forget func()) {
	ch := make(chan struct{})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiters[id] = append(c.waiters[id], ch)
	return ch, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.waiters[id] = slices.DeleteFunc(c.waiters[id], func(other chan struct{}) bool { return other == ch })
		if len(c.waiters[id]) == 0 {
			delete(c.waiters, id)
		}
	}
}

// wake closes the channels of those who listen for id.
func (c *Controller) wake(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.waiters[id] {
		close(ch)
	}
	delete(c.waiters, id)
}
