package onward_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/request"
)

// Staff see who is overdue and all recipients of a request, and record what a
// recipient said another way, under their name.
func TestStaffActForARecipient_DE3(t *testing.T) {
	r := newRig(t)
	h := r.room.API(func(req *http.Request) string { return req.Header.Get("Habeas-Actor") })
	o := r.add(request.Delete, request.Running, "mailer")
	call := func(method, path, actor string) *httptest.ResponseRecorder {
		req := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		req.Header.Set("Habeas-Actor", actor)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w
	}
	list := func(query string) onward.List {
		t.Helper()
		var l onward.List
		ok(t, json.Unmarshal(call(http.MethodGet, "/v1/recipients/notices"+query, "").Body.Bytes(), &l))
		return l
	}
	if l := list(""); len(l.Notices) != 0 || l.Standing.Waiting != 1 {
		t.Errorf("before the deadline: %+v", l)
	}
	if l := list("?request=" + string(o.RequestID)); len(l.Notices) != 1 || l.Notices[0].ID != o.ID || l.Notices[0].Overdue {
		t.Errorf("of the request: %+v", l)
	}
	r.pass(11 * 24 * time.Hour)
	if l := list(""); len(l.Notices) != 1 || !l.Notices[0].Overdue || l.Standing.Overdue != 1 {
		t.Errorf("after the deadline: %+v", l)
	}
	for _, c := range []struct {
		path, actor string
		status      int
	}{
		{"/" + string(o.ID) + "/acknowledge", "", http.StatusUnprocessableEntity},
		{"/" + string(o.ID) + "/acknowledge", onward.Recipient, http.StatusUnprocessableEntity}, // nobody may pass for the recipient
		{"/" + string(request.NewID()) + "/acknowledge", "dana", http.StatusNotFound},
		{"/x/acknowledge", "dana", http.StatusNotFound},
		{"/" + string(o.ID) + "/acknowledge", "dana", http.StatusNoContent},
		{"/" + string(o.ID) + "/acknowledge", "erin", http.StatusNoContent}, // again changes nothing
	} {
		if w := call(http.MethodPost, "/v1/recipients/notices"+c.path, c.actor); w.Code != c.status {
			t.Errorf("%s by %q: status %d, want %d: %s", c.path, c.actor, w.Code, c.status, w.Body)
		}
	}
	if got := r.row(o); got.AcknowledgedBy != "dana" {
		t.Errorf("%+v", got)
	}
	if w := call(http.MethodGet, "/v1/recipients/notices?request=x", ""); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("of no request: status %d", w.Code)
	}
	r.saidAll("recipient_acknowledged mailer")
}
