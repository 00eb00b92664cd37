package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// task is one job being worked on.
type task struct {
	job    *habeasv1.Job
	person Person
	// corrections are what to put right, for ACTION_CORRECT.
	corrections []Correction
	start       time.Time
	// deliveries is how often the bus has delivered this message.
	deliveries uint64
	// again is set when the job may have been worked on before, here or by
	// another instance.
	again bool
	// prior is the located record of an earlier attempt that may have acted.
	prior *habeasv1.LocatedRecord
	// unproven is set when there is such a record that can't be checked: it was
	// signed with a key that this instance does not have.
	unproven bool
	// cohort is whom the job's calls are made together with; nil when alone.
	cohort *cohort
	// seen is what was seen last, for the outcome.
	seen []*habeasv1.StoreCount
}

// private is everything of the person that no error may repeat.
func (t *task) private() Person {
	p := t.person
	for _, c := range t.corrections {
		p = p.With(Identifier{Kind: "correction", Value: c.Value})
	}
	return p
}

// handle works on one delivery and says what is to become of it.
func (w *worker) handle(ctx context.Context, msg jetstream.Msg, held *heldJob) verdict {
	job, err := wire.ParseJob(msg.Headers(), msg.Data())
	if err == nil && job.GetConnector() != w.Manifest.Name {
		err = errors.New("job: field connector is not our name")
	}
	if job.GetJobId() != "" && !w.hand.claim(held, job.GetJobId()) {
		return handBack(time.Second) // another attempt is being worked on
	}
	ctx, end := w.telemetry.job(ctx, msg.Headers(), job)
	t := &task{job: job, start: time.Now(), deliveries: held.deliveries, again: held.again || job.GetAttempt() > 1}
	var o *habeasv1.Outcome
	if err != nil {
		if job.GetJobId() == "" || job.GetRequestId() == "" {
			w.Logger.Error("a message that is no job", "error", err)
			end("malformed")
			return neverAgain("not a job")
		}
		o = failedOutcome(codeMalformed, true, redact(err.Error(), Person{}))
	} else if t.deliveries > mostDeliveries {
		o = failedOutcome(codeExhausted, true, "delivered too often without an answer: it may be what ends this connector each time")
	} else {
		o, err = w.do(ctx, t)
		if err != nil {
			if o, err = w.failure(ctx, t, err); o == nil {
				end("handed_back")
				return handBack(pauseOf(err))
			}
		}
	}
	if err := w.answer(ctx, t, o); err != nil {
		w.Logger.Warn("publishing an outcome; the job will be delivered again", "job", job.GetJobId(), "error", err)
		end("handed_back")
		return handBack(busPause)
	}
	end(outcomeName(o))
	w.logOutcome(job, o)
	if o.GetFailed().GetCode() == codeMalformed {
		return neverAgain("malformed job; the outcome says more")
	}
	return finished
}

// The failure codes a connector does not give itself.
const (
	codeMalformed = "malformed"
	codeExhausted = "exhausted"
)

// How long to leave a job to the bus when it can't be finished now.
const (
	busPause      = 2 * time.Second
	longestNotYet = 10 * time.Second // longer waits are outcomes: deferred

	// A job that was handed back so often waits at the coordinator instead, so
	// that only a job whose work ends the process can reach mostDeliveries: it
	// becomes a failure that somebody sees, and not one more crash.
	patientDeliveries = 10
	mostDeliveries    = 20
)

// handBackError asks for a job to be delivered again after a pause.
type handBackError struct{ after time.Duration }

func (e *handBackError) Error() string { return "to be delivered again" }

func pauseOf(err error) time.Duration {
	if h, ok := errors.AsType[*handBackError](err); ok {
		return h.after
	}
	return 0
}

// failure makes an outcome of an error, or returns no outcome and an error
// when the job should be delivered again.
func (w *worker) failure(ctx context.Context, t *task, err error) (*habeasv1.Outcome, error) {
	after, notYet := AsNotYet(err)
	switch {
	case ctx.Err() != nil:
		return nil, &handBackError{} // we are shutting down
	case errors.Is(err, errBus):
		w.Logger.Warn("handing a job back", "job", t.job.GetJobId(), "error", redact(err.Error(), t.private()))
		return nil, &handBackError{after: busPause}
	case notYet && after <= longestNotYet && t.deliveries < patientDeliveries:
		return nil, &handBackError{after: max(after, time.Millisecond)}
	case notYet:
		return w.deferredOutcome(t, time.Now().Add(after), "accepted"), nil
	}
	code, permanent := CodeOf(err), IsPermanent(err)
	if code == "" {
		code = Unavailable
		if permanent {
			code = Internal
		}
	}
	o := failedOutcome(string(code), permanent, redact(err.Error(), t.private()))
	o.Stores = t.seen
	return o, nil
}

func failedOutcome(code string, permanent bool, message string) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: code, Permanent: permanent, Message: message}}}
}

func (w *worker) deferredOutcome(t *task, until time.Time, reason string) *habeasv1.Outcome {
	return &habeasv1.Outcome{
		Result: &habeasv1.Outcome_Deferred{Deferred: &habeasv1.Deferred{UntilTime: timestamppb.New(until), Reason: reason}},
		Stores: t.seen,
	}
}

// do opens the job, checks that it may be done, and does it.
func (w *worker) do(ctx context.Context, t *task) (*habeasv1.Outcome, error) {
	if o := w.open(t); o != nil {
		return o, nil
	}
	if !slices.Contains(abilities(w.Connector), t.job.GetAction()) {
		return &habeasv1.Outcome{Result: &habeasv1.Outcome_NotSupported{NotSupported: &habeasv1.NotSupported{}}}, nil
	}
	if t.job.GetManifestDigest() != w.digest {
		return &habeasv1.Outcome{Result: &habeasv1.Outcome_PlanChanged{PlanChanged: &habeasv1.PlanChanged{ManifestDigest: w.digest}}}, nil
	}
	if len(t.job.GetExcluded()) > 0 && t.job.GetAction() == habeasv1.Action_ACTION_ERASE && !scopes(w.Connector) {
		return &habeasv1.Outcome{Result: &habeasv1.Outcome_NotSupported{NotSupported: &habeasv1.NotSupported{}}}, nil
	}
	if kinds := w.missingKinds(t.person); kinds != nil {
		return &habeasv1.Outcome{Result: &habeasv1.Outcome_NeedsIdentifier{NeedsIdentifier: &habeasv1.NeedsIdentifier{Kinds: kinds}}}, nil
	}
	ctx = WithJobInfo(ctx, JobInfo{
		JobID: t.job.GetJobId(), RequestID: t.job.GetRequestId(), Regime: t.job.GetRegime(), Right: t.job.GetRight(),
		Received: t.job.GetReceiveTime().AsTime(), Attempt: int(t.job.GetAttempt()),
		Action: actionName(t.job.GetAction()), Due: t.job.GetDueTime().AsTime(),
	})
	if w.gatherer != nil && (t.job.GetAction() == habeasv1.Action_ACTION_ERASE || t.job.GetAction() == habeasv1.Action_ACTION_LOCATE) {
		t.cohort = w.gatherer.join(ctx)
		defer t.cohort.leave()
	}
	if o := w.takenBack(t); o != nil && t.deliveries <= 1 && !t.again {
		return o, nil
	}
	switch t.job.GetAction() {
	case habeasv1.Action_ACTION_LOCATE:
		return w.doLocate(ctx, t)
	case habeasv1.Action_ACTION_ERASE:
		return w.doErase(ctx, t, w.Connector.(Eraser))
	case habeasv1.Action_ACTION_EXPORT:
		return w.doExport(ctx, t, w.Connector.(Exporter))
	case habeasv1.Action_ACTION_OPT_OUT:
		return w.doOptOut(ctx, t, w.Connector.(OptOuter))
	case habeasv1.Action_ACTION_OPT_IN:
		return w.doOptIn(ctx, t, w.Connector.(Resumer))
	case habeasv1.Action_ACTION_CORRECT:
		return w.doCorrect(ctx, t, w.Connector.(Corrector))
	case habeasv1.Action_ACTION_LIMIT:
		return w.doLimit(ctx, t, w.Connector.(Limiter))
	case habeasv1.Action_ACTION_LIFT_LIMIT:
		return w.doLiftLimit(ctx, t, w.Connector.(LimitLifter))
	case habeasv1.Action_ACTION_RESOLVE:
		return w.doResolve(ctx, t, w.Connector.(Resolver))
	}
	return nil, WithCode(Internal, Permanent(fmt.Errorf("no code for %s", t.job.GetAction())))
}

// open unseals the subject. An outcome means that it could not.
func (w *worker) open(t *task) *habeasv1.Outcome {
	if w.CoordinatorKey != "" && t.job.GetSealerKey() != w.CoordinatorKey {
		return failedOutcome(codeMalformed, true, "job: sealer_key is not the coordinator's key this connector is pinned to")
	}
	subject, err := w.Keys.Seal.OpenSubject(t.job.GetSealedSubject(), t.job.GetSealerKey(), t.job.GetJobId())
	if err != nil {
		// Sealing it again, to the key we have now, may heal it.
		return failedOutcome(codeMalformed, false, redact(err.Error(), Person{}))
	}
	ids := make([]Identifier, 0, len(subject.GetIdentifiers()))
	for _, id := range subject.GetIdentifiers() {
		ids = append(ids, ID(Kind(id.GetKind()), id.GetValue()))
	}
	t.person = NewPerson(ids...).Only(w.Manifest.Accepts...)
	t.person, _ = t.person.CountRemoved()
	for _, x := range t.job.GetExcluded() {
		t.person = t.person.Without(x.GetStore())
	}
	for _, c := range subject.GetCorrections() {
		t.corrections = append(t.corrections, Correction{Field: c.GetField(), Value: Secret(c.GetValue())})
	}
	if since := t.job.GetSinceTime(); since.IsValid() {
		t.person = t.person.WithSince(since.AsTime())
	}
	if t.job.GetRight() == rightOptOut {
		t.person = t.person.ForOptOut()
	}
	return nil
}

// rightOptOut is [habeasv1.Job.Right] of an opt-out of sale and sharing.
const rightOptOut = "opt_out_sale_share"

// missingKinds returns the kinds that would help when p has nothing the system
// can act on, or nil. A name alone is nothing to act on: people share names.
func (w *worker) missingKinds(p Person) []string {
	if slices.ContainsFunc(p.Kinds(), func(k Kind) bool { return k != Name }) {
		return nil
	}
	return kindStrings(slices.DeleteFunc(slices.Clone(w.Manifest.Accepts), func(k Kind) bool { return k == Name && len(w.Manifest.Accepts) > 1 }))
}

// answer signs and publishes the outcome, and returns once the bus has it.
func (w *worker) answer(ctx context.Context, t *task, o *habeasv1.Outcome) error {
	j := t.job
	record := &habeasv1.OutcomeRecord{
		RequestId: j.GetRequestId(), JobId: j.GetJobId(), Action: j.GetAction(), Attempt: j.GetAttempt(), Outcome: o,
		SubjectCommitment: j.GetSubjectCommitment(), PlanDigest: j.GetPlanDigest(), ManifestDigest: w.digest,
		StartTime: timestamppb.New(t.start), EndTime: timestamppb.Now(), Contract: w.Manifest.Contract,
	}
	erased := o.GetDone() != nil || o.GetRetained() != nil
	if erased && j.GetAction() == habeasv1.Action_ACTION_ERASE && w.Manifest.BackupExpiry > 0 {
		record.BackupExpiryTime = timestamppb.New(record.GetEndTime().AsTime().Add(w.Manifest.BackupExpiry))
	}
	if d, ok := w.Connector.(Desked); ok {
		record.ProofSha256 = d.Proofs(ctx, j.GetJobId())
	}
	_, err := w.record(ctx, t, record)
	if err == nil {
		w.activity.add(time.Now(), o)
	}
	return err
}

// record signs a predicate for the task's job and publishes it.
func (w *worker) record(ctx context.Context, t *task, p wire.Predicate) (*wire.Record, error) {
	r, err := w.sign(t, p)
	if err != nil {
		return nil, err
	}
	return r, w.publish(ctx, wire.RecordMessage(r))
}

func (w *worker) sign(t *task, p wire.Predicate) (*wire.Record, error) {
	s, err := w.signer(t.job.GetTenant())
	if err != nil {
		return nil, err
	}
	return s.Sign(p, t.job.GetRequestId(), t.job.GetSubjectCommitment())
}

func (w *worker) logOutcome(j *habeasv1.Job, o *habeasv1.Outcome) {
	if f := o.GetFailed(); f != nil {
		w.Logger.Error("a job failed", "job", j.GetJobId(), "action", j.GetAction().String(), "code", f.GetCode(), "permanent", f.GetPermanent(), "message", f.GetMessage())
		return
	}
	w.Logger.Debug("a job is answered", "job", j.GetJobId(), "action", j.GetAction().String(), "outcome", outcomeName(o))
}

// outcomeName is the outcome as a word, for metrics and logs.
func outcomeName(o *habeasv1.Outcome) string {
	m := o.ProtoReflect()
	f := m.WhichOneof(m.Descriptor().Oneofs().ByName("result"))
	if f == nil {
		return "none"
	}
	return string(f.Name())
}
