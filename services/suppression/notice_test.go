package suppression

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// A program that says who it is and was about to import somebody who was erased
// is noticed, without whom; one that only asks is not, and whoever was never
// erased is nothing to notice.
func TestReimportIsNoticed_DE11(t *testing.T) {
	l, _ := newList(t)
	put(t, l, store.WhyDeleted, email("gone@example.com"))
	put(t, l, store.WhyOptedOut, email("out@example.com"))
	type notice struct {
		source string
		n      int64
	}
	var seen []notice
	var broken error
	l.Noticed = func(_ context.Context, source string, n int64) error {
		seen = append(seen, notice{source, n})
		return broken
	}
	h := l.Handler(slog.New(slog.DiscardHandler))
	ask := func(source string, emails ...string) int {
		t.Helper()
		var ids []map[string]string
		for _, e := range emails {
			ids = append(ids, map[string]string{"kind": "email", "value": e})
		}
		q := map[string]any{"identifiers": ids}
		if source != "" {
			q["source"] = source
		}
		body, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/suppression:check", bytes.NewReader(body)))
		return w.Code
	}
	if code := ask("crm-import", "gone@example.com", "out@example.com", "new@example.com"); code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	ask("", "gone@example.com")
	ask("crm-import", "out@example.com", "new@example.com")
	if len(seen) != 1 || seen[0] != (notice{"crm-import", 1}) {
		t.Errorf("noticed %+v", seen)
	}
	if code := ask("jane@example.com", "gone@example.com"); code != http.StatusUnprocessableEntity || len(seen) != 1 {
		t.Errorf("a source that is no program: status %d", code)
	}
	// What can't be noted is not answered: the program asks again.
	broken = errors.New("the database is away")
	if code := ask("crm-import", "gone@example.com"); code != http.StatusServiceUnavailable {
		t.Errorf("what could not be noted was answered with %d", code)
	}
}

// Who has come back is on the list of the erased no more, under whatever key they
// were put there; their opt-out and everybody else stay.
func TestRelease_DE11(t *testing.T) {
	l, _ := newList(t)
	back, stays := email("back@example.com"), email("stays@example.com")
	put(t, l, store.WhyDeleted, back, stays)
	put(t, l, store.WhyOptedOut, back)
	if err := l.Rotate(t.Context(), start.AddDate(1, 0, 0)); err != nil {
		t.Fatal(err)
	}
	put(t, l, store.WhyDeleted, back)
	h := l.ReleaseHandler(slog.New(slog.DiscardHandler))
	release := func(body string) int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/suppression:release", strings.NewReader(body)))
		return w.Code
	}
	for range 2 {
		if code := release(`{"identifiers":[{"kind":"email","value":" Back@example.com"}]}`); code != http.StatusNoContent {
			t.Fatalf("status %d", code)
		}
	}
	if code := release(`{"identifiers":[{"kind":"name","value":"Jane"}]}`); code != http.StatusUnprocessableEntity {
		t.Errorf("by a name: status %d", code)
	}
	if got := check(t, l, back, stays); !slices.Equal(got, []Answer{OptedOut, Deleted}) {
		t.Errorf("the list says %v", got)
	}
	// A person counts as on the list by any identifier, and by none that can't be.
	people := [][]request.Identifier{{back}, {back, stays}, {request.NewIdentifier(request.Name, "Jane Roe")}, {email("new@example.com")}}
	if got, err := l.Has(t.Context(), people, store.WhyDeleted); err != nil || !slices.Equal(got, []bool{false, true, true, false}) {
		t.Errorf("on the list by any: %v, %v", got, err)
	}
	// Who came back by one of their identifiers came back.
	people = append(people, []request.Identifier{stays, request.NewIdentifier(request.Name, "Jane Roe")})
	if got, err := l.Whole(t.Context(), people, store.WhyDeleted); err != nil || !slices.Equal(got, []bool{false, false, true, false, true}) {
		t.Errorf("to stay erased: %v, %v", got, err)
	}
	if got, err := l.Whole(t.Context(), [][]request.Identifier{{back}}, store.WhyOptedOut); err != nil || !got[0] {
		t.Errorf("to stay opted out: %v, %v", got, err)
	}
}
