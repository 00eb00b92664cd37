package console

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
	"github.com/habeas-data/habeas/services/tokens"
)

const token = "the-token-of-this-deployment"

// planted is personal data in every place where a store holds some, sealed or
// not meant for eyes. No page may show it.
const planted = "mallory.planted@example.com"

// now is when the tests look.
var now = time.Date(2026, time.June, 15, 18, 0, 0, 0, time.UTC)

// actor remembers what it was asked and answers with err.
type actor struct {
	mu    sync.Mutex
	calls []string
	err   error
}

func (a *actor) note(format string, args ...any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, fmt.Sprintf(format, args...))
	return a.err
}

func (a *actor) Attest(_ context.Context, id request.ID, v request.Verified, by string) error {
	return a.note("attest %s %s %s by %s", id, v.Method, v.Level, by)
}

func (a *actor) Stop(_ context.Context, id request.ID, e request.Ending) error {
	return a.note("stop %s %s %s %q", id, e.Result, e.Code, e.Reason)
}

func (a *actor) Deny(_ context.Context, id request.ID, d request.Refusal) error {
	return a.note("deny %s %s %q %v", id, d.Code, d.Reason, d.Evidence)
}

func (a *actor) Denials(r *store.Request) ([]request.RefusalCode, error) {
	if r.Right() != request.Delete {
		return nil, nil
	}
	return []request.RefusalCode{
		{Code: "unverified_delete", Citation: "11 CCR 7022(a)", Text: "We could not verify who asks."},
		{Code: "fraud", Citation: "11 CCR 7026(e)", Text: "We believe that the request is fraudulent.", Needs: []string{"document"}, TwoPeople: true},
	}, nil
}

func (a *actor) RetryAll(_ context.Context, ids []request.ID) ([]error, error) {
	return a.answers(ids), a.note("retry all %d", len(ids))
}

func (a *actor) ExtendAll(_ context.Context, ids []request.ID, reason string) ([]error, error) {
	return a.answers(ids), a.note("extend all %d %q", len(ids), reason)
}

func (a *actor) AssignAll(_ context.Context, ids []request.ID, who string) ([]error, error) {
	return a.answers(ids), a.note("assign all %d %q", len(ids), who)
}

func (a *actor) ApprovePlans(_ context.Context, ids []request.ID) ([]error, error) {
	a.mu.Lock()
	err := a.err
	a.mu.Unlock()
	if err != nil {
		return []error{err}, nil
	}
	return a.answers(ids), a.note("approve plans %d %s", len(ids), ids[0])
}

func (a *actor) ApproveCopy(_ context.Context, id request.ID, digest []byte) error {
	return a.note("approve copy %x of %s", digest, id)
}

func (a *actor) MakeCopyAgain(_ context.Context, id request.ID, digest []byte, c request.CopyChanges) error {
	if _, err := request.CheckMasked(c.Mask); err != nil {
		return err
	}
	return a.note("make copy %x of %s again, mask %q, without %v", digest, id, c.Mask, c.LeftOut)
}

// answers refuses every second request of many.
func (a *actor) answers(ids []request.ID) []error {
	out := make([]error, len(ids))
	for i := range ids {
		if i%2 == 1 {
			out[i] = request.ErrNothingToRetry
		}
	}
	return out
}

func (a *actor) Digests(ids []request.Identifier) ([][]byte, error) {
	n, err := ids[0].Normalize()
	if err != nil {
		return nil, request.FieldErrors{{Field: "identifier", Problem: "can't be used", Fix: "check it"}}
	}
	sum := sha256.Sum256([]byte(n.Reveal()))
	return [][]byte{sum[:]}, nil
}

func (a *actor) Retry(_ context.Context, id request.ID, connector string, limit int64) error {
	return a.note("retry %s %q %d", id, connector, limit)
}

func (a *actor) Extend(_ context.Context, id request.ID, reason string) error {
	return a.note("extend %s %q", id, reason)
}

func (a *actor) Hold(_ context.Context, id request.ID, h request.Hold) (request.ID, error) {
	return "", a.note("hold %s %s %q %q", id, h.Kind, h.Ref, h.Reason)
}

func (a *actor) EndHold(_ context.Context, id, hold request.ID) error {
	return a.note("unhold %s %s", id, hold)
}

// desk is a console that is served, and what is around it.
type desk struct {
	room   *Room
	store  *litestore.Store
	bus    *wiretest.Bus
	act    *actor
	log    *log
	tokens *tokens.Keeper
	server *httptest.Server
	client *http.Client // signed in
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	s, err := litestore.Open(t.Context(), litetest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // a test may have closed it
	d := &desk{store: s, bus: wiretest.New(t), act: &actor{}, log: &log{}}
	d.tokens = &tokens.Keeper{Store: s, Record: s.PutAccess, Now: func() time.Time { return now }}
	d.room, err = New(Config{
		Store: s, Conn: d.bus.Conn, Act: d.act, Token: token, Once: token, AuditURL: "/log",
		Evidence: d.log, Tokens: d.tokens, Recipients: vendors{d.act}, Answers: shelf{d.act}, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.room.todays.age, d.room.todays.rest, d.room.fleets.age = 0, 0, 0 // what a test changes shows at once
	d.server = httptest.NewServer(d.room.Handler())
	t.Cleanup(func() {
		if err := d.room.Close(); err != nil {
			t.Error(err)
		}
		d.server.Close()
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	d.client = &http.Client{Jar: jar}
	d.fetch(t, "/login?token="+token)
	return d
}

// made is a request for the tests to store.
type made struct {
	right     request.Right
	state     request.State
	received  time.Time
	ending    *request.Ending
	attention string
	jobs      []store.Job
	edit      func(*store.Request)
	people    [][]byte
}

func (d *desk) add(t testing.TB, m made) request.ID {
	t.Helper()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := set.Terms("us-ca-ccpa", m.received, m.right, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	var v request.Verification
	switch {
	case !m.right.Verifiable():
	case m.state == request.Received || m.state == request.AwaitingVerification:
		v = request.Unverified{}
	default:
		v = request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: m.received.Add(time.Hour), By: planted}
	}
	base := request.Request{ID: request.NewID(), Regime: "us-ca-ccpa", Channel: request.ChannelWeb, Terms: terms, Ending: m.ending}
	domain, err := request.Restore(base, m.right, m.state, v)
	if err != nil {
		t.Fatal(err)
	}
	respondBy, err := terms.Due.Instant(domain.AnswerBy())
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte(domain.ID))
	r := store.Request{
		Request: domain, RespondBy: respondBy, WrappedKey: []byte(planted), Sealed: []byte(planted), Commitment: []byte(planted),
		Kinds: []store.Kind{{Name: "email"}, {Name: "user_id", Round: 1, By: "crm"}}, IdempotencyKey: planted + string(domain.ID), Fingerprint: []byte(planted),
		RecordDigests: append(digest[:], digest[:]...), Attention: m.attention, CreatedAt: m.received, UpdatedAt: m.received.Add(26 * time.Hour), Version: 3,
	}
	if m.state == request.Closed {
		r.ClosedAt, r.ClosureDigest = m.received.Add(50*time.Hour), digest[:]
	}
	if m.edit != nil {
		m.edit(&r)
	}
	if _, err := d.store.Create(t.Context(), []store.New{{Request: r, People: m.people}}); err != nil {
		t.Fatal(err)
	}
	_, err = d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{r.ID}}, true, func(snaps []*store.Snapshot) error {
		for _, j := range m.jobs {
			j.ID, j.RequestID, j.PlanDigest, j.UpdatedAt = request.NewID(), r.ID, digest[:], now
			j.ConnectorVersion, j.LocatedEnvelope = "1.0.0", []byte(planted)
			snaps[0].Jobs = append(snaps[0].Jobs, j)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.ID
}

func outcome(o *habeasv1.Outcome) []byte {
	text, err := protojson.Marshal(o)
	if err != nil {
		panic(err)
	}
	return text
}

func counted(name, category string, located, remaining, kept int64) *habeasv1.StoreCount {
	return &habeasv1.StoreCount{Store: name, Category: category, LocatedCount: located, RemainingCount: remaining, KeptCount: kept}
}

const planText = `{"regime":"us-ca-ccpa","rule_version":"2026-01-01","calendar":"us-ca@2026.1","delete_scope":"about_any","made":"2026-06-10T09:00:00Z","count":2,
"omissions":[{"connector":"analytics","reason":"needs_identifier","kinds":["user_id","device_id"]},{"connector":"warehouse","reason":"not_supported"}],"connectors":{}}`

// deletion is a request at work in every way a job can be.
func deletion() made {
	until := timestamppb.New(time.Date(2033, time.June, 30, 0, 0, 0, 0, time.UTC))
	kept := counted("billing.invoices", "D", 14, 0, 11)
	kept.Basis, kept.UntilTime = "tax_records", until
	return made{
		right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -12), attention: "failed",
		edit: func(r *store.Request) { r.Plan, r.PlanDigest = []byte(planText), []byte("digest") },
		jobs: []store.Job{
			{Connector: "crm", Action: request.ActionResolve, State: request.JobDone, Attempt: 1, Kinds: []string{"email"}, Outcome: outcome(&habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}})},
			{
				Connector: "billing", Action: request.ActionErase, State: request.JobRetained, Attempt: 1, Code: "tax_records", Kinds: []string{"email", "customer_id"},
				Outcome: outcome(&habeasv1.Outcome{Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: "tax_records", UntilTime: until}}, Stores: []*habeasv1.StoreCount{
					counted("billing.customers", "A", 1, 0, 0), kept, counted("billing.payment_methods", "B", 2, 0, 0),
				}}),
			},
			{
				Connector: "adtech", Action: request.ActionErase, State: request.JobSent, Attempt: 1, SentAt: now.Add(-time.Minute), Kinds: []string{"email"},
				Located: outcome(&habeasv1.Outcome{Stores: []*habeasv1.StoreCount{counted("adtech.audiences", "K", 37, 0, 0), counted("adtech.identity_graph", "A", 6, 0, 0)}}),
			},
			{
				Connector: "analytics", Action: request.ActionErase, State: request.JobDeferred, Attempt: 3, Code: "unavailable",
				Message: "the bucket does not answer", SentAt: now.Add(-time.Hour), NextAt: now.Add(20 * time.Minute), Kinds: []string{"user_id"},
			},
			{Connector: "warehouse", Action: request.ActionErase, State: request.JobFailed, Attempt: 10, Code: "denied", Message: "the credentials are not allowed to delete from events"},
			{Connector: "mail", Action: request.ActionErase, State: request.JobNeedsIdentifier, Attempt: 1, Code: "needs_identifier", Outcome: outcome(&habeasv1.Outcome{Result: &habeasv1.Outcome_NeedsIdentifier{NeedsIdentifier: &habeasv1.NeedsIdentifier{Kinds: []string{"phone"}}}})},
			{Connector: "crm", Action: request.ActionErase, State: request.JobPlanned, NextAt: now.Add(time.Hour)},
		},
	}
}

func copied() made {
	stores := []*habeasv1.StoreCount{counted("crm.contacts", "A", 3, 3, 0), counted("crm.notes", "", 41, 41, 0)}
	stores[0].ExportedCount, stores[1].ExportedCount = 3, 41
	return made{
		right: request.KnowSpecific, state: request.Closed, received: now.AddDate(0, 0, -20), ending: &request.Ending{Result: request.ResultComplete},
		edit: func(r *store.Request) {
			r.Package = store.Package{Key: "packages/" + planted, Identity: []byte(planted), SHA256: r.ClosureDigest, Size: 2_481_337}
			r.Plan = []byte(`{"rule_version":"2026-01-01","made":"2026-05-27T09:00:00Z","count":1}`)
		},
		jobs: []store.Job{{
			Connector: "crm", Action: request.ActionExport, State: request.JobDone, Attempt: 1,
			Outcome: outcome(&habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: stores, Parts: []*habeasv1.ExportPart{{Store: "crm.notes", Withheld: []string{"driver's licence number"}}}}),
		}},
	}
}

func tooMany() made {
	return made{
		right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -2), attention: "over_limit",
		jobs: []store.Job{{
			Connector: "analytics", Action: request.ActionErase, State: request.JobOverLimit, Attempt: 1, Code: "over_limit",
			Outcome: outcome(&habeasv1.Outcome{
				Result: &habeasv1.Outcome_OverLimit{OverLimit: &habeasv1.OverLimit{MatchedCount: 201_344, Cap: 50_000}},
				Stores: []*habeasv1.StoreCount{counted("analytics.events", "F", 201_344, 201_344, 0)},
			}),
		}},
	}
}

func waiting() made {
	return made{right: request.Delete, state: request.AwaitingVerification, received: now.AddDate(0, 0, -41)}
}

// company stores a day's worth of requests and returns their ids by name.
func (d *desk) company(t testing.TB) map[string]request.ID {
	t.Helper()
	ids := make(map[string]request.ID)
	for _, m := range []struct {
		name string
		made
	}{
		{"late", made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -47), attention: "failed", jobs: []store.Job{
			{Connector: "crm", Action: request.ActionErase, State: request.JobFailed, Attempt: 10, Code: "exhausted", Message: "the CRM answers 500"},
		}}},
		{"waiting", waiting()},
		{"copied", copied()},
		{"denied", made{right: request.KnowSpecific, state: request.Closed, received: now.AddDate(0, 0, -19), ending: &request.Ending{Result: request.ResultDenied, Code: "not_verified", Reason: "We could not verify that you are the account holder."}}},
		{"partial", made{right: request.KnowCategories, state: request.Closed, received: now.AddDate(0, 0, -18), ending: &request.Ending{Result: request.ResultPartial}}},
		{"optedOut", made{right: request.OptOutSaleShare, state: request.Closed, received: now.AddDate(0, 0, -15), ending: &request.Ending{Result: request.ResultComplete}, jobs: []store.Job{
			{Connector: "adtech", Action: request.ActionOptOut, State: request.JobDone, Attempt: 1, Outcome: outcome(&habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: []*habeasv1.StoreCount{counted("adtech.audiences", "K", 12, 0, 0)}})},
		}}},
		{"deletion", deletion()},
		{"kept", made{right: request.Delete, state: request.Closing, received: now.AddDate(0, 0, -11), ending: &request.Ending{Result: request.ResultCompleteWithExceptions}}},
		{"packaging", made{right: request.KnowSpecific, state: request.Packaging, received: now.AddDate(0, 0, -6)}},
		{"stopSale", made{right: request.OptOutSaleShare, state: request.Running, received: now.AddDate(0, 0, -18).Add(time.Hour), jobs: []store.Job{
			{Connector: "adtech", Action: request.ActionOptOut, State: request.JobSent, Attempt: 1, SentAt: now},
		}}},
		{"nobody", made{right: request.Correct, state: request.Running, received: now.AddDate(0, 0, -3), attention: "no_connector"}},
		{"tooMany", tooMany()},
		{"fresh", made{right: request.LimitSPI, state: request.Accepted, received: now.Add(-time.Minute)}},
	} {
		ids[m.name] = d.add(t, m.made)
	}
	return ids
}
