package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// examiner plays the coordinator and judges the answers.
type examiner struct {
	js          jetstream.JetStream
	name        string
	coordinator wire.SealKey
	people      cast
	erase       bool
	optOut      bool
	patience    time.Duration
	// crash kills the connector's process and starts it again; nil when the
	// process is not ours.
	crash func(context.Context) error
	out   io.Writer

	manifest *habeasv1.Manifest
	key      ed25519.PublicKey
	first    uint64 // evidence of before this sequence is not ours
	kept     int
	skipped  int
	failed   int
	located  []*habeasv1.StoreCount // of the person, first
	others   []int64                // records of each of the others, first
	erased   bool                   // the person's records are gone
}

// report writes the result of the test into a file; no name is no file.
func (e *examiner) report(file string) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(sdk.Conformance{
		Time: time.Now().UTC().Truncate(time.Second), Kept: e.kept, Broken: e.failed, Skipped: e.skipped,
		Version: e.manifest.GetVersion(), ManifestDigest: e.manifest.GetDigest(),
	}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// skip is a check that can't be made, with the reason.
type skip string

// Error implements error.
func (s skip) Error() string { return string(s) }

// check makes one check and prints how it went.
func (e *examiner) check(ctx context.Context, name string, f func(context.Context) error) bool {
	err := f(ctx)
	var skipped skip
	switch {
	case err == nil:
		e.kept++
		e.say("ok    %s", name)
	case errors.As(err, &skipped):
		e.skipped++
		e.say("skip  %s: %s", name, string(skipped))
	default:
		e.failed++
		e.say("FAIL  %s: %v", name, err)
	}
	return err == nil
}

// say prints a line; there is nobody to tell when that fails.
func (e *examiner) say(format string, args ...any) { _, _ = fmt.Fprintf(e.out, format+"\n", args...) }

// job makes a job about a person.
func (e *examiner) job(action habeasv1.Action, person map[string]string) (*habeasv1.Job, error) {
	id := nuid.Next()
	s := &habeasv1.Subject{JobId: id}
	for kind, value := range person {
		s.Identifiers = append(s.Identifiers, &habeasv1.Identifier{Kind: kind, Value: value})
	}
	sealed, err := e.coordinator.SealSubject(s, e.manifest.GetSealKey())
	if err != nil {
		return nil, err
	}
	commitment, plan := sha256.Sum256([]byte("commitment "+id)), sha256.Sum256([]byte("plan "+id))
	return &habeasv1.Job{
		JobId: id, RequestId: "test-" + id, Connector: e.name, Action: action, SealedSubject: sealed, SealerKey: e.coordinator.Public(),
		SubjectCommitment: commitment[:], PlanDigest: plan[:], ManifestDigest: e.manifest.GetDigest(),
		Regime: "us-ca-ccpa", Right: "delete", ReceiveTime: timestamppb.Now(), DueTime: timestamppb.New(time.Now().AddDate(0, 0, 45)), Attempt: 1,
	}, nil
}

// ask sends a job and returns the answer.
func (e *examiner) ask(ctx context.Context, action habeasv1.Action, person map[string]string, change ...func(*habeasv1.Job)) (*habeasv1.OutcomeRecord, error) {
	j, err := e.job(action, person)
	if err != nil {
		return nil, err
	}
	for _, f := range change {
		f(j)
	}
	return e.send(ctx, j)
}

// send publishes a job and returns the answer to that attempt. A deferred
// answer is waited out when it is soon. What is given in then happens once, when
// the job is out.
func (e *examiner) send(ctx context.Context, j *habeasv1.Job, then ...func(context.Context, *habeasv1.Job) error) (*habeasv1.OutcomeRecord, error) {
	for end := time.Now().Add(e.patience); ; {
		msg, err := wire.JobMessage(j)
		if err != nil {
			return nil, err
		}
		if _, err := e.js.PublishMsg(ctx, msg); err != nil {
			return nil, fmt.Errorf("publishing a job: %w", err)
		}
		for _, f := range then {
			if err := f(ctx, j); err != nil {
				return nil, err
			}
		}
		then = nil
		o, err := e.answer(ctx, j)
		if err != nil || o.GetOutcome().GetDeferred() == nil {
			return o, err
		}
		until := o.GetOutcome().GetDeferred().GetUntilTime().AsTime()
		if until.After(end) {
			return o, nil
		}
		if err := pause(ctx, time.Until(until)); err != nil {
			return nil, err
		}
		j = proto.CloneOf(j)
		j.Attempt++
	}
}

// answer waits for the outcome of an attempt and checks what every answer
// owes.
func (e *examiner) answer(ctx context.Context, j *habeasv1.Job) (*habeasv1.OutcomeRecord, error) {
	for end := time.Now().Add(e.patience); ; {
		records, err := e.records(ctx, j.GetJobId())
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			o, ok := r.Predicate.(*habeasv1.OutcomeRecord)
			if !ok || o.GetAttempt() != j.GetAttempt() {
				continue
			}
			return o, e.judge(o, j)
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no answer after %s", e.patience)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// judge checks that an answer is one to this job.
func (e *examiner) judge(o *habeasv1.OutcomeRecord, j *habeasv1.Job) error {
	switch {
	case o.GetOutcome().GetResult() == nil:
		return errors.New("the record has no outcome")
	case o.GetRequestId() != j.GetRequestId():
		return errors.New("the record's request_id is not the job's")
	case !bytes.Equal(o.GetSubjectCommitment(), j.GetSubjectCommitment()):
		return errors.New("the record's subject_commitment is not the job's")
	case !bytes.Equal(o.GetPlanDigest(), j.GetPlanDigest()):
		return errors.New("the record's plan_digest is not the job's")
	case o.GetManifestDigest() != e.manifest.GetDigest():
		return errors.New("the record's manifest_digest is not the manifest's")
	case o.GetOrigin().GetIssuer() != e.name:
		return fmt.Errorf("the record's issuer is %q", o.GetOrigin().GetIssuer())
	case len(o.GetOrigin().GetSalt()) < 16:
		return errors.New("the record's salt has less than 128 bits")
	}
	return nil
}

// records returns the records of a job, verified and without identifiers.
func (e *examiner) records(ctx context.Context, jobID string) ([]*wire.Record, error) {
	// A handle of our own: they are not made for several readers at once.
	stream, err := e.js.Stream(ctx, wire.StreamEvidence)
	if err != nil {
		return nil, fmt.Errorf("reading the evidence: %w", err)
	}
	info := stream.CachedInfo()
	var records []*wire.Record
	for seq := e.first; seq <= info.State.LastSeq; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the evidence: %w", err)
		}
		if msg.Subject != wire.EvidenceSubject(e.name) {
			continue
		}
		r, err := wire.ParseRecord(msg.Data)
		if err != nil {
			return nil, err
		}
		if err := r.Verify(e.key); err != nil {
			return nil, fmt.Errorf("%w with the manifest's evidence_key", err)
		}
		if r.JobID() == jobID {
			if err := e.wantNobody(r); err != nil {
				return nil, err
			}
			records = append(records, r)
		}
	}
	return records, nil
}

// wantNobody fails when a record holds an identifier of the cast.
func (e *examiner) wantNobody(r *wire.Record) error {
	text, err := proto.Marshal(r.Predicate)
	if err != nil {
		return err
	}
	said := strings.ToLower(string(text))
	for _, person := range append([]map[string]string{e.people.Person, e.people.Stranger}, e.people.Others...) {
		for kind, value := range person {
			for _, form := range []string{value, url.QueryEscape(value)} {
				if strings.Contains(said, strings.ToLower(form)) {
					return fmt.Errorf("a %s record holds an identifier of kind %s", r.Type, kind)
				}
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// outcomeName is the outcome as a word.
func outcomeName(o *habeasv1.Outcome) string {
	m := o.ProtoReflect()
	if f := m.WhichOneof(m.Descriptor().Oneofs().ByName("result")); f != nil {
		return string(f.Name())
	}
	return "nothing"
}

// wantOutcome is an error unless the outcome is one of names.
func wantOutcome(r *habeasv1.OutcomeRecord, names ...string) error {
	have := outcomeName(r.GetOutcome())
	if slices.Contains(names, have) {
		return nil
	}
	if f := r.GetOutcome().GetFailed(); f != nil {
		return fmt.Errorf("answered failed{%s}: %s; want %s", f.GetCode(), f.GetMessage(), strings.Join(names, " or "))
	}
	return fmt.Errorf("answered %s, want %s", have, strings.Join(names, " or "))
}
