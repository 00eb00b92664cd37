package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/aftercare"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

var tracer = otel.Tracer("habeas/coordinator")

// outgoing is one message on its way, and the job it is, if it is one.
type outgoing struct {
	msg *nats.Msg
	job *store.Job
}

// publish sends what committed steps ask for: plans before the jobs they
// cover. It does not wait for the bus; what the bus refuses is put back for
// the sweeper, and what a crash here loses the sweeper finds.
func (r *Room) publish(ctx context.Context, steps []*step) {
	batches := make([][]outgoing, len(steps))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, st := range steps {
		g.Go(func() error {
			batches[i] = r.messages(ctx, st)
			return nil
		})
	}
	_ = g.Wait() // the functions return no errors
	var sent []outgoing
	var futures []jetstream.PubAckFuture
	var refused []outgoing
	stalled := false
	for _, batch := range batches {
		for _, o := range batch {
			if stalled {
				refused = append(refused, o)
				continue
			}
			f, err := r.JS.PublishMsgAsync(o.msg, jetstream.WithStallWait(5*time.Second))
			if err != nil {
				stalled = errors.Is(err, jetstream.ErrTooManyStalledMsgs)
				refused = append(refused, o)
				continue
			}
			sent, futures = append(sent, o), append(futures, f)
		}
	}
	r.counters.published.Add(ctx, int64(len(sent)))
	r.tell(steps)
	if len(sent)+len(refused) > 0 {
		r.background.Go(func() { r.confirm(ctx, sent, futures, refused) })
	}
}

// confirm waits for the bus's answers and puts refused jobs back.
func (r *Room) confirm(ctx context.Context, sent []outgoing, futures []jetstream.PubAckFuture, refused []outgoing) {
	timeout, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for i, f := range futures {
		select {
		case <-f.Ok():
			continue
		case <-f.Err():
		case <-timeout.Done():
		}
		if ctx.Err() != nil {
			return // the next start finds them
		}
		refused = append(refused, sent[i])
	}
	var ids []request.ID
	attempts := make(map[request.ID]int)
	for _, o := range refused {
		if o.job != nil {
			ids = append(ids, o.job.RequestID)
			attempts[o.job.ID] = o.job.Attempt
		}
	}
	if len(refused) > 0 {
		if err := r.ensure(ctx); err != nil { // a stream may be gone
			r.Logger.WarnContext(ctx, "making streams and consumers", slog.Any("error", err))
		}
		r.Logger.WarnContext(ctx, "the bus did not take messages; they will be sent again", slog.Int("messages", len(refused)), slog.Int("jobs", len(ids)))
	}
	if len(ids) == 0 {
		return
	}
	_, err := r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
		for i := range st.s.Jobs {
			if j := &st.s.Jobs[i]; j.State == request.JobSent && attempts[j.ID] == j.Attempt && j.Attempt > 0 {
				// Deferred and not planned: an attempt was made and may yet be answered.
				j.State, j.NextAt = request.JobDeferred, st.w.now.Add(2*time.Second)
				st.s.Touch(i)
			}
		}
		return nil
	})
	if err != nil {
		r.Logger.ErrorContext(ctx, "putting back jobs; the sweeper will find them", slog.Any("error", err))
	}
}

// messages makes the messages of one committed step.
func (r *Room) messages(ctx context.Context, st *step) []outgoing {
	var out []outgoing
	s := st.s
	for i := range s.Records {
		rec := &s.Records[i]
		if rec.Issuer == r.Signer.Issuer() {
			msg := wire.RecordEnvelopeMessage(rec.Issuer, rec.Envelope, rec.Digest)
			room.Inject(room.RequestTrace(ctx, string(s.Request.ID)), msg.Header)
			out = append(out, outgoing{msg: msg})
		}
	}
	if len(st.send) == 0 {
		return out
	}
	jobs, err := r.jobMessages(ctx, st)
	if err != nil {
		r.Logger.ErrorContext(ctx, "making jobs; the sweeper will try again", slog.String("request", string(s.Request.ID)), slog.Any("error", err))
	}
	return append(out, jobs...)
}

func (r *Room) jobMessages(ctx context.Context, st *step) ([]outgoing, error) {
	s := st.s
	key, err := r.Vault.Unwrap(ctx, s.Request.WrappedKey)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	var subject about
	if subject.identifiers, err = key.OpenIdentifiers(s.Request.ID, s.Request.Sealed); err != nil {
		return nil, err
	}
	if len(s.Request.Corrections) > 0 {
		if subject.corrections, err = key.OpenCorrections(s.Request.ID, s.Request.Corrections); err != nil {
			return nil, err
		}
	}
	ctx, span := tracer.Start(room.RequestTrace(ctx, string(s.Request.ID)), "coordinator dispatch",
		trace.WithAttributes(attribute.Int("habeas.jobs", len(st.send))))
	defer span.End()
	out := make([]outgoing, 0, len(st.send))
	var failed error
	for _, i := range st.send {
		j := s.Jobs[i]
		c, known := st.w.connector(j.Connector)
		if !known {
			continue
		}
		msg, err := r.jobMessage(st, &j, c, subject)
		if err != nil { // the others can be sent all the same
			failed = errors.Join(failed, fmt.Errorf("job for %s: %w", j.Connector, err))
			continue
		}
		room.Inject(ctx, msg.Header)
		out = append(out, outgoing{msg: msg, job: &j})
	}
	return out, failed
}

// about is whom and what jobs are about, in clear.
type about struct {
	identifiers []request.Identifier
	corrections []request.Correction
}

func (r *Room) jobMessage(st *step, j *store.Job, c Connector, of about) (*nats.Msg, error) {
	s := st.s
	subject := &habeasv1.Subject{JobId: string(j.ID)}
	if j.Action == request.ActionCorrect {
		for _, f := range of.corrections {
			subject.Corrections = append(subject.Corrections, &habeasv1.Correction{Field: f.Field, Value: f.Value.Reveal()})
		}
	}
	for _, id := range of.identifiers {
		for _, kind := range j.Kinds {
			if string(id.Kind) == kind {
				subject.Identifiers = append(subject.Identifiers, &habeasv1.Identifier{Kind: kind, Value: id.Reveal()})
			}
		}
	}
	sealed, err := r.SealKey.SealSubject(subject, c.SealKey)
	if err != nil {
		return nil, err
	}
	job := &habeasv1.Job{
		JobId: string(j.ID), RequestId: string(j.RequestID), Connector: j.Connector, Action: wireAction(j.Action),
		SealedSubject: sealed, SealerKey: r.SealKey.Public(), SubjectCommitment: s.Request.Commitment,
		PlanDigest: j.PlanDigest, ManifestDigest: j.ManifestDigest, Regime: s.Request.Regime, Right: string(s.Request.Right()),
		ReceiveTime: timestamppb.New(s.Request.Terms.Received), DueTime: timestamppb.New(s.Request.RespondBy),
		Attempt: int32(j.Attempt), CapOverride: j.CapOverride, PriorLocated: j.LocatedEnvelope, Tenant: s.Request.Tenant, //nolint:gosec // attempts are few
	}
	if since := s.Request.Since(); !since.IsZero() {
		loc, err := request.Zone(s.Request.Terms.Due.Zone)
		if err != nil {
			return nil, fmt.Errorf("time zone of the regime: %w", err)
		}
		job.SinceTime = timestamppb.New(since.Start(loc))
	}
	if j.Action == request.ActionErase && c.Scopes {
		job.Excluded = st.excluded(c)
	}
	if j.Action == request.ActionExport {
		job.ExportRecipient = r.ExportRecipient
	}
	return wire.JobMessage(job)
}

// tell lets integrations know which requests moved, and the console which
// changed at all. Both are told once and may miss it.
func (r *Room) tell(steps []*step) {
	var changed []request.ID
	for _, st := range steps {
		r.tellIncidents(st.s.Incidents)
		if !st.s.Changed && len(st.s.ChangedJobs) == 0 {
			continue
		}
		changed = append(changed, st.s.Request.ID)
		if !st.moved {
			continue
		}
		if st.s.Request.State() == request.Packaging {
			_ = r.Conn.Publish(wire.HintSubject("delivery"), nil) // a lost hint costs a moment
		}
		msg, err := eventMessage(&st.s.Request, st.w.now)
		if err != nil {
			continue
		}
		if _, err := r.JS.PublishMsgAsync(msg); err != nil {
			r.Logger.Warn("telling of a change", slog.String("request", string(st.s.Request.ID)), slog.Any("error", err))
		}
	}
	if len(changed) == 0 {
		return
	}
	if body, err := json.Marshal(changed); err == nil {
		_ = r.Conn.Publish(wire.HintSubject("console"), body) // a lost hint costs a moment
	}
}

// tellIncidents lets integrations know of incidents, once; they are stored.
func (r *Room) tellIncidents(incidents []store.Incident) {
	for _, i := range incidents {
		msg, err := aftercare.EventMessage(Name, i)
		if err == nil {
			_, err = r.JS.PublishMsgAsync(msg)
		}
		if err != nil {
			r.Logger.Warn("telling of an incident", slog.String("incident", i.ID), slog.Any("error", err))
		}
	}
}

// eventMessage makes the CloudEvent of a changed request (CloudEvents 1.0,
// structured JSON).
func eventMessage(r *store.Request, now time.Time) (*nats.Msg, error) {
	data := map[string]string{"request_id": string(r.ID), "state": string(r.State()), "right": string(r.Right()), "attention": r.Attention}
	if r.Ending != nil {
		data["result"] = string(r.Ending.Result)
	}
	id := fmt.Sprintf("%s/%d", r.ID, r.Version)
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": id, "source": "urn:habeas:coordinator", "type": "org.habeas-data.request." + string(r.State()) + ".v1",
		"subject": string(r.ID), "time": now.Format(time.RFC3339Nano), "datacontenttype": "application/json", "data": data,
	})
	if err != nil {
		return nil, fmt.Errorf("making an event: %w", err)
	}
	msg := nats.NewMsg(wire.EventSubject(string(r.ID)))
	msg.Header.Set(wire.HeaderContentType, wire.ContentEvent)
	msg.Header.Set(nats.MsgIdHdr, id)
	msg.Data = body
	return msg, nil
}

// refusal is why a message was refused, as a code.
type refusal string

const (
	malformed        refusal = "malformed"
	badManifest      refusal = "manifest"
	unknownKey       refusal = "unknown_key"
	wrongIssuer      refusal = "wrong_issuer"
	badSignature     refusal = "bad_signature"
	unknownRequest   refusal = "unknown_request"
	sealedForAnother refusal = "sealed_for_another"
)

var refusals = [...]refusal{malformed, badManifest, unknownKey, wrongIssuer, badSignature, unknownRequest, sealedForAnother}

func (why refusal) option() metric.MeasurementOption {
	return metric.WithAttributes(attribute.String("reason", string(why)))
}

func (r *Room) reject(ctx context.Context, why refusal, m jetstream.Msg, err error) {
	r.counters.rejected.Add(ctx, 1, why.option())
	r.Logger.ErrorContext(ctx, "message refused", slog.String("subject", m.Subject()), slog.String("reason", string(why)), slog.Any("error", err))
	_ = m.TermWithReason(string(why)) // it would be refused again
}
