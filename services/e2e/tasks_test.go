package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A filing cabinet, as its YAML says: people do its work.
const archiveFile = `kind: manual
name: archive
version: "1.0.0"
config:
  accepts: [email]
  stores: [{name: cabinet, categories: [{letter: A, data: user.contact}]}]
  instructions: The cabinet stands in room 12.
`

// clerk is somebody at the desk: a browser without a screen.
type clerk struct {
	t      *testing.T
	server string
	http   *http.Client
}

func (c *clerk) do(req *http.Request) (int, string) {
	c.t.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func (c *clerk) get(path string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.server+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(req)
}

func (c *clerk) post(path string, form url.Values) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.server+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return c.do(req)
}

var (
	taskLink    = regexp.MustCompile(`href="(/tasks/archive/[0-9a-f-]{36})"`)
	taskVersion = regexp.MustCompile(`name="version" value="(\d+)"`)
)

// task waits until there is a task of the given step, and opens it.
func (c *clerk) task(step string) (path, page string) {
	c.t.Helper()
	eventually(c.t, time.Minute, "a task to "+step, func() error {
		status, list := c.get("/tasks")
		found := taskLink.FindStringSubmatch(list)
		if status != http.StatusOK || found == nil {
			return fmt.Errorf("status %d, no task in the list", status)
		}
		path = found[1]
		if _, page = c.get(path); !strings.Contains(page, `<h2 id="answer-title">`+step) {
			return fmt.Errorf("the task asks for something else")
		}
		return nil
	})
	return path, page
}

func (c *clerk) answer(path, page string, records int) {
	c.t.Helper()
	status, body := c.post(path+"/answer", url.Values{
		"version": {taskVersion.FindStringSubmatch(page)[1]}, "store-0": {"cabinet"}, "count-0": {fmt.Sprint(records)},
	})
	if status != http.StatusOK {
		c.t.Fatalf("answering: status %d: %.500s", status, body)
	}
}

// A deletion in a system without an API: the connector's own process, the desk in
// the console, a restart between the look and the erasure, and evidence that
// checks out and names nobody.
func TestTasksFromEndToEnd(t *testing.T) {
	dir := folder(t)
	bin := programs(t)
	connector, config := filepath.Join(dir, "archive.yaml"), filepath.Join(dir, "habeas.yaml")
	for file, text := range map[string]string{
		connector: archiveFile, config: "connectors:\n  - {name: archive, command: " + filepath.Join(bin, "habeas-connector") + ", config: " + connector + "}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := &machine{state: filepath.Join(dir, "state"), logs: folder(t)}
	m.site = site{bin: bin, keys: filepath.Join(m.state, "keys", "public")}
	m.up = &process{name: "habeas up", program: filepath.Join(bin, "habeas"), args: []string{"up", "--config", config}, env: append(cleanEnv(),
		"HABEAS_STATE_DIR="+m.state, "HABEAS_HTTP_ADDR=127.0.0.1:0", "HABEAS_LOG_LEVEL=debug")}
	if err := os.MkdirAll(m.state, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.up.stop(); err != nil {
			t.Error(err)
		}
	})
	m.start(t)
	c := newClerk(t, m)
	const planted = "planted.paper@example.com"
	out, err := m.habeas(t, "request", "submit", "--right", "delete", "--id", "email="+planted, "--verified", "account_login", "--json")
	if err != nil {
		t.Fatalf("submitting: %v: %s", err, out)
	}
	id := regexp.MustCompile(`"id":"([0-9a-f-]{36})"`).FindStringSubmatch(out)[1]
	path, page := c.task("Look")
	if !strings.Contains(page, planted) || !strings.Contains(page, "The cabinet stands in room 12.") {
		t.Error("the task does not say whom it is about, or how to go about it")
	}
	c.answer(path, page, 3)
	_, _ = c.task("Erase")
	if err := m.up.stop(); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	c = newClerk(t, m)
	path, page = c.task("Erase")
	c.answer(path, page, 0)
	eventually(t, time.Minute, "the request is closed", func() error {
		out, err := m.habeas(t, "request", "show", id)
		if err != nil || !strings.Contains(out, "closed, complete") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	pack := filepath.Join(dir, "pack")
	if out, err := m.habeas(t, "evidence", "export", "--request", id, "--out", pack); err != nil {
		t.Fatalf("exporting the evidence: %v: %s", err, out)
	}
	if out, err := m.habeas(t, "verify", pack, "--key", m.keys); err != nil || !strings.Contains(out, "13 records hold") {
		t.Errorf("verifying: %v: %s", err, out)
	}
	// Nobody is named but in the task's own sealed file, and there no more.
	_, page = c.get(path)
	if strings.Contains(page, planted) || !strings.Contains(page, "Forgotten") {
		t.Error("a task that is done still says whom it was about")
	}
	for _, tree := range []string{filepath.Join(m.state, "connectors"), filepath.Join(m.state, "logs"), pack} {
		read := 0
		err := filepath.WalkDir(tree, func(file string, e os.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) { // the programs are at work
				return nil
			}
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if bytes.Contains(text, []byte("planted.paper")) {
				t.Errorf("%s names the person", file)
			}
			read += len(text)
			return err
		})
		if err != nil || read == 0 {
			t.Errorf("%d bytes of %s were looked at: %v", read, tree, err)
		}
	}
}

func newClerk(t *testing.T, m *machine) *clerk {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &clerk{t: t, server: m.api, http: &http.Client{Jar: jar}}
	if status, body := c.post("/login", url.Values{"token": {m.token}}); status != http.StatusOK {
		t.Fatalf("signing in: status %d: %.300s", status, body)
	}
	return c
}

// habeas runs the command line client.
func (m *machine) habeas(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(m.bin, "habeas"), args...)
	cmd.Env = append(cleanEnv(), "HABEAS_STATE_DIR="+m.state)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
