package alarm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/habeas-data/habeas/services/alarm"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/metertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// What came back after an erasure is measured until somebody closes its incident.
func TestIncidentsAreMeasured(t *testing.T) {
	s, _ := litetest.Open(t)
	meter := metertest.New(t)
	if err := (alarm.Watch{Store: s}).Register(meter.Meter()); err != nil {
		t.Fatal(err)
	}
	if n, ok := meter.Value("habeas.incidents.open", "kind", "resurrected", "connector", ""); !ok || n != 0 {
		t.Errorf("before any: %d, %t", n, ok)
	}
	at := time.Date(2026, 3, 2, 17, 0, 0, 0, time.UTC)
	var all []store.Incident
	for _, name := range []string{"people", "notes"} {
		all = append(all, store.Incident{ID: string(request.NewID()), Kind: store.Resurrected, Connector: "crm", Store: name, RequestID: request.NewID(), ParentID: request.NewID(), Records: 7, OpenedAt: at})
	}
	if err := s.PutIncidents(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for left := int64(2); ; left-- {
		n, ok := meter.Value("habeas.incidents.open", "kind", "resurrected", "connector", "crm")
		if n != left || ok != (left > 0) {
			t.Errorf("%d incidents are measured, %t, want %d", n, ok, left)
		}
		if left == 0 {
			break
		}
		if err := s.CloseIncident(t.Context(), all[left-1].ID, "ana", "an old job", at); err != nil {
			t.Fatal(err)
		}
	}
}

// source is a store of which records wait, or that is down.
type source struct {
	records  []store.Record
	standing store.Standing
	soon     time.Time // what was asked for
	err      error
}

func (s *source) Trouble(context.Context) ([]store.Trouble, error) { return nil, s.err }

func (s *source) Standing(_ context.Context, _, soon time.Time) (store.Standing, error) {
	s.soon = soon
	return s.standing, s.err
}

func (s *source) Unlogged(_ context.Context, before time.Time, limit int) ([]store.Record, error) {
	if s.err != nil || len(s.records) == 0 || !s.records[0].CreatedAt.Before(before) {
		return nil, s.err
	}
	return s.records[:min(limit, len(s.records))], nil
}

// A record that waits to be logged is measured by its age, and one that does not is
// not.
func TestWaitingForTheLogIsMeasured(t *testing.T) {
	now := time.Date(2026, 3, 2, 17, 0, 0, 0, time.UTC)
	s, meter := &source{}, metertest.New(t)
	if err := (alarm.Watch{Store: s, Now: func() time.Time { return now }}).Register(meter.Meter()); err != nil {
		t.Fatal(err)
	}
	want := func(seconds int64) {
		t.Helper()
		if n, ok := meter.Value("habeas.records.unlogged.age"); !ok || n != seconds {
			t.Errorf("the oldest has waited %d s, %t, want %d", n, ok, seconds)
		}
	}
	want(0)
	s.records = []store.Record{{CreatedAt: now}, {CreatedAt: now.Add(time.Minute)}}
	now = now.Add(20 * time.Minute)
	want(1200)
	s.records = s.records[1:]
	want(1140)
	s.records = nil
	want(0)
}

// Open requests are measured by how near their last day is, each once, and an alarm ends
// when none is late any more.
func TestOpenRequestsAreMeasured(t *testing.T) {
	now := time.Date(2026, 3, 2, 17, 0, 0, 0, time.UTC)
	s, meter := &source{}, metertest.New(t)
	if err := (alarm.Watch{Store: s, Now: func() time.Time { return now }}).Register(meter.Meter()); err != nil {
		t.Fatal(err)
	}
	want := func(late, near, later, attention int64) {
		t.Helper()
		for due, n := range map[string]int64{"late": late, "soon": near, "later": later} {
			if got, ok := meter.Value("habeas.requests.open", "due", due); !ok || got != n {
				t.Errorf("%s: %d are measured, %t, want %d", due, got, ok, n)
			}
		}
		if got, ok := meter.Value("habeas.requests.attention"); !ok || got != attention {
			t.Errorf("%d need a person, %t, want %d", got, ok, attention)
		}
	}
	want(0, 0, 0, 0)
	if s.soon != now.AddDate(0, 0, 7) {
		t.Errorf("soon is taken to be %s", s.soon)
	}
	s.standing = store.Standing{Open: map[request.State]int64{request.Running: 9, request.Accepted: 2}, Late: 1, Soon: 3, Attention: 4}
	want(1, 3, 7, 4)
	s.standing = store.Standing{}
	want(0, 0, 0, 0)
}

// A database that is down is no reason to say that all is well: nothing is said.
func TestNothingIsMadeUp(t *testing.T) {
	reader := metric.NewManualReader()
	s := &source{err: errors.New("the database is down")}
	if err := (alarm.Watch{Store: s}).Register(metric.NewMeterProvider(metric.WithReader(reader)).Meter("test")); err != nil {
		t.Fatal(err)
	}
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); !errors.Is(err, s.err) {
		t.Errorf("error %v", err)
	}
	for _, scope := range got.ScopeMetrics {
		for _, m := range scope.Metrics {
			if g, ok := m.Data.(metricdata.Gauge[int64]); ok && len(g.DataPoints) > 0 {
				t.Errorf("%s says %+v", m.Name, g.DataPoints)
			}
		}
	}
}
