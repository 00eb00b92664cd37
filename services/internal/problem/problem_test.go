package problem_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/habeas-data/habeas/services/internal/problem"
)

func TestWrite(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, http.StatusConflict, `it is "closed" already`)
	want := `{"title":"Conflict","status":409,"detail":"it is \"closed\" already"}` + "\n"
	if w.Code != http.StatusConflict || w.Header().Get("Content-Type") != "application/problem+json" || w.Body.String() != want {
		t.Errorf("answered %d %s %s, want %s", w.Code, w.Header().Get("Content-Type"), w.Body, want)
	}
}
