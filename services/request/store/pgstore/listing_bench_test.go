package pgstore

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/storetest"
)

// The newest of the bench's requests arrived then.
var benchNow = time.Date(2026, time.June, 15, 18, 0, 0, 0, time.UTC)

// fill copies one stored request n times over two years, with three jobs each.
// One in fifty is open, the newest; opt-outs come by the browser's signal and by
// no other way, so that some combinations match nothing; one regime began lately
// and one connector is rare.
const fill = `WITH n AS (
	SELECT g, $4::timestamptz - (g * interval '63 seconds') AS at,
		(ARRAY['delete', 'know_specific', 'know_categories', 'correct', 'opt_out_sale_share'])[1 + g % 5] AS asked,
		CASE WHEN g < $3::int / 50 THEN (ARRAY['running', 'running', 'awaiting_verification', 'accepted', 'packaging'])[1 + g / 5 % 5] ELSE 'closed' END AS stands
	FROM generate_series($1::int, $2::int) g
), ids AS (
	SELECT *, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || lpad(to_hex(g), 20, '0') AS hex FROM n
), named AS (
	SELECT *, (substr(hex, 1, 8) || '-' || substr(hex, 9, 4) || '-7' || substr(hex, 14, 3) || '-8' || substr(hex, 18, 3) || '-' || substr(hex, 21, 12)) AS new_id FROM ids
), made AS (
	INSERT INTO request (id, tenant, regime, consumer_right, state, result, reason_code, reason, channel, terms, respond_by, verification, wrapped_key, sealed, kinds,
		commitment, idempotency_key, round, plan, record_digests, attention, created_at, updated_at, closed_at, version, assignee)
	SELECT named.new_id, '', CASE WHEN g < $3::int / 10 AND g % 3 = 0 THEN 'us-va-vcdpa' ELSE 'us-ca-ccpa' END, asked,
		CASE WHEN asked = 'opt_out_sale_share' AND stands = 'awaiting_verification' THEN 'running' WHEN asked <> 'know_specific' AND stands = 'packaging' THEN 'running' ELSE stands END,
		CASE stands WHEN 'closed' THEN 'complete' ELSE '' END, '', '',
		CASE WHEN asked = 'opt_out_sale_share' THEN 'gpc' ELSE (ARRAY['web', 'email', 'phone'])[1 + g / 7 % 3] END,
		terms - CASE WHEN asked = 'opt_out_sale_share' THEN 'Level' ELSE '' END, at + interval '45 days',
		CASE WHEN asked = 'opt_out_sale_share' OR stands = 'awaiting_verification' THEN NULL ELSE verification END,
		wrapped_key, sealed, r.kinds, commitment, '', 0, plan, record_digests,
		CASE WHEN stands = 'running' AND g % 40 = 0 THEN 'failed' ELSE '' END, at, at, CASE stands WHEN 'closed' THEN at + interval '9 days' END, 1,
		CASE WHEN g % 9 = 0 THEN 'ana' ELSE '' END
	FROM named CROSS JOIN (SELECT * FROM request WHERE id = $5) r
)
INSERT INTO job (id, request_id, connector, connector_version, manifest_digest, key_id, action, round, place, after, kinds, state, attempt, plan_digest, outcome, discovered, code,
	message, cap_override, sent_at, next_at, updated_at)
SELECT new_id || '-' || c, new_id, CASE WHEN c = 2 AND g % 10000 = 0 THEN 'rare' ELSE (ARRAY['crm', 'billing', 'adtech'])[c + 1] END, '1.0.0', '', '', 'erase', 0, c, '', 'email',
	CASE WHEN stands = 'closed' THEN 'done' WHEN c = 1 AND stands = 'running' THEN 'sent' WHEN c = 2 AND stands = 'running' AND g % 40 = 0 THEN 'failed' WHEN stands = 'running' AND c = 2 AND g % 10000 = 0 THEN 'sent' ELSE 'done' END,
	1, '\x00', '{"done": {}, "stores": [{"store": "people", "locatedCount": "3"}]}', 0, '', '', 0, at, NULL, at + interval '1 minute'
FROM named CROSS JOIN generate_series(0, 2) c`

// million fills a database with as many requests as HABEAS_BENCH_REQUESTS says,
// a million unless it says.
func million(b *testing.B) *Store {
	b.Helper()
	total := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("HABEAS_BENCH_REQUESTS")); err == nil {
		total = n
	}
	dsn := pgtest.New(b)
	if err := Migrate(b.Context(), dsn, false); err != nil {
		b.Fatal(err)
	}
	s, err := Open(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() }) // the database is dropped
	storetest.Write(b, s, 1)
	list, err := s.List(b.Context(), store.Filter{Right: request.Delete})
	if err != nil || len(list) != 1 {
		b.Fatalf("%d requests to copy: %v", len(list), err)
	}
	pool, err := pgxpool.New(b.Context(), dsn)
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	const chunk = 50_000
	for from := 0; from < total; from += chunk {
		if _, err := pool.Exec(b.Context(), fill, from, min(from+chunk, total)-1, total, benchNow, string(list[0].ID)); err != nil {
			b.Fatal(err)
		}
	}
	for _, name := range []string{"crm", "billing", "adtech", "rare"} {
		if err := s.PutConnector(b.Context(), store.Connector{Name: name, Manifest: []byte{0}, Key: []byte{0}, SeenAt: benchNow, UpdatedAt: benchNow}); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := pool.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkListing measures what every page of the console reads: a page of
// requests with their jobs and the counts beside it, and what today is made of.
func BenchmarkListing(b *testing.B) {
	s := million(b)
	for _, c := range []struct {
		name string
		f    store.Filter
	}{
		{"all", store.Filter{}},
		{"oldest", store.Filter{Sort: store.SortOldest}},
		{"deep", store.Filter{Before: store.Cursor{CreatedAt: benchNow.AddDate(-1, 0, 0), ID: "01985c5e-8c00-7000-8000-000000000001"}}},
		{"state", store.Filter{State: request.AwaitingVerification}},
		{"right", store.Filter{Right: request.Correct}},
		{"nothing matches", store.Filter{Right: request.Delete, Channel: request.ChannelGPC}},
		{"a late regime, old page", store.Filter{Regime: "us-va-vcdpa", Before: store.Cursor{CreatedAt: benchNow.AddDate(-1, 0, 0), ID: "01985c5e-8c00-7000-8000-000000000001"}}},
		{"four at once", store.Filter{State: request.Closed, Right: request.KnowSpecific, Channel: request.ChannelPhone, Regime: "us-ca-ccpa"}},
		{"attention", store.Filter{Attention: true}},
		{"attention, no match", store.Filter{Attention: true, Right: request.OptOutSaleShare, Regime: "us-va-vcdpa", State: request.Packaging}},
		{"due first", store.Filter{Sort: store.SortDue}},
		{"due first, right", store.Filter{Sort: store.SortDue, Right: request.Correct, Channel: request.ChannelEmail}},
		{"due in a week", store.Filter{DueUntil: benchNow.AddDate(0, 0, 38), DueAfter: benchNow.AddDate(0, 0, 31), Sort: store.SortDue}},
		{"connector", store.Filter{Connector: "billing", Sort: store.SortDue}},
		{"connector, newest", store.Filter{Connector: "billing"}},
		{"connector, right, due", store.Filter{Connector: "billing", Right: request.Correct, Sort: store.SortDue}},
		{"rare connector", store.Filter{Connector: "rare"}},
		{"assignee", store.Filter{Assignee: "ana"}},
		{"assignee, state", store.Filter{Assignee: "ana", State: request.Packaging}},
		{"person", store.Filter{Person: []byte("nobody")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			measure(b, func(ctx context.Context) error { return readPage(ctx, s, c.f) })
		})
	}
	b.Run("today", func(b *testing.B) {
		measure(b, func(ctx context.Context) error { return readToday(ctx, s) })
	})
}

// measure reports the slowest round beside the mean.
func measure(b *testing.B, read func(context.Context) error) {
	b.Helper()
	var worst time.Duration
	for b.Loop() {
		began := time.Now()
		if err := read(b.Context()); err != nil {
			b.Fatal(err)
		}
		worst = max(worst, time.Since(began))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms")
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/page")
}

func readPage(ctx context.Context, s *Store, f store.Filter) error {
	list, err := s.List(ctx, f)
	if err != nil {
		return err
	}
	ids := make([]request.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	if _, err := s.JobsOf(ctx, ids); err != nil {
		return err
	}
	if _, err := s.Tallied(ctx, f); err != nil {
		return err
	}
	_, err = s.Matches(ctx, f)
	return err
}

// readToday reads what the page of today reads, at once as it does.
func readToday(ctx context.Context, s *Store) error {
	var g errgroup.Group
	g.Go(func() error {
		_, err := s.Standing(ctx, benchNow, benchNow.AddDate(0, 0, 7))
		return err
	})
	g.Go(func() error {
		_, err := s.Pressing(ctx, 12)
		return err
	})
	g.Go(func() error {
		_, err := s.Days(ctx, benchNow.AddDate(0, 0, -30))
		return err
	})
	g.Go(func() error { return readPage(ctx, s, store.Filter{Attention: true, Sort: store.SortDue, Limit: 10}) })
	g.Go(func() error {
		if _, err := s.Stuck(ctx); err != nil {
			return err
		}
		if _, err := s.Pace(ctx, benchNow.Add(-24*time.Hour)); err != nil {
			return err
		}
		_, err := s.AtRisk(ctx, map[string]time.Time{"billing": benchNow.AddDate(0, 0, 38), "crm": benchNow.AddDate(0, 0, 7)})
		return err
	})
	return g.Wait()
}
