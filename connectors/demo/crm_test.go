package demo

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// crmAsk sends one request to a CRM and returns the status and the body.
func crmAsk(t *testing.T, c *CRM, method, target, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-Api-Key", CRMKey)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// TestCRMSurvivesRestart wants everything that was answered to be in the file.
func TestCRMSurvivesRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crm.json")
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	o := CRMOptions{Path: path, Delay: time.Hour, Now: func() time.Time { return now }}
	if err := SeedCRM(t.Context(), path, 60); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCRM(60, o)
	if err != nil {
		t.Fatal(err)
	}
	leaver := PersonAt(Leaver)
	id := CRMContact(Leaver)
	for _, step := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/v1/contacts?email=" + leaver.Email, "", 200},
		{"GET", "/v1/contacts", "", 400},
		{"GET", "/v1/contacts/" + id + "/notes", "", 200},
		{"PATCH", "/v1/contacts/" + id, `{"title":null}`, 200},
		{"PATCH", "/v1/contacts/" + id, `{"unheard_of":1}`, 400},
		{"PUT", "/v1/opt-outs", `{"email":"` + leaver.Email + `"}`, 204},
		{"DELETE", "/v1/contacts/" + id, "", 202},
		{"DELETE", "/v1/contacts/" + CRMContact(Namesake), "", 409},
		{"GET", "/v1/deletions/del_000001", "", 200},
	} {
		if status, body := crmAsk(t, c, step.method, step.target, step.body); status != step.status {
			t.Errorf("%s %s: %d, want %d: %s", step.method, step.target, status, step.status, body)
		}
	}
	if c, err = OpenCRM(60, o); err != nil { // as after a crash
		t.Fatal(err)
	}
	now = now.Add(2 * time.Hour)
	if status, body := crmAsk(t, c, "GET", "/v1/contacts/"+id, ""); status != http.StatusNotFound {
		t.Errorf("after its time the contact is still there: %d %s", status, body)
	}
	again, err := DumpCRM(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c.Dump(), again); d != "" {
		t.Errorf("a restart changes the CRM:\n%s", d)
	}
	for _, line := range again {
		if strings.Contains(line, leaver.Email) || strings.Contains(line, `"contacts","id":"`+id) {
			t.Errorf("a trace is left: %s", line)
		}
	}
}

func TestDumpNeedsACRM(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crm.json")
	if _, err := DumpCRM(path); err == nil {
		t.Error("a CRM that is not there was dumped")
	}
}

func TestCRMRefuses(t *testing.T) {
	c := NewCRM(50)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/contacts?email=x", nil))
	if w.Code != http.StatusUnauthorized {
		t.Errorf("without a key: %d", w.Code)
	}
	limited, err := OpenCRM(5, CRMOptions{Rate: 0.001, Burst: 1})
	if err != nil {
		t.Fatal(err)
	}
	crmAsk(t, limited, "GET", "/v1/contacts?email=x", "")
	if status, _ := crmAsk(t, limited, "GET", "/v1/contacts?email=x", ""); status != http.StatusTooManyRequests {
		t.Errorf("past the limit: %d", status)
	}
}

// TestCRMHoldsTheStories looks for the people the demo speaks of.
func TestCRMHoldsTheStories(t *testing.T) {
	c := NewCRM(Size)
	for _, n := range []int{Copier, Leaver, Namesake, OtherNamesake, EmailOnly, Busy} {
		status, body := crmAsk(t, c, "GET", "/v1/contacts?email="+PersonAt(n).Email, "")
		if status != http.StatusOK || !strings.Contains(body, CRMContact(n)) {
			t.Errorf("person %d: %d %s", n, status, body)
		}
	}
	if CRMOpenContract(Leaver) || CRMOpenContract(Copier) {
		t.Error("the demo's leaver could not leave the CRM")
	}
}
