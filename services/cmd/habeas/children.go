package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
)

// demoConnectors are what "habeas up" starts when the configuration names none.
var demoConnectors = []string{"billing", "crm", "analytics", "adtech"}

// children are the connectors, and the demo company's systems, as processes.
type children struct {
	specs   []childConfig
	demo    bool
	demoDir string
	// company is the demo company's file.
	company string
	bin     string
	logger  *slog.Logger
	// out is the terminal of whoever started everything.
	out    io.Writer
	rt     *runtime
	broker *broker

	started time.Time

	mu      sync.Mutex
	running map[string]*os.Process
}

// children finds the programs to start.
func (c *config) children(logger *slog.Logger) (*children, error) {
	ch := &children{specs: c.Connectors, logger: logger}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	ch.bin = filepath.Dir(self)
	if len(ch.specs) > 0 {
		return ch, nil
	}
	ch.demo, ch.demoDir = true, filepath.Join(c.StateDir, "demo")
	configs, err := ch.demoConfigs()
	if err != nil {
		return nil, err
	}
	ch.company = filepath.Join(configs, "..", "config", "tenants", "clientary.yaml")
	for _, name := range demoConnectors {
		ch.specs = append(ch.specs, childConfig{Name: name, Command: filepath.Join(ch.bin, "habeas-"+name), Config: filepath.Join(configs, name+".yaml")})
	}
	for _, program := range append([]string{filepath.Join(ch.bin, "habeas-demo")}, commandsOf(ch.specs)...) {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("program %s is missing: run make build, or name your own connectors in the configuration", program)
		}
	}
	return ch, nil
}

// demoConfigs finds the configurations of the demo company's connectors: beside
// the folder of the programs, or under the working directory.
func (ch *children) demoConfigs() (string, error) {
	for _, dir := range []string{filepath.Join(ch.bin, "..", "deploy", "demo"), filepath.Join("deploy", "demo")} {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("finding deploy/demo: %w", err)
		}
		if _, err := os.Stat(filepath.Join(abs, "billing.yaml")); err == nil {
			return abs, nil
		}
	}
	return "", errors.New("deploy/demo is not here: run habeas up in a checkout of Habeas, or name your own connectors in the configuration")
}

func commandsOf(specs []childConfig) []string {
	var out []string
	for _, s := range specs {
		out = append(out, s.Command)
	}
	return out
}

func (ch *children) names() []string {
	var out []string
	for _, s := range ch.specs {
		out = append(out, s.Name)
	}
	return out
}

func (ch *children) prepare(r *runtime, b *broker) {
	ch.rt, ch.broker, ch.started = r, b, time.Now()
}

// run starts everything and keeps it running until ctx is cancelled.
func (ch *children) run(ctx context.Context) error {
	var group room.Group
	// Our own address is not theirs.
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "HABEAS_HTTP_ADDR=") })
	if ch.demo {
		servers, err := ch.startDemo(ctx)
		if err != nil {
			return err
		}
		env = append(env, servers.env()...)
		group.Add("demo company", servers.keep)
	}
	seal, err := room.SealKey(ch.rt.Keys.Dir, "coordinator")
	if err != nil {
		return err
	}
	intake, err := room.SealKey(ch.rt.Keys.Dir, "intake")
	if err != nil {
		return err
	}
	desk, err := room.SealKey(ch.rt.Keys.Dir, "console")
	if err != nil {
		return err
	}
	lister, err := room.SealKey(ch.rt.Keys.Dir, listerName)
	if err != nil {
		return err
	}
	for _, spec := range ch.specs {
		state := filepath.Join(ch.rt.StateDir, "connectors", spec.Name)
		if err := os.MkdirAll(state, 0o700); err != nil {
			return fmt.Errorf("making the state folder of %s: %w", spec.Name, err)
		}
		password := filepath.Join(state, "nats.password")
		if err := os.WriteFile(password, []byte(ch.broker.passwords[spec.Name]+"\n"), 0o600); err != nil {
			return fmt.Errorf("writing the bus password of %s: %w", spec.Name, err)
		}
		own := append(append([]string{}, env...), "HABEAS_PARENT_PIPE=1", "HABEAS_NATS_URL="+ch.broker.url, "HABEAS_NATS_USER="+spec.Name,
			"HABEAS_NATS_PASSWORD_FILE="+password, "HABEAS_STATE_DIR="+state, "HABEAS_COORDINATOR_KEY="+seal.Public(), "HABEAS_INTAKE_KEY="+intake.Public(), "HABEAS_DESK_KEY="+desk.Public(), "HABEAS_LIST_KEY="+lister.Public())
		group.Add(spec.Name, func(ctx context.Context) error { return ch.keep(ctx, spec, own) })
	}
	return group.Run(ctx)
}

// keep runs one connector, and starts it again when it ends.
func (ch *children) keep(ctx context.Context, spec childConfig, env []string) error {
	pause := 200 * time.Millisecond
	for ctx.Err() == nil {
		began := time.Now()
		err := ch.start(ctx, spec, env)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > 10*time.Second {
			pause = 200 * time.Millisecond
		}
		ch.logger.WarnContext(ctx, "a connector ended and is started again", slog.String("connector", spec.Name), slog.Any("error", err), slog.Duration("pause", pause))
		room.Sleep(ctx, pause)
		pause = min(2*pause, 10*time.Second)
	}
	return nil
}

func (ch *children) start(ctx context.Context, spec childConfig, env []string) error {
	log, err := os.OpenFile(filepath.Join(ch.rt.StateDir, "logs", spec.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", spec.Name, err)
	}
	defer log.Close() //nolint:errcheck // the child wrote it
	args := []string{"--config", spec.Config}
	if filepath.Base(spec.Command) == "habeas-connector" {
		args = []string{"run", spec.Config} // a connector from a YAML alone
	}
	cmd, stdin, err := childCommand(ctx, spec.Command, args...)
	if err != nil {
		return err
	}
	defer stdin.Close()
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", filepath.Base(spec.Command), err)
	}
	ch.note(spec.Name, cmd.Process)
	defer ch.note(spec.Name, nil)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("running %s: %w", filepath.Base(spec.Command), err)
	}
	return nil
}

func (ch *children) note(name string, p *os.Process) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.running == nil {
		ch.running = make(map[string]*os.Process)
	}
	if p == nil {
		delete(ch.running, name)
		return
	}
	ch.running[name] = p
}

// signal sends a signal to every connector.
func (ch *children) signal(sig os.Signal) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for name, p := range ch.running {
		if err := p.Signal(sig); err != nil {
			return fmt.Errorf("signalling %s: %w", name, err)
		}
	}
	return nil
}

// pids are the connectors' processes.
func (ch *children) pids() []int {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var pids []int
	for _, p := range ch.running {
		pids = append(pids, p.Pid)
	}
	return pids
}

// childCommand makes a command that is asked to end with ctx, and that ends
// when we do because its standard input does.
func childCommand(ctx context.Context, program string, args ...string) (*exec.Cmd, io.Closer, error) {
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // the operator names the programs
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 8 * time.Second
	read, write, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("making a pipe: %w", err)
	}
	cmd.Stdin = read
	return cmd, closers{read, write}, nil
}

type closers []io.Closer

// Close closes all.
func (c closers) Close() error {
	var errs []error
	for _, one := range c {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// allUp reports whether every connector has announced itself since we started
// and its system answers.
func (ch *children) allUp(ctx context.Context, r *runtime) bool { return len(ch.missing(ctx, r)) == 0 }

func (ch *children) missing(ctx context.Context, r *runtime) []string {
	kv, err := r.js.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return ch.names()
	}
	known, err := r.store.Connectors(ctx)
	if err != nil {
		return ch.names()
	}
	enrolled := make(map[string]bool)
	for _, k := range known {
		enrolled[k.Name] = true
	}
	var missing []string
	for _, name := range ch.names() {
		m := &habeasv1.Manifest{}
		entry, err := kv.Get(ctx, name)
		if err != nil || proto.Unmarshal(entry.Value(), m) != nil || m.GetBeatTime().AsTime().Before(ch.started) || !m.GetReady() || !enrolled[name] {
			missing = append(missing, name)
		}
	}
	return missing
}
