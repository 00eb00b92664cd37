// Package console shows staff how every request stands and lets them decide
// what a person must decide.
//
// It owes its callers three things. Personal data is on no page but those where
// staff do the work themselves, the task of a system without an API and the answer
// that goes by mail: these are for the roles that handle them, and each look is on
// record before anything is shown. All other pages are made of states, counts,
// codes, dates and digests, and of texts that by contract name nobody. A page never
// says more than is known: what was counted before an act is not shown as what is
// left after it. And nothing is changed without a session, from another site, or by
// a safe method; what is changed goes through the same door as the API's calls.
//
// Pages work without scripts. With them, the parts that change are replaced as
// soon as the coordinator tells of a change.
package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/tokens"
)

// Name is the room's name on the bus.
const Name = "console"

// Actor is what carries out what staff decide: the intake room.
type Actor interface {
	// Attest records that by vouches for the requester.
	Attest(ctx context.Context, id request.ID, v request.Verified, by string) error
	// Stop ends a request as cancelled, Deny as denied. Denials are the ways in
	// which a request can be denied; none when its law lists none.
	Stop(ctx context.Context, id request.ID, e request.Ending) error
	Deny(ctx context.Context, id request.ID, d request.Refusal) error
	Denials(r *store.Request) ([]request.RefusalCode, error)
	// Retry sends a connector's jobs again, or those of all when connector is
	// empty. A limit other than 0 lifts the connector's cap for this request.
	Retry(ctx context.Context, id request.ID, connector string, limit int64) error
	// Extend prolongs the time to answer, once, with a reason that the person is
	// told.
	Extend(ctx context.Context, id request.ID, reason string) error
	// Hold lets a request rest and returns the id of the hold; EndHold ends one.
	Hold(ctx context.Context, id request.ID, h request.Hold) (request.ID, error)
	EndHold(ctx context.Context, id, hold request.ID) error
	FleetActor
	// RetryAll, ExtendAll and AssignAll decide about at most 500 requests in one
	// transaction and answer each, in order. The error is for all of them.
	RetryAll(ctx context.Context, ids []request.ID) ([]error, error)
	ExtendAll(ctx context.Context, ids []request.ID, reason string) ([]error, error)
	AssignAll(ctx context.Context, ids []request.ID, who string) ([]error, error)
	// ApprovePlans approves the plans that wait for it.
	ApprovePlans(ctx context.Context, ids []request.ID) ([]error, error)
	// ApproveCopy lets the copy with the digest be handed over, and MakeCopyAgain has
	// it made again, with words masked and fields left out.
	ApproveCopy(ctx context.Context, id request.ID, digest []byte) error
	MakeCopyAgain(ctx context.Context, id request.ID, digest []byte, c request.CopyChanges) error
	// Digests are what requests are found by that name one of the identifiers.
	Digests(ids []request.Identifier) ([][]byte, error)
}

// Config is what the console needs. All fields without a default are required.
type Config struct {
	Store store.Store
	Conn  *nats.Conn
	// Act carries out decisions.
	Act Actor
	// Token lets its holder in as admin by the form on /login, where there is no
	// Login. Once does so by the link /login?token=, one time.
	Token, Once string
	// Login is the company's own login for staff; without an issuer there is
	// none.
	Login access.LoginConfig
	// Evidence is the log for auditors; nil for a console that knows of none.
	Evidence Evidence
	// Tokens keeps the tokens of the API; nil for a console that keeps none.
	Tokens *tokens.Keeper
	// Seal is the key by which the console is the desk of connectors whose work
	// people do; without one it is nobody's.
	Seal wire.SealKey
	// Recipients is the desk for those who got data; nil for a company whose file
	// names none.
	Recipients Recipients
	// Answers are those that go by mail; nil for a console that knows of no delivery
	// room.
	Answers Answers
	// Bases are on what connectors may keep records under Regime; nil is not known.
	Bases  *tenant.Bases
	Regime string
	// AuditURL is where the log is served, to link to; empty for no links.
	AuditURL string
	// Logger takes what goes wrong; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Room is a running console.
type Room struct {
	config Config
	gate   *access.Gate
	hub    *hub
	subs   []*nats.Subscription

	js     jetstream.JetStream
	known  known
	fleets fleets
	todays sharing[*todayPage]
	// deskPatience is how long a connector may take to answer for its tasks.
	deskPatience time.Duration
}

// New makes a console and lets it listen for changes. [Room.Close] ends that.
func New(c Config) (*Room, error) {
	switch {
	case c.Store == nil, c.Conn == nil, c.Act == nil:
		return nil, errors.New("console: a store, a bus connection and somebody to act are required")
	}
	looks, ok := c.Store.(store.Records)
	if !ok {
		return nil, errors.New("console: the store keeps no records, so nobody's views could be put on record")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Evidence == nil {
		c.Evidence = noLog{}
	}
	r := &Room{config: c, hub: newHub(), fleets: fleets{age: time.Second}, deskPatience: deskPatience}
	r.todays.age, r.todays.rest = time.Second, pause
	var err error
	if r.js, err = jetstream.New(c.Conn); err != nil {
		return nil, fmt.Errorf("console: opening JetStream: %w", err)
	}
	r.gate, err = access.New(access.Config{
		Token: c.Token, Once: c.Once, Local: Name, Login: c.Login, Record: looks.PutAccess, Logger: c.Logger,
		Now: func() time.Time { return r.config.Now() },
	})
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if err := r.listen(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close stops listening and ends all event streams.
func (r *Room) Close() error {
	var errs []error
	for _, s := range r.subs {
		if err := s.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
			errs = append(errs, fmt.Errorf("closing the console: %w", err))
		}
	}
	r.hub.close()
	return errors.Join(errs...)
}

// route is an address of the console. Who may use it is said by its entry in
// [access.Table], and by nothing else.
type route struct {
	pattern string
	// part is what scripts fetch.
	part  bool
	serve http.HandlerFunc
}

func (r *Room) routes() []route {
	return slices.Concat([]route{
		{"GET /assets/{name}", false, serveAsset},
		{"GET /login", false, r.login},
		{"POST /login", false, r.login},
		{"GET /login/start", false, r.loginStart},
		{"GET /login/callback", false, r.loginCallback},
		{"POST /logout", false, r.logout},
		{"GET /{$}", false, r.list},
		{"GET /today", false, r.today},
		{"GET /today/live", true, r.todayLive},
		{"GET /find", false, r.find},
		{"GET /requests/{id}", false, r.request},
		{"GET /live", true, r.listLive},
		{"GET /events", true, r.allEvents},
		{"GET /requests/{id}/live", true, r.requestLive},
		{"GET /requests/{id}/events", true, r.requestEvents},
		{"POST /find/person", false, r.findPerson},
		{"POST /filters", false, r.saveFilter},
		{"POST /filters/drop", false, r.dropFilter},
		{"POST /bulk/retry", false, r.bulkRetry},
		{"POST /bulk/assign", false, r.bulkAssign},
		{"POST /bulk/extend", false, r.bulkExtend},
		{"POST /bulk/plans", false, r.bulkPlans},
		{"GET /requests/{id}/answer", false, r.answer},
		{"POST /requests/{id}/posted", false, r.posted},
		{"GET /requests/{id}/copy", false, r.copyToReview},
		{"POST /requests/{id}/copy", false, r.reviewCopy},
		{"POST /requests/{id}/assign", false, r.assign},
		{"POST /requests/{id}/verify", false, r.verify},
		{"POST /requests/{id}/cancel", false, r.cancel},
		{"POST /requests/{id}/deny", false, r.deny},
		{"POST /requests/{id}/retry", false, r.retry},
		{"POST /requests/{id}/approve", false, r.approve},
		{"POST /requests/{id}/extend", false, r.extend},
		{"POST /requests/{id}/plan", false, r.approvePlan},
		{"POST /requests/{id}/hold", false, r.hold},
		{"POST /requests/{id}/unhold", false, r.unhold},
		{"GET /connectors", false, r.connectors},
		{"GET /connectors/live", true, r.connectorsLive},
		{"GET /connectors/{connector}", false, r.connector},
		{"GET /connectors/{connector}/live", true, r.connectorLive},
		{"POST /connectors/{connector}/pause", false, r.pauseConnector},
		{"POST /connectors/{connector}/resume", false, r.resumeConnector},
		{"GET /letters", false, r.letters},
		{"GET /letters/live", true, r.lettersLive},
		{"POST /letters/retry", false, r.retryLetters},
		{"GET /tasks", false, r.tasks},
		{"GET /tasks/live", true, r.tasksLive},
		{"GET /tasks/{connector}/{id}", false, r.task},
		{"GET /tasks/{connector}/{id}/proof/{proof}", false, r.taskProof},
		{"POST /tasks/{connector}/{id}/assign", false, r.assignTask},
		{"POST /tasks/{connector}/{id}/attach", false, r.attachProof},
		{"POST /tasks/{connector}/{id}/copy", false, r.attachCopy},
		{"POST /tasks/{connector}/{id}/uncopy", false, r.dropCopy},
		{"POST /tasks/{connector}/{id}/answer", false, r.answerTask},
		{"/", false, func(w http.ResponseWriter, req *http.Request) { r.fail(w, req, errNoPage) }},
	}, r.recipientRoutes(), r.evidenceRoutes(), r.tokenRoutes())
}

// Handler serves the console. Who has no session is sent to /login and gets one
// there from the company's login, or for the token.
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, one := range r.routes() {
		refuse := r.refuse
		if one.part {
			refuse = r.refusePart
		}
		mux.HandleFunc(one.pattern, r.gate.Need(one.pattern, one.part, one.serve, refuse))
	}
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.fail(w, req, errForeign)
	}))
	return secure(protection.Handler(r.telling(mux)))
}

// telling forgets what is shared among pages after whatever may have changed it, so
// that who changed something sees it.
func (r *Room) telling(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodGet {
			defer r.todays.change()
		}
		next.ServeHTTP(w, req)
	})
}

// policy allows a page its own style sheet, script, picture, stream and forms,
// and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		// Not no-referrer: that makes browsers send "Origin: null" with our own
		// forms, which would then be taken for another site's.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, req)
	})
}
