package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/habeas-data/habeas/services/internal/room"
)

// Config is what a room needs. Source and Packages are required.
type Config struct {
	// Source is where sealed parts are; see [JetStream].
	Source Source
	// Packages is where finished packages go: a folder, which is made, or a
	// bucket by a URL of gocloud.dev/blob.
	Packages string
	// SpoolDir is a folder for parts while a package is made, sealed as they
	// came; empty means the system's folder for temporary files. It needs room
	// for all parts of the builds under way.
	SpoolDir string
	// Company is the name in the report's heading.
	Company string
	// TTL is how long packages are kept; 0 means 30 days.
	TTL time.Duration
	// StallTimeout ends a build whose part sends nothing for so long; 0 means
	// one minute.
	StallTimeout time.Duration
	// Workers is how many packages are made at once; 0 means 2.
	Workers int
	// Logger takes what Run has to say; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

// Orders is where a room gets its work from. Its methods are called from
// several goroutines at once.
type Orders interface {
	// Next blocks until there is an order and hands it to this caller, or
	// returns the context's error.
	Next(ctx context.Context) (Order, error)
	// Done says that the package is there. It may be called for a request that
	// is done already.
	Done(ctx context.Context, requestID string, result Result) error
	// Fail says that there is no package, and why. An error that wraps
	// [ErrPart] will not pass by itself.
	Fail(ctx context.Context, requestID string, err error) error
}

// Room makes packages. It is safe for concurrent use.
type Room struct {
	config Config
	shelf  shelf
	scan   scanner
	// spoolTo wraps a spool file; tests inject faults here.
	spoolTo func(*os.File) writer

	built metric.Int64Counter
	took  metric.Float64Histogram
}

type writer interface{ Write([]byte) (int, error) }

// New makes a room, and the folder for packages.
func New(c Config) (*Room, error) {
	if c.Source == nil || c.Packages == "" {
		return nil, errors.New("delivery: Source and Packages are required")
	}
	if c.SpoolDir == "" {
		c.SpoolDir = os.TempDir()
	}
	if err := os.MkdirAll(c.SpoolDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the spool folder: %w", err)
	}
	if c.TTL == 0 {
		c.TTL = 30 * 24 * time.Hour
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = time.Minute
	}
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s, err := openShelf(context.Background(), c.Packages)
	if err != nil {
		return nil, err
	}
	r := &Room{config: c, shelf: s, scan: scanValue, spoolTo: func(f *os.File) writer { return f }}
	meter := otel.Meter(scope)
	if r.built, err = meter.Int64Counter("habeas.delivery.packages", metric.WithDescription("Packages made or not, by result.")); err != nil {
		return nil, fmt.Errorf("making a metric: %w", err)
	}
	if r.took, err = meter.Float64Histogram("habeas.delivery.build.duration", metric.WithUnit("s"), metric.WithDescription("Time to make a package.")); err != nil {
		return nil, fmt.Errorf("making a metric: %w", err)
	}
	// A counter that appears at 1 has not risen, for who watches how it rises: each
	// stands at 0 from the beginning.
	for _, result := range []string{packageMade, packageFailed} {
		r.built.Add(context.Background(), 0, metric.WithAttributes(attribute.String("result", result)))
	}
	return r, nil
}

// What comes of an order, as the metric says it.
const (
	packageMade   = "made"
	packageFailed = "failed"
)

// Run takes orders and makes their packages until ctx is cancelled, and sweeps
// packages whose time is over.
func (r *Room) Run(ctx context.Context, orders Orders) error {
	var g room.Group
	for range r.config.Workers {
		g.Add("building packages", func(ctx context.Context) error { return r.work(ctx, orders) })
	}
	g.Add("sweeping packages", r.sweepLoop)
	return g.Run(ctx)
}

// work makes packages one after the other. Trouble with the orders is logged
// and tried again: they come from a database that may be away for a while.
func (r *Room) work(ctx context.Context, orders Orders) error {
	pause := time.Duration(0)
	for {
		if pause > 0 && !sleep(ctx, pause) {
			return nil
		}
		o, err := orders.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = r.fulfil(ctx, orders, o)
		}
		if err == nil {
			pause = 0
			continue
		}
		pause = min(max(2*pause, 100*time.Millisecond), 30*time.Second)
		r.config.Logger.ErrorContext(ctx, "orders", "error", err, "again_in", pause)
	}
}

// fulfil makes one package and says how it went. Its error is that of saying so.
func (r *Room) fulfil(ctx context.Context, orders Orders, o Order) error {
	start := time.Now()
	result, err := r.Build(ctx, o)
	if ctx.Err() != nil {
		return nil // stopped in the middle; the order will be handed out again
	}
	log := r.config.Logger.With("request_id", o.RequestID, "duration", time.Since(start))
	outcome := packageMade
	if err != nil {
		outcome = packageFailed
		log.ErrorContext(ctx, "package not made", "error", err)
		err = orders.Fail(ctx, o.RequestID, err)
	} else {
		log.InfoContext(ctx, "package made", "records", result.Records, "bytes", result.Size, "complete", result.Complete)
		err = orders.Done(ctx, o.RequestID, result)
	}
	r.built.Add(ctx, 1, metric.WithAttributes(attribute.String("result", outcome)))
	r.took.Record(ctx, time.Since(start).Seconds())
	return err
}

// Ready reports whether packages can be made and stored now, for /readyz.
func (r *Room) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := os.Stat(r.config.SpoolDir); err != nil {
		return fmt.Errorf("reaching the spool folder: %w", err)
	}
	return r.shelf.check(ctx)
}

// Remove removes a package before its time, for one when the person has
// deleted their request. A package that is not there is no error.
func (r *Room) Remove(ctx context.Context, key string) error { return r.shelf.remove(ctx, key) }

// unfinishedAge is when a folder's temporary file, which is touched by every
// write, is a leftover of a crash.
const unfinishedAge = time.Hour

// Sweep removes packages older than the TTL and leftovers of crashes. It
// returns how many it removed.
func (r *Room) Sweep(ctx context.Context) (removed int, err error) {
	now := r.config.Now()
	var old []string
	err = r.shelf.list(ctx, func(key string, made time.Time) error {
		age := now.Sub(made)
		if age > r.config.TTL || strings.HasSuffix(key, ".tmp") && age > unfinishedAge {
			old = append(old, key)
		}
		return nil
	})
	for _, key := range old {
		if rmErr := r.shelf.remove(ctx, key); rmErr != nil {
			err = errors.Join(err, rmErr)
			continue
		}
		removed++
	}
	return removed, err
}

func (r *Room) sweepLoop(ctx context.Context) error {
	for {
		if n, err := r.Sweep(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.ErrorContext(ctx, "sweeping packages", "error", err)
		} else if n > 0 {
			r.config.Logger.InfoContext(ctx, "packages swept", "count", n)
		}
		if !sleep(ctx, min(time.Hour, r.config.TTL)) {
			return nil
		}
	}
}

// sleep waits, and is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
