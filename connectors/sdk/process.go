package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"

	"github.com/habeas-data/habeas/proto/wire"
)

// serveConfig is a connector's process: keys, connector, bus, listener, work.
func serveConfig(ctx context.Context, c config, env Env, open Opener) (err error) {
	keys, err := LoadKeys(c.StateDir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(env.Dir, 0o700); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	stopTelemetry, metrics, err := startTelemetry(ctx, env)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopTelemetry()) }()
	m, connector, err := openConnector(ctx, env, open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeConnector(connector)) }()
	conn, err := connect(c, env.Logger)
	if err != nil {
		return err
	}
	defer conn.Close()
	w, err := newWorker(ServeConfig{
		Conn: conn, Manifest: m, Connector: connector, Keys: keys, StateDir: c.StateDir,
		CoordinatorKey: c.CoordinatorKey, MatchKey: c.IntakeKey, DeskKey: c.DeskKey, ListKey: c.ListKey, Cap: c.Cap, Logger: env.Logger,
		OnReady: func() { env.Logger.Info("ready for jobs", "version", m.Version) },
	})
	if err != nil {
		return err
	}
	if c.HTTP != "" {
		stop, err := listenHTTP(ctx, c.HTTP, w, metrics, env.Logger)
		if err != nil {
			return err
		}
		defer stop()
	}
	return w.run(ctx)
}

// connect opens the connection to the bus. It is always tried again: the bus
// may come up later, and credentials may be put in place later.
func connect(c config, logger *slog.Logger) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("habeas connector " + c.Name),
		nats.CustomInboxPrefix(wire.InboxPrefix(c.Name)),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.RetryOnFailedConnect(true),
		nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("disconnected from the bus", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { logger.Info("connected to the bus") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			logger.Warn("the bus reports an error", "error", err)
		}),
	}
	switch n := c.NATS; {
	case n.Creds != "":
		opts = append(opts, nats.UserCredentials(n.Creds))
	case n.NkeySeedFile != "":
		opt, err := nats.NkeyOptionFromSeed(n.NkeySeedFile)
		if err != nil {
			return nil, fmt.Errorf("reading nats.nkey_seed_file: %w", err)
		}
		opts = append(opts, opt)
	case n.PasswordFile != "":
		if _, err := readSecretFile(n.PasswordFile); err != nil {
			return nil, fmt.Errorf("reading nats.password_file: %w", err)
		}
		// Read again at each connection: passwords are rotated.
		opts = append(opts, nats.UserInfoHandler(func() (string, string) {
			password, err := readSecretFile(n.PasswordFile)
			if err != nil {
				logger.Error("reading nats.password_file", "error", err)
			}
			return n.User, password.Reveal()
		}))
	case n.User != "":
		opts = append(opts, nats.UserInfo(n.User, ""))
	}
	conn, err := nats.Connect(c.NATS.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	return conn, nil
}

// startTelemetry installs the providers of metrics and, where the standard
// environment variables name a collector, of traces.
func startTelemetry(ctx context.Context, env Env) (stop func() error, metrics *metricsReader, err error) {
	p, err := newProviders(ctx, env)
	if err != nil {
		return nil, nil, fmt.Errorf("starting telemetry: %w", err)
	}
	otel.SetMeterProvider(p.meters)
	if p.traces != nil {
		otel.SetTracerProvider(p.traces)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { env.Logger.Debug("telemetry", "error", err) }))
	return p.stop, p.reader, nil
}
