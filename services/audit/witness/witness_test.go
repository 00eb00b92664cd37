package witness

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

const origin = "log.example/2026"

// testLog is a log in memory, of a history that begins with shared leaves and
// goes on with its own.
type testLog struct {
	t      fataler
	signer note.Signer
	hashes []tlog.Hash // stored hashes
	size   int64
}

type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func (l *testLog) ReadHashes(at []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(at))
	for i, n := range at {
		out[i] = l.hashes[n]
	}
	return out, nil
}

func (l *testLog) grow(n int64, history string) {
	l.t.Helper()
	for ; n > 0; n-- {
		more, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "%s %d", history, l.size), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes, l.size = append(l.hashes, more...), l.size+1
	}
}

func (l *testLog) head(size int64) []byte {
	l.t.Helper()
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	text := flog.Checkpoint{Origin: origin, Size: uint64(size), Hash: root[:]}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

func (l *testLog) proof(from, to int64) tlog.TreeProof {
	l.t.Helper()
	if from == 0 || from >= to {
		return nil
	}
	p, err := tlog.ProveTree(to, from, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func testKey(t fataler, name string) (note.Signer, string) {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signer, public
}

func testWitnessKey(t fataler) (note.Signer, note.Verifier) {
	t.Helper()
	secret, err := GenerateKey("witness.example/w1")
	if err != nil {
		t.Fatal(err)
	}
	signer, public, err := Signer(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := fnote.NewVerifierForCosignatureV1(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func post(t *testing.T, url string, old int64, proof tlog.TreeProof, head []byte) (*http.Response, string) {
	t.Helper()
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		body.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	body.WriteString("\n" + string(head))
	return postBody(t, url, body.Bytes())
}

func postBody(t *testing.T, url string, body []byte) (*http.Response, string) {
	t.Helper()
	resp, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body)) //nolint:noctx // ends with the test's server
	if err != nil {
		t.Fatal(err)
	}
	var answer bytes.Buffer
	_, err = answer.ReadFrom(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp, answer.String()
}

// TestProtocol goes through what C2SP tlog-witness says of add-checkpoint.
func TestProtocol(t *testing.T) {
	logSigner, logKey := testKey(t, origin)
	signer, verifier := testWitnessKey(t)
	w, err := New(t.TempDir(), signer, []string{logKey})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.Handler(slog.New(slog.NewTextHandler(t.Output(), nil))))
	defer server.Close()
	log := &testLog{t: t, signer: logSigner}
	log.grow(9, "a")
	fork := &testLog{t: t, signer: logSigner}
	fork.grow(12, "b")
	stranger, _ := testKey(t, origin)
	elsewhere, _ := testKey(t, "other.example/log")
	forged := &testLog{t: t, signer: stranger}
	forged.grow(9, "a")
	unknown, err := note.Sign(&note.Note{Text: "other.example/log\n0\n" + base64.StdEncoding.EncodeToString(emptyRoot[:]) + "\n"}, elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name   string
		old    int64
		proof  tlog.TreeProof
		head   []byte
		status int
		answer string // "" for a cosignature, or for anything when refused
	}{
		{"a log nobody told it of", 0, nil, unknown, 404, ""},
		{"not signed by the log", 0, nil, forged.head(5), 403, ""},
		{"the old size above the new", 6, nil, log.head(5), 400, ""},
		{"a size it never saw", 3, log.proof(3, 5), log.head(5), 409, "0\n"},
		{"the first head", 0, nil, log.head(5), 200, ""},
		{"the same again", 5, nil, log.head(5), 200, ""},
		{"from nothing again", 0, nil, log.head(9), 409, "5\n"},
		{"a head that is older", 3, nil, log.head(3), 409, "5\n"},
		{"another root of that size", 5, nil, fork.head(5), 409, ""},
		{"a fork with its own proof", 5, fork.proof(5, 12), fork.head(12), 422, ""},
		{"without a proof", 5, nil, log.head(9), 422, ""},
		{"grown", 5, log.proof(5, 9), log.head(9), 200, ""},
		{"a proof where none belongs", 9, log.proof(5, 9), log.head(9), 422, ""},
	} {
		resp, answer := post(t, server.URL, step.old, step.proof, step.head)
		if resp.StatusCode != step.status {
			t.Fatalf("%s: status %d (%q), want %d", step.name, resp.StatusCode, answer, step.status)
		}
		switch {
		case step.status == 200:
			if _, err := note.Open(append(step.head, answer...), note.VerifierList(verifier)); err != nil {
				t.Errorf("%s: the cosignature: %v", step.name, err)
			}
		case step.answer != "":
			if diff := cmp.Diff([]string{step.answer, "text/x.tlog.size"}, []string{answer, resp.Header.Get("Content-Type")}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step.name, diff)
			}
		}
	}
	for _, body := range []string{"", "old 1\n", "old 01\n\nx", "old -1\n\nx", "new 1\n\nx", "old 5\nnot base64\n\n" + string(log.head(9))} {
		if resp, _ := postBody(t, server.URL, []byte(body)); resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: status %d, want 400", body, resp.StatusCode)
		}
	}
}

// TestAlteredState shows that a state that was tampered with is not guessed at.
func TestAlteredState(t *testing.T) {
	logSigner, logKey := testKey(t, origin)
	signer, _ := testWitnessKey(t)
	dir := t.TempDir()
	w, err := New(dir, signer, []string{logKey})
	if err != nil {
		t.Fatal(err)
	}
	log := &testLog{t: t, signer: logSigner}
	log.grow(4, "a")
	if _, err := w.Add(t.Context(), 0, nil, log.head(4)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.head"))
	if err != nil || len(files) != 1 {
		t.Fatalf("state files: %v, %v", files, err)
	}
	if err := os.WriteFile(files[0], bytes.Replace(log.head(4), []byte("\n4\n"), []byte("\n2\n"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, old := range []int64{0, 2, 4} {
		if line, err := w.Add(t.Context(), old, log.proof(old, 4), log.head(4)); err == nil {
			t.Errorf("from %d leaves: it signed %q", old, line)
		}
	}
}

// errCrash ends a step as a crash would.
var errCrash = errors.New("crashed")

// TestNeverTwoHistories sends heads of two histories in any order, at any size,
// with right and wrong proofs, crashes between any two steps and starts again:
// whatever was signed is of one history.
func TestNeverTwoHistories(t *testing.T) {
	logSigner, logKey := testKey(t, origin)
	signer, verifier := testWitnessKey(t)
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		shared := rapid.Int64Range(0, 6).Draw(rt, "shared leaves")
		var histories []*testLog
		for _, own := range []string{"a", "b"} {
			l := &testLog{t: rt, signer: logSigner}
			l.grow(shared, "shared")
			l.grow(20, own)
			histories = append(histories, l)
		}
		signedOf := map[int64]string{} // root by size, of what was signed
		var forked [2]bool             // which history has signed heads beyond the shared leaves
		open := func() *Witness {
			w, err := New(dir, signer, []string{logKey})
			if err != nil {
				rt.Fatal(err)
			}
			return w
		}
		w := open()
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			which := rapid.IntRange(0, 1).Draw(rt, "history")
			l := histories[which]
			size := rapid.Int64Range(0, l.size).Draw(rt, "size")
			old := w.Seen(origin)
			if rapid.IntRange(0, 3).Draw(rt, "old size") == 0 {
				old = rapid.Int64Range(0, l.size).Draw(rt, "another old size")
			}
			crashAt := rapid.SampledFrom([]string{"", "", "", "checked", "written", "kept"}).Draw(rt, "crash")
			w.crash = func(step string) {
				if step == crashAt {
					panic(errCrash)
				}
			}
			before := w.Seen(origin)
			line, crashed, err := addOrCrash(t, w, old, l.proof(old, size), l.head(size))
			if crashed {
				w = open()
				continue
			}
			if err != nil {
				continue
			}
			if size < before {
				rt.Fatalf("signed %d leaves after %d", size, before)
			}
			head := l.head(size)
			if _, err := note.Open(append(bytes.Clone(head), line...), note.VerifierList(verifier)); err != nil {
				rt.Fatalf("the cosignature: %v", err)
			}
			if have, ok := signedOf[size]; ok && have != string(head) {
				rt.Fatalf("two heads of %d leaves were signed", size)
			}
			signedOf[size] = string(head)
			forked[which] = forked[which] || size > shared
			if forked[0] && forked[1] {
				rt.Fatal("heads of two histories were signed")
			}
		}
	})
}

func addOrCrash(t *testing.T, w *Witness, old int64, proof tlog.TreeProof, head []byte) (line []byte, crashed bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			if r != errCrash { //nolint:errorlint // the very value
				panic(r)
			}
			crashed = true
		}
	}()
	line, err = w.Add(t.Context(), old, proof, head)
	return line, false, err
}
