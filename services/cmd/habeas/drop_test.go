package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/drop/droptest"
)

// dropBroker is an installation of a data broker with the platform at one edge and
// the API at the other.
type dropBroker struct {
	platform *droptest.Platform
	config   string
	api      *httptest.Server
	token    string

	mu    sync.Mutex
	filed []string // bodies that the API was sent
}

// said is what a command wrote so far.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

const dropPerson = "planted.person@example.com"

func newDropBroker(t *testing.T) *dropBroker {
	t.Helper()
	b := &dropBroker{platform: &droptest.Platform{}}
	state := httptest.NewServer(b.platform)
	t.Cleanup(state.Close)
	b.api = httptest.NewServer(b)
	t.Cleanup(b.api.Close)
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b.token = write("api.token", "secret\n")
	b.config = write("habeas.yaml", fmt.Sprintf("state_dir: %s\ndrop:\n  url: %s\n  key_file: %s\n  people: %s\n  spool: %s\n",
		filepath.Join(dir, "state"), state.URL, write("drop.key", droptest.Key+"\n"),
		write("people.jsonl", `{"key": "c-1", "emails": ["`+dropPerson+`"]}`+"\n"), filepath.Join(dir, "spool")))
	c, err := loadConfig(b.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.makeDirs(); err != nil {
		t.Fatal(err)
	}
	if err := c.migrate(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	write(mustRel(t, dir, c.Vault.Key), base64.URLEncoding.EncodeToString(bytes.Repeat([]byte("d"), 32))+"\n")
	return b
}

func mustRel(t *testing.T, dir, path string) string {
	t.Helper()
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// ServeHTTP is the API: it takes every request of a bulk.
func (b *dropBroker) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost || req.URL.Path != "/v1/requests:bulk" || req.Header.Get("Authorization") != "Bearer secret" {
		http.Error(w, "no such call", http.StatusNotFound)
		return
	}
	text, err := io.ReadAll(req.Body)
	var body struct{ Requests []json.RawMessage }
	if err = errors.Join(err, json.Unmarshal(text, &body)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var answer struct {
		Results []map[string]string `json:"results"`
	}
	for i, r := range body.Requests {
		b.filed = append(b.filed, string(r))
		answer.Results = append(answer.Results, map[string]string{"id": fmt.Sprintf("r%d", i+1)})
	}
	_ = json.NewEncoder(w).Encode(answer) // the caller is gone
}

// start runs "habeas drop" with arguments on a day of October 2026, past the last
// day for a first session.
func (b *dropBroker) start(ctx context.Context, out io.Writer, args ...string) error {
	f := &dropFlags{every: 10 * time.Millisecond, now: func() time.Time { return time.Date(2026, 10, 20, 18, 0, 0, 0, time.UTC) }}
	cmd := f.command()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(out)
	cmd.SetErr(out)
	cmd.SetArgs(append(args, "--config", b.config, "--server", b.api.URL, "--token-file", b.token))
	return cmd.ExecuteContext(ctx)
}

func (b *dropBroker) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out said
	err := b.start(t.Context(), &out, args...)
	return out.String(), err
}

func dropItem(id, address string) drop.Item {
	return drop.Item{ID: id, Hash: drop.HashOf(drop.Email(address)), List: drop.ListEmail}
}

// A session files who is on the lists through the API, says that something is
// left, and files nobody twice.
func TestDropSessionFilesThroughTheAPI_DR1(t *testing.T) {
	b := newDropBroker(t)
	b.platform.Give("20261020_4821", []drop.Item{dropItem("Item00000001", dropPerson), dropItem("Item00000002", "nobody@example.org")}, nil)
	out, err := b.run(t, "session")
	if !errors.Is(err, errDropLeft) {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(out, "waits for     1 requests") || strings.Contains(out, dropPerson) {
		t.Errorf("it says: %s", out)
	}
	if len(b.filed) != 1 {
		t.Fatalf("the API was sent %d requests", len(b.filed))
	}
	var got struct {
		Key          string `json:"idempotency_key"`
		Right        string
		Channel      string
		Regime       string
		Identifiers  []map[string]string
		Verification map[string]string
	}
	if err := json.Unmarshal([]byte(b.filed[0]), &got); err != nil {
		t.Fatal(err)
	}
	if got.Key == "" || strings.Contains(got.Key, dropPerson) {
		t.Errorf("the key of the request is %q", got.Key)
	}
	want := got
	want.Right, want.Channel, want.Regime = "delete", "drop", "us-ca-ccpa"
	want.Identifiers = []map[string]string{{"kind": "email", "value": dropPerson}}
	want.Verification = map[string]string{"method": "drop", "level": "reasonably_high"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("filed (-want +got):\n%s", diff)
	}
	if _, err := b.run(t, "session"); err != nil && !errors.Is(err, errDropLeft) {
		t.Fatal(err)
	}
	for _, again := range b.filed[1:] {
		if again != b.filed[0] {
			t.Errorf("a second run filed %s", again)
		}
	}
}

// "drop session --repeat" goes on over a link that fails, which the status shows
// meanwhile, and ends in peace when it is told to.
func TestDropRepeatOutlivesABrokenLink_DR1(t *testing.T) {
	b := newDropBroker(t)
	b.platform.Give("20261020_4821", []drop.Item{dropItem("Item00000002", "nobody@example.org")}, nil)
	var broken atomic.Bool
	broken.Store(true)
	b.platform.Fault = func(string) droptest.Fault {
		if broken.Load() {
			return droptest.NotDone
		}
		return droptest.None
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out said
	ended := make(chan error, 1)
	go func() { ended <- b.start(ctx, &out, "session", "--repeat") }()

	eventually(t, "two tries over a broken link", func() error {
		if strings.Count(out.String(), drop.ErrUnavailable.Error()) < 2 {
			return fmt.Errorf("it says: %s", out.String())
		}
		return nil
	})
	if !strings.Contains(out.String(), "the session is late: the law's last day was ") {
		t.Errorf("it does not say that it is late: %s", out.String())
	}
	status, err := b.run(t, "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"last session  never", "LATE", "the link has not worked since 2026-10-20"} {
		if !strings.Contains(status, want) {
			t.Errorf("the status does not say %q: %s", want, status)
		}
	}

	broken.Store(false)
	eventually(t, "a session that worked", func() error {
		status, err = b.run(t, "status")
		if err == nil && (!strings.Contains(status, "last session  2026-10-20") || !strings.Contains(status, "unanswered    0 items") || strings.Contains(status, "has not worked")) {
			err = errors.New(status)
		}
		return err
	})
	if strings.Contains(status, "LATE") {
		t.Errorf("after a session that worked: %s", status)
	}
	if diff := cmp.Diff("Item00000002 5", b.platform.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ending: %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
	if strings.Contains(out.String(), dropPerson) || len(b.filed) != 0 {
		t.Errorf("it names a person, or filed %d requests: %s", len(b.filed), out.String())
	}
}
