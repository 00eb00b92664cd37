package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
)

// deployed is what deploy/ makes of a machine: secrets by make-secrets.sh, the
// bus by nats/server.conf.
type deployed struct {
	secrets string
	server  *server.Server
	options *server.Options
}

const deployFolder = "../../../deploy"

// deploySecrets runs deploy/make-secrets.sh.
func deploySecrets(t *testing.T, env ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "secrets")
	self := buildProgram(t, t.TempDir(), "habeas", "services/cmd/habeas")
	cmd := exec.CommandContext(t.Context(), filepath.Join(deployFolder, "make-secrets.sh"), dir)
	cmd.Env = append(append(os.Environ(), "HABEAS="+self), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make-secrets.sh: %v: %s", err, out)
	}
	return dir
}

// buildProgram builds a program of the checkout into dir.
func buildProgram(t *testing.T, dir, name, pkg string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, "./"+pkg)
	cmd.Dir, cmd.Env = "../../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v: %s", name, err, out)
	}
	return path
}

// deployBus starts the bus from deploy/nats as it is, but for the places of
// its files and its port.
func deployBus(t *testing.T, secrets string) *deployed {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(deployFolder, "nats"))); err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string][2]string{
		"server.conf": {"/data/jetstream", filepath.Join(dir, "jetstream")},
		"tls.conf":    {"/etc/nats/tls", filepath.Join(secrets, "tls")},
	} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(text), replace[0], replace[1])
		if changed == string(text) {
			t.Fatalf("%s does not name %s", name, replace[0])
		}
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	passwords, err := os.ReadFile(filepath.Join(secrets, "nats", "passwords.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "passwords.conf"), passwords, 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(filepath.Join(dir, "server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.HTTPPort, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, 0, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the bus does not come up")
	}
	return &deployed{secrets: secrets, server: s, options: options}
}

func (d *deployed) url() string {
	return strings.Replace(strings.Replace(d.server.ClientURL(), "nats://", "tls://", 1), "127.0.0.1", "localhost", 1)
}

func (d *deployed) connect(t *testing.T, user string) *nats.Conn {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(d.secrets, "nats-"+user+".password"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := nats.Connect(d.url(), nats.UserInfo(user, strings.TrimSpace(string(password))), nats.CustomInboxPrefix(wire.InboxPrefix(user)),
		nats.RootCAs(filepath.Join(d.secrets, "tls", "ca.crt")), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		t.Fatalf("connecting as %s: %v", user, err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// refused reports whether the server refused the subject. The refusal comes
// before the answer to the flush.
func refused(t *testing.T, conn *nats.Conn, subject string) bool {
	t.Helper()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	err := conn.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`)
}

func mayPublish(t *testing.T, conn *nats.Conn, subject string) bool {
	t.Helper()
	if err := conn.Publish(subject, nil); err != nil {
		t.Fatal(err)
	}
	return !refused(t, conn, subject)
}

func maySubscribe(t *testing.T, conn *nats.Conn, subject string) bool {
	t.Helper()
	sub, err := conn.SubscribeSync(subject)
	if err != nil {
		t.Fatal(err)
	}
	ok := !refused(t, conn, subject)
	if ok {
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	return ok
}

var deployedRooms = []string{"intake", "coordinator", "delivery", "audit", "console", "drop"}

// The connectors' users are as the contract says, by the letter, and one
// connector's file is another's with the name changed: so one is added.
func TestDeployedConnectorUsers(t *testing.T) {
	d := deployBus(t, deploySecrets(t))
	var connectors []string
	for _, u := range d.options.Users {
		if u.Username == "sys" || slices.Contains(deployedRooms, u.Username) {
			continue
		}
		connectors = append(connectors, u.Username)
		publish, subscribe := wire.Permissions(u.Username)
		want := &server.Permissions{Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe}}
		if diff := cmp.Diff(want, u.Permissions); diff != "" {
			t.Errorf("%s: %s", u.Username, diff)
		}
		if u.Account.GetName() != "HABEAS" {
			t.Errorf("%s is in account %s", u.Username, u.Account.GetName())
		}
	}
	slices.Sort(connectors)
	if diff := cmp.Diff([]string{"adtech", "analytics", "billing", "crm"}, connectors); diff != "" {
		t.Error(diff)
	}
	renamed := func(name string) string {
		text, err := os.ReadFile(filepath.Join(deployFolder, "nats", "connectors", name+".conf"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.ReplaceAll(string(text), name, "NAME"), strings.ToUpper(name), "NAME")
	}
	for _, name := range connectors {
		if diff := cmp.Diff(renamed("billing"), renamed(name)); diff != "" {
			t.Errorf("%s.conf: %s", name, diff)
		}
	}
}

// Each connector tries everything that is the business of others.
func TestDeployedConnectorsKeepToThemselves(t *testing.T) {
	d := deployBus(t, deploySecrets(t))
	boss, err := jetstream.New(d.connect(t, "coordinator"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"billing", "crm", "analytics", "adtech"}
	if err := wire.EnsureStreams(t.Context(), boss, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := wire.EnsureConnector(t.Context(), boss, name, wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	wildcard := regexp.MustCompile(`[>*]$`)
	for i, name := range names {
		other, conn := names[(i+1)%len(names)], d.connect(t, name)
		publish, _ := wire.Permissions(name)
		for _, subject := range publish {
			if subject = wildcard.ReplaceAllString(subject, "x.y"); !mayPublish(t, conn, subject) {
				t.Errorf("%s may not publish %s", name, subject)
			}
		}
		if own := conn.NewInbox(); !maySubscribe(t, conn, own) {
			t.Errorf("%s may not read its inbox", name)
		}
		theirs, _ := wire.Permissions(other)
		for _, subject := range append(wildcards(theirs, name), notForConnectors...) {
			subject = strings.NewReplacer("SELF", name, "OTHER", other).Replace(subject)
			if mayPublish(t, conn, wildcard.ReplaceAllString(subject, "x.y")) {
				t.Errorf("%s may publish %s", name, subject)
			}
		}
		for _, subject := range []string{
			">", "habeas.>", wire.JobSubject(name), wire.JobSubject(other), wire.EvidenceSubject(name), wire.EvidenceSubject(other),
			wire.DiscoveredSubject(other), "_INBOX.>", "_INBOX_" + other + ".>", "_INBOX_coordinator.>", "$JS.>", "$KV.>", "$O.>", "$SYS.>",
			wire.HintSubject("coordinator"), wire.SubjectLogged, "$KV.habeas_connectors." + name,
		} {
			if maySubscribe(t, conn, subject) {
				t.Errorf("%s may subscribe to %s", name, subject)
			}
		}
	}
}

// notForConnectors are subjects that no connector may publish to.
var notForConnectors = []string{
	"habeas.v1.job.SELF", "habeas.v1.job.OTHER", "habeas.v1.evidence.coordinator", "habeas.v1.evidence.intake", "habeas.v1.event.x",
	"habeas.v1.logged", "habeas.v1.hint.coordinator", "$KV.habeas_connectors.OTHER", "$KV.habeas_log_head.x",
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.HABEAS_EVIDENCE",
	"$JS.API.STREAM.CREATE.X", "$JS.API.STREAM.UPDATE.HABEAS_JOBS", "$JS.API.STREAM.DELETE.HABEAS_JOBS", "$JS.API.STREAM.PURGE.HABEAS_JOBS",
	"$JS.API.STREAM.PURGE.HABEAS_EVIDENCE", "$JS.API.STREAM.MSG.GET.HABEAS_JOBS", "$JS.API.STREAM.MSG.GET.HABEAS_EVIDENCE",
	"$JS.API.STREAM.MSG.GET.KV_habeas_connectors", "$JS.API.DIRECT.GET.KV_habeas_connectors", "$JS.API.DIRECT.GET.KV_habeas_connectors.$KV.habeas_connectors.OTHER",
	"$JS.API.STREAM.MSG.DELETE.OBJ_habeas_exports_SELF", "$JS.API.DIRECT.GET.OBJ_habeas_exports_SELF.$O.habeas_exports_SELF.M.x", "$JS.API.CONSUMER.CREATE.HABEAS_JOBS", "$JS.API.CONSUMER.CREATE.HABEAS_JOBS.x",
	"$JS.API.CONSUMER.CREATE.HABEAS_JOBS.connector-SELF.habeas.v1.job.OTHER", "$JS.API.CONSUMER.CREATE.KV_habeas_connectors.x",
	"$JS.API.CONSUMER.DURABLE.CREATE.HABEAS_JOBS.x", "$JS.API.CONSUMER.DELETE.HABEAS_JOBS.connector-SELF",
	"$JS.API.CONSUMER.MSG.NEXT.HABEAS_EVIDENCE.audit", "$JS.ACK.HABEAS_EVIDENCE.audit.1.1.1.1.1",
}

// wildcards leaves out of another's subjects those that both have.
func wildcards(theirs []string, self string) []string {
	own, _ := wire.Permissions(self)
	return slices.DeleteFunc(theirs, func(s string) bool { return slices.Contains(own, s) })
}

// A coordinator can take jobs back: it tells the connector that has one in hand, and
// removes from the bus what waits there.
func TestDeployedCoordinatorTakesJobsBack(t *testing.T) {
	d := deployBus(t, deploySecrets(t))
	conn, connector := d.connect(t, "coordinator"), d.connect(t, "crm")
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if err := wire.EnsureStreams(t.Context(), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	told, err := connector.SubscribeSync(wire.WithdrawnSubject("crm"))
	if err == nil {
		err = connector.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Publish(wire.WithdrawnSubject("crm"), []byte("job")); err != nil || refused(t, conn, wire.WithdrawnSubject("crm")) {
		t.Fatalf("the coordinator may not tell a connector: %v", err)
	}
	if m, err := told.NextMsg(time.Minute); err != nil || string(m.Data) != "job" {
		t.Errorf("the connector is not told: %v", err)
	}
	if _, err := js.Publish(t.Context(), wire.JobSubject("crm"), []byte("a job")); err != nil {
		t.Fatal(err)
	}
	jobs, err := js.Stream(t.Context(), wire.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	m, err := jobs.GetMsg(t.Context(), 1, jetstream.WithGetMsgSubject(wire.JobSubject("crm")))
	if err != nil {
		t.Fatalf("the coordinator can't look for a job: %v", err)
	}
	if err := jobs.DeleteMsg(t.Context(), m.Sequence); err != nil {
		t.Errorf("the coordinator can't remove a job: %v", err)
	}
}

// No room can do another's work.
func TestDeployedRoomsKeepToThemselves(t *testing.T) {
	d := deployBus(t, deploySecrets(t))
	for room, subjects := range map[string][]string{
		"intake": {
			"habeas.v1.job.billing", "habeas.v1.evidence.billing", "habeas.v1.evidence.audit", "habeas.v1.logged", "$KV.habeas_connectors.billing",
			"$JS.API.STREAM.DELETE.HABEAS_JOBS", "$JS.API.CONSUMER.MSG.NEXT.HABEAS_EVIDENCE.audit", "$JS.API.STREAM.MSG.GET.HABEAS_JOBS",
		},
		"coordinator": {
			"habeas.v1.logged", "$KV.habeas_log_head.x", "$KV.habeas_connectors.billing", "$JS.API.STREAM.DELETE.HABEAS_EVIDENCE",
			"$JS.API.STREAM.PURGE.HABEAS_EVIDENCE", "$JS.API.STREAM.MSG.DELETE.HABEAS_EVIDENCE", "$JS.API.CONSUMER.DELETE.HABEAS_EVIDENCE.audit",
			"$JS.API.CONSUMER.MSG.NEXT.HABEAS_EVIDENCE.audit", "$JS.ACK.HABEAS_EVIDENCE.audit.1.1.1.1.1",
			"$JS.API.CONSUMER.MSG.NEXT.HABEAS_JOBS.connector-billing", "$JS.API.DIRECT.GET.OBJ_habeas_exports_billing.x", "$O.habeas_exports_billing.M.x",
		},
		"delivery": {
			"habeas.v1.job.billing", "habeas.v1.evidence.billing", "habeas.v1.logged", "$JS.API.CONSUMER.DELETE.HABEAS_EVIDENCE.audit",
			"$JS.API.CONSUMER.DELETE.HABEAS_JOBS.connector-billing", "$JS.API.CONSUMER.DELETE.KV_habeas_connectors.x", "$JS.API.CONSUMER.CREATE.HABEAS_JOBS.x.habeas.v1.job.billing",
			"$JS.API.CONSUMER.CREATE.HABEAS_EVIDENCE.x", "$JS.API.DIRECT.GET.KV_habeas_connectors.$KV.habeas_connectors.billing", "$O.habeas_exports_billing.M.x",
			"$JS.API.STREAM.PURGE.OBJ_habeas_exports_billing", "$JS.API.STREAM.DELETE.OBJ_habeas_exports_billing",
			"$JS.API.STREAM.MSG.GET.HABEAS_JOBS", "$JS.API.STREAM.MSG.GET.HABEAS_EVIDENCE", "$JS.API.STREAM.MSG.GET.HABEAS_DISCOVERED",
			"$JS.API.STREAM.MSG.GET.HABEAS_EVENTS", "$JS.API.STREAM.MSG.GET.KV_habeas_connectors", "$JS.API.STREAM.MSG.GET.KV_habeas_log_head",
		},
		"audit": {
			"habeas.v1.job.billing", "habeas.v1.evidence.billing", "habeas.v1.evidence.audit", "$KV.habeas_connectors.billing", "$JS.API.STREAM.DELETE.HABEAS_EVIDENCE",
			"$JS.API.STREAM.UPDATE.HABEAS_EVIDENCE", "$JS.API.CONSUMER.DELETE.HABEAS_EVIDENCE.coordinator-evidence",
			"$JS.API.CONSUMER.MSG.NEXT.HABEAS_EVIDENCE.coordinator-evidence", "$JS.API.CONSUMER.MSG.NEXT.HABEAS_DISCOVERED.coordinator-discovered",
		},
		"console": {
			"habeas.v1.job.billing", "habeas.v1.evidence.billing", "habeas.v1.logged", "$KV.habeas_connectors.billing", "$JS.API.STREAM.MSG.GET.HABEAS_JOBS",
		},
	} {
		conn := d.connect(t, room)
		for _, subject := range subjects {
			if mayPublish(t, conn, subject) {
				t.Errorf("%s may publish %s", room, subject)
			}
		}
		for _, other := range append([]string{"billing"}, deployedRooms...) {
			if other != room && maySubscribe(t, conn, wire.InboxPrefix(other)+".>") {
				t.Errorf("%s may read the inbox of %s", room, other)
			}
		}
		for _, subject := range []string{">", "_INBOX.>", "habeas.v1.job.*", "habeas.v1.evidence.*", "habeas.v1.discovered.*", "$JS.>", "$KV.>", "$O.>", "$SYS.>"} {
			if maySubscribe(t, conn, subject) {
				t.Errorf("%s may subscribe to %s", room, subject)
			}
		}
	}
}

// Who asks connectors whom they hold may do that and nothing else, and nobody
// else may.
func TestDeployedDrop(t *testing.T) {
	d := deployBus(t, deploySecrets(t))
	conn := d.connect(t, "drop")
	for subject, may := range map[string]bool{
		wire.PeopleSubject("billing"): true, wire.MatchSubject("billing"): false, wire.JobSubject("billing"): false,
		wire.TaskSubject("billing"): false, wire.EvidenceSubject("drop"): false, "$JS.API.INFO": false,
	} {
		if mayPublish(t, conn, subject) != may {
			t.Errorf("drop may ask on %s: %v, want %v", subject, !may, may)
		}
	}
	for subject, may := range map[string]bool{wire.PeopledSubject("billing", "x"): true, wire.MatchedSubject("*", "x"): false, wire.PeopleSubject("billing"): false, ">": false} {
		if maySubscribe(t, conn, subject) != may {
			t.Errorf("drop may hear %s: %v, want %v", subject, !may, may)
		}
	}
	for _, other := range []string{"billing", "intake", "coordinator", "delivery", "audit", "console"} {
		if mayPublish(t, d.connect(t, other), wire.PeopleSubject("crm")) {
			t.Errorf("%s may ask whom crm holds", other)
		}
	}
}
