package portal

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Probe makes one made-up request a day at the form to opt out, the way people
// do, and follows it until every system has answered and it is closed. A form
// that loads, and leads to nothing, is so found out within a day (11 CCR 7004;
// Todd Snyder (2025)).
//
// It may be started again at any time and run by several at once: all of a day's
// attempts are one request. The request goes to the systems under an address of
// the day that is nobody's; see [request.ChannelProbe] for where it is not
// counted.
type Probe struct {
	// URL is where people reach the portal, and Base the portal's path there.
	URL, Base string
	// Secret is the portal's.
	Secret []byte
	// Lookup reads a request.
	Lookup func(ctx context.Context, id request.ID) (store.Request, error)
	// Within is how long a request may take; 0 means an hour.
	Within time.Duration
	Client *http.Client
	Now    func() time.Time // nil is the machine's

	day  string
	id   request.ID
	done bool
}

const probeWithin = time.Hour

// probeHeader says that a submission is a made-up one, and proves it.
const probeHeader = "Habeas-Probe"

// probeKeys begins the idempotency keys of made-up requests; the day follows.
const probeKeys = "portal/probe-"

// probeHost is where the addresses of made-up people are; no mail ever gets there
// (RFC 2606).
const probeHost = "probe.invalid"

func probeKey(secret []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "habeas portal: probe v1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the portal's keys: %w", err)
	}
	return key, nil
}

func probeSum(key []byte, what, day string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, what+"\x00"+day) // a hash never fails
	return hex.EncodeToString(mac.Sum(nil)[:20])
}

// probes reports whether a submission is the watch's own: an opt-out of the
// day's made-up person, with the proof of that day.
func (p *Portal) probes(r *http.Request, e intake.Entry) bool {
	proof := r.Header.Get(probeHeader)
	day, ok := strings.CutPrefix(e.IdempotencyKey, probeKeys)
	return proof != "" && ok && e.Submission.Right == request.OptOutSaleShare && len(e.Submission.Identifiers) == 1 &&
		e.Submission.Identifiers[0].Reveal() == probeSum(p.keys.probe, "person", day)+"@"+probeHost &&
		hmac.Equal([]byte(proof), []byte(probeSum(p.keys.probe, "proof", day)))
}

// Step makes the day's request when there is none yet, and looks how it stands.
// It returns nil while all is well; calling it again is how it goes on.
func (p *Probe) Step(ctx context.Context) error {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	at := now().UTC()
	if day := at.Format(time.DateOnly); day != p.day {
		id, err := p.ask(ctx, day)
		if err != nil {
			return fmt.Errorf("making the day's made-up request: %w", err)
		}
		p.day, p.id, p.done = day, id, false
	}
	if p.done {
		return nil
	}
	r, err := p.Lookup(ctx, p.id)
	if err != nil {
		return fmt.Errorf("looking for the made-up request %s: %w", p.id, err)
	}
	within := p.Within
	if within <= 0 {
		within = probeWithin
	}
	switch {
	case r.State() == request.Closed && r.Ending != nil && r.Ending.Result == request.ResultComplete:
		p.done = true
		return nil
	case r.State() == request.Closed:
		return fmt.Errorf("the made-up request %s was not carried out in every system", p.id)
	case at.Sub(r.CreatedAt) > within:
		return fmt.Errorf("the made-up request %s is %s after %s, and should be closed", p.id, r.State(), within)
	default:
		return nil
	}
}

var statusLink = regexp.MustCompile(`/r/([0-9a-f-]{36})/`)

// ask fills the form in and sends it, and finds the request in the answer.
func (p *Probe) ask(ctx context.Context, day string) (request.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	key, err := probeKey(p.Secret)
	if err != nil {
		return "", err
	}
	form := url.Values{"email": {probeSum(key, "person", day) + "@" + probeHost}, "key": {"probe-" + day}, "lang": {"en"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.URL, "/")+p.Base+"/opt-out", strings.NewReader(form.Encode()))
	if err != nil {
		return "", errors.New("the portal's address is no address: see url in the file that intake.doors names")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set(probeHeader, probeSum(key, "proof", day))
	client := p.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("sending the form: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	found := statusLink.FindSubmatch(text)
	if resp.StatusCode != http.StatusOK || found == nil {
		return "", fmt.Errorf("the form was sent, and no request came of it: status %d", resp.StatusCode)
	}
	return request.ParseID(string(found[1]))
}
