package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/habeas-data/habeas/services/internal/room"
)

const (
	rawMessages = 100_000
	rawBytes    = 512
	rawRows     = 200_000
	rowBatch    = 1000
	rawWorkers  = 4
	bulkSize    = 250
)

func newHTTPClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	return &http.Client{Transport: t}
}

type submitBody struct {
	Right        string              `json:"right"`
	Channel      string              `json:"channel"`
	Identifiers  []map[string]string `json:"identifiers"`
	Verification map[string]string   `json:"verification"`
}

func deletion(email string) submitBody {
	return submitBody{
		Right: "delete", Channel: "api", Identifiers: []map[string]string{{"kind": "email", "value": email}},
		Verification: map[string]string{"method": "account_login", "level": "reasonably_high"},
	}
}

func (b *benchRun) submitOne(ctx context.Context, email string) (string, error) {
	var v struct{ ID string }
	err := b.client.call(ctx, http.MethodPost, "/v1/requests", nil, deletion(email), &v)
	return v.ID, err
}

// load submits n requests in bulk, over the API, from a few clients.
func (b *benchRun) load(ctx context.Context, n int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rawWorkers)
	run := time.Now().UnixNano()
	for from := 0; from < n; from += bulkSize {
		g.Go(func() error {
			var body struct {
				Requests []submitBody `json:"requests"`
			}
			for i := from; i < min(from+bulkSize, n); i++ {
				body.Requests = append(body.Requests, deletion(fmt.Sprintf("load.%d.%d@example.com", run, i)))
			}
			var answer struct {
				Results []struct {
					ID     string
					Errors []struct{ Message string }
				}
			}
			if err := b.client.call(ctx, http.MethodPost, "/v1/requests:bulk", nil, body, &answer); err != nil {
				return fmt.Errorf("submitting: %w", err)
			}
			for _, r := range answer.Results {
				if r.ID == "" {
					return fmt.Errorf("submitting: refused: %v", r.Errors)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// rawRates measures the machine on the servers the requests will use.
func (b *benchRun) rawRates(ctx context.Context) (r rawRates, err error) {
	if r.Publish, r.Fetch, err = b.rawBus(ctx); err != nil {
		return r, err
	}
	if r.Rows, err = b.rawRows(ctx); err != nil {
		return r, err
	}
	return r, r.cryptography()
}

func (b *benchRun) rawBus(ctx context.Context) (publish, fetch float64, err error) {
	js := b.rt.js
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench.raw"}, Storage: jetstream.FileStorage})
	if err != nil {
		return 0, 0, fmt.Errorf("making a stream: %w", err)
	}
	defer func() { err = errors.Join(err, js.DeleteStream(context.WithoutCancel(ctx), "BENCH")) }()
	body := bytes.Repeat([]byte("x"), rawBytes)
	started := time.Now()
	for range rawMessages {
		if _, err := js.PublishAsync("bench.raw", body, jetstream.WithStallWait(5*time.Second)); err != nil {
			return 0, 0, fmt.Errorf("publishing: %w", err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(time.Minute):
		return 0, 0, errors.New("publishing: not acknowledged in a minute")
	}
	publish = rawMessages / time.Since(started).Seconds()
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "bench", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 20_000})
	if err != nil {
		return 0, 0, fmt.Errorf("making a consumer: %w", err)
	}
	started = time.Now()
	var g errgroup.Group
	for range rawWorkers {
		g.Go(func() error {
			for got := 0; got < rawMessages/rawWorkers; {
				batch, err := consumer.Fetch(min(256, rawMessages/rawWorkers-got), jetstream.FetchMaxWait(5*time.Second))
				if err != nil {
					return fmt.Errorf("fetching: %w", err)
				}
				for m := range batch.Messages() {
					if err := m.Ack(); err != nil {
						return fmt.Errorf("acknowledging: %w", err)
					}
					got++
				}
				if err := batch.Error(); err != nil {
					return fmt.Errorf("fetching: %w", err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, 0, err
	}
	return publish, rawMessages / time.Since(started).Seconds(), nil
}

// rawRows measures INSERT … SELECT FROM unnest in batches of 1,000 over four
// connections.
func (b *benchRun) rawRows(ctx context.Context) (float64, error) {
	pool, err := pgxpool.New(ctx, b.rt.Store.DSN)
	if err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `CREATE TABLE bench_raw (id bigint PRIMARY KEY, body text NOT NULL)`); err != nil {
		return 0, fmt.Errorf("making a table: %w", err)
	}
	text := string(bytes.Repeat([]byte("x"), rawBytes))
	started := time.Now()
	var g errgroup.Group
	for w := range rawWorkers {
		g.Go(func() error {
			ids, bodies := make([]int64, rowBatch), make([]string, rowBatch)
			for from := 0; from < rawRows/rawWorkers; from += rowBatch {
				for i := range rowBatch {
					ids[i], bodies[i] = int64(w*rawRows+from+i), text
				}
				if _, err := pool.Exec(ctx, `INSERT INTO bench_raw SELECT * FROM unnest($1::bigint[], $2::text[])`, ids, bodies); err != nil {
					return fmt.Errorf("inserting: %w", err)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	rate := rawRows / time.Since(started).Seconds()
	_, err = pool.Exec(ctx, `DROP TABLE bench_raw`)
	return rate, err
}

// openRequests stops the connectors, leaves requests open and measures what
// the rooms keep in memory.
func (b *benchRun) openRequests(ctx context.Context, m *memoryUse) error {
	b.say("leaving %d requests open to measure memory", b.open)
	if err := b.kids.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	m.Open = b.open
	for _, step := range []struct {
		n  int
		at *int64
	}{{min(1000, b.open), &m.OpenFirst}, {b.open - min(1000, b.open), &m.OpenAll}} {
		if err := b.load(ctx, step.n); err != nil {
			return err
		}
		if err := b.untilPlanned(ctx); err != nil {
			return err
		}
		*step.at = residentSize()
	}
	return b.kids.signal(syscall.SIGCONT)
}

func (b *benchRun) untilPlanned(ctx context.Context) error {
	for {
		counts, err := b.rt.store.Counts(ctx)
		if err != nil {
			return err
		}
		if counts["accepted"] == 0 {
			return nil
		}
		if !room.Sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// residentSize is the memory of this process in bytes, as the system counts
// it; 0 where it can't be known.
func residentSize() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
