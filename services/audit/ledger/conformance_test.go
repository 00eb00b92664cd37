package ledger

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Tools that were not written here, at the version they were chosen at.
const (
	tessera        = "github.com/transparency-dev/tessera"
	tesseraVersion = "v1.0.4"
)

// tool returns the path of a Tessera tool and installs it when it is not
// there. Without a network the test is skipped, but never where CI=true.
func tool(t *testing.T, name, pkg string) string {
	t.Helper()
	dir := toolDir(t)
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	command := exec.CommandContext(t.Context(), "go", "install", tessera+"/"+pkg+"@"+tesseraVersion)
	command.Env = append(os.Environ(), "GOBIN="+dir, "GOWORK=off", "GOFLAGS=")
	unavailable(t, command)
	return path
}

// integrationTest is Tessera's test of a running log, as a program.
func integrationTest(t *testing.T) string {
	t.Helper()
	path := filepath.Join(toolDir(t), "integration.test")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	// The module of an installed tool is in the module cache.
	tool(t, "fsck", "cmd/fsck")
	where := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE")
	out, err := where.Output()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", path, "./integration")
	command.Dir = filepath.Join(strings.TrimSpace(string(out)), tessera+"@"+tesseraVersion)
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	unavailable(t, command)
	return path
}

func unavailable(t *testing.T, command *exec.Cmd) {
	t.Helper()
	out, err := command.CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v: %v\n%s", command.Args, err, out)
	default:
		t.Skipf("%v: %v\n%s", command.Args, err, out)
	}
}

func toolDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", ".bin", "tessera-"+tesseraVersion))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func runTool(t *testing.T, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(path), err, out)
	}
	// A line of klog that begins with E or F is an error the tool went on from.
	for line := range strings.Lines(string(out)) {
		if len(line) > 5 && (line[0] == 'E' || line[0] == 'F') && strings.Trim(line[1:5], "0123456789") == "" {
			t.Errorf("%s: %s", filepath.Base(path), line)
		}
	}
	return string(out)
}

// rawServer serves a log whose entries are whatever is posted to /add, as
// Tessera's tools want it. Everything but the entries is the log as it is.
type rawServer struct {
	*httptest.Server
	log  *Log
	adds chan add
}

type add struct {
	entry  []byte
	placed chan int64
}

func newRawServer(t *testing.T, dsn string) *rawServer {
	t.Helper()
	l, err := open(t.Context(), dsn, testOptions(t, t.TempDir()), func(r Record) []byte { return r.Envelope })
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{log: l, adds: make(chan add, 1024)}
	public := l.Handler(slog.Default())
	mux := http.NewServeMux()
	mux.Handle("GET /", public)
	mux.HandleFunc("GET /tile/entries/", s.entries)
	mux.HandleFunc("POST /add", s.add)
	s.Server = httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- s.sequence(ctx) }()
	go func() { done <- s.sign(ctx) }()
	t.Cleanup(func() {
		s.Server.Close()
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// sequence appends what was added in batches.
func (s *rawServer) sequence(ctx context.Context) error {
	for {
		var batch []add
		select {
		case <-ctx.Done():
			return nil
		case a := <-s.adds:
			batch = append(batch, a)
		}
		for len(s.adds) > 0 && len(batch) < 256 {
			batch = append(batch, <-s.adds)
		}
		records := make([]Record, len(batch))
		for i, a := range batch {
			records[i] = Record{Digest: sha256.Sum256(a.entry), Envelope: a.entry, Type: "raw"}
		}
		placed, _, err := s.log.Append(ctx, records)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for i, a := range batch {
			a.placed <- placed[i].Leaf
		}
	}
}

func (s *rawServer) sign(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if _, err := s.log.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (s *rawServer) add(w http.ResponseWriter, r *http.Request) {
	entry, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a := add{entry, make(chan int64, 1)}
	select {
	case s.adds <- a:
	case <-r.Context().Done():
		return
	}
	select {
	case leaf := <-a.placed:
		fmt.Fprint(w, leaf)
	case <-r.Context().Done():
	}
}

func (s *rawServer) entries(w http.ResponseWriter, r *http.Request) {
	_, index, width, err := parseTilePath(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	var bundle bytes.Buffer
	left, stop := width, fmt.Errorf("enough")
	err = s.log.Leaves(r.Context(), Query{First: index * tileWidth}, func(leaf Leaf) error {
		if left == 0 {
			return stop
		}
		left--
		bundle.Write(binary.BigEndian.AppendUint16(nil, uint16(len(leaf.Envelope))))
		bundle.Write(leaf.Envelope)
		return nil
	})
	if left > 0 {
		http.Error(w, fmt.Sprint(err), http.StatusNotFound)
		return
	}
	w.Write(bundle.Bytes()) //nolint:errcheck // a test
}

func (s *rawServer) fsck(t *testing.T) {
	t.Helper()
	fsck(t, s.URL, s.log.VerifierKey())
}

// fsck has Tessera rebuild the tree from its entries and compare every tile.
func fsck(t *testing.T, url, vkey string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// Its exit status is 0 whatever it found.
	out, err := fsckCommand(ctx, t, url, vkey).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Successfully fsck'd log") {
		t.Errorf("fsck: %v\n%s", err, out)
	}
}

func fsckCommand(ctx context.Context, t *testing.T, url, vkey string) *exec.Cmd {
	t.Helper()
	key := filepath.Join(t.TempDir(), "log.pub")
	if err := os.WriteFile(key, []byte(vkey), 0o600); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(ctx, tool(t, "fsck", "cmd/fsck"),
		"--storage_url="+url+"/", "--public_key="+key, "--ui=false", "--N=4", "-v=1")
}

func TestConformanceIntegration(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := newRawServer(t, dsn)
		out := runTool(t, integrationTest(t), "-run_integration_test", "-log_url="+s.URL, "-write_log_url="+s.URL,
			"-log_public_key="+s.log.VerifierKey(), "-test_entry_size=1024", "-test.v")
		if !strings.Contains(out, "PASS: TestLiveLogIntegration") {
			t.Errorf("the integration test did not run:\n%s", out)
		}
		s.fsck(t)
	})
}

// TestConformanceHammer writes and reads at once for a while;
// HABEAS_HAMMER_LEAVES makes the while longer.
func TestConformanceHammer(t *testing.T) {
	leaves := 4000
	if n, err := strconv.Atoi(os.Getenv("HABEAS_HAMMER_LEAVES")); err == nil {
		leaves = n
	}
	if testing.Short() {
		t.Skip("short")
	}
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := newRawServer(t, dsn)
		runTool(t, tool(t, "hammer", "internal/hammer"), "--log_url="+s.URL, "--write_log_url="+s.URL, "--log_public_key="+s.log.VerifierKey(),
			"--max_read_ops=200", "--num_readers_random=4", "--num_readers_full=2", "--num_writers=64", "--max_write_ops=1000",
			"--leaf_write_goal="+strconv.Itoa(leaves), "--max_runtime=5m", "--show_ui=false")
		s.fsck(t)
	})
}

// The log as it is in production, whose entries are digests.
func TestConformanceFsck(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		l := openTest(t, dsn, testOptions(t, t.TempDir()))
		server := httptest.NewServer(l.Handler(slog.Default()))
		defer server.Close()
		for from := 0; from < 3000; from += 500 {
			appendTest(t, l, testRecords(from, 500))
		}
		appendTest(t, l, testRecords(3000, 77))
		checkpointTest(t, l)
		fsck(t, server.URL, l.VerifierKey())

		// And it does find what is wrong. It may not end then, so it is ended.
		flipBit(t, l, tileID{0, 3})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		command := fsckCommand(ctx, t, server.URL, l.VerifierKey())
		output, err := command.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines, found := bufio.NewScanner(output), false
		for !found && lines.Scan() {
			found = strings.Contains(lines.Text(), ":Invalid") || strings.Contains(lines.Text(), "fsck failed")
		}
		cancel()
		if err := command.Wait(); !found {
			t.Errorf("fsck is content with an altered tile: %v", err)
		}
	})
}
