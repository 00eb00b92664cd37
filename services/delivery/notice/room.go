package notice

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Store is what the room needs remembered.
type Store interface {
	Get(ctx context.Context, id request.ID) (store.Request, []store.Job, error)
	Noticed(ctx context.Context, told []store.Notice) error
	KeepDocument(ctx context.Context, d store.Document) error
	Documents(ctx context.Context, id request.ID) ([]store.Document, error)
	OnwardOf(ctx context.Context, id request.ID) ([]store.Onward, error)
	store.Post
}

// Config is what the room needs; all of it but Contact, Policy and Portal.
type Config struct {
	Store   Store
	Vault   *vault.Vault
	Mail    mail.Sender
	Regimes *regimes.Set
	// Bases say what connectors keep records for, by the company's own names; nil
	// knows those of the regime alone.
	Bases *tenant.Bases
	// Name is the name of one that gave or got data, by its id in the company's
	// file; nil knows no names.
	Name func(id string) string
	// Company is who speaks; Contact says where to ask, Policy is the address of
	// the privacy policy and Portal that of the place to make requests.
	Company, Contact, Policy, Portal string
	// Link is the address of a request's own page.
	Link func(request.ID) string
	// PackageTTL is how long packages are kept.
	PackageTTL time.Duration
	Logger     *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Room sends notices. It is safe for concurrent use, and several may run: then
// a person may get the same message twice, under one message id.
type Room struct {
	Config
	words map[string]words
	sent  metric.Int64Counter
}

// New makes a room. It fails when a text is missing in a language.
func New(c Config) (*Room, error) {
	if c.Store == nil || c.Vault == nil || c.Mail == nil || c.Regimes == nil || c.Link == nil || c.Company == "" {
		return nil, errors.New("notices: Store, Vault, Mail, Regimes, Link and Company are required")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	w, err := load()
	if err != nil {
		return nil, err
	}
	r := &Room{Config: c, words: w}
	meter := otel.Meter("habeas/notice")
	if r.sent, err = meter.Int64Counter("habeas.notices", metric.WithDescription("Notices by kind and what came of the try.")); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	_, err = meter.Int64ObservableGauge("habeas.notices.untold", metric.WithDescription("Notices that nobody was told of, by the code of the last try."),
		metric.WithInt64Callback(func(ctx context.Context, o metric.Int64Observer) error {
			counts, err := c.Store.Untold(ctx)
			for code, n := range counts {
				o.Observe(n, metric.WithAttributes(attribute.String("code", code)))
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

// Run sends notices until ctx is cancelled.
func (r *Room) Run(ctx context.Context) error {
	for {
		n, err := r.Once(ctx)
		if err != nil && ctx.Err() == nil {
			r.Logger.ErrorContext(ctx, "sending notices; trying again", slog.Any("error", err))
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
	due, err := r.Store.DueNotices(ctx, r.Now(), batch)
	if err != nil {
		return 0, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, n := range due {
		g.Go(func() error { return r.tell(ctx, n) })
	}
	return len(due), g.Wait()
}

// Codes of tries that failed.
const (
	CodeUnavailable = "unavailable" // the mail server could not take it; it is tried again soon
	CodeRefused     = "refused"     // the mail server will not take it; somebody should look
	CodeNoAddress   = "no_address"  // no e-mail address is known: tell them another way
	CodeAgent       = "agent"       // an agent asked for an opt-out: the consumer is not written to
	CodeBroken      = "broken"      // the notice could not be written; see the log
)

// again is when a notice is tried again that failed so often with the code.
func again(code string, tries int) time.Duration {
	switch code {
	case CodeUnavailable:
		return min(time.Minute<<min(tries, 10), 6*time.Hour)
	case CodeBroken:
		return time.Hour
	default:
		return 24 * time.Hour
	}
}

// tell sends one notice, or puts it off. Its error is the store's.
func (r *Room) tell(ctx context.Context, n store.Posted) error {
	code, err := r.send(ctx, n.Notice)
	if ctx.Err() != nil {
		return nil // stopped in the middle; the notice is still there
	}
	outcome := code
	if code == "" {
		outcome = "sent"
	}
	r.sent.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", string(n.Kind)), attribute.String("outcome", outcome)))
	if code == "" {
		return r.Store.Noticed(ctx, []store.Notice{n.Notice})
	}
	r.Logger.WarnContext(ctx, "a notice was not sent; it will be tried again", slog.String("request_id", string(n.RequestID)),
		slog.String("kind", string(n.Kind)), slog.String("code", code), slog.Int("tries", n.Tries+1), slog.Any("error", err))
	return r.Store.PutOffNotice(ctx, n.Notice, r.Now().Add(again(code, n.Tries)), code)
}

// send returns why a notice could not be sent, as a code, or "".
func (r *Room) send(ctx context.Context, n store.Notice) (code string, err error) {
	req, jobs, err := r.Store.Get(ctx, n.RequestID)
	if err != nil {
		return CodeUnavailable, err
	}
	if req.Case.Requester == request.ByAgent && !req.Right().Verifiable() {
		return CodeAgent, nil // 11 CCR 7026(j): a signed permission is enough, the consumer is not contacted
	}
	to, err := r.address(ctx, &req)
	if err != nil {
		return CodeBroken, err
	}
	if to.IsZero() {
		return CodeNoAddress, nil
	}
	l, language, err := r.kept(ctx, n, &req, jobs)
	if err != nil {
		return CodeBroken, err
	}
	err = r.Mail.Send(ctx, mail.Message{ID: messageID(n), To: to, Subject: l.Subject, Text: l.Text, Language: language})
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, mail.ErrRefused):
		return CodeRefused, err
	default:
		return CodeUnavailable, err
	}
}

func messageID(n store.Notice) string {
	id := string(n.RequestID) + "." + string(n.Kind)
	if n.Key != "" {
		id += "." + n.Key
	}
	return id
}

// address is the first e-mail address among the request's identifiers; the
// zero Secret when there is none, or when they were destroyed.
func (r *Room) address(ctx context.Context, req *store.Request) (request.Secret, error) {
	if len(req.WrappedKey) == 0 || len(req.Sealed) == 0 {
		return request.Secret{}, nil
	}
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return request.Secret{}, fmt.Errorf("opening the identifiers: %w", err)
	}
	ids, err := key.OpenIdentifiers(req.ID, req.Sealed)
	if err != nil {
		return request.Secret{}, fmt.Errorf("opening the identifiers: %w", err)
	}
	for _, id := range ids {
		if id.Kind == request.Email {
			return id.Value, nil
		}
	}
	return request.Secret{}, nil
}

// Letter is a notice as it is kept.
type Letter struct {
	Subject  string    `json:"subject"`
	Text     string    `json:"text"`
	Language string    `json:"language"`
	Written  time.Time `json:"written"`
}

// DocumentKind is the kind under which a notice is kept with its request.
func DocumentKind(n store.Notice) string {
	kind := "notice_" + string(n.Kind)
	if n.Key != "" {
		kind += "_" + n.Key
	}
	return kind
}

// kept returns the notice as it is kept, or writes and keeps it first. What
// was kept is what goes out, whoever kept it.
func (r *Room) kept(ctx context.Context, n store.Notice, req *store.Request, jobs []store.Job) (letter, string, error) {
	if l, ok, err := r.Letter(ctx, n); err != nil || ok {
		return letter{l.Subject, l.Text}, l.Language, err
	}
	f, offers, language, err := r.gather(ctx, n, req, jobs)
	if err != nil {
		return letter{}, "", err
	}
	l, err := compose(r.words[language], n.Kind, req, f, offers)
	if err != nil {
		return letter{}, "", err
	}
	if err := r.keep(ctx, n, req, Letter{Subject: l.Subject, Text: l.Text, Language: language, Written: r.Now().UTC()}); err != nil {
		return letter{}, "", err
	}
	first, ok, err := r.Letter(ctx, n)
	if err == nil && !ok {
		err = errors.New("a notice that was kept is not there")
	}
	return letter{first.Subject, first.Text}, first.Language, err
}

func (r *Room) keep(ctx context.Context, n store.Notice, req *store.Request, l Letter) error {
	plain, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("keeping a notice: %w", err)
	}
	key, wrapped, err := r.Vault.NewDataKey(ctx)
	if err != nil {
		return fmt.Errorf("keeping a notice: %w", err)
	}
	until := r.Now().AddDate(2, 0, 1) // 11 CCR 7101(a): 24 months; no rules, no date of theirs
	if due := req.Terms.Due; !due.KeepUntil.IsZero() {
		if until, err = due.Instant(due.KeepUntil); err != nil {
			return err
		}
	}
	return r.Store.KeepDocument(ctx, store.Document{
		RequestID: n.RequestID, Kind: DocumentKind(n), WrappedKey: wrapped, Sealed: key.Seal(plain, aad(n)), KeepUntil: until,
	})
}

func aad(n store.Notice) []byte {
	return []byte("notice/" + string(n.RequestID) + "/" + DocumentKind(n))
}

// Letter opens a notice that was kept, as it was or will be sent; ok is false
// when it was not written yet.
func (r *Room) Letter(ctx context.Context, n store.Notice) (l Letter, ok bool, err error) {
	documents, err := r.Store.Documents(ctx, n.RequestID)
	if err != nil {
		return l, false, err
	}
	for _, d := range documents {
		if d.Kind != DocumentKind(n) {
			continue
		}
		key, err := r.Vault.Unwrap(ctx, d.WrappedKey)
		if err != nil {
			return l, false, fmt.Errorf("opening a kept notice: %w", err)
		}
		plain, err := key.Open(d.Sealed, aad(n))
		if err != nil {
			return l, false, fmt.Errorf("opening a kept notice: %w", err)
		}
		if err := json.Unmarshal(plain, &l); err != nil {
			return l, false, fmt.Errorf("opening a kept notice: %w", err)
		}
		return l, true, nil
	}
	return l, false, nil
}
