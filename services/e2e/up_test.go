package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is a deployment in the shape of one machine: "habeas up" on SQLite.
type machine struct {
	site
	state string
	logs  string // of "habeas up" itself; not on the disk of the state
	up    *process
	count int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return newMachineIn(t, filepath.Join(folder(t), "state"))
}

// newMachineIn is newMachine with its state in the folder given, and more in its
// environment.
func newMachineIn(t *testing.T, state string, env ...string) *machine {
	t.Helper()
	m := &machine{state: state, logs: folder(t)}
	m.site = site{bin: programs(t), company: filepath.Join(m.state, "demo"), keys: filepath.Join(m.state, "keys", "public")}
	m.up = &process{name: "habeas up", program: filepath.Join(m.bin, "habeas"), args: []string{"up"}, env: append(cleanEnv(),
		"HABEAS_STATE_DIR="+m.state, "HABEAS_HTTP_ADDR=127.0.0.1:0", "HABEAS_LOG_LEVEL=debug", "HABEAS_NATS_ACK_WAIT=4s",
		"HABEAS_COORDINATOR_LEASE=4s", "HABEAS_COORDINATOR_RETRY=500ms", "HABEAS_COORDINATOR_PATIENCE=20s")}
	m.up.env = append(m.up.env, env...)
	if err := os.MkdirAll(m.company, 0o700); err != nil {
		t.Fatal(err)
	}
	seed := exec.CommandContext(t.Context(), filepath.Join(m.bin, "habeas-demo"), "seed", "--dir", m.company, "--people", fmt.Sprint(companySize))
	if out, err := seed.CombinedOutput(); err != nil {
		t.Fatalf("seeding the company: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := m.up.stop(); err != nil {
			t.Error(err)
		}
	})
	m.start(t)
	return m
}

// start runs "habeas up" and waits until it says that it is ready.
func (m *machine) start(t *testing.T) {
	t.Helper()
	m.count++
	m.up.log = filepath.Join(m.logs, fmt.Sprintf("up-%d.log", m.count))
	m.up.start(t)
	eventually(t, time.Minute, "habeas up", func() error {
		if err := m.up.running(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(readFile(t, m.up.log), "Habeas is ready") {
			return fmt.Errorf("it says: %s", tail(m.up.log))
		}
		return nil
	})
	var client struct {
		Server    string
		TokenFile string `json:"token_file"`
	}
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(m.state, "client.json"))), &client); err != nil {
		t.Fatal(err)
	}
	m.api, m.log, m.packages, m.tokens = client.Server, client.Server+"/log", client.Server, client.TokenFile
	m.token = strings.TrimSpace(readFile(t, m.tokens))
}

// killConnector kills a child of "habeas up", which starts it again.
func (m *machine) killConnector(t *testing.T, name string) {
	t.Helper()
	if err := killChild(m.up.cmd.Process.Pid, "habeas-"+name); err != nil {
		t.Fatal(err)
	}
}

// killChild kills a process's child that runs the program; it works where /proc
// does.
func killChild(parent int, program string) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return err
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // it has ended
		}
		line := string(text)
		fields := strings.Fields(line[strings.LastIndex(line, ")")+1:])
		exe, err := os.Readlink(filepath.Join(filepath.Dir(stat), "exe"))
		if err != nil || fields[1] != strconv.Itoa(parent) || filepath.Base(exe) != program {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			return err
		}
		return syscall.Kill(pid, syscall.SIGKILL)
	}
	return fmt.Errorf("no child of %d is %s", parent, program)
}

// crashUp kills everything at once, again and again, and once takes JetStream's
// files away.
func crashUp(m *machine, r *run) {
	for _, wipe := range []bool{false, true, false} {
		r.submitNext(6)
		r.someSteps(12)
		m.up.kill(r.t)
		if wipe {
			if err := os.RemoveAll(filepath.Join(m.state, "jetstream")); err != nil {
				r.t.Fatal(err)
			}
		}
		m.start(r.t)
	}
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		return // children can't be found
	}
	for _, name := range connectors {
		r.submitNext(1)
		r.someSteps(3)
		m.killConnector(r.t, name)
	}
}

// checkSecrecy looks for the people of the wishes in the state folder, with
// the company's own systems left out.
func (m *machine) checkSecrecy(t *testing.T, wishes []*wish) {
	t.Helper()
	p := plant(wishes)
	copies := slices.ContainsFunc(wishes, func(w *wish) bool { return w.right == "know_specific" })
	entries, err := os.ReadDir(m.state)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		path := filepath.Join(m.state, entry.Name())
		switch {
		case path == m.company:
		case entry.IsDir() && entry.Name() == "spool": // empty when nothing is built
		case entry.IsDir() && entry.Name() == "packages" && !copies: // and nobody asked for one
		default:
			p.files(t, path)
		}
	}
	p.files(t, filepath.Join(m.state, "logs"))
}
