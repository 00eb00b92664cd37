package suppression

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request/store"
)

// A denial is logged and says nothing of the person; a question that is none is
// refused without repeating it.
func TestUseIsAskedOverHTTP_DE9(t *testing.T) {
	l, _ := newList(t)
	put(t, l, store.WhyDeleted, email("jane.planted@example.com"))
	put(t, l, store.WhyOptedOut, email("joe.planted@example.com"))
	var log bytes.Buffer
	h := l.UseHandler(slog.New(slog.NewTextHandler(&log, nil)))
	for _, c := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"connector":"billing","purpose":"marketing","identifiers":[{"kind":"email","value":"Jane.Planted@example.com"},{"kind":"email","value":"joe.planted@example.com"},{"kind":"email","value":"stranger@example.com"}]}`, 200, `["denied","free","free"]`},
		{`{"connector":"billing","purpose":"marketing","identifiers":[]}`, 422, "has 0 entries"},
		{`{"connector":"billing","purpose":"marketing","identifiers":[{"kind":"name","value":"Jane Planted"}]}`, 422, "people share"},
		{`{"connector":"billing","purpose":"marketing","identifiers":"jane.planted@example.com"}`, 400, "identifiers: send"},
		{`{"connector":"billing","identifiers":[{"kind":"email","value":"jane.planted@example.com"}]}`, 400, "send"},
		{`jane.planted@example.com`, 400, "send"},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/kept:check", strings.NewReader(c.body)))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("status %d, want %d with %q: %s", w.Code, c.status, c.want, w.Body)
		}
		if strings.Contains(strings.ToLower(w.Body.String()), "planted") {
			t.Errorf("the answer repeats a value: %s", w.Body)
		}
	}
	if !strings.Contains(log.String(), "a use of kept records was denied") || strings.Contains(log.String(), "planted") || strings.Contains(log.String(), "marketing") {
		t.Errorf("the log: %s", &log)
	}
}
