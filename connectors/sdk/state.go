package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// A QuotaTeller is a Connector that knows how much of its system's quotas is
// used.
type QuotaTeller interface {
	Connector
	// Quotas returns the system's limits; none for a system without any. It asks
	// the system nothing.
	Quotas(ctx context.Context) ([]Quota, error)
}

// Quota is a limit of a system.
type Quota struct {
	// Name is its name; empty for the one limit of all calls.
	Name string
	// Counts is what it counts: "requests" or "people".
	Counts string
	// Limit is how many in Per, and Used how many of them are used now.
	Limit, Used int64
	Per         time.Duration
	// PausedUntil is until when the system asked for a pause, or zero.
	PausedUntil time.Time
}

// A DriftChecker is a Connector that can compare what it acts by with what its
// system is like now.
type DriftChecker interface {
	Connector
	// Drift returns what does not fit any more, one sentence each, naming tables
	// and columns and never a value; none when everything fits. It changes
	// nothing. An error says that the comparison could not be made.
	Drift(ctx context.Context) (findings []string, err error)
}

// Conformance is the result of a test of a connector's promises, as
// "habeas-connector test --report" writes it. A file of that name in the state
// directory, conformance.json, is announced with the manifest.
type Conformance struct {
	Time    time.Time `json:"time"`
	Kept    int       `json:"kept"`
	Broken  int       `json:"broken"`
	Skipped int       `json:"skipped"`
	// Version and ManifestDigest say which connector was tested.
	Version        string `json:"version"`
	ManifestDigest string `json:"manifest_digest"`
}

// conformanceFile is where the result of a test lies, in the state directory.
const conformanceFile = "conformance.json"

// Bounds of what is told of drift, and how often it is looked for.
const (
	driftExamples = 5
	driftEvery    = 6 * time.Hour
	driftTimeout  = 10 * time.Minute
)

// activity counts answers by the minute, for the last hour.
type activity struct {
	mu      sync.Mutex
	minutes [activityMinutes]minute
}

const activityMinutes = 60

type minute struct {
	at                 int64 // of Unix time
	outcomes, failures map[string]int64
}

// add counts an answer.
func (a *activity) add(now time.Time, o *habeasv1.Outcome) {
	at := now.Unix() / 60
	a.mu.Lock()
	defer a.mu.Unlock()
	m := &a.minutes[at%activityMinutes]
	if m.at != at {
		*m = minute{at: at, outcomes: make(map[string]int64), failures: make(map[string]int64)}
	}
	m.outcomes[outcomeName(o)]++
	if f := o.GetFailed(); f != nil {
		m.failures[f.GetCode()]++
	}
}

// message sums the last hour up, or what there was since the start.
func (a *activity) message(now, started time.Time, inHand int) *habeasv1.Activity {
	out := &habeasv1.Activity{
		Window:   durationpb.New(min(now.Sub(started), activityMinutes*time.Minute).Truncate(time.Second)),
		Outcomes: make(map[string]int64), Failures: make(map[string]int64), InHand: int64(inHand),
	}
	oldest := now.Unix()/60 - activityMinutes
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.minutes {
		m := &a.minutes[i]
		if m.at <= oldest {
			continue
		}
		for name, n := range m.outcomes {
			out.Outcomes[name] += n
		}
		for code, n := range m.failures {
			out.Failures[code] += n
		}
	}
	return out
}

// tell fills in what a manifest says of the moment: what the instance did,
// what is left of quotas, what the last checks found.
func (w *worker) tell(ctx context.Context, m *habeasv1.Manifest) {
	m.Activity = w.activity.message(time.Now(), w.started, w.hand.len())
	m.Drift = w.drift.Load()
	m.Conformance = w.conformance()
	teller, ok := w.Connector.(QuotaTeller)
	if !ok {
		return
	}
	quotas, err := teller.Quotas(ctx)
	if err != nil {
		if ctx.Err() == nil {
			w.Logger.Debug("asking for quotas", "error", redact(err.Error(), Person{}))
		}
		return
	}
	m.Quotas = nil
	for _, q := range quotas {
		p := &habeasv1.Quota{Name: q.Name, Counts: q.Counts, Limit: q.Limit, Used: q.Used, Per: durationpb.New(q.Per)}
		if !q.PausedUntil.IsZero() {
			p.PausedUntil = timestamppb.New(q.PausedUntil)
		}
		m.Quotas = append(m.Quotas, p)
	}
}

// conformance reads the result of the last test, if one lies there. It may be
// put there while the connector runs.
func (w *worker) conformance() *habeasv1.Conformance {
	text, err := os.ReadFile(filepath.Join(w.StateDir, conformanceFile))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			w.Logger.Debug("reading the result of a test", "error", err)
		}
		return nil
	}
	var c Conformance
	if err := json.Unmarshal(text, &c); err != nil || c.Time.IsZero() {
		w.Logger.Debug("the result of a test can't be read", "file", conformanceFile)
		return nil
	}
	return &habeasv1.Conformance{
		Time: timestamppb.New(c.Time), Kept: int32(c.Kept), Broken: int32(c.Broken), Skipped: int32(c.Skipped), //nolint:gosec // there are few promises
		Version: c.Version, ManifestDigest: c.ManifestDigest,
	}
}

// watchDrift compares at the start and then again and again, until ctx ends.
func (w *worker) watchDrift(ctx context.Context) {
	checker, ok := w.Connector.(DriftChecker)
	if !ok {
		return
	}
	for {
		if d := w.lookForDrift(ctx, checker); ctx.Err() == nil {
			w.drift.Store(d)
		}
		if !sleep(ctx, w.DriftEvery) {
			return
		}
	}
}

func (w *worker) lookForDrift(ctx context.Context, checker DriftChecker) *habeasv1.Drift {
	ctx, cancel := context.WithTimeout(ctx, driftTimeout)
	defer cancel()
	var findings []string
	err := w.call(ctx, func(ctx context.Context) (err error) {
		findings, err = checker.Drift(ctx)
		return err
	})
	d := &habeasv1.Drift{CheckTime: timestamppb.Now(), Findings: int32(len(findings))} //nolint:gosec // columns are few
	if err != nil {
		d.Findings, d.Failed = 0, redact(err.Error(), Person{})
		return d
	}
	for _, f := range findings[:min(len(findings), driftExamples)] {
		d.Examples = append(d.Examples, redact(f, Person{}))
	}
	if len(findings) > 0 {
		w.Logger.Warn("the map does not fit the system any more", "findings", len(findings), "first", d.GetExamples()[0])
	}
	return d
}
