package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// interval is how often conditions are looked at.
const interval = 25 * time.Millisecond

// eventually looks at a condition until it holds; the error of the last look
// says what was missing.
func eventually(t testing.TB, within time.Duration, what string, condition func() error) {
	t.Helper()
	if err := wait(t.Context(), within, condition); err != nil {
		t.Fatalf("%s: not within %s: %v", what, within, err)
	}
}

func wait(ctx context.Context, within time.Duration, condition func() error) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// process is a program that can be killed and started again.
type process struct {
	name, log string
	program   string
	args, env []string

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended, once ended is closed
}

// start runs the program, with its output at the end of its log.
func (p *process) start(t testing.TB) {
	t.Helper()
	if err := p.run(); err != nil {
		t.Fatal(err)
	}
}

func (p *process) run() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", p.name, err)
	}
	defer log.Close() //nolint:errcheck // the child has its own handle
	cmd := exec.Command(p.program, p.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, log, log
	cmd.Dir = filepath.Dir(p.log)
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.err = cmd, ended, nil
	go func() {
		p.err = cmd.Wait()
		close(ended)
	}()
	return nil
}

// running reports an error when the process has ended.
func (p *process) running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended: %w; its log: %s", p.name, p.err, tail(p.log))
	default:
		return nil
	}
}

// kill ends the process at once; it returns when it is gone.
func (p *process) kill(t testing.TB) {
	t.Helper()
	if err := p.running(); err != nil {
		t.Fatalf("before it was killed: %v", err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatalf("killing %s: %v", p.name, err)
	}
	<-p.ended
}

// stop asks the process to end, and reports what it said when it ended badly.
func (p *process) stop() error {
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.ended:
		return nil // a test that cares has looked
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stopping %s: %w", p.name, err)
	}
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill() // it may have ended just now
		<-p.ended
		return fmt.Errorf("%s did not stop within 20 s; its log: %s", p.name, tail(p.log))
	}
	if p.err != nil {
		return fmt.Errorf("%s stopped badly: %w; its log: %s", p.name, p.err, tail(p.log))
	}
	return nil
}

// tail is the end of a log, where the reason is.
func tail(file string) string {
	const most = 3000
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// freePort returns a port of this machine that nobody listens on. It is below
// the range that outgoing connections take theirs from.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := nextPort()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return port
	}
	t.Fatal("no free port found")
	return 0
}

// folder is the test's own, kept on request.
func folder(t testing.TB) string {
	t.Helper()
	if os.Getenv("HABEAS_E2E_KEEP") == "" {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("", "habeas-e2e-kept-") //nolint:usetesting // it is to outlive the test
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kept in %s", dir)
	return dir
}

var portCount atomic.Int64

// firstPort is far from that of a process that was started a moment before.
var firstPort = 12000 + int64(os.Getpid())*211%7000

func nextPort() int { return int(firstPort + portCount.Add(1)) }
