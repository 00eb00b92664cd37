package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	_ "modernc.org/sqlite"             // the driver "sqlite"

	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

const callbackPath = "/opendsr/callbacks"

// host is what the connector needs of the program around it.
type host struct {
	name, version string
	dir           string // for its state: the ledger of requests to partners
	log           *slog.Logger
	secret        func(name string) (sdk.Secret, error)
	now           func() time.Time // nil means time.Now
}

// open is the connector's [sdk.Opener].
func open(ctx context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var s settings
	if err := env.Decode(&s); err != nil {
		return sdk.Manifest{}, nil, err
	}
	s.beside(filepath.Dir(env.ConfigFile))
	h := host{name: env.Name, version: env.Version, dir: env.Dir, log: env.Logger, secret: env.Secret}
	manifest, a, err := build(ctx, s, h, env.Describe)
	if err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: %w", env.ConfigFile, err)
	}
	return manifest, s.able(a), nil
}

// build makes the connector; with describe only as far as the manifest needs.
// The database and the partners may come up later than the connector.
func build(ctx context.Context, s settings, h host, describe bool) (m sdk.Manifest, a *adtech, err error) {
	if err := s.check(); err != nil {
		return sdk.Manifest{}, nil, err
	}
	manifest, err := s.manifest(h.name, h.version)
	if err != nil || describe {
		return manifest, &adtech{}, err
	}
	if h.now == nil {
		h.now = time.Now
	}
	a = &adtech{now: h.now}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.digests.key, err = s.optOutKey(); err != nil {
		return manifest, nil, err
	}
	for _, p := range s.Partners {
		a.partners = append(a.partners, p.partner())
	}
	if err := a.openDatabase(s, h); err != nil {
		return manifest, nil, err
	}
	return manifest, a, a.openController(ctx, s, h)
}

// Close implements [io.Closer].
func (a *adtech) Close() error {
	var err error
	for _, closer := range slices.Backward(a.closers) {
		err = errors.Join(err, closer())
	}
	a.closers = nil
	return err
}

// tables are the columns the connector relies on.
var tables = map[string]string{
	storeProfiles:    "profile_id, user_id, email_sha256, region, created_at, last_seen, opted_out_at",
	storeIdentifiers: "kind, value, platform, os, browser, screen, first_seen, last_seen, opted_out_at",
	storeLinks:       "profile_id, kind, value, source, linked_at",
	storeInferences:  "inference_id, profile_id, attribute, value, score, made_at",
	storeAudiences:   "audience, profile_id, partner, added_at, withdrawn_at",
	"opt_outs":       "opt_out_id, source, recorded_at",
	"opt_out_keys":   "digest, opt_out_id",
}

// ready checks once that the database has the tables, and says which it lacks.
func (g *graph) ready(ctx context.Context) error {
	if g.checked.Load() {
		return ctx.Err()
	}
	if err := g.db.PingContext(ctx); err != nil {
		return sdk.WithCode(sdk.Unavailable, fmt.Errorf("reaching the identity graph: %w", err))
	}
	for _, table := range slices.Sorted(maps.Keys(tables)) {
		if _, err := g.db.ExecContext(ctx, "SELECT "+tables[table]+" FROM "+table+" WHERE 1 = 0"); err != nil { //nolint:gosec // both are ours
			return sdk.WithCode(sdk.Configuration, fmt.Errorf("table %s must have the columns %s: %w", table, tables[table], err))
		}
	}
	g.checked.Store(true)
	return nil
}

func (a *adtech) openDatabase(s settings, h host) error {
	dsn := s.Database.DSN
	if s.Database.DSNSecret != "" {
		secret, err := h.secret(s.Database.DSNSecret)
		if err != nil {
			return fmt.Errorf("database.dsn_secret: %w", err)
		}
		dsn = secret.Reveal()
	}
	driver := "pgx"
	if s.Database.Driver == "sqlite" {
		driver, dsn = "sqlite", sqliteDSN(dsn, "rw")
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		return errors.New("database: the dsn cannot be read") // the error may quote its password
	}
	db.SetMaxOpenConns(4)
	a.graph.db = db
	a.closers = append(a.closers, db.Close)
	return nil
}

// sqliteDSN opens a file with transactions that take the write lock at once,
// so that two of them wait for each other and neither fails half-way, and that
// overwrites what is deleted instead of leaving it in the file's free space.
func sqliteDSN(path, mode string) string {
	u := url.URL{Scheme: "file", OmitHost: true, Path: path}
	u.RawQuery = url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {"busy_timeout(10000)", "secure_delete(1)"}}.Encode()
	return u.String()
}

// openController opens the ledger in the connector's own directory and, when
// asked to, listens for callbacks.
func (a *adtech) openController(ctx context.Context, s settings, h host) error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return fmt.Errorf("opening the request ledger: %w", err)
	}
	db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(h.dir, "opendsr.db"), "rwc"))
	if err != nil {
		return fmt.Errorf("opening the request ledger: %w", err)
	}
	a.closers = append(a.closers, db.Close)
	db.SetMaxOpenConns(1)
	ledger, err := opendsr.OpenLedger(ctx, db)
	if err != nil {
		return err
	}
	var processors []opendsr.Processor
	for i, p := range s.Partners {
		processor, err := p.processor(h.secret)
		if err != nil {
			return fmt.Errorf("partners[%d] (%s): %w", i, p.Name, err)
		}
		processors = append(processors, processor)
	}
	listener, callback, err := s.Callback.listen(ctx)
	if err != nil {
		return err
	}
	if listener != nil {
		a.closers = append(a.closers, func() error {
			if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	a.controller, err = opendsr.NewController(ctx, ledger, processors, opendsr.Settings{
		CallbackURL: callback, Patience: s.Poll.Patience, PollMin: s.Poll.Min, PollMax: s.Poll.Max, MaxWait: s.Poll.MaxWait, Now: h.now,
	})
	if err != nil {
		return err
	}
	if listener != nil {
		a.serve(listener, h.log)
	}
	return nil
}

// listen opens the callback address and says how partners reach it.
func (c callbackSettings) listen(ctx context.Context) (net.Listener, string, error) {
	if c.Listen == "" {
		if c.URL != "" {
			return nil, "", errors.New("callback.url is set and callback.listen is not")
		}
		return nil, "", nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, "", fmt.Errorf("callback.listen: %w", err)
	}
	if c.URL != "" {
		return listener, c.URL, nil
	}
	if addr, ok := listener.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		return nil, "", errors.Join(errors.New("callback.url is missing: the https address by which partners reach callback.listen"), listener.Close())
	}
	return listener, "http://" + listener.Addr().String() + callbackPath, nil
}

// serve answers callbacks until the connector is closed.
func (a *adtech) serve(listener net.Listener, log *slog.Logger) {
	// Any path will do: what stands in front may have changed it, and the
	// signature decides.
	server := &http.Server{Handler: a.controller, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("callbacks are no longer taken", "error", err)
		}
	}()
	a.closers = append(a.closers, server.Close)
}
