package main

import (
	"archive/zip"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/pack"
	"github.com/habeas-data/habeas/services/request"
)

// evidenceHandler serves GET /v1/requests/{id}/evidence: the evidence pack of a
// request as a zip, the same files "habeas evidence export" writes. records is
// the audit room's handler.
func evidenceHandler(records http.Handler, token string, logger *slog.Logger) http.Handler {
	source := &auditapi.Client{URL: "http://audit", Token: token, HTTP: &http.Client{Transport: inProcess{records}}}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id, err := request.ParseID(req.PathValue("id"))
		if err != nil {
			http.Error(w, "no such request", http.StatusNotFound)
			return
		}
		dir, err := os.MkdirTemp("", "habeas-evidence-")
		if err != nil {
			logger.ErrorContext(req.Context(), "making a folder for evidence", slog.Any("error", err))
			http.Error(w, "the evidence can't be gathered now", http.StatusServiceUnavailable)
			return
		}
		defer func() { _ = os.RemoveAll(dir) }() // it holds nothing personal
		folder := filepath.Join(dir, "evidence")
		switch err := pack.Export(req.Context(), source, string(id), folder, nil); {
		case errors.Is(err, auditapi.ErrNotFound):
			http.Error(w, "the log has no records of this request", http.StatusNotFound)
			return
		case err != nil:
			logger.ErrorContext(req.Context(), "gathering evidence", slog.String("request", string(id)), slog.Any("error", err))
			http.Error(w, "the evidence can't be gathered now", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="evidence-`+string(id)+`.zip"`)
		if err := zipFolder(w, folder); err != nil {
			logger.WarnContext(req.Context(), "sending evidence", slog.String("request", string(id)), slog.Any("error", err))
		}
	})
}

func zipFolder(w io.Writer, folder string) error {
	z := zip.NewWriter(w)
	if err := z.AddFS(os.DirFS(folder)); err != nil {
		return err
	}
	return z.Close()
}

// inProcess calls a handler as a server would be called.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, req)
	return answer.Result(), nil
}
