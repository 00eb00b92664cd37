package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/request"
)

// A request the log does not know, an id that is none and an audit room in
// trouble each get their own answer, and never half a pack.
func TestEvidenceRefusals(t *testing.T) {
	for _, c := range []struct {
		name, id string
		audit    int
		want     int
	}{
		{"not an id", "nobody", http.StatusOK, http.StatusNotFound},
		{"unknown to the log", string(request.NewID()), http.StatusNotFound, http.StatusNotFound},
		{"audit in trouble", string(request.NewID()), http.StatusInternalServerError, http.StatusServiceUnavailable},
		{"a token audit refuses", string(request.NewID()), http.StatusUnauthorized, http.StatusServiceUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			audit := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer sesame" {
					t.Errorf("audit was asked without its token")
				}
				w.WriteHeader(c.audit)
			})
			source := &auditapi.Client{URL: "http://audit", Token: "sesame", HTTP: &http.Client{Transport: inProcess{audit}}}
			mux := http.NewServeMux()
			mux.Handle("/v1/requests/{id}/evidence", evidenceHandler(source, slog.New(slog.DiscardHandler)))
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/requests/"+c.id+"/evidence", nil))
			if w.Code != c.want || w.Header().Get("Content-Type") == "application/zip" {
				t.Errorf("status %d, type %s, want %d", w.Code, w.Header().Get("Content-Type"), c.want)
			}
		})
	}
}
