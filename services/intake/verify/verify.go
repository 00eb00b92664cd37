package verify

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Config is what verifying needs. Fields without a default are required.
type Config struct {
	Doors store.Doors
	// Requests reads requests and, when the requester is who she says, lets
	// them go on.
	Requests Requests
	Vault    *vault.Vault
	Matcher  Matcher
	// Mail sends codes; nil when the company has set no mail server up, and
	// then nobody can prove to have a mailbox.
	Mail mail.Sender
	// Text sends codes to phones; nil when the company has set no provider of
	// text messages up.
	Text sms.Sender
	// Host is the portal's host name, such as privacy.example.com: with it phones
	// offer a code from a text message on the portal's pages and on no others.
	// Empty leaves it out.
	Host string
	// Signer signs the record that verification data was destroyed.
	Signer *wire.Signer
	Policy Policy
	// Company is named in messages.
	Company string
	// Secret keys the buckets of rate limits.
	Secret []byte
	Logger *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Requests is the part of intake that verifying uses.
type Requests interface {
	Lookup(ctx context.Context, id request.ID) (store.Request, error)
	// Identifiers opens those of a request.
	Identifiers(ctx context.Context, req *store.Request) ([]request.Identifier, error)
	Attest(ctx context.Context, id request.ID, v request.Verified, by string) error
	// Resides remembers that a system has the person live where the law of her
	// request is.
	Resides(ctx context.Context, id request.ID) error
	// Reached remembers a level that is not enough.
	Reached(ctx context.Context, id request.ID, level request.Level) error
}

// Room verifies. [Room.Run] does the work that nobody waits for.
type Room struct {
	Config
	kicked  chan struct{}
	refused metric.Int64Counter
}

// By is who attests what was verified here.
const By = "intake verification"

// New makes a verifier.
func New(c Config) (*Room, error) {
	if err := c.Policy.Check(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	refused, err := otel.Meter("habeas/intake").Int64Counter("habeas.intake.refused",
		metric.WithDescription("Tries that a limit refused, by what was tried: somebody may be guessing."))
	return &Room{Config: c, kicked: make(chan struct{}, 1), refused: refused}, err
}

// Claimed is what a requester gave to be verified by.
type Claimed struct {
	Language string
	// Anchor is the identifier the person is looked up by: an address or a
	// number that other people do not share.
	Anchor request.Identifier
	// Points are the data points given, by name. Unknown names are refused.
	Points map[string]string
	// Disputed are the data points a correction is about.
	Disputed    []string
	Declaration *Declaration
	// Confirm asks the consumer to confirm an agent's permission, and for
	// nothing else.
	Confirm bool
	// Suspicion is set when something points at fraud.
	Suspicion bool
}

// Open begins verifying a request. It stores and asks nobody, so that how long
// it takes says nothing. Opening again changes nothing.
func (r *Room) Open(ctx context.Context, id request.ID, c Claimed) error {
	for name := range c.Points {
		if !slices.ContainsFunc(r.Policy.Points, func(p Point) bool { return p.Name == name }) {
			return request.FieldErrors{{Field: "points", Problem: "has a field that is not asked for", Fix: "send only what the form asks"}}
		}
	}
	if c.Declaration != nil {
		if err := c.Declaration.Check(); err != nil {
			return request.FieldErrors{{Field: "declaration", Problem: err.Error(), Fix: "sign the declaration as it is shown"}}
		}
	}
	anchor, err := c.Anchor.Normalize()
	if err != nil {
		return request.FieldErrors{{Field: "anchor", Problem: "cannot be used", Fix: err.Error()}}
	}
	now := r.Now().UTC()
	sc := store.Case{RequestID: id, NextAt: now, CreatedAt: now}
	f := &file{
		Language: c.Language, Anchor: [2]string{string(anchor.Kind), anchor.Reveal()}, Points: maps.Clone(c.Points),
		Disputed: c.Disputed, Declaration: c.Declaration, Confirm: c.Confirm, Suspicion: c.Suspicion,
	}
	if anchor.Kind == request.Phone {
		f.Phone = &phone{Number: anchor.Reveal()}
	}
	if err := r.seal(ctx, &sc, f); err != nil {
		return err
	}
	if err := r.Doors.PutCase(ctx, sc); err != nil {
		return err
	}
	r.kick()
	return nil
}

// ErrCode says that a code is wrong, used up or too old. It does not say which.
var ErrCode = errors.New("this code can't be used")

// Limits on what is tried out about one person, over all requests in her name: a
// request more would otherwise be tries more.
var (
	limitCodes  = Limit{What: "codes", Most: 100, Window: 24 * time.Hour}
	limitClaims = Limit{What: "claims", Most: 20, Window: 24 * time.Hour}
)

// allowPerson counts a try by whom the person of a case is looked up.
func (r *Room) allowPerson(ctx context.Context, id request.ID, l Limit) error {
	_, f, err := r.load(ctx, id)
	if err != nil {
		return err
	}
	return r.Allow(ctx, l, f.Anchor[0]+"\x00"+f.Anchor[1])
}

// Answer takes a code that was sent to the person, by e-mail or by text
// message. A case is stored again whether it has a code or not, so that the
// time it takes says nothing.
func (r *Room) Answer(ctx context.Context, id request.ID, code string) error {
	switch err := r.allowPerson(ctx, id, limitCodes); {
	case errors.Is(err, ErrTooMany), errors.Is(err, ErrGone):
		return ErrCode
	case err != nil:
		return err
	}
	right := false
	err := r.change(ctx, id, func(c *store.Case, f *file) error {
		if right = r.compare(f, code); right {
			c.NextAt = r.Now().UTC()
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrGone): // as for a request whose person nobody knows
		return ErrCode
	case err != nil:
		return err
	case !right:
		return ErrCode
	}
	r.kick()
	return nil
}

// compare holds a code against those that were sent and counts the try.
func (r *Room) compare(f *file, code string) (right bool) {
	var open []*challenge
	for _, v := range ways {
		if ch := f.challenge(v); ch != nil && ch.Tries < r.Policy.Tries && !r.Now().After(ch.Expires) {
			open = append(open, ch)
			if sameCode(ch.Code, code) {
				ch.Tries++
				ch.Passed, right = true, true
			}
		}
	}
	if right {
		return true
	}
	for _, ch := range open {
		if ch.Tries++; ch.Tries >= r.Policy.Tries {
			f.Suspicion = true // somebody is guessing: a login alone is no longer enough
		}
	}
	return false
}

func sameCode(want, given string) bool {
	given = strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, given)
	return subtle.ConstantTimeCompare([]byte(want), []byte(given)) == 1
}

// newID makes a name for a message.
func newID() string { return rand.Text() }

// NewCode makes a code of six digits.
func NewCode() string {
	n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
	if err != nil {
		panic(err) // the reader never fails
	}
	return fmt.Sprintf("%06d", n)
}

// Add takes further data points or a declaration, and looks again. Past the limits
// it is [ErrTooMany].
func (r *Room) Add(ctx context.Context, id request.ID, points map[string]string, d *Declaration) error {
	if d != nil {
		if err := d.Check(); err != nil {
			return request.FieldErrors{{Field: "declaration", Problem: err.Error(), Fix: "sign the declaration as it is shown"}}
		}
	}
	if err := r.allowPerson(ctx, id, limitClaims); err != nil {
		return err
	}
	err := r.change(ctx, id, func(c *store.Case, f *file) error {
		if f.Asks >= maxAsks {
			return ErrTooMany
		}
		for name, value := range points {
			if f.Points == nil {
				f.Points = map[string]string{}
			}
			f.Points[name] = value
		}
		if d != nil {
			f.Declaration = d
		}
		f.Asked, c.NextAt = false, r.Now().UTC()
		return nil
	})
	if err == nil {
		r.kick()
	}
	return err
}

// LoggedIn says that the requester has just proved to hold the account.
// ids are what the login says of the account; none is the account of the anchor.
func (r *Room) LoggedIn(ctx context.Context, id request.ID, at time.Time, ids ...request.Identifier) error {
	err := r.change(ctx, id, func(c *store.Case, f *file) error {
		f.LoggedIn, f.Login, c.NextAt = at, vault.Pairs(ids), r.Now().UTC()
		return nil
	})
	if err == nil {
		r.kick()
	}
	return err
}

// ErrTooMany says that something was tried too often.
var ErrTooMany = errors.New("this was tried too often; wait and try again")

// Limit bounds tries.
type Limit struct {
	What   string // a short code
	Most   int64
	Window time.Duration
}

// Allow counts one try by who, whose value is not kept, and returns
// [ErrTooMany] when there were too many.
func (r *Room) Allow(ctx context.Context, l Limit, who string) error {
	mac := hmac.New(sha256.New, r.Secret)
	_, _ = io.WriteString(mac, l.What+"\x00"+who) // a hash never fails
	n, err := r.Doors.Count(ctx, mac.Sum(nil), l.Window, r.Now().UTC())
	if err != nil {
		return err
	}
	if n <= l.Most {
		return nil
	}
	r.refused.Add(ctx, 1)
	if n == l.Most+1 {
		r.Logger.WarnContext(ctx, "a limit refuses; somebody may be guessing", slog.String("limit", l.What))
	}
	return ErrTooMany
}

func (r *Room) kick() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}
