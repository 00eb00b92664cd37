package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/internal/room"
)

// fleet is a deployment in the shape of production.
type fleet struct {
	site
	dir       string // everything but the company
	jetstream string
	natsURL   string
	passwords map[string]string
	databases []string // DSNs of ours
	seal      string   // the coordinator's public key

	processes map[string]*process
	urls      map[string]string // of rooms
}

// roomsUser is the rooms' user at the broker.
const roomsUser = "rooms"

var rooms = []string{"intake", "coordinator", "audit", "delivery"}

// newFleet starts a deployment on empty databases, with a company of so many
// people, and stops it when t ends.
func newFleet(t *testing.T, databases []string, people int) *fleet {
	t.Helper()
	root := folder(t)
	f := &fleet{
		site: site{bin: programs(t), company: filepath.Join(root, "company")}, dir: filepath.Join(root, "habeas"),
		databases: databases, processes: map[string]*process{}, urls: map[string]string{}, passwords: map[string]string{},
	}
	f.jetstream, f.keys = filepath.Join(f.dir, "jetstream"), filepath.Join(f.dir, "rooms", "keys", "public")
	for _, sub := range []string{"logs", "secrets", "rooms"} {
		if err := os.MkdirAll(filepath.Join(f.dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { f.stop(t) })
	f.addCompany(t, people)
	f.addBroker(t)
	f.configure(t)
	f.runOnce(t, "keys")
	f.runOnce(t, "migrate")
	seal, err := room.SealKey(filepath.Join(f.dir, "rooms", "keys"), "coordinator")
	if err != nil {
		t.Fatal(err)
	}
	f.seal = seal.Public()
	for _, name := range rooms {
		f.addRoom(t, name, name)
	}
	f.api, f.log, f.packages = f.urls["intake"], f.urls["audit"]+"/log", f.urls["delivery"]
	for _, name := range connectors {
		f.addConnector(t, name)
	}
	f.allReady(t)
	return f
}

func (f *fleet) secret(t testing.TB, name, value string) string {
	t.Helper()
	path := filepath.Join(f.dir, "secrets", name)
	if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (f *fleet) add(t testing.TB, name, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{name: name, program: program, args: args, env: append(cleanEnv(), env...), log: filepath.Join(f.dir, "logs", name+".log")}
	f.processes[name] = p
	p.start(t)
	return p
}

// cleanEnv is our environment without settings of Habeas.
func cleanEnv() []string {
	var out []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "HABEAS_") {
			out = append(out, kv)
		}
	}
	return out
}

func (f *fleet) addCompany(t testing.TB, people int) {
	t.Helper()
	program := filepath.Join(f.bin, "habeas-demo")
	if out, err := exec.CommandContext(t.Context(), program, "seed", "--dir", f.company, "--people", fmt.Sprint(people)).CombinedOutput(); err != nil {
		t.Fatalf("seeding the company: %v: %s", err, out)
	}
	crm, partner := freePort(t), freePort(t)
	f.urls["crm"], f.urls["partner"] = fmt.Sprintf("http://127.0.0.1:%d", crm), fmt.Sprintf("http://127.0.0.1:%d", partner)
	f.add(t, "company", program, nil, "serve", "--dir", f.company, "--people", fmt.Sprint(people),
		"--crm-addr", fmt.Sprintf("127.0.0.1:%d", crm), "--partner-addr", fmt.Sprintf("127.0.0.1:%d", partner))
}

func (f *fleet) addBroker(t testing.TB) {
	t.Helper()
	for _, user := range append([]string{roomsUser}, connectors...) {
		f.passwords[user] = rand.Text()
	}
	port := freePort(t)
	f.natsURL = fmt.Sprintf("nats://127.0.0.1:%d", port)
	text, err := json.Marshal(map[string]any{"port": port, "store_dir": f.jetstream, "passwords": f.passwords})
	if err != nil {
		t.Fatal(err)
	}
	f.add(t, "nats", filepath.Join(f.bin, "broker"), nil, f.secret(t, "broker.json", string(text)))
}

func (f *fleet) configFile() string { return filepath.Join(f.dir, "habeas.yaml") }

// configure writes the one configuration of the rooms. Times are shorter than
// a deployment's, so that what waits for a lost message does not wait long.
func (f *fleet) configure(t testing.TB) {
	t.Helper()
	f.token = rand.Text()
	f.tokens = f.secret(t, "api.token", f.token)
	text := fmt.Sprintf(`state_dir: %s
log: {level: debug}
http: {token_file: %s}
nats: {url: %q, user: %s, password_file: %s, ack_wait: 4s}
store: {dsn_file: %s}
audit:
  store: {dsn_file: %s}
coordinator: {lease: 4s, retry: 500ms, patience: 20s}
delivery: {company: The demo company}
`, filepath.Join(f.dir, "rooms"), f.tokens, f.natsURL, roomsUser, f.secret(t, "nats.password", f.passwords[roomsUser]),
		f.secret(t, "store.dsn", f.databases[0]), f.secret(t, "audit.dsn", f.databases[1]))
	if err := os.WriteFile(f.configFile(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) runOnce(t testing.TB, command string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(f.bin, "habeas"), command, "--config", f.configFile())
	cmd.Env = cleanEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("habeas %s: %v: %s", command, err, out)
	}
}

func (f *fleet) addRoom(t testing.TB, name, command string) {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	f.urls[name] = "http://" + addr
	f.add(t, name, filepath.Join(f.bin, "habeas"), []string{"HABEAS_HTTP_ADDR=" + addr}, command, "--config", f.configFile())
}

func (f *fleet) addConnector(t testing.TB, name string) {
	t.Helper()
	state := filepath.Join(f.dir, "connectors", name)
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	f.add(t, name, filepath.Join(f.bin, "habeas-"+name), []string{
		"HABEAS_NATS_URL=" + f.natsURL, "HABEAS_NATS_USER=" + name, "HABEAS_NATS_PASSWORD_FILE=" + f.secret(t, name+".password", f.passwords[name]),
		"HABEAS_STATE_DIR=" + state, "HABEAS_COORDINATOR_KEY=" + f.seal,
		"HABEAS_DEMO_DIR=" + f.company, "HABEAS_DEMO_CRM=" + f.urls["crm"], "HABEAS_DEMO_PARTNER=" + f.urls["partner"],
	}, "--config", filepath.Join(f.bin, "..", "deploy", "demo", name+".yaml"))
}

// allReady waits until every room says that it is ready and every connector is
// up.
func (f *fleet) allReady(t testing.TB) {
	t.Helper()
	for _, name := range rooms {
		f.roomReady(t, name)
	}
	f.ready(t)
}

func (f *fleet) roomReady(t testing.TB, name string) {
	t.Helper()
	eventually(t, time.Minute, name, func() error {
		if err := f.processes[name].running(); err != nil {
			t.Fatal(err)
		}
		return f.probe(t.Context(), f.urls[name]+"/readyz")
	})
}

func (f *fleet) probe(ctx context.Context, url string) error {
	var text []byte
	return f.call(ctx, http.MethodGet, url, "", nil, &text)
}

// restart kills a process and starts it again.
func (f *fleet) restart(t testing.TB, name string) {
	t.Helper()
	f.processes[name].kill(t)
	f.processes[name].start(t)
}

// stop ends everything, rooms and connectors before what they stand on.
func (f *fleet) stop(t testing.TB) {
	t.Helper()
	order := append([]string{}, connectors...)
	for name := range f.processes {
		if name != "nats" && name != "company" {
			order = append(order, name)
		}
	}
	for _, name := range append(order, "company", "nats") {
		if p := f.processes[name]; p != nil {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		}
	}
}

// twoDatabases are one for the requests and one for the log.
func twoDatabases(t *testing.T) []string { return []string{pgtest.New(t), pgtest.New(t)} }
