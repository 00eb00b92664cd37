package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	goruntime "runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
)

// counted is how much the servers have done so far.
type counted struct{ published, consumed, rows, signed, checked, sealed int64 }

func (c counted) since(before counted, requests int) workCount {
	n := float64(requests)
	return workCount{
		Published: float64(c.published-before.published) / n, Consumed: float64(c.consumed-before.consumed) / n,
		Rows: float64(c.rows-before.rows) / n, Signed: float64(c.signed-before.signed) / n,
		Checked: float64(c.checked-before.checked) / n, Sealed: float64(c.sealed-before.sealed) / n,
	}
}

// counters asks the servers: sequence numbers of the streams, deliveries of
// the consumers, rows inserted, updated and deleted.
func (b *benchRun) counters(ctx context.Context) (counted, error) {
	var c counted
	for _, name := range []string{wire.StreamJobs, wire.StreamEvidence, wire.StreamDiscovered, wire.StreamEvents} {
		stream, err := b.rt.js.Stream(ctx, name)
		if err != nil {
			return c, fmt.Errorf("asking for stream %s: %w", name, err)
		}
		last := int64(stream.CachedInfo().State.LastSeq) //nolint:gosec // far below 2^63
		c.published += last
		if name == wire.StreamJobs {
			c.sealed = last // each job has one sealed subject
		}
		consumers := stream.ListConsumers(ctx)
		for info := range consumers.Info() {
			c.consumed += int64(info.Delivered.Consumer) //nolint:gosec // far below 2^63
		}
		if err := consumers.Err(); err != nil {
			return c, fmt.Errorf("asking for consumers of %s: %w", name, err)
		}
	}
	for _, dsn := range []string{b.rt.Store.DSN, b.rt.Audit.Store.DSN} {
		rows, err := rowsWritten(ctx, dsn)
		if err != nil {
			return c, err
		}
		c.rows += rows
	}
	var err error
	c.signed, c.checked, err = b.leaves(ctx)
	return c, err
}

// leaves counts the records in the log, each of which was signed once, and
// those that connectors signed: the rooms, in one process, sign the rest
// themselves and need not check it.
func (b *benchRun) leaves(ctx context.Context) (all, connectors int64, err error) {
	conn, err := pgx.Connect(ctx, b.rt.Audit.Store.DSN)
	if err != nil {
		return 0, 0, fmt.Errorf("counting records: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // only read from
	err = conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE issuer LIKE 'instant%') FROM habeas_audit.leaf`).Scan(&all, &connectors)
	if err != nil {
		return 0, 0, fmt.Errorf("counting records: %w", err)
	}
	return all, connectors, nil
}

func rowsWritten(ctx context.Context, dsn string) (int64, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, fmt.Errorf("counting rows: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // only read from
	// Backends report what they did within a second of going idle.
	room.Sleep(ctx, 1200*time.Millisecond)
	var n int64
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables`).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("counting rows: %w", err)
	}
	return n, nil
}

// recordBytes is about what a record's signed payload takes.
const recordBytes = 900

// cryptography measures signing and checking with Ed25519, and sealing a
// subject for a connector that is known, on all processors.
func (r *rawRates) cryptography() error {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	own, err := wire.NewSealKey()
	if err != nil {
		return err
	}
	reader, err := wire.NewSealKey()
	if err != nil {
		return err
	}
	message := make([]byte, recordBytes)
	signature := ed25519.Sign(key, message)
	subject := &habeasv1.Subject{JobId: "job", Identifiers: []*habeasv1.Identifier{{Kind: "email", Value: "somebody@example.com"}}}
	r.Sign, err = onAll(8000, func() error {
		ed25519.Sign(key, message)
		return nil
	})
	if err != nil {
		return err
	}
	r.Check, err = onAll(4000, func() error {
		if !ed25519.Verify(public, message, signature) {
			return wire.ErrSignature
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.Seal, err = onAll(8000, func() error {
		_, err := own.SealSubject(subject, reader.Public())
		return err
	})
	return err
}

// onAll does work so many times on every processor and returns how often a
// second that was, of all together.
func onAll(times int, work func() error) (float64, error) {
	var g errgroup.Group
	started, processors := time.Now(), goruntime.GOMAXPROCS(0)
	for range processors {
		g.Go(func() error {
			for range times {
				if err := work(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, fmt.Errorf("measuring the processors: %w", err)
	}
	return float64(times*processors) / time.Since(started).Seconds(), nil
}
