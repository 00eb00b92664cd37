package audit

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	fpolicy "github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/ledger"
	"github.com/habeas-data/habeas/services/audit/witness"
	"github.com/habeas-data/habeas/services/internal/metertest"
)

// witnessKey makes a witness's secret key and the public one of policies.
func witnessKey(t *testing.T, name string) (secret, public string) {
	t.Helper()
	secret, err := witness.GenerateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, public, err = witness.Signer(secret); err != nil {
		t.Fatal(err)
	}
	return secret, public
}

// logKey is the public key of the scene's log.
func (s *scene) logKey() string {
	s.t.Helper()
	_, key, err := ledger.LoadKey(s.config.StateDir, s.config.Origin)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// ownWitness is a witness of this project, as its line of a policy.
func (s *scene) ownWitness(name string) string {
	s.t.Helper()
	secret, public := witnessKey(s.t, name+".example/witness")
	signer, _, err := witness.Signer(secret)
	if err != nil {
		s.t.Fatal(err)
	}
	w, err := witness.New(s.t.TempDir(), signer, []string{s.logKey()})
	if err != nil {
		s.t.Fatal(err)
	}
	server := httptest.NewServer(w.Handler(s.config.Logger))
	s.t.Cleanup(server.Close)
	return "witness " + name + " " + public + " " + server.URL + "\n"
}

// independentWitness is one of another project, in a process of its own.
func (s *scene) independentWitness(name string) string {
	s.t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "..", ".bin", "independent-witness"))
	if err != nil {
		s.t.Fatal(err)
	}
	build := exec.CommandContext(s.t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("cosign", "testdata", "independent")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			s.t.Fatalf("%v\n%s", err, out)
		}
		s.t.Skipf("%v\n%s", err, out)
	}
	secret, public := witnessKey(s.t, name+".example/witness")
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, program, s.logKey(), secret)
	command.Stderr = s.t.Output()
	out, err := command.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cancel()
		if err := command.Wait(); err == nil {
			s.t.Error("the witness ended by itself")
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	return "witness " + name + " " + public + " " + strings.TrimSpace(address) + "\n"
}

func (s *scene) policy(text string) {
	s.t.Helper()
	p, err := cosign.ParsePolicy([]byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	s.config.Policy = p
}

// grow puts so many more leaves into the log.
func (s *scene) grow(n int64) {
	s.t.Helper()
	l, err := s.room.log()
	if err != nil {
		s.t.Fatal(err)
	}
	size := func() int64 {
		have, err := l.Size(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		return have
	}
	want := size() + n
	for range n {
		s.publish(s.keyOf(newSigner(s.t, "crm"), nil))
	}
	s.eventually("the records are leaves", func() bool { return size() >= want })
}

func (s *scene) witnesses() *auditapi.Witnesses {
	s.t.Helper()
	found, err := s.api.Witnesses(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// wantQuorum waits until a quorum cosigned the newest head, of so many leaves.
func (s *scene) wantQuorum(leaves int64) *auditapi.Witnesses {
	s.t.Helper()
	var found *auditapi.Witnesses
	s.eventually(fmt.Sprintf("a quorum over %d leaves", leaves), func() bool {
		found = s.witnesses()
		return found.QuorumSize >= leaves && found.QuorumSize == found.Size
	})
	return found
}

// forget loses every guard of the log: what an attacker does.
func (s *scene) forget() {
	s.t.Helper()
	if err := s.bus.JS.DeleteKeyValue(s.t.Context(), "habeas_log_head"); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(s.config.StateDir, "log.head")); err != nil {
		s.t.Fatal(err)
	}
	s.config.AcceptLostGuard = true
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// replaceDB puts a copy of a database of a stopped room in the place of another.
func replaceDB(t *testing.T, from, to string) {
	t.Helper()
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(to + end); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	copyFile(t, from, to)
}

// TestCosigned has the log cosigned by a witness of another project and by our
// own, and lets the format's library judge.
func TestCosigned(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := prepareScene(t, dsn, time.Second)
		s.policy(s.independentWitness("other") + s.ownWitness("own") + "group both all other own\nquorum both\n")
		var stop func()
		s.room, stop = s.startUntil(s.config)
		defer func() { stop() }()
		s.ready(s.room)
		s.serve()
		s.grow(3)
		found := s.wantQuorum(4)
		judge, err := fpolicy.ParsePolicy([]byte(found.Policy))
		if err != nil {
			t.Fatal(err)
		}
		if !judge.Satisfied([]byte(found.Checkpoint)) {
			t.Errorf("no quorum on:\n%s", found.Checkpoint)
		}
		resp, err := http.Get(s.api.URL + "/checkpoint.cosigned") //nolint:noctx // ends with the test's server
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("the cosigned head: %s", resp.Status)
		}
		// A second start has the same cosignatures, and asks for no others.
		stop()
		s.room, stop = s.startUntil(s.config)
		s.ready(s.room)
		s.serve()
		again := s.wantQuorum(4)
		if again.Checkpoint != found.Checkpoint {
			t.Errorf("after a second start:\n%s\nbefore:\n%s", again.Checkpoint, found.Checkpoint)
		}
		s.grow(2)
		s.wantQuorum(6)
	})
}

// TestLostCosignature loses the answer of a witness: it signed, and the log
// does not know.
func TestLostCosignature(t *testing.T) {
	s := prepareScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	line := s.ownWitness("own")
	fields := strings.Fields(line)
	var lost atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		out, err := http.NewRequestWithContext(req.Context(), http.MethodPost, fields[3]+req.URL.Path, req.Body)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := http.DefaultClient.Do(out)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() {
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
		}()
		if resp.StatusCode == http.StatusOK && lost.Add(1) <= 2 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		if _, err := bufio.NewReader(resp.Body).WriteTo(w); err != nil {
			t.Error(err)
		}
	}))
	defer proxy.Close()
	s.policy(strings.Replace(line, fields[3], proxy.URL, 1) + "quorum own\n")
	s.room = s.start(s.config)
	s.ready(s.room)
	s.serve()
	s.grow(2)
	s.wantQuorum(3)
	if lost.Load() < 3 {
		t.Errorf("%d answers were lost or given, want 2 lost and one given", lost.Load())
	}
}

// TestDeadWitness shows that a witness that never answers holds up nothing, and
// is shown.
func TestDeadWitness(t *testing.T) {
	s := prepareScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	release := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		}
	}))
	defer dead.Close()
	defer close(release)
	_, public := witnessKey(t, "dead.example/witness")
	s.policy("witness dead " + public + " " + dead.URL + "\n" + s.ownWitness("own") + "group one any dead own\nquorum one\n")
	s.config.WitnessTimeout = 300 * time.Millisecond
	s.room = s.start(s.config)
	s.ready(s.room)
	s.serve()
	s.grow(3)
	s.wantQuorum(4)
	s.eventually("the dead witness is shown", func() bool {
		found := s.witnesses()
		return found.Witnesses[0].Size == -1 && found.Witnesses[0].Trouble != "" && found.Witnesses[1].Trouble == ""
	})
	if err := s.room.Ready(); err != nil {
		t.Errorf("the log does not go on without a witness: %v", err)
	}
}

// TestWitnessCatches plays the attacks of an operator who has the database, the
// log's key and both guards.
func TestWitnessCatches(t *testing.T) {
	for _, attack := range []struct {
		name, want string
		// after is how many leaves the forged log has more than the true one had
		// when it was copied.
		after int64
	}{
		{"a log that was rolled back", "rolled_back", 0},
		{"a fork that outgrew the log", "fork", 12},
	} {
		t.Run(attack.name, func(t *testing.T) {
			meter := metertest.Global(t)
			file := filepath.Join(t.TempDir(), "audit.db")
			s := prepareScene(t, "sqlite:"+file, time.Second)
			s.policy(s.independentWitness("other") + "quorum other\n")
			policy := s.config.Policy
			room, stop := s.startUntil(s.config)
			s.room = room
			s.ready(room)
			s.serve()
			s.grow(2)
			s.wantQuorum(3)
			stop()
			copyFile(t, file, file+".old")

			room, stop = s.startUntil(s.config)
			s.room = room
			s.ready(room)
			s.serve()
			s.grow(3)
			s.wantQuorum(6)
			stop()
			copyFile(t, file, file+".true")
			truth, err := os.ReadFile(filepath.Join(s.config.StateDir, "log.head"))
			if err != nil {
				t.Fatal(err)
			}

			replaceDB(t, file+".old", file)
			s.forget()
			if attack.after > 0 {
				// Nobody is asked until the fork is longer than what was seen.
				s.config.Policy = nil
				room, stop = s.startUntil(s.config)
				s.room = room
				s.ready(room)
				s.grow(attack.after)
				stop()
				s.config.Policy = policy
			}
			s.refused(attack.want)
			// The refusal is on record, and holds without asking anybody.
			s.refused(attack.want)
			wantDisputed(t, meter, "witness", attack.want, 1)

			// The true history is taken up again.
			replaceDB(t, file+".true", file)
			if err := s.bus.JS.DeleteKeyValue(t.Context(), "habeas_log_head"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(s.config.StateDir, "log.head"), truth, 0o600); err != nil {
				t.Fatal(err)
			}
			s.room = s.start(s.config)
			s.ready(s.room)
			wantDisputed(t, meter, "witness", attack.want, 0)
			s.serve()
			s.grow(1)
			s.wantQuorum(7)
		})
	}
}

// wantDisputed checks what is measured of another history of the log.
func wantDisputed(t *testing.T, meter *metertest.Reader, by, kind string, want int64) {
	t.Helper()
	for _, b := range []string{"witness", "guard"} {
		for _, k := range []string{"fork", "rolled_back"} {
			expect := int64(0)
			if b == by && k == kind {
				expect = want
			}
			if got, ok := meter.Value("habeas.audit.history.disputed", "by", b, "kind", k); !ok || got != expect {
				t.Errorf("disputed by %s as %s: %d, %t, want %d", b, k, got, ok, expect)
			}
		}
	}
}

// refused starts the room and waits until it has stopped for a witness's sake.
func (s *scene) refused(kind string) {
	s.t.Helper()
	room, stop := s.startUntil(s.config)
	defer stop()
	s.room = room
	s.serve()
	s.eventually("the room refuses", func() bool {
		err := room.Ready()
		return err != nil && strings.Contains(err.Error(), errWitness.Error())
	})
	if found := s.witnesses(); found.Incident == "" {
		s.t.Errorf("%s: the incident is not shown: %+v", kind, found)
	}
	s.eventually("nothing is published", func() bool {
		resp, err := http.Get(s.api.URL + "/checkpoint") //nolint:noctx // ends with the test's server
		if err != nil {
			s.t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			s.t.Fatal(err)
		}
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	text, err := os.ReadFile(filepath.Join(s.config.StateDir, incidentFile))
	if err != nil || !strings.Contains(string(text), `"kind":"`+kind+`"`) {
		s.t.Errorf("the record of incidents: %v\n%s", err, text)
	}
}

// TestPolicyOfRoom refuses policies that a room can't follow.
func TestPolicyOfRoom(t *testing.T) {
	s := prepareScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	_, public := witnessKey(t, "w.example/witness")
	_, stranger, err := note.GenerateKey(nil, "other.example/log")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fnote.NewVerifierForCosignatureV1(public); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"quorum none\n":                        `"quorum none"`,
		"witness w " + public + "\nquorum w\n": "no address for witness w",
		"log " + stranger + "\nwitness w " + public + " http://x.invalid\nquorum w\n": "not among them",
	} {
		s.policy(text)
		if _, err := New(s.config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
