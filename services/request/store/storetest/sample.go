package storetest

import (
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// start is when the samples' world begins: with microseconds, as fine as a
// store keeps time.
var start = time.Date(2026, 3, 2, 17, 4, 5, 123456000, time.UTC)

var serial atomic.Int64

// digest returns 32 bytes that nothing else has.
func digest() []byte {
	sum := sha256.Sum256(fmt.Append(nil, serial.Add(1)))
	return sum[:]
}

func terms(right request.Right) request.Terms {
	t := request.Terms{
		Received: start,
		Due: request.Due{
			Regime: "us-ca-ccpa", RuleVersion: "2026-01-01", Zone: "America/Los_Angeles",
			Received: request.Date{Year: 2026, Month: time.March, Day: 2}, Respond: request.Date{Year: 2026, Month: time.April, Day: 16},
			Extended: request.Date{Year: 2026, Month: time.May, Day: 31}, Calendar: request.CalendarRef{ID: "us-ca", Version: "3"},
		},
	}
	if right.Verifiable() {
		t.Level = request.Reasonable
	}
	return t
}

// verified is an attestation that suffices for every right.
var verified = request.Verified{Method: "account_login", Level: request.ReasonablyHigh, At: start.Add(time.Minute), By: "api"}

// restore makes a request in any state its right has.
func restore(id request.ID, right request.Right, state request.State) *request.Request {
	r := request.Request{ID: id, Regime: "us-ca-ccpa", Channel: request.ChannelAPI, Terms: terms(right)}
	if state == request.Closing || state == request.Closed {
		r.Ending = &request.Ending{Result: request.ResultComplete}
	}
	var v request.Verification
	switch {
	case !right.Verifiable():
	case state == request.Received || state == request.AwaitingVerification:
		v = request.Unverified{}
	default:
		v = verified
	}
	restored, err := request.Restore(r, right, state, v)
	if err != nil {
		panic(err) // the samples are wrong
	}
	return restored
}

// sample is a request for deletion in the given state, created at start plus
// an offset, with the record of its intake.
func sample(state request.State, offset time.Duration) store.New {
	return sampleOf(request.Delete, state, offset)
}

func sampleOf(right request.Right, state request.State, offset time.Duration) store.New {
	id := request.NewID()
	at := start.Add(offset)
	r := store.Request{
		Request: restore(id, right, state), RespondBy: start.AddDate(0, 0, 45), Commitment: digest(),
		WrappedKey: []byte("wrapped"), Sealed: []byte("sealed"), Kinds: []store.Kind{{Name: "email"}},
		CreatedAt: at, UpdatedAt: at, Version: 1,
	}
	return store.New{Request: r, Records: []store.Record{record(id, at)}}
}

// keyed gives a request an idempotency key and a fingerprint.
func keyed(n store.New, key, fingerprint string) store.New {
	n.Request.IdempotencyKey, n.Request.Fingerprint = key, []byte(fingerprint)
	return n
}

func record(id request.ID, at time.Time) store.Record {
	return store.Record{Digest: digest(), RequestID: id, Type: "intake", Issuer: "intake", Envelope: []byte(`{"payload":""}`), CreatedAt: at}
}

// job is a planned job of a request.
func job(id request.ID, connector string, state request.JobState) store.Job {
	return store.Job{
		ID: request.NewID(), RequestID: id, Connector: connector, ConnectorVersion: "1.2.3", ManifestDigest: "sha256:00",
		KeyID: "SHA256:key", Action: request.ActionErase, Kinds: []string{"email"}, State: state, PlanDigest: digest(),
		NextAt: start, UpdatedAt: start,
	}
}

// withJobs stores a request and its jobs.
func withJobs(jobs ...store.Job) func(*store.Snapshot) {
	return func(s *store.Snapshot) { s.Jobs = append(s.Jobs, jobs...) }
}
