package audit

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/habeas-data/habeas/services/audit/keyring"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

const scope = "github.com/habeas-data/habeas/services/audit"

// metrics are the room's instruments. None has a label that names a request.
type metrics struct {
	logged   metric.Int64Counter
	refused  metric.Int64Counter
	waiting  metric.Int64Gauge
	batch    metric.Int64Histogram
	duration metric.Float64Histogram
	size     metric.Int64Gauge
	lag      metric.Int64Gauge
	asked    metric.Int64Counter
	disputed metric.Int64Gauge
}

func newMetrics() (*metrics, error) {
	meter := otel.Meter(scope)
	m := &metrics{}
	var errs [9]error
	m.logged, errs[0] = meter.Int64Counter("habeas.audit.logged", metric.WithDescription("Records that became leaves of the log."), metric.WithUnit("{record}"))
	m.refused, errs[1] = meter.Int64Counter("habeas.audit.rejected", metric.WithDescription("Records that were refused and kept aside."), metric.WithUnit("{record}"))
	m.waiting, errs[2] = meter.Int64Gauge("habeas.audit.waiting", metric.WithDescription("Records that wait for a key or for the records they name."), metric.WithUnit("{record}"))
	m.batch, errs[3] = meter.Int64Histogram("habeas.audit.batch", metric.WithDescription("Records appended in one transaction."), metric.WithUnit("{record}"))
	m.duration, errs[4] = meter.Float64Histogram("habeas.audit.append.duration", metric.WithDescription("Time of one append, until its commit."), metric.WithUnit("s"))
	m.size, errs[5] = meter.Int64Gauge("habeas.audit.log.size", metric.WithDescription("Leaves under the newest signed head."), metric.WithUnit("{leaf}"))
	m.lag, errs[6] = meter.Int64Gauge("habeas.audit.witness.lag", metric.WithDescription("Leaves of the newest signed head that a witness has not cosigned."), metric.WithUnit("{leaf}"))
	m.asked, errs[7] = meter.Int64Counter("habeas.audit.witness.asked", metric.WithDescription("Heads that a witness was asked to cosign, and whether it did."), metric.WithUnit("{head}"))
	m.disputed, errs[8] = meter.Int64Gauge("habeas.audit.history.disputed", metric.WithDescription("Whether the log stands still because its history is not the one that was signed, by who says so and what it is."))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	// A counter that appears at 1 has not risen, for who watches how it rises: each
	// stands at 0 from the beginning.
	for _, reason := range append(keyring.Reasons(), incomplete) {
		m.refused.Add(context.Background(), 0, metric.WithAttributes(attribute.String("reason", reason)))
	}
	return m, nil
}

// history tells whether the log stands still because somebody knows another history
// of it: a witness, or its own guards.
func (m *metrics) history(ctx context.Context, why error) {
	for _, by := range []string{"witness", "guard"} {
		for kind, reason := range map[string]error{"fork": ledger.ErrForked, "rolled_back": ledger.ErrRolledBack} {
			stands := int64(0)
			if errors.Is(why, reason) && errors.Is(why, errWitness) == (by == "witness") {
				stands = 1
			}
			m.disputed.Record(ctx, stands, metric.WithAttributes(attribute.String("by", by), attribute.String("kind", kind)))
		}
	}
}

func (m *metrics) signed(ctx context.Context, size int64) { m.size.Record(ctx, size) }

// witnessed counts an answer of a witness, which a policy names, and how far it
// is behind.
func (m *metrics) witnessed(ctx context.Context, witness string, lag int64, cosigned bool) {
	name := attribute.String("witness", witness)
	m.lag.Record(ctx, lag, metric.WithAttributes(name))
	m.asked.Add(ctx, 1, metric.WithAttributes(name, attribute.Bool("cosigned", cosigned)))
}

func (m *metrics) rejected(ctx context.Context, reason string) {
	m.refused.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reason)))
}

func (m *metrics) appended(ctx context.Context, seconds float64, byType map[string]int64) {
	var total int64
	for typ, n := range byType {
		total += n
		m.logged.Add(ctx, n, metric.WithAttributes(attribute.String("type", typ)))
	}
	m.batch.Record(ctx, total)
	m.duration.Record(ctx, seconds)
}
