// Package witness is a small witness of logs (C2SP tlog-witness): it remembers
// the newest head it saw of each log that it was told of, and cosigns a head only
// when that one begins with the leaves of the one before.
//
// # Promises
//
//   - Two heads that it cosigned for one log are of one history, whatever
//     crashes between any two of its steps: a head is checked and on the disk
//     before it is signed, and one head is handled at a time.
//   - What it can't read on its disk it does not guess: a state file that was
//     altered stops it from signing for that log.
//
// It is a convenience. Who runs it on the machine of the log has a witness that
// goes along with whoever controls that machine.
package witness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	flog "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Why a head is not cosigned.
var (
	// ErrUnknownLog says that the witness was not told of such a log.
	ErrUnknownLog = errors.New("this witness does not know the log")
	// ErrNotSigned says that the log's key did not sign the head.
	ErrNotSigned = errors.New("the log did not sign this head")
	// ErrMalformed says that the request is not one.
	ErrMalformed = errors.New("the request is malformed")
	// ErrFork says that the head does not begin with the leaves of the last one.
	ErrFork = errors.New("the head does not begin with the leaves that were seen")
	// ErrOtherRoot says that the head has another root than the last one, of the
	// same size.
	ErrOtherRoot = errors.New("another head of this size was seen")
)

// StaleError says that the request begins at another size than that of the head
// seen last, which is Size.
type StaleError struct{ Size int64 }

// Error implements [error].
func (e *StaleError) Error() string { return fmt.Sprintf("the head seen last has %d leaves", e.Size) }

// Witness is one witness. One process at a time may have its folder.
type Witness struct {
	dir    string
	signer note.Signer
	logs   map[string]note.Verifier // by origin

	mu sync.Mutex // one head at a time

	// crash, when set, is called between steps by tests.
	crash func(step string)
}

// New makes a witness of the logs with the given public keys, in note format.
// Its state is in the folder dir, which is made when it is not there.
func New(dir string, signer note.Signer, logs []string) (*Witness, error) {
	w := &Witness{dir: dir, signer: signer, logs: map[string]note.Verifier{}}
	for _, key := range logs {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, fmt.Errorf("witness: the key of a log: %w", err)
		}
		if w.logs[v.Name()] != nil {
			return nil, fmt.Errorf("witness: log %s has two keys; a log never changes its key", v.Name())
		}
		w.logs[v.Name()] = v
	}
	if len(w.logs) == 0 {
		return nil, errors.New("witness: no log is given to be witnessed")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("witness: making the state folder: %w", err)
	}
	return w, nil
}

// Add cosigns a head that begins with the old leaves, those of the head seen
// last (0 when there was none), and returns the cosignature's line.
func (w *Witness) Add(ctx context.Context, old int64, proof tlog.TreeProof, head []byte) ([]byte, error) {
	origin, _, _ := strings.Cut(string(head), "\n")
	verifier := w.logs[origin]
	if verifier == nil {
		return nil, ErrUnknownLog
	}
	next, text, err := parse(head, verifier)
	if err != nil {
		return nil, err
	}
	if old > next.N {
		return nil, fmt.Errorf("the old size is above the head's: %w", ErrMalformed)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last, err := w.load(verifier)
	if err != nil {
		return nil, err
	}
	if err := follows(last, next, old, proof); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.step("checked")
	// The head is on the disk before it is signed. A crash in between loses the
	// signature, and the log asks again from this size.
	// A head that is there already is written again: what made it durable may
	// have failed the last time.
	if err := w.keep(origin, head); err != nil {
		return nil, err
	}
	w.step("kept")
	return w.sign(text)
}

func (w *Witness) step(name string) {
	if w.crash != nil {
		w.crash(name)
	}
}

// follows says whether a head may be cosigned after the last one.
func follows(last, next tlog.Tree, old int64, proof tlog.TreeProof) error {
	switch {
	case old != last.N:
		return &StaleError{Size: last.N}
	case next.N == last.N && next.Hash != last.Hash:
		return ErrOtherRoot
	case (next.N == last.N || old == 0) && len(proof) > 0:
		return fmt.Errorf("a proof where none is to give: %w", ErrFork)
	case next.N == last.N || old == 0:
		return nil
	}
	if tlog.CheckTree(proof, next.N, next.Hash, last.N, last.Hash) != nil {
		return ErrFork
	}
	return nil
}

// emptyRoot is the root of a log without leaves (RFC 6962, section 2.1).
var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// parse reads a head of the log whose key is given, and the text that is signed.
func parse(head []byte, verifier note.Verifier) (tlog.Tree, string, error) {
	n, err := note.Open(head, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, "", ErrNotSigned
	}
	var cp flog.Checkpoint
	if _, err := cp.Unmarshal([]byte(n.Text)); err != nil || cp.Origin != verifier.Name() || len(cp.Hash) != tlog.HashSize || cp.Size > 1<<62 {
		return tlog.Tree{}, "", fmt.Errorf("the head is no checkpoint: %w", ErrMalformed)
	}
	if cp.Size == 0 && !bytes.Equal(cp.Hash, emptyRoot[:]) {
		return tlog.Tree{}, "", fmt.Errorf("a log without leaves has another root: %w", ErrMalformed)
	}
	return tlog.Tree{N: int64(cp.Size), Hash: tlog.Hash(cp.Hash)}, n.Text, nil
}

// sign makes the cosignature's line over a head's text.
func (w *Witness) sign(text string) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: text}, w.signer)
	if err != nil {
		return nil, fmt.Errorf("witness: cosigning: %w", err)
	}
	_, line, _ := strings.Cut(string(signed), "\n\n")
	return []byte(line), nil
}

// path is the file of a log's newest head. Origins may have slashes in them.
func (w *Witness) path(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return filepath.Join(w.dir, hex.EncodeToString(sum[:16])+".head")
}

// load reads the head seen last; of no leaves when there is none.
func (w *Witness) load(verifier note.Verifier) (tlog.Tree, error) {
	head, err := os.ReadFile(w.path(verifier.Name()))
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.Tree{Hash: emptyRoot}, nil
	}
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("witness: reading the state: %w", err)
	}
	tree, _, err := parse(head, verifier)
	if err != nil {
		// Not one of the refusals: the request is not to blame.
		return tlog.Tree{}, fmt.Errorf("witness: %s is not a head that the log signed; it was altered", w.path(verifier.Name()))
	}
	return tree, nil
}

// keep puts a head in the place of the last one, whole or not at all.
func (w *Witness) keep(origin string, head []byte) (err error) {
	temp, err := os.CreateTemp(w.dir, ".tmp-*")
	if err != nil {
		return fmt.Errorf("witness: keeping a head: %w", err)
	}
	_, err = temp.Write(head)
	err = errors.Join(err, temp.Sync(), temp.Close())
	w.step("written")
	if err == nil {
		err = os.Rename(temp.Name(), w.path(origin))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("witness: keeping a head: %w", err), os.Remove(temp.Name()))
	}
	folder, err := os.Open(w.dir)
	if err == nil {
		err = errors.Join(folder.Sync(), folder.Close())
	}
	if err != nil {
		return fmt.Errorf("witness: keeping a head: %w", err)
	}
	return nil
}

// Seen is the size of the newest head of a log that was seen; -1 when the
// witness does not know the log or can't read its state.
func (w *Witness) Seen(origin string) int64 {
	verifier := w.logs[origin]
	if verifier == nil {
		return -1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	tree, err := w.load(verifier)
	if err != nil {
		return -1
	}
	return tree.N
}

// Signer reads a witness's secret key, in note format, and derives its public
// one.
func Signer(secret string) (note.Signer, string, error) {
	signer, err := fnote.NewSignerForCosignatureV1(strings.TrimSpace(secret))
	if err != nil {
		// The error of a key never repeats it.
		return nil, "", errors.New("witness: not a secret key in note format")
	}
	plain, err := publicKey(strings.TrimSpace(secret))
	if err != nil {
		return nil, "", err
	}
	if got := fmt.Sprintf("%08x", signer.KeyHash()); !strings.HasPrefix(plain, signer.Name()+"+"+got+"+") {
		return nil, "", errors.New("witness: the key's id is not that of its public key")
	}
	return signer, plain, nil
}

// parseSize reads a number in its one right form.
func parseSize(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, ErrMalformed
	}
	return n, nil
}
