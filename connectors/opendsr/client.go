package opendsr

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const (
	maxBody        = 1 << 20          // no document of the protocol comes near this
	callTimeout    = 30 * time.Second // for one HTTP exchange
	discoveryFresh = time.Hour
	refetchAfter   = time.Minute      // bad signatures lead to at most one fetch in this time
	failedAfter    = 10 * time.Second // and to one in this time while fetching fails
)

// Client speaks OpenDSR with one processor. It is safe for concurrent use.
type Client struct {
	processor Processor
	http      *http.Client
	now       func() time.Time

	mu           sync.Mutex
	discovery    Discovery
	discoveredAt time.Time
	certificate  []byte // PEM, as fetched
	fetchedAt    time.Time
	// failed is why the last fetch failed, at failedAt; nil when it did not.
	failed   error
	failedAt time.Time
}

// NewClient makes a client. A nil httpClient means one with sane limits; a nil
// now means [time.Now]. It opens no connection.
func NewClient(p Processor, httpClient *http.Client, now func() time.Time) (*Client, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if httpClient == nil {
		httpClient = &http.Client{Timeout: callTimeout}
	}
	own := *httpClient
	// A redirect would carry identities and credentials to a host nobody configured.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if now == nil {
		now = time.Now
	}
	return &Client{processor: p, http: &own, now: now}, nil
}

// Name is the processor's configured name.
func (c *Client) Name() string { return c.processor.Name }

// Domain is the domain the processor signs for.
func (c *Client) Domain() string { return c.processor.Domain }

// Discover returns the processor's description of itself, at most an hour old.
// It is not signed: it decides only what is sent, and its certificate is checked.
func (c *Client) Discover(ctx context.Context) (Discovery, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.discover(ctx, discoveryFresh)
}

func (c *Client) discover(ctx context.Context, fresh time.Duration) (Discovery, error) {
	if !c.discoveredAt.IsZero() && c.now().Sub(c.discoveredAt) < fresh {
		return c.discovery, nil
	}
	got, err := c.call(ctx, http.MethodGet, c.processor.BaseURL+"/discovery", nil)
	if err != nil {
		return Discovery{}, fmt.Errorf("discovering processor %s: %w", c.Name(), err)
	}
	if got.code != http.StatusOK {
		return Discovery{}, fmt.Errorf("discovering: %w", parseError(c.Name(), got, c.now()))
	}
	var d Discovery
	if err := json.Unmarshal(got.body, &d); err != nil {
		return Discovery{}, fmt.Errorf("discovering processor %s: %w", c.Name(), jsonError(err))
	}
	c.discovery, c.discoveredAt = d, c.now()
	return d, nil
}

// Submit sends the bytes of a request and returns the processor's signed
// receipt. A refusal is an [*Error]; it matches [ErrConflict] when the
// processor already has the request. After any other error than an *Error the
// request may have been received: ask with [Client.Status].
func (c *Client) Submit(ctx context.Context, body []byte) (Receipt, error) {
	got, err := c.call(ctx, http.MethodPost, c.route(""), body)
	if err != nil {
		return Receipt{}, fmt.Errorf("submitting to processor %s: %w", c.Name(), err)
	}
	if got.code != http.StatusCreated {
		return Receipt{}, fmt.Errorf("submitting: %w", parseError(c.Name(), got, c.now()))
	}
	if err := c.Verify(ctx, got.header, got.body); err != nil {
		return Receipt{}, fmt.Errorf("checking the receipt: %w", err)
	}
	var receipt Receipt
	if err := json.Unmarshal(got.body, &receipt); err != nil {
		return Receipt{}, fmt.Errorf("reading the receipt of processor %s: %w", c.Name(), jsonError(err))
	}
	return receipt, nil
}

// Status asks how far a request is. It returns an error that matches
// [ErrUnknownRequest] when the processor never received it.
func (c *Client) Status(ctx context.Context, id string) (Progress, error) {
	if !ValidID(id) {
		return Progress{}, errors.New("asking for a status: the request id is not a lower-case UUID")
	}
	got, err := c.call(ctx, http.MethodGet, c.route(id), nil)
	if err != nil {
		return Progress{}, fmt.Errorf("asking processor %s: %w", c.Name(), err)
	}
	if got.code != http.StatusOK {
		return Progress{}, fmt.Errorf("asking for a status: %w", parseError(c.Name(), got, c.now()))
	}
	if err := c.Verify(ctx, got.header, got.body); err != nil {
		return Progress{}, fmt.Errorf("checking the status: %w", err)
	}
	progress, err := parseProgress(got.body)
	if err == nil && progress.ID != id {
		err = errors.New("the processor answered for another request")
	}
	return progress, err
}

// Cancel withdraws a request that is still pending.
func (c *Client) Cancel(ctx context.Context, id string) error {
	if !ValidID(id) {
		return errors.New("cancelling: the request id is not a lower-case UUID")
	}
	got, err := c.call(ctx, http.MethodDelete, c.route(id), nil)
	if err != nil {
		return fmt.Errorf("cancelling at processor %s: %w", c.Name(), err)
	}
	if got.code != http.StatusAccepted {
		return fmt.Errorf("cancelling: %w", parseError(c.Name(), got, c.now()))
	}
	if err := c.Verify(ctx, got.header, got.body); err != nil {
		return fmt.Errorf("checking the cancellation: %w", err)
	}
	return nil
}

// Verify checks that body, as it came over the wire, was signed by the
// processor. A certificate that no longer fits is fetched again once, because
// processors renew theirs; the fetches are limited so that forged messages
// can't drive them.
func (c *Client) Verify(ctx context.Context, header http.Header, body []byte) error {
	domain, signature := signed(header)
	if !strings.EqualFold(domain, c.processor.Domain) {
		return fmt.Errorf("processor %s: %w: it is signed for another domain, or for none", c.Name(), ErrSignature)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err := c.verify(body, signature)
	if err == nil || c.certificate != nil && c.now().Sub(c.fetchedAt) < refetchAfter {
		return err
	}
	if c.failed != nil && c.now().Sub(c.failedAt) < failedAfter {
		return c.failed
	}
	c.failed = nil
	if err := c.fetchCertificate(ctx); err != nil {
		err = fmt.Errorf("fetching the certificate of processor %s: %w", c.Name(), err)
		if ctx.Err() == nil { // else the caller gave up, which says nothing
			c.failed, c.failedAt = err, c.now()
		}
		return err
	}
	return c.verify(body, signature)
}

func (c *Client) verify(body []byte, signature string) error {
	cert, err := ParseCertificate(c.certificate, c.processor.Domain, c.processor.Roots, c.now())
	if err == nil {
		err = VerifySignature(cert.PublicKey, body, signature)
	}
	if err != nil {
		return fmt.Errorf("processor %s: %w", c.Name(), err)
	}
	return nil
}

// fetchCertificate needs c.mu.
func (c *Client) fetchCertificate(ctx context.Context) error {
	d, err := c.discover(ctx, refetchAfter)
	if err != nil {
		return err
	}
	if err := c.processor.mayFetch(d.CertificateURL); err != nil {
		return err
	}
	got, err := c.exchange(ctx, http.MethodGet, d.CertificateURL, nil, nil)
	if err != nil {
		return err
	}
	if got.code != http.StatusOK {
		return parseError(c.Name(), got, c.now())
	}
	c.certificate, c.fetchedAt = got.body, c.now()
	return nil
}

// signed returns the domain and signature headers of either version.
func signed(h http.Header) (domain, signature string) {
	return cmp.Or(h.Get(HeaderDomain), h.Get(HeaderDomainOld)), cmp.Or(h.Get(HeaderSignature), h.Get(HeaderSignatureOld))
}

func (c *Client) route(id string) string {
	route := c.processor.BaseURL + "/requests"
	if c.processor.Legacy {
		route = c.processor.BaseURL + "/opengdpr_requests"
	}
	if id != "" {
		route += "/" + id
	}
	return route
}

// answer is what came back, read to its end.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// call makes one authorised exchange with the processor.
func (c *Client) call(ctx context.Context, method, address string, body []byte) (answer, error) {
	return c.exchange(ctx, method, address, body, c.processor.Authorize)
}

// exchange makes one exchange, adding credentials when authorize is not nil.
func (c *Client) exchange(ctx context.Context, method, address string, body []byte, authorize func(*http.Request)) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if authorize != nil {
		authorize(req)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if closeErr := resp.Body.Close(); err == nil {
		err = closeErr
	}
	if err == nil && len(text) > maxBody {
		err = sdk.Permanent(sdk.WithCode(sdk.Rejected, errors.New("the answer is larger than 1 MiB")))
	}
	if err != nil {
		return answer{}, fmt.Errorf("reading the answer: %w", err)
	}
	return answer{resp.StatusCode, resp.Header, text}, nil
}
