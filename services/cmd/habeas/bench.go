package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
)

// benchOptions are the flags of "habeas bench".
type benchOptions struct {
	requests, idle, open int
	postgres             string
	json                 bool
	keep                 bool
	profile              string
}

// benchResult is what was measured. Absolute figures are this machine's on this
// day; the ratios are what can be compared.
type benchResult struct {
	Requests int `json:"requests"`
	// PerSecond is delete requests, submitted to closed with all evidence
	// logged, over four instant connectors.
	PerSecond float64   `json:"requests_per_second"`
	Raw       rawRates  `json:"raw"`
	Work      workCount `json:"per_request"`
	// Processor is what one request cost in computing.
	Processor processorUse `json:"processor_per_request"`
	// Limit is what the raw rates allow for that much work; Ratio is
	// PerSecond over Limit.
	Limit float64 `json:"limit_per_second"`
	Ratio float64 `json:"ratio"`
	// SealedLimit is the limit with the sealing, signing and checking counted in
	// that no request can do without; SealedRatio is PerSecond over it.
	SealedLimit float64     `json:"limit_with_cryptography_per_second"`
	SealedRatio float64     `json:"ratio_with_cryptography"`
	Idle        idleLatency `json:"idle"`
	// Memory is the resident size of all rooms in one process, in bytes.
	Memory memoryUse `json:"memory"`
}

// rawRates are this machine's own limits, measured in the same run.
type rawRates struct {
	Publish float64 `json:"jetstream_async_publish_per_second"`
	Fetch   float64 `json:"jetstream_fetch_and_ack_per_second"`
	Rows    float64 `json:"postgres_unnest_rows_per_second"`
	// These are of all processors together.
	Sign  float64 `json:"ed25519_signatures_per_second"`
	Check float64 `json:"ed25519_checks_per_second"`
	Seal  float64 `json:"sealed_subjects_per_second"`
}

// workCount is what one request really did.
type workCount struct {
	Published float64 `json:"messages_published"`
	Consumed  float64 `json:"messages_consumed"`
	Rows      float64 `json:"rows_written"`
	// Signed records, those of them that another program must check, and
	// subjects sealed for a connector.
	Signed  float64 `json:"signatures"`
	Checked float64 `json:"signatures_checked"`
	Sealed  float64 `json:"subjects_sealed"`
}

type idleLatency struct {
	Requests int     `json:"requests"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

type memoryUse struct {
	AtStart   int64 `json:"at_start"`
	Loaded    int64 `json:"after_load"`
	Open      int   `json:"open_requests,omitempty"`
	OpenFirst int64 `json:"with_1000_open,omitempty"`
	OpenAll   int64 `json:"with_all_open,omitempty"`
}

func benchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use: "bench", Args: cobra.NoArgs,
		Short: "Measure requests per second beside this machine's own limits, on PostgreSQL and NATS",
		Long: `Measure delete requests over four instant connectors from submission to closed with
all evidence in the log, on PostgreSQL and a NATS server of its own, and in the
same run what this machine's JetStream and PostgreSQL can do at most. The limit is
1 / (messages published / publish rate + messages consumed / fetch rate + rows / row
rate), from what the requests really did; and the same with the time added that all
processors need for the signatures, the checks of them and the sealing. "make bench" starts a PostgreSQL for it.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.requests, "requests", 5000, "how many requests to carry through")
	f.IntVar(&o.idle, "idle", 200, "how many single requests to time on an idle system")
	f.IntVar(&o.open, "open", 0, "how many requests to leave open while memory is measured, such as 100000")
	f.StringVar(&o.postgres, "postgres", os.Getenv("HABEAS_TEST_POSTGRES"), "a PostgreSQL where databases may be made; HABEAS_TEST_POSTGRES")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the rooms under load")
	f.BoolVar(&o.keep, "keep", false, "keep the folder and the databases")
	return cmd
}

func bench(ctx context.Context, o benchOptions, out, progress io.Writer) (err error) {
	if o.postgres == "" {
		return errors.New("--postgres is missing: name a PostgreSQL where databases may be made, or run make bench, which starts one")
	}
	if o.requests < 1 {
		return errors.New("--requests: want at least 1")
	}
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	result, err := b.run(ctx)
	if err != nil {
		return err
	}
	if o.json {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(result); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
		return nil
	}
	return result.print(out)
}

func (r *benchResult) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, `%d delete requests over four connectors: %.0f requests/s
  raw limits   %.0f publishes/s, %.0f fetches/s, %.0f rows/s
               %.0f signatures/s, %.0f checked/s, %.0f sealed/s
  a request    %.1f messages published, %.1f consumed, %.1f rows written
               %.1f signatures, %.1f checked, %.1f sealed
               %.2f ms of processor time in the rooms, %.2f in the connectors, %.2f in NATS, %.2f in PostgreSQL
  limit        %.0f requests/s; %.0f with the cryptography counted in
  ratio        %.2f; %.2f
  idle         p50 %.1f ms, p99 %.1f ms over %d single requests
  memory       %d MB at the start, %d MB after the load
`, r.Requests, r.PerSecond, r.Raw.Publish, r.Raw.Fetch, r.Raw.Rows, r.Raw.Sign, r.Raw.Check, r.Raw.Seal,
		r.Work.Published, r.Work.Consumed, r.Work.Rows, r.Work.Signed, r.Work.Checked, r.Work.Sealed,
		r.Processor.Rooms, r.Processor.Connectors, r.Processor.Broker, r.Processor.Database, r.Limit, r.SealedLimit, r.Ratio, r.SealedRatio, r.Idle.P50, r.Idle.P99, r.Idle.Requests, r.Memory.AtStart>>20, r.Memory.Loaded>>20)
	if err == nil && r.Memory.Open > 0 {
		_, err = fmt.Fprintf(w, "  open         %d MB with 1000 open, %d MB with %d open\n", r.Memory.OpenFirst>>20, r.Memory.OpenAll>>20, r.Memory.Open)
	}
	return err
}

// benchRun is the system under measurement: the rooms in this process, NATS
// and the connectors in processes of their own.
type benchRun struct {
	benchOptions
	progress io.Writer
	dir      string
	dbs      []string
	nats     *exec.Cmd
	kids     *children
	rt       *runtime
	client   *client
	stop     context.CancelFunc
	done     chan error
}

const benchConnectors = 4

func newBench(ctx context.Context, o benchOptions, progress io.Writer) (b *benchRun, err error) {
	b = &benchRun{benchOptions: o, progress: progress, done: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "habeas-bench-"); err != nil {
		return b, fmt.Errorf("making a folder: %w", err)
	}
	c := defaults()
	c.StateDir, c.HTTP.Addr, c.Log.Level = b.dir, "127.0.0.1:0", "warn"
	for _, target := range []*string{&c.Store.DSN, &c.Audit.Store.DSN} {
		if *target, err = b.database(ctx); err != nil {
			return b, err
		}
	}
	c.place()
	if err := c.makeKeys(); err != nil {
		return b, err
	}
	if c.HTTP.TokenFile, err = c.localToken(); err != nil {
		return b, err
	}
	if err := c.migrate(ctx, false); err != nil {
		return b, err
	}
	return b, b.start(ctx, c)
}

// database makes a fresh database and returns its DSN.
func (b *benchRun) database(ctx context.Context) (string, error) {
	name := fmt.Sprintf("habeas_bench_%d_%x", len(b.dbs), rand.Uint32()) //nolint:gosec // a name, not a secret
	conn, err := pgx.Connect(ctx, b.postgres)
	if err != nil {
		return "", errors.New("--postgres: the database can't be reached; is it running?")
	}
	defer conn.Close(ctx) //nolint:errcheck // the work is done
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	b.dbs = append(b.dbs, name)
	u, err := url.Parse(b.postgres)
	if err != nil {
		return "", errors.New("--postgres: want a URL such as postgres://user@host:5432/postgres")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// start starts NATS, the connectors and the rooms.
func (b *benchRun) start(ctx context.Context, c config) error {
	names := make([]string, benchConnectors)
	for i := range names {
		names[i] = fmt.Sprintf("instant%d", i+1)
	}
	broker, err := b.startNATS(ctx, names)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding our own program: %w", err)
	}
	for _, name := range names {
		file := filepath.Join(b.dir, name+".yaml")
		if err := os.WriteFile(file, []byte("name: "+name+"\n"), 0o600); err != nil {
			return fmt.Errorf("writing a configuration: %w", err)
		}
		c.Connectors = append(c.Connectors, childConfig{Name: name, Command: filepath.Join(filepath.Dir(self), "habeas-instant"), Config: file})
	}
	if err := os.MkdirAll(filepath.Join(b.dir, "logs"), 0o700); err != nil {
		return fmt.Errorf("making the folder for logs: %w", err)
	}
	logFile, logger, err := c.openLog()
	if err != nil {
		return err
	}
	if b.kids, err = c.children(logger); err != nil {
		return err
	}
	c.NATS = natsConfig{URL: broker.url, Replicas: 1}
	if b.rt, err = c.open(ctx, logger, requestsAndBus, nats.UserInfo(roomsUser, broker.passwords[roomsUser])); err != nil {
		return err
	}
	b.rt.close = append(b.rt.close, logFile.Close)
	local, err := b.rt.prepare(ctx, b.kids, broker)
	if err != nil {
		return err
	}
	b.client = &client{server: local.Server, token: b.rt.token, http: newHTTPClient()}
	running, stop := context.WithCancel(ctx)
	b.stop = stop
	go func() { b.done <- b.rt.serve(running, "habeas-bench") }()
	for !b.rt.allReady() || !b.kids.allUp(ctx, b.rt) {
		select {
		case err := <-b.done:
			b.done <- nil
			return fmt.Errorf("starting: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

func (b *benchRun) close() error {
	var errs []error
	if b.stop != nil {
		b.stop()
		errs = append(errs, <-b.done)
	}
	if b.nats != nil && b.nats.Process != nil {
		_ = b.nats.Process.Signal(os.Interrupt) // it may have ended
		_ = b.nats.Wait()                       // how it ended does not matter
	}
	if b.keep {
		_, err := fmt.Fprintf(b.progress, "kept: %s, databases %s\n", b.dir, strings.Join(b.dbs, ", "))
		return errors.Join(append(errs, err)...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if conn, err := pgx.Connect(ctx, b.postgres); err == nil {
		for _, name := range b.dbs {
			_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
			errs = append(errs, err)
		}
		errs = append(errs, conn.Close(ctx))
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

func (b *benchRun) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.progress, format+"\n", args...) // progress is for who watches
}

func (b *benchRun) run(ctx context.Context) (*benchResult, error) {
	r := &benchResult{Requests: b.requests}
	var err error
	b.say("measuring what JetStream and PostgreSQL can do here")
	if r.Raw, err = b.rawRates(ctx); err != nil {
		return nil, fmt.Errorf("measuring raw rates: %w", err)
	}
	r.Memory.AtStart = residentSize()
	b.say("timing %d single requests", b.idle)
	if r.Idle, err = b.idleRequests(ctx); err != nil {
		return nil, fmt.Errorf("timing single requests: %w", err)
	}
	b.say("carrying %d requests through", b.requests)
	before, err := b.counters(ctx)
	if err != nil {
		return nil, err
	}
	stopProfile, err := b.startProfile()
	if err != nil {
		return nil, err
	}
	used := b.processorTime(ctx)
	started := time.Now()
	if err := b.load(ctx, b.requests); err != nil {
		return nil, err
	}
	if err := b.untilClosed(ctx, b.idle+b.requests); err != nil {
		return nil, err
	}
	r.PerSecond = float64(b.requests) / time.Since(started).Seconds()
	r.Processor = b.processorTime(ctx).since(used, b.requests)
	r.Memory.Loaded = residentSize()
	if err := stopProfile(); err != nil {
		return nil, err
	}
	after, err := b.counters(ctx)
	if err != nil {
		return nil, err
	}
	r.Work = after.since(before, b.requests)
	r.Limit = 1 / (r.Work.Published/r.Raw.Publish + r.Work.Consumed/r.Raw.Fetch + r.Work.Rows/r.Raw.Rows)
	r.SealedLimit = 1 / (1/r.Limit + r.Work.Signed/r.Raw.Sign + r.Work.Checked/r.Raw.Check + r.Work.Sealed/r.Raw.Seal)
	r.Ratio, r.SealedRatio = r.PerSecond/r.Limit, r.PerSecond/r.SealedLimit
	if b.open > 0 {
		err = b.openRequests(ctx, &r.Memory)
	}
	return r, err
}

// startProfile starts the CPU profile that was asked for.
func (b *benchRun) startProfile() (stop func() error, err error) {
	if b.profile == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(b.profile)
	if err != nil {
		return nil, fmt.Errorf("making the profile: %w", err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the profile: %w", err), f.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// idleRequests submits one request at a time and waits until it is closed.
func (b *benchRun) idleRequests(ctx context.Context) (idleLatency, error) {
	times := make([]float64, 0, b.idle)
	for i := range b.idle {
		started := time.Now()
		id, err := b.submitOne(ctx, fmt.Sprintf("idle.%d@example.com", i))
		if err != nil {
			return idleLatency{}, err
		}
		if err := b.waitClosed(ctx, id); err != nil {
			return idleLatency{}, err
		}
		times = append(times, float64(time.Since(started).Microseconds())/1000)
	}
	if len(times) == 0 {
		return idleLatency{}, nil
	}
	slices.Sort(times)
	return idleLatency{Requests: len(times), P50: times[len(times)/2], P99: times[len(times)*99/100]}, nil
}

// waitClosed waits for the event of a closed request. It reads the stream, so
// that an event from before the call counts too.
func (b *benchRun) waitClosed(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	consumer, err := b.rt.js.OrderedConsumer(ctx, wire.StreamEvents, jetstream.OrderedConsumerConfig{FilterSubjects: []string{wire.EventSubject(id)}})
	if err != nil {
		return fmt.Errorf("following request %s: %w", id, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("following request %s: %w", id, err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		msg, err := messages.Next()
		if err != nil {
			return fmt.Errorf("request %s was not closed in time: %w", id, err)
		}
		var event struct{ Data struct{ State string } }
		if json.Unmarshal(msg.Data(), &event) == nil && event.Data.State == "closed" {
			return nil
		}
	}
}

// untilClosed waits until all n requests that were submitted are closed. It
// asks the index of the open ones: counting the closed, every time, would be a
// good part of what is measured.
func (b *benchRun) untilClosed(ctx context.Context, n int) error {
	pool, err := pgxpool.New(ctx, b.rt.Store.DSN)
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	defer pool.Close()
	last, stuck := int64(-1), time.Now()
	for {
		var open int64
		if err := pool.QueryRow(ctx, `SELECT count(*) FROM request WHERE state <> 'closed'`).Scan(&open); err != nil {
			return fmt.Errorf("counting open requests: %w", err)
		}
		if open == 0 {
			break
		}
		if open != last {
			last, stuck = open, time.Now()
		}
		if time.Since(stuck) > time.Minute {
			return fmt.Errorf("nothing was closed for a minute, %d are open; see %s", open, filepath.Join(b.dir, "logs"))
		}
		pause := 250 * time.Millisecond
		if open < 1000 {
			pause = 20 * time.Millisecond // the end is near, and its moment counts
		}
		if !room.Sleep(ctx, pause) {
			return ctx.Err()
		}
	}
	counts, err := b.rt.store.Counts(ctx)
	if err == nil && counts["closed"] != int64(n) {
		err = fmt.Errorf("%d requests were submitted and %d are closed", n, counts["closed"])
	}
	return err
}
