package witness

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Bounds of a request: 63 lines of proof (C2SP tlog-witness) and a head with
// some signatures.
const (
	maxBody  = 64 << 10
	maxProof = 63
)

// Handler serves POST /add-checkpoint.
func (w *Witness) Handler(logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, req.Body, maxBody))
		if err != nil {
			http.Error(rw, "the request is too long or was cut off", http.StatusBadRequest)
			return
		}
		line, err := w.request(req, body)
		if err != nil {
			answer(rw, req, logger, err)
			return
		}
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if _, err := rw.Write(line); err != nil { //nolint:gosec // a signature's line, as plain text
			logger.Debug("a log went away", "error", err)
		}
	})
	return mux
}

func (w *Witness) request(req *http.Request, body []byte) ([]byte, error) {
	old, proof, head, err := parseRequest(body)
	if err != nil {
		return nil, err
	}
	return w.Add(req.Context(), old, proof, head)
}

// parseRequest reads the body of add-checkpoint.
func parseRequest(body []byte) (old int64, proof tlog.TreeProof, head []byte, err error) {
	first, rest, ok := strings.Cut(string(body), "\n\n")
	if !ok {
		return 0, nil, nil, ErrMalformed
	}
	lines := strings.Split(first, "\n")
	size, ok := strings.CutPrefix(lines[0], "old ")
	if !ok || len(lines)-1 > maxProof {
		return 0, nil, nil, ErrMalformed
	}
	if old, err = parseSize(size); err != nil {
		return 0, nil, nil, err
	}
	for _, line := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			return 0, nil, nil, ErrMalformed
		}
		proof = append(proof, tlog.Hash(h))
	}
	return old, proof, []byte(rest), nil
}

// answer gives each refusal its status.
func answer(rw http.ResponseWriter, req *http.Request, logger *slog.Logger, err error) {
	var stale *StaleError
	switch {
	case errors.As(err, &stale):
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		if _, err := fmt.Fprintf(rw, "%d\n", stale.Size); err != nil {
			logger.Debug("a log went away", "error", err)
		}
	case errors.Is(err, ErrMalformed):
		http.Error(rw, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ErrUnknownLog):
		http.Error(rw, err.Error(), http.StatusNotFound)
	case errors.Is(err, ErrNotSigned):
		http.Error(rw, err.Error(), http.StatusForbidden)
	case errors.Is(err, ErrOtherRoot):
		logger.Error("a log showed two heads of one size")
		http.Error(rw, err.Error(), http.StatusConflict)
	case errors.Is(err, ErrFork):
		logger.Error("a log showed a head that does not begin with the one before")
		http.Error(rw, err.Error(), http.StatusUnprocessableEntity)
	default:
		logger.ErrorContext(req.Context(), "cosigning a head", "error", err)
		http.Error(rw, "the witness can't sign now", http.StatusInternalServerError)
	}
}
