package tokens_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/tokens"
)

// RE-2: the list of requests is read for compliance, by who may, and every look
// is on record before anything is shown, refused ones too.
func TestTheListIsForComplianceAlone_RE2(t *testing.T) {
	a := newAPI(t)
	reader, importer := a.make("read"), a.make("suppression")
	list := func(secret, purpose string) int {
		t.Helper()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/requests?right=delete", nil)
		req.Header.Set("Authorization", "Bearer "+secret)
		if purpose != "" {
			req.Header.Set(tokens.PurposeHeader, purpose)
		}
		w := httptest.NewRecorder()
		a.server.ServeHTTP(w, req)
		return w.Code
	}
	looks := []struct {
		secret, purpose, who string
		status               int
	}{
		{reader.Secret, "", reader.ID, http.StatusOK},
		{reader.Secret, "compliance", reader.ID, http.StatusOK},
		{reader.Secret, "marketing", reader.ID, http.StatusForbidden},
		{importer.Secret, "", importer.ID, http.StatusForbidden},
		{deployment, "", "the deployment's own token", http.StatusOK},
		{deployment, "research", "the deployment's own token", http.StatusForbidden},
	}
	for _, l := range looks {
		if status := list(l.secret, l.purpose); status != l.status {
			t.Errorf("%s, %q: status %d, want %d", l.who, l.purpose, status, l.status)
		}
	}
	all, err := a.store.Accesses(t.Context(), time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	all = all[2:] // two tokens were made
	if len(all) != len(looks) {
		t.Fatalf("%d looks are on record, want %d", len(all), len(looks))
	}
	for i, l := range looks {
		if got := all[i]; got.Who != l.who || got.Allowed != (l.status == http.StatusOK) || !strings.HasPrefix(got.Purpose, "API: the list of requests, for ") {
			t.Errorf("on record is %+v, want %+v", got, l)
		}
	}
	a.keeper.Record = func(context.Context, store.Access) error { return errors.New("the database is down") }
	for _, secret := range []string{reader.Secret, deployment} {
		if status := list(secret, ""); status != http.StatusServiceUnavailable {
			t.Errorf("shown without a record: status %d", status)
		}
	}
}

// Who takes a person's package by a token of their own is on record before anything
// is given out, refused tries too.
func TestTakingAPackageIsOnRecord(t *testing.T) {
	a := newAPI(t)
	taker, reader := a.make("package"), a.make("read")
	id := request.NewID()
	path := "/v1/requests/" + string(id) + "/package"
	for _, c := range []struct {
		secret, method, path string
		status               int
	}{
		{taker.Secret, http.MethodGet, path, http.StatusOK},
		{taker.Secret, http.MethodHead, path, http.StatusOK},
		{reader.Secret, http.MethodGet, path, http.StatusForbidden},
		{taker.Secret, http.MethodGet, "/v1/requests/none/package", http.StatusOK},
		{deployment, http.MethodGet, path, http.StatusOK},
	} {
		if w := a.call(c.secret, c.method, c.path, ""); w.Code != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.path, w.Code, c.status)
		}
	}
	all, err := a.store.Accesses(t.Context(), time.Time{}, 100)
	if err != nil {
		t.Fatal(err)
	}
	all = all[2:] // two tokens were made
	for i, want := range []struct {
		who     string
		allowed bool
	}{{taker.ID, true}, {taker.ID, true}, {reader.ID, false}} {
		if len(all) != 3 || all[i].Who != want.who || all[i].Allowed != want.allowed || all[i].Purpose != "API: the package of request "+string(id) {
			t.Fatalf("on record: %+v", all)
		}
	}
	a.keeper.Record = func(context.Context, store.Access) error { return errors.New("the database is down") }
	if w := a.call(taker.Secret, http.MethodGet, path, ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("given out without a record: status %d", w.Code)
	}
}
