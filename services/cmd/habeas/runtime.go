package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/tokens"
)

// runtime is what the rooms of one process share.
type runtime struct {
	config
	instance string
	logger   *slog.Logger
	conn     *nats.Conn
	js       jetstream.JetStream
	store    database
	vault    *vault.Vault
	token    string
	guard    *tokens.Guard
	log      logTransport
	// once is the code of the link that signs somebody in one time; empty for none.
	once   string
	intake *intake.Room
	// delivery answers for packages when that room is in this process.
	delivery http.Handler
	// demoCompany is the file that answers are made from where none is set.
	demoCompany string
	// bases are on what connectors may keep records, once they were read.
	bases *tenant.Bases
	// ledger is who got which data; nil without a company's file.
	ledger *disclosure.Ledger
	// listener is where HTTP is served when it is open already.
	listener net.Listener

	group  room.Group
	mounts map[string]http.Handler
	checks map[string]func() error
	close  []func() error
}

// open connects a process to what every room needs.
func (c config) open(ctx context.Context, logger *slog.Logger, need needs, options ...nats.Option) (*runtime, error) {
	id := make([]byte, 6)
	rand.Read(id) // never fails
	r := &runtime{
		config: c, instance: hex.EncodeToString(id), logger: logger,
		mounts: map[string]http.Handler{}, checks: map[string]func() error{},
	}
	if err := c.makeDirs(); err != nil {
		return nil, err
	}
	if err := r.connect(options); err != nil {
		return nil, err
	}
	if need == requestsAndBus {
		if err := r.openRequests(ctx); err != nil {
			return nil, err
		}
	}
	token, err := c.HTTP.TokenFile.Read()
	if err != nil {
		return nil, err
	}
	r.token = token.Reveal()
	return r, r.openGuard()
}

// needs is what a room works with.
type needs int

const (
	busOnly needs = iota // audit: it never sees a request
	requestsAndBus
)

// openRequests opens the store of requests and the master key.
func (r *runtime) openRequests(ctx context.Context) error {
	dsn, err := r.Store.dsn()
	if err != nil {
		return err
	}
	if r.store, err = openStore(ctx, dsn); err != nil {
		return err
	}
	r.close = append(r.close, r.store.Close)
	r.checks["store"] = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		return r.store.Ping(ctx)
	}
	if r.vault, err = vault.New(ctx, r.Vault.Key); err != nil {
		return err
	}
	r.close = append(r.close, r.vault.Close)
	return nil
}

func (r *runtime) connect(options []nats.Option) error {
	options = append([]nats.Option{
		nats.Name("habeas " + r.instance), nats.MaxReconnects(-1), nats.ReconnectWait(200 * time.Millisecond), nats.RetryOnFailedConnect(true),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			r.logger.Warn("bus", slog.Any("error", err))
		}),
	}, options...)
	if r.NATS.User != "" {
		password, err := r.NATS.PasswordFile.Read()
		if err != nil {
			return err
		}
		// A user may hear the answers to its own questions and to nobody else's.
		options = append(options, nats.UserInfo(r.NATS.User, password.Reveal()), nats.CustomInboxPrefix(wire.InboxPrefix(r.NATS.User)))
	}
	if r.NATS.CredsFile != "" {
		options = append(options, nats.UserCredentials(r.NATS.CredsFile))
	}
	conn, err := nats.Connect(r.NATS.URL, options...)
	if err != nil {
		return fmt.Errorf("connecting to NATS at %s: %w", r.NATS.URL, err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	r.conn, r.js = conn, js
	r.close = append(r.close, func() error { conn.Close(); return nil })
	r.checks["nats"] = func() error {
		if !conn.IsConnected() {
			return errors.New("not connected")
		}
		return nil
	}
	return nil
}

func (r *runtime) streams() wire.StreamOptions {
	return wire.StreamOptions{Replicas: r.NATS.Replicas, AckWait: r.NATS.AckWait}
}

// shut closes what open opened, in reverse.
func (r *runtime) shut() error {
	var errs []error
	for _, shut := range slices.Backward(r.close) {
		errs = append(errs, shut())
	}
	return errors.Join(errs...)
}

// memoryLimit is where a process of rooms begins to collect garbage harder.
// What the rooms keep does not grow with the number of open requests; what a
// burst leaves behind should not stay either. GOMEMLIMIT sets another.
const memoryLimit = 240 << 20

// serve runs everything that was added, with HTTP in front.
func (r *runtime) serve(ctx context.Context, name string) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if os.Getenv("GOGC") == "" {
		// The heap is small and the limit above holds: collecting half as often
		// costs some megabytes and saves a twentieth of the computing.
		debug.SetGCPercent(200)
	}
	shutdown, metrics, err := room.Telemetry(ctx, name, version())
	if err != nil {
		return err
	}
	server := &room.Server{Addr: r.HTTP.Addr, Mount: r.mounts, Checks: r.checks, Metrics: metrics, Logger: r.logger, MaxBody: 16 << 20}
	run := server.Run
	if r.listener != nil {
		run = func(ctx context.Context) error { return server.Serve(ctx, r.listener) }
	}
	r.group.Add("http", run)
	err = r.group.Run(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if lost := shutdown(stop); lost != nil {
		// Telemetry that can't be sent is no failure of the rooms.
		r.logger.Warn("the last telemetry was not sent", slog.Any("error", lost))
	}
	return errors.Join(err, r.shut())
}
