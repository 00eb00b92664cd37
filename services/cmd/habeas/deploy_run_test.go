package main

import (
	"archive/zip"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/habeas-data/habeas/services/audit/pack"
	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/tokens"
)

// deployDatabases runs postgres/roles.sql on a new server, twice, and returns
// the DSN of a role in a database.
func deployDatabases(t *testing.T, secrets string) func(role, database string) string {
	t.Helper()
	admin := pgtest.Start(t).NewDatabase(t)
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Fatal("psql is not installed where PostgreSQL is: ", err)
	}
	for range 2 {
		cmd := exec.CommandContext(t.Context(), psql, "-X", "-v", "ON_ERROR_STOP=1", "-d", admin, "-f", filepath.Join(deployFolder, "postgres", "roles.sql"))
		cmd.Env = append(os.Environ(), "HABEAS_SECRETS="+filepath.Join(secrets, "postgres"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("roles.sql: %v: %s", err, out)
		}
	}
	return func(role, database string) string {
		u, err := url.Parse(admin)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		q.Set("user", role)
		u.Path, u.RawQuery = "/"+database, q.Encode()
		return u.String()
	}
}

func query(t *testing.T, dsn, statement string) error {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), statement)
	return err
}

// The rooms' role has no way into the log's tables, nor the log's into theirs,
// and neither can change a table.
func TestDeployedRoles(t *testing.T) {
	dsn := deployDatabases(t, deploySecrets(t))
	c := config{Store: storeConfig{DSN: dsn("habeas_owner", "habeas")}}
	c.Audit.Store.DSN = dsn("habeas_audit_owner", "habeas_audit")
	for range 2 {
		if err := c.migrate(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		role, database, statement string
		may                       bool
	}{
		{"habeas_rooms", "habeas", "DELETE FROM request WHERE false", true},
		{"habeas_rooms", "habeas", "UPDATE job SET state = state WHERE false", true},
		{"habeas_audit", "habeas_audit", "UPDATE habeas_audit.log SET size = size", true},
		{"habeas_audit", "habeas_audit", "SELECT * FROM habeas_audit.leaf", true},

		{"habeas_rooms", "habeas_audit", "SELECT 1", false},
		{"habeas_owner", "habeas_audit", "SELECT 1", false},
		{"habeas_audit", "habeas", "SELECT 1", false},
		{"habeas_audit_owner", "habeas", "SELECT 1", false},
		{"habeas_rooms", "habeas", "DROP TABLE request", false},
		{"habeas_rooms", "habeas", "TRUNCATE request CASCADE", false},
		{"habeas_rooms", "habeas", "CREATE TABLE x (n int)", false},
		{"habeas_audit", "habeas_audit", "DROP TABLE habeas_audit.leaf", false},
		{"habeas_audit", "habeas_audit", "TRUNCATE habeas_audit.leaf", false},
		{"habeas_audit", "habeas_audit", "CREATE TABLE habeas_audit.x (n int)", false},
		{"habeas_audit", "habeas_audit", "SET ROLE habeas_audit_owner", false},
	} {
		if err := query(t, dsn(c.role, c.database), c.statement); (err == nil) != c.may {
			t.Errorf("%s in %s: %s: %v", c.role, c.database, c.statement, err)
		}
	}
	if err := query(t, dsn("postgres", "habeas_audit"), "GRANT CONNECT ON DATABASE habeas_audit TO habeas_rooms"); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"SELECT * FROM habeas_audit.leaf", "INSERT INTO habeas_audit.checkpoint (size, note) VALUES (1, '')", "DELETE FROM habeas_audit.leaf"} {
		if err := query(t, dsn("habeas_rooms", "habeas_audit"), statement); err == nil {
			t.Errorf("let into the log's database, the rooms' role may %s", statement)
		}
	}
}

// process is a program of the deployment.
type process struct {
	name string
	addr string
	mu   sync.Mutex
	log  bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func (p *process) start(t *testing.T, env []string, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), p
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s ended: %v", p.name, err)
		}
		if text := p.text(); strings.Contains(strings.ToLower(text), "permissions violation") {
			t.Errorf("%s was refused something by the bus:\n%s", p.name, text)
		}
		if t.Failed() {
			t.Logf("%s:\n%s", p.name, p.text())
		}
	})
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(60 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// Every room and connector runs as in compose.yaml: a process each, with the
// files of deploy/config, its own bus user and database role, over TLS. Two
// requests go through all of them.
func TestDeployedRoomsWork(t *testing.T) {
	if testing.Short() {
		t.Skip("runs ten processes")
	}
	secrets := deploySecrets(t)
	bus, dsn := deployBus(t, secrets), deployDatabases(t, secrets)
	for file, where := range map[string]string{
		"pg-rooms": dsn("habeas_rooms", "habeas"), "pg-rooms-owner": dsn("habeas_owner", "habeas"),
		"pg-audit": dsn("habeas_audit", "habeas_audit"), "pg-audit-owner": dsn("habeas_audit_owner", "habeas_audit"),
	} {
		if err := os.WriteFile(filepath.Join(secrets, file+".dsn"), []byte(where+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bin := t.TempDir()
	habeas := buildProgram(t, bin, "habeas", "services/cmd/habeas")
	migrate := exec.CommandContext(t.Context(), habeas, "migrate", "--config", deployConfig(t, secrets, "migrate"))
	if out, err := migrate.CombinedOutput(); err != nil {
		t.Fatalf("habeas migrate: %v: %s", err, out)
	}
	trust := "SSL_CERT_FILE=" + filepath.Join(secrets, "tls", "ca.crt")
	rooms := map[string]*process{}
	for _, name := range []string{"coordinator", "coordinator", "audit", "delivery", "intake", "console"} {
		p := &process{name: name, addr: freeAddress(t)}
		env := []string{trust, "HABEAS_LOG_LEVEL=warn", "HABEAS_HTTP_ADDR=" + p.addr, "HABEAS_NATS_URL=" + bus.url()}
		if name == "console" {
			env = append(env, "HABEAS_AUDIT_URL=http://"+rooms["audit"].addr+logPrefix, "HABEAS_DELIVERY_URL=http://"+rooms["delivery"].addr)
		}
		p.start(t, env, habeas, name, "--config", deployConfig(t, secrets, name))
		if name == "coordinator" { // the first makes the streams
			eventually(t, name+" ready", func() error { return get("http://"+p.addr+"/readyz", "", nil) })
		}
		rooms[name] = p
	}
	startDemoConnectors(t, bus, bin, trust)
	for name, p := range rooms {
		eventually(t, name+" ready", func() error { return get("http://"+p.addr+"/readyz", "", nil) })
	}
	token, err := os.ReadFile(filepath.Join(secrets, "api.token"))
	if err != nil {
		t.Fatal(err)
	}
	cl := &client{server: "http://" + rooms["intake"].addr, token: strings.TrimSpace(string(token)), http: &http.Client{}}
	var known struct{ Connectors []struct{ Up, Ready bool } }
	eventually(t, "connectors", func() error {
		if err := cl.call(t.Context(), http.MethodGet, "/v1/connectors", nil, nil, &known); err != nil {
			return err
		}
		for _, c := range known.Connectors {
			if !c.Up || !c.Ready {
				return errors.New("one is not up")
			}
		}
		if len(known.Connectors) != 4 {
			return fmt.Errorf("%d are there", len(known.Connectors))
		}
		return nil
	})
	trained := exec.CommandContext(t.Context(), habeas, "records", "trained", "--config", deployConfig(t, secrets, "intake"),
		"--who", "ana", "--course", "ccpa", "--on", time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	if out, err := trained.CombinedOutput(); err != nil {
		t.Fatalf("habeas records trained: %v: %s", err, out)
	}
	keys, err := loadTrust([]string{filepath.Join(secrets, "public-audit")})
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range []string{"know_specific", "delete"} {
		var v requestView
		body := map[string]any{
			"right": right, "identifiers": []map[string]string{{"kind": "email", "value": "ines.12@example.com"}},
			"verification": map[string]string{"method": "account_login", "level": "reasonably_high"},
		}
		if err := cl.call(t.Context(), http.MethodPost, "/v1/requests", nil, body, &v); err != nil {
			t.Fatal(err)
		}
		eventually(t, right+" closed", func() error {
			v.Attention = "" // an answer leaves out what is empty
			err := cl.call(t.Context(), http.MethodGet, requestPath(v.ID), nil, nil, &v)
			if err == nil && v.Attention == store.AttentionReview {
				err = lookAtCopy(cl, "http://"+rooms["delivery"].addr, v.ID)
			}
			if err == nil && v.State != "closed" {
				err = fmt.Errorf("it is %s: %+v", v.State, v.Jobs)
			}
			return err
		})
		if v.Result == "" || v.Attention != "" {
			t.Errorf("%s: result %q, attention %q", right, v.Result, v.Attention)
		}
		out := filepath.Join(t.TempDir(), "evidence")
		export := exec.CommandContext(t.Context(), habeas, "evidence", "export", "--server", cl.server, "--token-file", filepath.Join(secrets, "api.token"),
			"--log", "http://"+rooms["audit"].addr+logPrefix, "--request", v.ID, "--out", out)
		if text, err := export.CombinedOutput(); err != nil {
			t.Fatalf("evidence export: %v: %s", err, text)
		}
		if _, err := pack.Verify(out, keys); err != nil {
			t.Errorf("%s: %v", right, err)
		}
		var auditors tokens.View
		if err := cl.call(t.Context(), http.MethodPost, "/v1/tokens", nil, tokens.Body{Name: "auditors", Scopes: []tokens.Scope{tokens.Evidence}, Days: 1}, &auditors); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{requestPath(v.ID, "/evidence"), "/v1/evidence?from=2026-01-01&to=2200-01-01"} {
			var zipped bytes.Buffer
			if err := get("http://"+rooms["console"].addr+path, auditors.Secret, &zipped); err != nil {
				t.Errorf("the console's %s: %v", path, err)
			}
			if _, err := zip.NewReader(bytes.NewReader(zipped.Bytes()), int64(zipped.Len())); err != nil {
				t.Errorf("the console's %s: %v", path, err)
			}
		}
		if err := get("http://"+rooms["console"].addr+logPrefix+"/v1/records?request="+v.ID, auditors.Secret, nil); err != nil {
			t.Errorf("the log for auditors: %v", err)
		}
		if err := get("http://"+rooms["audit"].addr+logPrefix+"/v1/keys", auditors.Secret, nil); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("the audit room knows a token without a database: %v", err)
		}
		if err := get("http://"+rooms["intake"].addr+requestPath(v.ID), auditors.Secret, nil); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("an auditor's token sees a request: %v", err)
		}
		if right == "know_specific" {
			if err := get("http://"+rooms["delivery"].addr+requestPath(v.ID, "/package"), cl.token, io.Discard); err != nil {
				t.Errorf("the package: %v", err)
			}
		}
	}
}

// lookAtCopy takes a copy that waits for a look and lets it go.
func lookAtCopy(cl *client, delivery, id string) error {
	if err := get(delivery+requestPath(id, "/package"), cl.token, io.Discard); err == nil || !strings.Contains(err.Error(), "409") {
		return fmt.Errorf("the copy is handed over before the look: %w", err)
	}
	if err := get(delivery+requestPath(id, "/package/review"), cl.token, io.Discard); err != nil {
		return err
	}
	v, err := cl.viewOf(context.Background(), http.MethodGet, requestPath(id), nil, nil)
	if err != nil {
		return err
	}
	_, err = cl.viewOf(context.Background(), http.MethodPost, requestPath(id, "/copy"), actorHeader("ana"), map[string]string{"decision": "approve", "sha256": v.Review.SHA256})
	return err
}

// get asks for a page and takes its body.
func get(where, token string, to io.Writer) (err error) {
	req, err := http.NewRequest(http.MethodGet, where, nil) //nolint:noctx // a test's
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if to == nil {
		to = io.Discard
	}
	var text bytes.Buffer
	if _, err := io.Copy(io.MultiWriter(to, &text), resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text.String())
	}
	return nil
}

// deployConfig is a file of deploy/config with the container's paths replaced
// by the test's. A room gets only the secrets that compose.yaml gives it.
func deployConfig(t *testing.T, secrets, room string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join(deployFolder, "config", room+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(dir, "secrets")
	if err := errors.Join(os.Mkdir(own, 0o700), os.Mkdir(filepath.Join(dir, "state"), 0o700)); err != nil {
		t.Fatal(err)
	}
	configs, err := filepath.Abs(filepath.Join(deployFolder, "config"))
	if err != nil {
		t.Fatal(err)
	}
	public := filepath.Join(secrets, "keys", "public")
	if room == "delivery" || room == "audit" {
		public = filepath.Join(secrets, "public-"+room)
	}
	for name, source := range composeSecrets(t, room) {
		content, err := os.ReadFile(filepath.Join(secrets, source))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(own, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	changed := strings.NewReplacer("/var/lib/habeas", filepath.Join(dir, "state"), "/run/secrets", own, "/etc/habeas", configs, "/run/habeas/public", public).Replace(string(text))
	path := filepath.Join(dir, room+".yaml")
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(own, 0o500); err != nil { // a room makes no secret where it has none
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(own, 0o700) }) // so that it can be removed
	return path
}

// startDemoConnectors runs the demo company and its connectors.
func startDemoConnectors(t *testing.T, bus *deployed, bin, trust string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "demo")
	demo := buildProgram(t, bin, "habeas-demo", "connectors/cmd/habeas-demo")
	if out, err := exec.CommandContext(t.Context(), demo, "seed", "--dir", dir, "--people", "100").CombinedOutput(); err != nil {
		t.Fatalf("habeas-demo seed: %v: %s", err, out)
	}
	crm, partner := freeAddress(t), freeAddress(t)
	company := &process{name: "demo"}
	company.start(t, nil, demo, "serve", "--dir", dir, "--crm-addr", crm, "--partner-addr", partner)
	eventually(t, "the demo company", func() error {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", partner)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	for _, name := range demoConnectors {
		program := buildProgram(t, bin, "habeas-"+name, "connectors/"+name)
		config, err := filepath.Abs(filepath.Join(deployFolder, "demo", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		p := &process{name: name}
		p.start(t, []string{
			trust, "HABEAS_NATS_URL=" + bus.url(), "HABEAS_NATS_USER=" + name, "HABEAS_NATS_PASSWORD_FILE=" + filepath.Join(bus.secrets, "nats-"+name+".password"),
			"HABEAS_STATE_DIR=" + t.TempDir(), "HABEAS_DEMO_DIR=" + dir, "HABEAS_DEMO_CRM=http://" + crm, "HABEAS_DEMO_PARTNER=http://" + partner,
		}, program, "--config", config)
	}
}
