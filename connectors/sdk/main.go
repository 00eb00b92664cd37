package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/habeas-data/habeas/proto/wire"
)

// Main is the whole of a connector's program: it reads the configuration,
// opens the connector and serves it until a signal ends the process. name is
// the connector's name unless the configuration gives another.
//
//	--config FILE   the connector's configuration, YAML
//	--describe      print the manifest as JSON and exit, touching nothing
//
// The environment overrides the file: HABEAS_NATS_URL, HABEAS_NATS_USER,
// HABEAS_NATS_PASSWORD_FILE, HABEAS_STATE_DIR, HABEAS_HTTP_ADDR and
// HABEAS_COORDINATOR_KEY. With HABEAS_PARENT_PIPE=1 the process also ends when
// its standard input does, so that it never outlives the one that started it.
func Main(name string, open Opener) {
	if os.Getenv("GOGC") == "" {
		// What a connector holds is small. Collecting a fourth as often costs a
		// few megabytes and saves a tenth of the computing.
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := Command(WithParentPipe(ctx), name, open, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
	case errors.Is(err, flag.ErrHelp):
		stop()
		os.Exit(2) //nolint:gocritic // stop has been called
	default:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		stop()
		os.Exit(1)
	}
}

// WithParentPipe returns a context that also ends when standard input does,
// if HABEAS_PARENT_PIPE=1 says that it is a pipe held open by the process that
// started this one.
func WithParentPipe(ctx context.Context) context.Context {
	if os.Getenv("HABEAS_PARENT_PIPE") != "1" {
		return ctx
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		// What comes, and how it ends, does not matter: the end does.
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	return ctx
}

// Command is [Main] without the process: for programs that choose the opener
// themselves, and for tests. It returns when ctx is cancelled and the work in
// hand is finished or handed back.
func Command(ctx context.Context, name string, open Opener, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "the connector's configuration, YAML")
	describe := flags.Bool("describe", false, "print the manifest as JSON and exit, touching nothing")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	c, err := loadConfig(*file)
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = name
	}
	if err := wire.CheckName(c.Name); err != nil {
		return fmt.Errorf("reading %s: %w", orNone(*file), err)
	}
	logger := slog.New(slog.NewJSONHandler(stderr, nil)).With("connector", c.Name)
	env := Env{
		Name: c.Name, Version: c.Version, ConfigFile: *file, Logger: logger,
		Dir: filepath.Join(c.StateDir, "data"), Describe: *describe, section: c.Section,
	}
	if env.Version == "" {
		env.Version = buildVersion()
	}
	if *describe {
		return describeTo(ctx, stdout, env, open)
	}
	if err := c.checkServe(*file); err != nil {
		return err
	}
	return serveConfig(ctx, c, env, open)
}

// openConnector opens, fills in what the environment knows and checks the
// manifest.
func openConnector(ctx context.Context, env Env, open Opener) (Manifest, Connector, error) {
	m, connector, err := open(ctx, env)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("opening %s: %w", env.Name, err)
	}
	if m.Name == "" {
		m.Name = env.Name
	}
	if m.Version == "" {
		m.Version = env.Version
	}
	if m.Name != env.Name {
		return Manifest{}, nil, fmt.Errorf("opening %s: the manifest says it is %s", env.Name, m.Name)
	}
	return m, connector, m.Validate()
}

func describeTo(ctx context.Context, w io.Writer, env Env, open Opener) error {
	m, connector, err := openConnector(ctx, env, open)
	if err != nil {
		return err
	}
	if err := closeConnector(connector); err != nil {
		return err
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(manifestMessage(m, connector))
	if err != nil {
		return fmt.Errorf("describing %s: %w", env.Name, err)
	}
	// protojson varies its spaces on purpose; people compare descriptions.
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("describing %s: %w", env.Name, err)
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(fields)
}

// closeConnector closes connectors that can be.
func closeConnector(c Connector) error {
	closer, ok := c.(io.Closer)
	if !ok {
		return nil
	}
	if err := closer.Close(); err != nil {
		return fmt.Errorf("closing the connector: %w", err)
	}
	return nil
}
