package cosign

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// Why a witness gives no cosignature.
var (
	// ErrFork says that the witness knows another history: the leaves it saw are
	// not those the head begins with.
	ErrFork = errors.New("the witness saw other leaves than those this head begins with")
	// ErrRefused says that the witness does not know the log or its key, or does
	// not understand what it was sent: it or the policy is set up wrongly.
	ErrRefused = errors.New("the witness does not serve this log")
)

// AheadError says that the witness cosigned a head of another size last.
type AheadError struct {
	// Size is that head's.
	Size int64
}

// Error implements [error].
func (e *AheadError) Error() string {
	return fmt.Sprintf("the witness saw %d leaves last", e.Size)
}

// maxAnswer bounds what a witness may say: a few lines of ML-DSA-44.
const maxAnswer = 64 << 10

// Ask sends a head to the witness, with the proof that it begins with the old
// leaves that the witness saw last, and returns its cosignature. The error wraps
// [ErrFork] or [ErrRefused], is an [*AheadError], or says that the witness does
// not answer as it should. (C2SP tlog-witness, add-checkpoint)
func (w Witness) Ask(ctx context.Context, client *http.Client, old int64, proof tlog.TreeProof, head []byte) (*Seal, error) {
	var body bytes.Buffer
	fmt.Fprintf(&body, "old %d\n", old)
	for _, h := range proof {
		body.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	body.WriteString("\n")
	body.Write(head)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(w.URL, "/")+"/add-checkpoint", &body)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", w.Name, err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", w.Name, err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", w.Name, err)
	}
	if len(answer) > maxAnswer {
		return nil, fmt.Errorf("asking witness %s: its answer has more than %d bytes", w.Name, maxAnswer)
	}
	seal, err := w.judge(resp, answer, old, head)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", w.Name, err)
	}
	return seal, nil
}

// judge says what an answer means.
func (w Witness) judge(resp *http.Response, answer []byte, old int64, head []byte) (*Seal, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return w.accept(answer, head)
	case http.StatusConflict:
		return nil, conflict(resp, answer, old, head)
	case http.StatusUnprocessableEntity:
		return nil, ErrFork
	case http.StatusNotFound, http.StatusForbidden, http.StatusBadRequest:
		return nil, fmt.Errorf("%s: %w", resp.Status, ErrRefused)
	}
	return nil, fmt.Errorf("it answered %s", resp.Status)
}

// accept takes the witness's own cosignature out of its answer and ignores
// whatever else is there.
func (w Witness) accept(answer, head []byte) (*Seal, error) {
	text, _, ok := bytes.Cut(head, []byte("\n\n"))
	if !ok {
		return nil, errors.New("the head is not a note")
	}
	for line := range strings.Lines(string(answer)) {
		if !strings.HasPrefix(line, "— "+w.KeyName()+" ") || !strings.HasSuffix(line, "\n") {
			continue
		}
		signed := append(append(append([]byte{}, text...), "\n\n"...), line...)
		// A line of another key under the same name is not the witness's.
		if seal, err := w.on(signed); err == nil && seal != nil {
			return seal, nil
		}
	}
	return nil, errors.New("its answer has no cosignature that its key made over this head")
}

// conflict reads a 409, which has the size of the head that the witness saw
// last, or says that a head of the same size had another root.
func conflict(resp *http.Response, answer []byte, old int64, head []byte) error {
	size, sizeErr := strconv.ParseInt(strings.TrimSuffix(string(answer), "\n"), 10, 64)
	typ, _, typeErr := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	same := old == sizeOf(head)
	switch {
	case sizeErr == nil && typeErr == nil && typ == "text/x.tlog.size" && size >= 0 && size != old:
		return &AheadError{Size: size}
	case same:
		return fmt.Errorf("at %d leaves: %w", old, ErrFork)
	}
	return errors.New("it answered 409 without the size that it saw last")
}

// sizeOf is the size that a head states, which the log that made it vouches for.
func sizeOf(head []byte) int64 {
	lines := strings.SplitN(string(head), "\n", 3)
	if len(lines) < 3 {
		return -1
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return -1
	}
	return size
}

// Client is a client for witnesses: it does not follow redirects, for a head
// belongs nowhere but to the witness that the policy names.
func Client(timeout time.Duration) *http.Client {
	return &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}
