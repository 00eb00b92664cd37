package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/habeas-data/habeas/proto/wire"
)

// busAccess is what a connector needs to reach the bus.
type busAccess struct{ url, user, password string }

// bus is the tool's own NATS server.
type bus struct {
	server         *server.Server
	refusals       *refusals
	coordinatorURL string
	access         busAccess
}

// startBus starts a server with two users: the coordinator, who may do
// everything, and the connector, who may do what the contract says.
func startBus(listen, dir, name string) (*bus, error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", listen, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("--listen %s: %w", listen, err)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	publish, subscribe := wire.Permissions(name)
	coordinator, connector := rand.Text(), rand.Text()
	s, err := server.NewServer(&server.Options{
		Host: host, Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
		Users: []*server.User{
			{Username: "coordinator", Password: coordinator},
			{Username: name, Password: connector, Permissions: &server.Permissions{
				Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
			}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("starting the bus: %w", err)
	}
	refused := &refusals{}
	s.SetLoggerV2(refused, false, false, false)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, fmt.Errorf("starting the bus: not ready at %s after 10 s", listen)
	}
	addr := s.Addr().String()
	return &bus{
		server: s, refusals: refused, coordinatorURL: "nats://coordinator:" + coordinator + "@" + addr,
		access: busAccess{url: "nats://" + addr, user: name, password: connector},
	}, nil
}

func (b *bus) stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// environment tells a connector where the bus is, and writes its password.
func (a busAccess) environment(dir, coordinatorKey string) ([]string, error) {
	env := []string{"HABEAS_COORDINATOR_KEY=" + coordinatorKey, "HABEAS_STATE_DIR=" + filepath.Join(dir, "state")}
	if a.url == "" {
		return env, nil
	}
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(a.password), 0o600); err != nil {
		return nil, fmt.Errorf("writing the password: %w", err)
	}
	return append(env, "HABEAS_NATS_URL="+a.url, "HABEAS_NATS_USER="+a.user, "HABEAS_NATS_PASSWORD_FILE="+file), nil
}

// tell prints the environment for a connector that somebody else starts.
func (a busAccess) tell(out io.Writer, dir, coordinatorKey string) error {
	env, err := a.environment(dir, coordinatorKey)
	if err != nil {
		return err
	}
	for _, line := range append([]string{"Start the connector with:"}, env...) {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

// refusals is the server's log, of which only one thing matters: what the
// connector tried and has no permission for.
type refusals struct {
	mu   sync.Mutex
	what []string
}

// Errorf implements [server.Logger].
func (r *refusals) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	_, subject, ok := strings.Cut(text, "Violation")
	if !ok {
		return
	}
	if i := strings.LastIndex(subject, "Subject"); i >= 0 {
		subject = subject[i:]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.what, subject) {
		r.what = append(r.what, subject)
	}
}

// Noticef implements [server.Logger].
func (*refusals) Noticef(string, ...any) {}

// Warnf implements [server.Logger].
func (*refusals) Warnf(string, ...any) {}

// Fatalf implements [server.Logger].
func (*refusals) Fatalf(string, ...any) {}

// Debugf implements [server.Logger].
func (*refusals) Debugf(string, ...any) {}

// Tracef implements [server.Logger].
func (*refusals) Tracef(string, ...any) {}

// check is an error when the connector went beyond its permissions.
func (r *refusals) check(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.what) > 0 {
		return fmt.Errorf("the bus refused it %s: it has no permission for that in production either", strings.Join(r.what, "; "))
	}
	return nil
}

// child is a connector's process.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

// startProgram starts the connector, or returns nil when there is no program.
func startProgram(ctx context.Context, program []string, access busAccess, dir, coordinatorKey string, stderr io.Writer) (*child, error) {
	if len(program) == 0 {
		return nil, nil
	}
	env, err := access.environment(dir, coordinatorKey)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program[0], program[1:]...) //nolint:gosec // the author names the program
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	cmd.Env = append(append(os.Environ(), env...), "HABEAS_PARENT_PIPE=1")
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the connector: %w", err)
	}
	return &child{cmd: cmd, stdin: stdin}, nil
}

// kill ends the process as a crash would.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("killing the connector: %w", err)
	}
	_ = c.cmd.Wait() // it says that it was killed, and closes the pipe
	return nil
}

// stop ends the process and reports how it ended.
func (c *child) stop() error {
	if c == nil {
		return nil
	}
	err := c.stdin.Close()
	timer := time.AfterFunc(15*time.Second, func() { _ = c.cmd.Process.Kill() }) // Wait reports it
	defer timer.Stop()
	if waited := c.cmd.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("the connector's process: %w", waited))
	}
	return err
}
