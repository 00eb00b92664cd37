package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// examine makes all checks over the bus. An error means that the examination
// could not be held.
func examine(ctx context.Context, e *examiner) error {
	stream, err := e.js.Stream(ctx, wire.StreamEvidence)
	if err != nil {
		return fmt.Errorf("reading the evidence: %w", err)
	}
	e.first = stream.CachedInfo().State.LastSeq + 1
	if e.people.Stranger == nil {
		e.people.Stranger = map[string]string{}
		for kind := range e.people.Person {
			e.people.Stranger[kind] = "nobody-" + hex.EncodeToString([]byte(kind)) + "@example.invalid"
		}
	}
	if !e.check(ctx, "the manifest is published and sound", e.checkManifest) {
		return nil // without it there is nothing to seal to
	}
	e.check(ctx, "signs of life go on", e.checkBeats)
	e.check(ctx, "a stranger is not found", e.checkStranger)
	e.check(ctx, "the person is found", e.checkLocate)
	e.check(ctx, "finding changes nothing", e.checkLocateAgain)
	e.check(ctx, "four jobs at once are answered alike", e.checkLocateTogether)
	e.check(ctx, "the others are found", e.checkOthersFound)
	e.check(ctx, "a job without a useful identifier asks for one", e.checkNeedsIdentifier)
	e.check(ctx, "a job of another plan does nothing", e.checkPlanChanged)
	e.check(ctx, "a subject sealed for another job is refused", e.checkMalformed)
	e.check(ctx, "a subject sealed by another key is refused", e.checkSealer)
	e.check(ctx, "a message that is no job is not stumbled over", e.checkGarbage)
	e.check(ctx, "what it can't do it says it can't", e.checkNotSupported)
	e.check(ctx, "a copy holds what was found", e.checkExport)
	e.check(ctx, "what it resolves it tells the coordinator alone", e.checkResolve)
	e.check(ctx, "more than the cap erases nothing", e.checkOverLimit)
	e.check(ctx, "an opt-out holds, and may be asked for twice", e.checkOptOut)
	e.check(ctx, "an erasure leaves nothing but what must be kept", e.checkErase)
	e.check(ctx, "four more erasures at once find nothing to do", e.checkEraseTogether)
	e.check(ctx, "the others are left alone", e.checkOthersIntact)
	e.check(ctx, "every job is acknowledged", e.checkDrained)
	return nil
}

// verdict prints the sum, and is a finding when a promise is broken.
func (e *examiner) verdict() error {
	e.say("%d promises are kept, %d are broken, %d could not be checked", e.kept, e.failed, e.skipped)
	if e.failed > 0 {
		return finding(fmt.Sprintf("%d promises are not kept", e.failed))
	}
	return nil
}

func (e *examiner) readManifest(ctx context.Context) (*habeasv1.Manifest, error) {
	kv, err := e.js.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return nil, err
	}
	entry, err := kv.Get(ctx, e.name)
	if err != nil {
		return nil, err
	}
	m := &habeasv1.Manifest{}
	if err := proto.Unmarshal(entry.Value(), m); err != nil {
		return nil, fmt.Errorf("the entry is no habeas.v1.Manifest: %w", err)
	}
	return m, nil
}

func (e *examiner) checkManifest(ctx context.Context) error {
	started := time.Now().Add(-2 * time.Minute)
	for end := time.Now().Add(e.patience); ; {
		m, err := e.readManifest(ctx)
		if err == nil && m.GetBeatTime().AsTime().After(started) {
			e.manifest = m
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("none in bucket %s under %s after %s", wire.BucketConnectors, e.name, e.patience)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	m := e.manifest
	var err error
	switch e.key, err = wire.ParsePublicDER(m.GetEvidenceKey()); {
	case err != nil:
		return fmt.Errorf("field evidence_key: %w", err)
	case m.GetName() != e.name:
		return fmt.Errorf("field name: %q", m.GetName())
	case m.GetVersion() == "":
		return errors.New("field version is empty")
	case m.GetDigest() == "":
		return errors.New("field digest is empty")
	case !nkeys.IsValidPublicCurveKey(m.GetSealKey()):
		return errors.New("field seal_key is no public curve key")
	case len(m.GetAccepts()) == 0:
		return errors.New("field accepts is empty")
	case len(m.GetStores()) == 0:
		return errors.New("field stores is empty")
	case !e.can(habeasv1.Action_ACTION_LOCATE):
		return errors.New("field abilities lacks ACTION_LOCATE, which every connector has")
	case m.GetInstance() == "":
		return errors.New("field instance is empty")
	}
	return nil
}

func (e *examiner) can(a habeasv1.Action) bool { return slices.Contains(e.manifest.GetAbilities(), a) }

func (e *examiner) checkBeats(ctx context.Context) error {
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); {
		m, err := e.readManifest(ctx)
		if err != nil {
			return err
		}
		if m.GetBeatTime().AsTime().After(e.manifest.GetBeatTime().AsTime()) {
			if m.GetDigest() != e.manifest.GetDigest() {
				return errors.New("the digest changes from one to the next")
			}
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return errors.New("no newer beat_time after 15 s")
}

func (e *examiner) locate(ctx context.Context, person map[string]string) (*habeasv1.OutcomeRecord, error) {
	return e.ask(ctx, habeasv1.Action_ACTION_LOCATE, person)
}

func (e *examiner) checkStranger(ctx context.Context) error {
	o, err := e.locate(ctx, e.people.Stranger)
	if err != nil {
		return err
	}
	return wantOutcome(o, "no_match")
}

func (e *examiner) checkLocate(ctx context.Context) error {
	o, err := e.locate(ctx, e.people.Person)
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "done"); err != nil {
		return err
	}
	e.located = o.GetOutcome().GetStores()
	if total(e.located) == 0 {
		return errors.New("done, and no store has records")
	}
	for _, c := range e.located {
		if !slices.ContainsFunc(e.manifest.GetStores(), func(s *habeasv1.Store) bool { return s.GetName() == c.GetStore() }) {
			return fmt.Errorf("store %s is not in the manifest", c.GetStore())
		}
		if c.GetKeptCount() > 0 && (c.GetBasis() == "" || !c.GetUntilTime().IsValid()) {
			return fmt.Errorf("store %s keeps records without basis or until_time", c.GetStore())
		}
	}
	return nil
}

func total(counts []*habeasv1.StoreCount) (n int64) {
	for _, c := range counts {
		n += c.GetLocatedCount()
	}
	return n
}

// wantStillThere fails unless the person is found as at first.
func (e *examiner) wantStillThere(ctx context.Context) error {
	o, err := e.locate(ctx, e.people.Person)
	if err != nil {
		return err
	}
	if have, want := total(o.GetOutcome().GetStores()), total(e.located); have != want {
		return fmt.Errorf("%d records were there, and %d are now", want, have)
	}
	return nil
}

// action is the worst one the connector can be asked for.
func (e *examiner) action() habeasv1.Action {
	if e.can(habeasv1.Action_ACTION_ERASE) {
		return habeasv1.Action_ACTION_ERASE
	}
	return habeasv1.Action_ACTION_LOCATE
}

func (e *examiner) checkNeedsIdentifier(ctx context.Context) error {
	o, err := e.ask(ctx, e.action(), map[string]string{"a_kind_nobody_uses": "value"})
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "needs_identifier"); err != nil {
		return err
	}
	if len(o.GetOutcome().GetNeedsIdentifier().GetKinds()) == 0 {
		return errors.New("it does not say which kinds would help")
	}
	return nil
}

func (e *examiner) checkPlanChanged(ctx context.Context) error {
	o, err := e.ask(ctx, e.action(), e.people.Person, func(j *habeasv1.Job) { j.ManifestDigest = "another" })
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "plan_changed"); err != nil {
		return err
	}
	if o.GetOutcome().GetPlanChanged().GetManifestDigest() != e.manifest.GetDigest() {
		return errors.New("plan_changed without the digest in force")
	}
	return e.wantStillThere(ctx)
}

func (e *examiner) checkMalformed(ctx context.Context) error {
	other, err := e.job(e.action(), e.people.Person)
	if err != nil {
		return err
	}
	return e.wantRefused(ctx, func(j *habeasv1.Job) { j.SealedSubject = other.GetSealedSubject() })
}

func (e *examiner) checkSealer(ctx context.Context) error {
	stranger, err := wire.NewSealKey()
	if err != nil {
		return err
	}
	return e.wantRefused(ctx, func(j *habeasv1.Job) { j.SealerKey = stranger.Public() })
}

func (e *examiner) wantRefused(ctx context.Context, change func(*habeasv1.Job)) error {
	o, err := e.ask(ctx, e.action(), e.people.Person, change)
	if err != nil {
		return err
	}
	if o.GetOutcome().GetFailed().GetCode() != "malformed" {
		return fmt.Errorf("answered %s, want failed{malformed}", outcomeName(o.GetOutcome()))
	}
	return e.wantStillThere(ctx)
}

func (e *examiner) checkGarbage(ctx context.Context) error {
	msg := nats.NewMsg(wire.JobSubject(e.name))
	msg.Header.Set(wire.HeaderType, "habeas.v1.Job")
	msg.Data = []byte("this is no protobuf message")
	if _, err := e.js.PublishMsg(ctx, msg); err != nil {
		return err
	}
	return e.wantStillThere(ctx)
}

func (e *examiner) checkNotSupported(ctx context.Context) error {
	for _, a := range []habeasv1.Action{
		habeasv1.Action_ACTION_CORRECT, habeasv1.Action_ACTION_OPT_OUT, habeasv1.Action_ACTION_RESOLVE, habeasv1.Action_ACTION_ERASE, 99,
	} {
		if e.can(a) {
			continue
		}
		o, err := e.ask(ctx, a, e.people.Person)
		if err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
		if err := wantOutcome(o, "not_supported"); err != nil {
			return fmt.Errorf("%s: %w", a, err)
		}
	}
	return nil
}

func (e *examiner) mayErase() error {
	switch {
	case !e.can(habeasv1.Action_ACTION_ERASE):
		return skip("the connector can't erase")
	case !e.erase:
		return skip("give --erase to have the person erased")
	}
	return nil
}

func (e *examiner) checkOverLimit(ctx context.Context) error {
	if err := e.mayErase(); err != nil {
		return err
	}
	n := total(e.located)
	if n < 2 {
		return skip("the person has less than two records")
	}
	o, err := e.ask(ctx, habeasv1.Action_ACTION_ERASE, e.people.Person, func(j *habeasv1.Job) { j.CapOverride = n - 1 })
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "over_limit"); err != nil {
		return err
	}
	return e.wantStillThere(ctx)
}

func (e *examiner) checkErase(ctx context.Context) error {
	if err := e.mayErase(); err != nil {
		return err
	}
	j, err := e.job(habeasv1.Action_ACTION_ERASE, e.people.Person)
	if err != nil {
		return err
	}
	o, err := e.send(ctx, j, e.crashOnceLocated)
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "done", "retained"); err != nil {
		return err
	}
	if have, want := total(o.GetOutcome().GetStores()), total(e.located); have != want {
		return fmt.Errorf("%d records located before the erasure, %d a moment ago", have, want)
	}
	for _, c := range o.GetOutcome().GetStores() {
		if c.GetRemainingCount() > 0 {
			return fmt.Errorf("store %s: %d records remain", c.GetStore(), c.GetRemainingCount())
		}
	}
	prior, err := e.wantLocatedFirst(ctx, j.GetJobId())
	if err != nil {
		return err
	}
	again := proto.CloneOf(j)
	again.Attempt, again.PriorLocated = o.GetAttempt()+1, prior
	second, err := e.send(ctx, again)
	if err != nil {
		return fmt.Errorf("the same job again: %w", err)
	}
	if err := wantOutcome(second, outcomeName(o.GetOutcome())); err != nil {
		return fmt.Errorf("the same job again: %w", err)
	}
	if have, want := total(second.GetOutcome().GetStores()), total(e.located); have != want {
		return fmt.Errorf("the same job again: %d records located, %d the first time", have, want)
	}
	after, err := e.locate(ctx, e.people.Person)
	if err != nil {
		return err
	}
	e.erased = true
	if o.GetOutcome().GetDone() != nil {
		return wantOutcome(after, "no_match")
	}
	if have, want := total(after.GetOutcome().GetStores()), keptOf(o.GetOutcome().GetStores()); have != want {
		return fmt.Errorf("%d records are kept by the outcome, and %d are found afterwards", want, have)
	}
	return nil
}

// wantLocatedFirst returns the located record, which must be on the stream
// before the outcome.
func (e *examiner) wantLocatedFirst(ctx context.Context, jobID string) ([]byte, error) {
	records, err := e.records(ctx, jobID)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 || records[0].Type != wire.RecordLocated {
		return nil, errors.New("no located record before the outcome: a crash after the act would look as if nothing had been held")
	}
	return bytes.Clone(records[0].Envelope), nil
}

// checkOthersFound counts the others' records, to compare with later.
func (e *examiner) checkOthersFound(ctx context.Context) error {
	if len(e.people.Others) == 0 {
		return skip("the file names no others")
	}
	for i, person := range e.people.Others {
		o, err := e.locate(ctx, person)
		if err != nil {
			return err
		}
		if err := wantOutcome(o, "done"); err != nil {
			return fmt.Errorf("person %d of others: %w", i+1, err)
		}
		e.others = append(e.others, total(o.GetOutcome().GetStores()))
	}
	return nil
}

func (e *examiner) checkOthersIntact(ctx context.Context) error {
	if len(e.others) == 0 {
		return skip("no others were found")
	}
	for i, want := range e.others {
		o, err := e.locate(ctx, e.people.Others[i])
		if err != nil {
			return err
		}
		if have := total(o.GetOutcome().GetStores()); have != want {
			return fmt.Errorf("person %d of others: %d records were there, and %d are now", i+1, want, have)
		}
	}
	return nil
}

func (e *examiner) checkDrained(ctx context.Context) error {
	for end := time.Now().Add(e.patience); ; {
		c, err := e.js.Consumer(ctx, wire.StreamJobs, wire.JobConsumer(e.name))
		if err != nil {
			return err
		}
		info := c.CachedInfo()
		if info.NumAckPending == 0 && info.NumPending == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d jobs are not acknowledged and %d not taken after %s", info.NumAckPending, info.NumPending, e.patience)
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
