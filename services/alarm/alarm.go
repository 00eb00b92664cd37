// Package alarm measures what somebody has to be called for and no process knows by
// itself: what stands in the rooms' database, whoever put it there.
//
// It owes those who watch this: a number is read when it is asked for, so that it is
// right after a restart and goes back when the cause is gone; it names systems and
// never a person or a request.
package alarm

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request/store"
)

// Source is the part of the rooms' store that is read.
type Source interface {
	// Trouble counts the open incidents by what they are about.
	Trouble(ctx context.Context) ([]store.Trouble, error)
	// Standing counts the open requests.
	Standing(ctx context.Context, now, soon time.Time) (store.Standing, error)
	// Unlogged returns the oldest records that audit has not told of.
	Unlogged(ctx context.Context, before time.Time, limit int) ([]store.Record, error)
}

// soon is how many days before its due date a request is said to be due soon, as on
// the console's page of today.
const soon = 7

// Watch is what is measured.
type Watch struct {
	Store Source
	// Drop and Regimes tell how a data broker stands with California's deletion
	// platform; without them nothing is said of it.
	Drop    *drop.Ledger
	Regimes *regimes.Set
	// Broker says that the company is a data broker. One that has accessed the
	// platform is, whatever is said here.
	Broker bool
	// Now is the clock; nil is the machine's.
	Now func() time.Time
}

// Register measures with meter from now on.
func (w Watch) Register(meter metric.Meter) error {
	if w.Now == nil {
		w.Now = time.Now
	}
	incidents, err := meter.Int64ObservableGauge("habeas.incidents.open", metric.WithDescription("Incidents that nobody has closed, by kind and system."), metric.WithUnit("{incident}"))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	unlogged, err := meter.Int64ObservableGauge("habeas.records.unlogged.age", metric.WithDescription("How long the oldest record has waited to be in the log."), metric.WithUnit("s"))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	open, err := meter.Int64ObservableGauge("habeas.requests.open", metric.WithDescription("Open requests by whether their answer is late, due within a week, or due later."), metric.WithUnit("{request}"))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	attention, err := meter.Int64ObservableGauge("habeas.requests.attention", metric.WithDescription("Open requests that a person must look at."), metric.WithUnit("{request}"))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	for _, one := range []struct {
		read metric.Callback
		of   []metric.Observable
	}{
		{func(ctx context.Context, o metric.Observer) error { return w.incidents(ctx, o, incidents) }, []metric.Observable{incidents}},
		{func(ctx context.Context, o metric.Observer) error { return w.unlogged(ctx, o, unlogged) }, []metric.Observable{unlogged}},
		{func(ctx context.Context, o metric.Observer) error { return w.standing(ctx, o, open, attention) }, []metric.Observable{open, attention}},
	} {
		if _, err := meter.RegisterCallback(one.read, one.of...); err != nil {
			return fmt.Errorf("making metrics: %w", err)
		}
	}
	if w.Drop == nil || w.Regimes == nil {
		return nil
	}
	return w.registerDrop(meter)
}

// incidents counts what is open. A kind of which none is says so, so that an alarm
// ends.
func (w Watch) incidents(ctx context.Context, o metric.Observer, gauge metric.Int64Observable) error {
	all, err := w.Store.Trouble(ctx)
	if err != nil {
		return fmt.Errorf("measuring incidents: %w", err)
	}
	type source struct {
		kind      store.IncidentKind
		connector string
	}
	open := map[source]int64{{store.Resurrected, ""}: 0, {store.Reimported, ""}: 0}
	for _, t := range all {
		open[source{t.Kind, t.Connector}] += t.Incidents
	}
	for s, n := range open {
		o.ObserveInt64(gauge, n, metric.WithAttributes(attribute.String("kind", string(s.kind)), attribute.String("connector", s.connector)))
	}
	return nil
}

// standing counts what is open by how near its due date is. Those of rules that are not
// known have none, and need a person.
func (w Watch) standing(ctx context.Context, o metric.Observer, open, attention metric.Int64Observable) error {
	now := w.Now().UTC()
	s, err := w.Store.Standing(ctx, now, now.AddDate(0, 0, soon))
	if err != nil {
		return fmt.Errorf("measuring open requests: %w", err)
	}
	var all int64
	for _, n := range s.Open {
		all += n
	}
	for due, n := range map[string]int64{"late": s.Late, "soon": s.Soon, "later": all - s.Late - s.Soon} {
		o.ObserveInt64(open, n, metric.WithAttributes(attribute.String("due", due)))
	}
	o.ObserveInt64(attention, s.Attention)
	return nil
}

// unlogged is 0 when nothing waits.
func (w Watch) unlogged(ctx context.Context, o metric.Observer, gauge metric.Int64Observable) error {
	now := w.Now().UTC()
	oldest, err := w.Store.Unlogged(ctx, now, 1)
	if err != nil {
		return fmt.Errorf("measuring what waits for the log: %w", err)
	}
	seconds := int64(0)
	if len(oldest) > 0 {
		seconds = int64(now.Sub(oldest[0].CreatedAt).Seconds())
	}
	o.ObserveInt64(gauge, seconds)
	return nil
}

// registerDrop measures the sessions with California's deletion platform.
func (w Watch) registerDrop(meter metric.Meter) error {
	left, err := meter.Int64ObservableGauge("habeas.drop.days.left", metric.WithDescription("Days until the law's last day for the next session with California's deletion platform; less than 0 is late."), metric.WithUnit("{day}"))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	alarm, err := meter.Int64ObservableGauge("habeas.drop.alarm", metric.WithDescription("Whether the day has come on which somebody is called for the next session with the platform."))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	failing, err := meter.Int64ObservableGauge("habeas.drop.failing", metric.WithDescription("Whether the last session with the platform, or its answers, failed."))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	_, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		today, err := drop.Today(w.Now())
		if err != nil {
			return err
		}
		s, used, err := w.Drop.Deadlines(ctx, w.Regimes, today)
		if err != nil || !used && !w.Broker {
			return err
		}
		o.ObserveInt64(left, int64(s.By.Start(time.UTC).Sub(today.Start(time.UTC)).Hours()/24))
		o.ObserveInt64(alarm, number(!today.Before(s.Alarm)))
		o.ObserveInt64(failing, number(s.FailingSince != nil))
		return nil
	}, left, alarm, failing)
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	return nil
}

func number(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
