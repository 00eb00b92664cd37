package aftercare_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/aftercare"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// api is the service behind HTTP, on a store of its own.
type api struct {
	t     *testing.T
	store *litestore.Store
	url   string
}

func newAPI(t *testing.T) *api {
	t.Helper()
	s, _ := litetest.Open(t)
	if err := s.PutConnector(t.Context(), store.Connector{Name: "billing", Manifest: []byte{}, Key: []byte{}, SeenAt: now, UpdatedAt: now}); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	service := &aftercare.Service{Store: s, Now: func() time.Time { return now }}
	for pattern, h := range service.Handlers(slog.New(slog.DiscardHandler)) {
		mux.Handle(pattern, h)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &api{t: t, store: s, url: server.URL}
}

// call sends a body and decodes the answer, which must have the status.
func (a *api) call(method, path, body string, status int, answer any) string {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if resp.StatusCode != status {
		a.t.Fatalf("%s %s: %s, want %d: %s", method, path, resp.Status, status, text)
	}
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			a.t.Fatalf("%v: %s", err, text)
		}
	}
	return string(text)
}

func (a *api) start(since time.Time) aftercare.Replay {
	a.t.Helper()
	var r aftercare.Replay
	a.call(http.MethodPost, "/v1/replays", fmt.Sprintf(`{"connector": "billing", "since": %q, "by": "ann"}`, since.Format(time.RFC3339)), http.StatusOK, &r)
	return r
}

// A replay that is under way is not begun a second time; one that has ended is.
func TestStart_DE5(t *testing.T) {
	a := newAPI(t)
	since := now.AddDate(0, 0, -3)
	first := a.start(since)
	if first.By != "ann" || first.Done || first.Planned || !first.Since.Equal(since) || !first.CreatedAt.Equal(now) {
		t.Errorf("started %+v", first)
	}
	if again := a.start(since); again.ID != first.ID {
		t.Error("the same replay was begun twice")
	}
	if other := a.start(since.Add(time.Second)); other.ID == first.ID {
		t.Error("another time is another replay")
	}
	planned, err := a.store.Replay(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	planned.PlannedAt, planned.Planned, planned.Lost = now, 3, 1
	if mine, err := a.store.AdvanceReplay(t.Context(), planned, ""); err != nil || !mine {
		t.Fatal(mine, err)
	}
	var shown aftercare.Replay
	a.call(http.MethodGet, "/v1/replays/"+first.ID, "", http.StatusOK, &shown)
	if !shown.Done || shown.Jobs != 3 || shown.Lost != 1 {
		t.Errorf("shown %+v", shown)
	}
	if again := a.start(since); again.ID == first.ID {
		t.Error("a replay that has ended can't be begun anew")
	}
	var list struct{ Replays []aftercare.Replay }
	a.call(http.MethodGet, "/v1/replays", "", http.StatusOK, &list)
	if len(list.Replays) != 3 {
		t.Errorf("%d replays are listed, want 3", len(list.Replays))
	}
}

func TestWishesThatAreRefused(t *testing.T) {
	a := newAPI(t)
	for _, c := range []struct {
		method, path, body, says string
		status                   int
	}{
		{"POST", "/v1/replays", `{"connector": "bills", "since": "2026-05-01T00:00:00Z"}`, "of those that are: billing", 422},
		{"POST", "/v1/replays", `{"connector": "billing"}`, "say what time", 422},
		{"POST", "/v1/replays", `{"connector": "billing", "since": "2026-07-01T00:00:00Z"}`, "is in the future", 422},
		{"POST", "/v1/replays", `{"connector": "billing", "until": "2026-07-01T00:00:00Z"}`, "not the JSON", 422},
		{"POST", "/v1/replays", `{"connector": "billing", "since": "jane@example.com"}`, "not the JSON", 422},
		{"GET", "/v1/replays:preview?connector=billing&since=yesterday", "", "since: want a time", 422},
		{"GET", "/v1/replays:preview?connector=bills&since=2026-05-01T00:00:00Z", "", "is not known", 422},
		{"GET", "/v1/replays/none", "", "none of that id", 404},
		{"POST", "/v1/incidents/none/close", `{"by": "ann"}`, "none of that id", 404},
		{"POST", "/v1/incidents/none/close", `{"by": " "}`, "say who closes it", 422},
	} {
		text := a.call(c.method, c.path, c.body, c.status, nil)
		if !strings.Contains(text, c.says) || strings.Contains(text, "jane@") {
			t.Errorf("%s %s: %s, want it to say %s", c.method, c.path, text, c.says)
		}
	}
}

// Nothing is done for a look, and what can't be done again is counted.
func TestPreview_DE5(t *testing.T) {
	a := newAPI(t)
	var p aftercare.Preview
	a.call(http.MethodGet, "/v1/replays:preview?connector=billing&since=2026-05-01T00:00:00Z", "", http.StatusOK, &p)
	if p.Erasures+p.OptOuts+p.Limits+p.Lost != 0 {
		t.Errorf("nothing was done, and would be done again: %+v", p)
	}
	open, err := a.store.Unplanned(t.Context())
	if err != nil || len(open) != 0 {
		t.Errorf("a look began a replay: %+v, %v", open, err)
	}
}

func TestIncidents_DE11(t *testing.T) {
	a := newAPI(t)
	one := store.Incident{ID: "one", Kind: store.Resurrected, Connector: "billing", Store: "invoices", RequestID: request.NewID(), Records: 3, OpenedAt: now}
	two := one
	two.ID, two.OpenedAt = "two", now.Add(time.Hour)
	if err := a.store.PutIncidents(t.Context(), []store.Incident{one, two}); err != nil {
		t.Fatal(err)
	}
	var told []store.Incident
	service := &aftercare.Service{Store: a.store, Now: func() time.Time { return now.Add(-time.Hour) }, Tell: func(i store.Incident) { told = append(told, i) }}
	if err := service.Noticed(t.Context(), "crm-import", 2); err != nil {
		t.Fatal(err)
	}
	if len(told) != 1 || told[0].Kind != store.Reimported || told[0].Connector != "crm-import" || told[0].Records != 2 {
		t.Errorf("told %+v", told)
	}
	if err := a.store.CloseIncident(t.Context(), told[0].ID, "ann", "", now); err != nil {
		t.Errorf("what is told is not stored: %v", err)
	}
	a.call(http.MethodPost, "/v1/incidents/two/close", `{"by": "ann", "note": "an old job"}`, http.StatusOK, nil)
	var open, all struct{ Incidents []aftercare.Incident }
	a.call(http.MethodGet, "/v1/incidents?open=true", "", http.StatusOK, &open)
	a.call(http.MethodGet, "/v1/incidents", "", http.StatusOK, &all)
	if len(open.Incidents) != 1 || open.Incidents[0].ID != "one" || open.Incidents[0].Store != "invoices" || open.Incidents[0].Request != string(one.RequestID) {
		t.Errorf("open are %+v", open.Incidents)
	}
	if len(all.Incidents) != 3 || all.Incidents[0].By != "ann" || all.Incidents[0].ClosedAt == nil || !all.Incidents[0].ClosedAt.Equal(now) {
		t.Errorf("all are %+v", all.Incidents)
	}
}
