// Package intake is where requests come in.
//
// What it owes its callers: a submission is either stored, with its clocks
// running and its arrival on record, or refused with an error that names the
// field, and then nothing of it is kept. The same idempotency key gives the
// same request however often it is sent. Identifiers are encrypted before they
// are stored. A request to opt out or to limit goes straight on; the others wait
// until it is verified who the requester is, here or by whoever attests it.
package intake

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Name is the room's name in evidence.
const Name = "intake"

// Config is what intake needs. All fields without a default are required.
type Config struct {
	Store   store.Store
	Regimes *regimes.Set
	Vault   *vault.Vault
	// Signer signs the records of intake and verification.
	Signer *wire.Signer
	Conn   *nats.Conn
	JS     jetstream.JetStream
	// Pepper keys the digests that tell a repeated submission from a clash;
	// every intake of a deployment has the same.
	Pepper []byte
	// Regime is used when a submission names none.
	Regime string
	// Bases are on what connectors may keep records; nil is not known.
	Bases *tenant.Bases
	// Channels are the ways the company named for requests; a request that comes
	// another way counts all the same, and its sender is told. None is every
	// known one.
	Channels []request.Channel
	// SellsOrShares says that the business sells or shares personal information,
	// so that a refused deletion comes with the question whether to opt out.
	SellsOrShares bool
	// PolicyURL is where the business describes its practices.
	PolicyURL string
	// Approvers is how many people must agree to lift a cap; 2, or 1 for a
	// deployment run by one person.
	Approvers int
	// PlanApprovers is how many people must approve a plan that waits for it: 1, or
	// 2.
	PlanApprovers int
	// Training, when set, says who may decide.
	Training Training
	Logger   *slog.Logger
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Room takes requests in.
type Room struct{ Config }

// New makes an intake.
func New(c Config) *Room {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Approvers == 0 {
		c.Approvers = 2
	}
	return &Room{Config: c}
}

// Entry is one request to take in.
type Entry struct {
	Submission     request.Submission
	IdempotencyKey string
	// ReceivedAt is when it reached the company; zero means now.
	ReceivedAt time.Time
	// Attested, when set, is who vouches for the requester, with At and By
	// filled in by intake.
	Attested *request.Verified
	// Probe marks a made-up request; see [request.ChannelProbe]. Only the
	// company's own watch over its doors may set it.
	Probe bool
}

// Taken is what came of one entry: a stored or earlier request, or an error.
type Taken struct {
	ID       request.ID
	Existing bool
	Err      error
}

var tracer = otel.Tracer("habeas/intake")

// Take stores entries and answers each, in order. The error is for all of
// them: the store was out of reach and nothing is known to be stored.
func (r *Room) Take(ctx context.Context, entries []Entry, by string) ([]Taken, error) {
	taken := make([]Taken, len(entries))
	prepared := make([]store.New, len(entries))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range entries {
		g.Go(func() error {
			prepared[i], taken[i].Err = r.prepare(ctx, &entries[i], by)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	var news []store.New
	var index []int
	for i := range entries {
		if taken[i].Err == nil {
			news, index = append(news, prepared[i]), append(index, i)
		}
	}
	if len(news) == 0 {
		return taken, nil
	}
	if err := r.order(ctx, news, false); err != nil {
		return nil, err
	}
	created, err := r.Store.Create(ctx, news)
	if err != nil {
		return nil, err
	}
	reached := true
	for k, c := range created {
		taken[index[k]] = Taken{ID: c.ID, Existing: c.Existing, Err: c.Err}
		if reached && c.Err == nil && !c.Existing {
			reached = r.announce(ctx, news[k].Request.ID, news[k].Records)
		}
	}
	if err := r.order(ctx, news, true); err != nil {
		// They are stored; only the order among several at once may be lost.
		r.Logger.WarnContext(ctx, "looking for other requests of the same people", slog.Any("error", err))
	}
	r.hint(nil)
	return taken, nil
}

// prepare turns an entry into what is stored.
func (r *Room) prepare(ctx context.Context, e *Entry, by string) (store.New, error) {
	now := r.Now().UTC()
	if e.Attested != nil && !request.MayAttest(ctx) {
		return store.New{}, request.ErrAttest
	}
	if e.Submission.Regime == "" {
		e.Submission.Regime = r.Regime
	}
	switch {
	case e.Probe:
		e.Submission.Channel = request.ChannelProbe
	case e.Submission.Channel == request.ChannelProbe:
		// Otherwise a request could be kept out of the log.
		return store.New{}, request.FieldErrors{{Field: "channel", Problem: "is for the watch over the doors alone", Fix: "say how the request was made, such as web or phone"}}
	}
	s, err := e.Submission.Normalize()
	if err != nil {
		return store.New{}, err
	}
	if !printable(e.IdempotencyKey) {
		return store.New{}, request.FieldErrors{{Field: "idempotency_key", Problem: "has characters that can't be seen or is no UTF-8", Fix: "use letters, digits and punctuation"}}
	}
	received := e.ReceivedAt.UTC()
	if e.ReceivedAt.IsZero() {
		received = now
	}
	if received.After(now.Add(time.Minute)) {
		return store.New{}, request.FieldErrors{{Field: "received_at", Problem: "is in the future", Fix: "check the sender's clock, or leave it out"}}
	}
	s.Undesignated = s.Undesignated || !r.designated(s.Channel)
	terms, err := r.terms(s, received)
	if err != nil {
		return store.New{}, err
	}
	req, err := request.New(request.NewID(), s, terms)
	if err != nil {
		return store.New{}, err
	}
	ctx, span := tracer.Start(room.RequestTrace(ctx, string(req.ID)), "intake take")
	defer span.End()
	if err := advance(req, e.Attested, now, by); err != nil {
		return store.New{}, err
	}
	respondBy, attention, err := deadline(req)
	if err != nil {
		return store.New{}, err
	}
	key, wrapped, err := r.Vault.NewDataKey(ctx)
	if err != nil {
		return store.New{}, err
	}
	defer key.Destroy()
	commitment := key.Commitment(vault.Pairs(s.Identifiers))
	out := store.Request{
		Request: req, RespondBy: respondBy, Attention: attention, WrappedKey: wrapped, Sealed: key.SealIdentifiers(req.ID, s.Identifiers),
		Kinds: kindsOf(s.Identifiers), Commitment: commitment[:], IdempotencyKey: e.IdempotencyKey,
		CreatedAt: now, UpdatedAt: now, Version: 1,
	}
	if e.IdempotencyKey != "" {
		out.Fingerprint = r.fingerprint(s)
	}
	if len(s.Corrections) > 0 {
		out.Corrections = key.SealCorrections(req.ID, s.Corrections)
	}
	n := store.New{Request: out, People: r.people(s.Identifiers), Notices: firstNotices(req, now)}
	for _, p := range r.predicates(req, commitment[:]) {
		rec, err := r.record(&n.Request, p, now)
		if err != nil {
			return store.New{}, err
		}
		n.Records = append(n.Records, rec)
	}
	return n, nil
}

// printable reports whether a key can be stored and shown anywhere.
func printable(key string) bool {
	if !utf8.ValidString(key) {
		return false
	}
	for _, c := range key {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

// advance moves a new request to where it waits or may be planned.
func advance(req *request.Request, attested *request.Verified, now time.Time, by string) error {
	if req.Case.Subject == request.HouseholdSubject {
		return req.RefuseHousehold(now)
	}
	if !req.Right().Verifiable() {
		if attested != nil {
			return request.FieldErrors{{Field: "verification", Problem: request.ErrNeverVerified.Error(), Fix: "leave it out"}}
		}
		if req.Right().Desk() {
			return nil // it waits for its second step, or for a decision
		}
		return req.Move(request.Accepted)
	}
	if req.Case.Unconfirmed {
		if attested == nil || !req.Terms.Ruled() {
			return nil
		}
		v := *attested
		v.At, v.By = now, by
		return asField(req.Attest(v))
	}
	if err := req.Move(request.AwaitingVerification); err != nil || attested == nil || !req.Terms.Ruled() {
		return err // without rules nobody can say what is enough: it waits
	}
	return attest(req, *attested, now, by)
}

func attest(req *request.Request, v request.Verified, now time.Time, by string) error {
	v.At, v.By = now, by
	if err := asField(req.Attest(v)); err != nil || req.Case.Unconfirmed {
		return err
	}
	return req.Move(request.Accepted)
}

// asField says of an attestation that can't stand what is wrong with it.
func asField(err error) error {
	for _, other := range []error{request.ErrAlreadyVerified, request.ErrTransition, request.ErrNeverVerified, request.ErrNoRules, request.ErrSuspicious} {
		if err == nil || errors.Is(err, other) {
			return err
		}
	}
	return request.FieldErrors{{Field: "verification", Problem: err.Error(), Fix: "attest the method and level that were really used"}}
}

// designated reports whether the company named a channel for requests.
func (r *Room) designated(c request.Channel) bool {
	if len(r.Channels) > 0 {
		return c == request.ChannelProbe || slices.Contains(r.Channels, c)
	}
	return slices.Contains([]request.Channel{
		request.ChannelAPI, request.ChannelWeb, request.ChannelEmail, request.ChannelPhone, request.ChannelMail, request.ChannelInPerson,
		request.ChannelAgent, request.ChannelGPC, request.ChannelDROP, request.ChannelProbe,
	}, c)
}

// firstNotices are what the person is told when a request arrives: that it did,
// how it will be processed and when to expect the answer (11 CCR 7021(a)); how
// to make it, when it came another way (7020(e)); and its second step.
func firstNotices(req *request.Request, now time.Time) []store.Notice {
	var kinds []store.NoticeKind
	if !req.Terms.Due.Acknowledge.IsZero() {
		kinds = append(kinds, store.NoticeReceipt)
	}
	if req.Case.Undesignated {
		kinds = append(kinds, store.NoticeFixIt)
	}
	if req.Case.Unconfirmed {
		kinds = append(kinds, store.NoticeConfirm)
	}
	var out []store.Notice
	for _, k := range kinds {
		out = append(out, store.Notice{RequestID: req.ID, Kind: k, CreatedAt: now})
	}
	return out
}

func kindsOf(ids []request.Identifier) []store.Kind {
	var kinds []store.Kind
	seen := make(map[request.Kind]bool)
	for _, id := range ids {
		if !seen[id.Kind] {
			seen[id.Kind] = true
			kinds = append(kinds, store.Kind{Name: string(id.Kind)})
		}
	}
	return kinds
}

// fingerprint tells a repeated submission from another one under the same key.
func (r *Room) fingerprint(s request.Submission) []byte {
	mac := hmac.New(sha256.New, r.Pepper)
	enc := json.NewEncoder(mac)
	for _, part := range []any{s.Tenant, s.Regime, s.Right, s.Channel, vault.Pairs(s.Identifiers), s.Range.Kind, s.Range.From.String()} {
		if err := enc.Encode(part); err != nil {
			panic(err) // strings can always be encoded
		}
	}
	if more := asked(s); more != nil {
		if err := enc.Encode(more); err != nil {
			panic(err) // strings can always be encoded
		}
	}
	return mac.Sum(nil)
}

// asked is what a submission asks beyond what every submission has; nil when it
// has nothing more, so that fingerprints of old stay as they are. It is digested
// at once and never stored.
func asked(s request.Submission) any {
	if len(s.Corrections) == 0 && len(s.Portions) == 0 && !s.TwoStep && s.Requester == "" && s.Minor == "" && !s.NewPapers {
		return nil
	}
	pairs := make([][2]string, len(s.Corrections))
	for i, c := range s.Corrections {
		pairs[i] = [2]string{c.Field, c.Value.Reveal()}
	}
	return []any{pairs, s.Portions, s.TwoStep, s.Requester, s.Minor, s.NewPapers}
}

// predicates are the records a new request begins with.
func (r *Room) predicates(req *request.Request, commitment []byte) []wire.Predicate {
	out := []wire.Predicate{&habeasv1.IntakeRecord{
		RequestId: string(req.ID), Regime: req.Regime, RegimeVersion: req.Terms.Due.RuleVersion, Right: string(req.Right()),
		Channel: string(req.Channel), ReceiveTime: timestamppb.New(req.Terms.Received), ReceiveDate: req.Terms.Due.Received.String(),
		DueDates: req.Terms.Due.Dates(), Calendar: req.Terms.Due.Calendar.String(), SubjectCommitment: commitment,
	}}
	if v, ok := req.Verification(); ok {
		if done, ok := v.(request.Verified); ok {
			out = append(out, &habeasv1.VerifiedRecord{RequestId: string(req.ID), Method: done.Method, Level: string(done.Level)})
		}
	}
	return out
}

// record signs a predicate and names it among the request's records.
func (r *Room) record(req *store.Request, p wire.Predicate, now time.Time) (store.Record, error) {
	rec, err := r.Signer.Sign(p, string(req.ID), req.Commitment)
	if err != nil {
		return store.Record{}, err
	}
	req.RecordDigests = append(req.RecordDigests, rec.Digest[:]...)
	return store.Record{
		Digest: rec.Digest[:], RequestID: req.ID, Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now,
	}, nil
}

// announce publishes stored records. It does not wait: what the bus does not
// take, the coordinator's sweeper publishes. It reports whether the bus takes
// any.
func (r *Room) announce(ctx context.Context, id request.ID, records []store.Record) bool {
	for i := range records {
		msg := wire.RecordEnvelopeMessage(records[i].Issuer, records[i].Envelope, records[i].Digest)
		room.Inject(room.RequestTrace(ctx, string(id)), msg.Header)
		if _, err := r.JS.PublishMsgAsync(msg); err != nil {
			r.Logger.WarnContext(ctx, "publishing a record; the sweeper will", slog.String("request", string(id)), slog.Any("error", err))
			return false
		}
	}
	return true
}

// hint wakes the coordinator: to plan, or to look at one request.
func (r *Room) hint(ids []request.ID) {
	var body []byte
	if ids != nil {
		var err error
		if body, err = json.Marshal(ids); err != nil {
			return
		}
	}
	if err := r.Conn.Publish(wire.HintSubject("coordinator"), body); err != nil {
		r.Logger.Debug("a hint was lost", slog.Any("error", err))
	}
}
