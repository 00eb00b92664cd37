package catalogue_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("salesforce", vendortest.Entry{
	New:      newSalesforce,
	Settings: map[string]string{"domain": "acme", "client_id": "app-1"},
	Acts:     []string{"DELETE /services/data", "PATCH /services/data"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"cases_go_before_the_contact_they_hang_on": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			var order []string
			for _, a := range r.Asked("DELETE ") {
				order = append(order, strings.Split(a.Path, "/")[5])
			}
			if want := "Case Case Case Lead Contact"; strings.Join(order, " ") != want {
				t.Errorf("deleted in the order %v", order)
			}
		},
		"what_else_hangs_on_a_contact_is_a_failure_with_words": func(t *testing.T, r *vendortest.Rig) {
			s := r.Vendor.(*salesforce)
			s.mu.Lock()
			s.held = true
			s.mu.Unlock()
			err := r.Eraser().Erase(r.InJob(), r.Her.Person)
			if !sdk.IsPermanent(err) || !strings.Contains(err.Error(), "hang on it") {
				t.Errorf("it ended with %v", err)
			}
		},
		"a_quote_in_an_address_stays_in_the_query": func(t *testing.T, r *vendortest.Rig) {
			r.Locate(person(`o'brien' OR Email != '@example.com`))
			for _, a := range r.Asked("GET /services/data") {
				if strings.Contains(a.Query, "brien%27+OR") && !strings.Contains(a.Query, "brien%5C%27+OR") {
					t.Errorf("the query is %s", a.Query)
				}
			}
			if n := len(r.Locate(person(`' OR Email != '`))); n > 0 {
				t.Errorf("an address that is a condition found %d stores", n)
			}
		},
	},
})

// salesforce plays tokens, SOQL with pages of two and deletions that other
// records can prevent.
type salesforce struct {
	*fake
	held bool
}

var soql = regexp.MustCompile(`FROM (\w+) WHERE (\w+) = '((?:[^'\\]|\\.)*)'( AND SuppliedEmail = null)?$`)

func newSalesforce() vendortest.Vendor {
	token := bearer("TOKEN")
	s := &salesforce{fake: newFake(func(r *http.Request) bool { return r.URL.Path == "/services/oauth2/token" || token(r) })}
	s.on("POST /services/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		if r.ParseForm() != nil || r.PostForm.Get("client_id") != "app-1" || r.PostForm.Get("client_secret") != vendortest.SecretValue("SALESFORCE_CLIENT_SECRET") {
			answer(w, 400, map[string]any{"error": "invalid_client"})
			return
		}
		answer(w, 200, map[string]any{"access_token": vendortest.SecretValue("TOKEN"), "token_type": "Bearer"})
	})
	s.on("GET /services/data/v60.0/query", func(w http.ResponseWriter, r *http.Request) {
		s.page(w, r.URL.Query().Get("q"), "")
	})
	s.on("GET /services/data/v60.0/query/{q}/{after}", func(w http.ResponseWriter, r *http.Request) {
		s.page(w, r.PathValue("q"), r.PathValue("after"))
	})
	s.on("DELETE /services/data/v60.0/sobjects/{kind}/{id}", func(w http.ResponseWriter, r *http.Request) {
		kind, id := r.PathValue("kind"), r.PathValue("id")
		switch {
		case s.records[kind][id] == nil:
			answer(w, 404, []any{map[string]any{"errorCode": "ENTITY_IS_DELETED"}})
		case kind == "Contact" && (s.held || len(s.list("Case", is("ContactId", id))) > 0):
			answer(w, 400, []any{map[string]any{"errorCode": "DELETE_FAILED"}})
		default:
			delete(s.records[kind], id)
			w.WriteHeader(204)
		}
	})
	s.on("PATCH /services/data/v60.0/sobjects/{kind}/{id}", func(w http.ResponseWriter, r *http.Request) {
		rec := s.records[r.PathValue("kind")][r.PathValue("id")]
		if rec == nil {
			answer(w, 404, []any{map[string]any{"errorCode": "NOT_FOUND"}})
			return
		}
		maps.Copy(rec, read(r))
		w.WriteHeader(204)
	})
	return s
}

func (s *salesforce) page(w http.ResponseWriter, q, after string) {
	m := soql.FindStringSubmatch(q)
	if m == nil {
		answer(w, 400, []any{map[string]any{"errorCode": "MALFORMED_QUERY"}})
		return
	}
	value := strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(m[3])
	found := s.list(m[1], func(rec map[string]any) bool {
		return lower(rec[m[2]]) == lower(value) && (m[4] == "" || rec["SuppliedEmail"] == nil)
	})
	records, more := cut(found, is("Id", after), 2)
	out := map[string]any{"totalSize": len(found), "done": !more, "records": records}
	if more {
		out["nextRecordsUrl"] = "/services/data/v60.0/query/" + (&httpPath{q}).String() + "/" + fmt.Sprint(records[len(records)-1]["Id"])
	}
	answer(w, 200, out)
}

func (s *salesforce) Plant(n int) vendortest.Planted {
	s.mu.Lock()
	defer s.mu.Unlock()
	contact := fmt.Sprintf("003C%d", n)
	s.add("Contact", contact, map[string]any{"Id": contact, "Email": email(n), "Name": fmt.Sprintf("Name%d-", n)})
	s.add("Lead", fmt.Sprintf("00QL%d", n), map[string]any{"Id": fmt.Sprintf("00QL%d", n), "Email": email(n)})
	s.add("Case", fmt.Sprintf("500W%d", n), map[string]any{"Id": fmt.Sprintf("500W%d", n), "SuppliedEmail": email(n), "ContactId": contact})
	for i := range 2 {
		id := fmt.Sprintf("500M%d%d", n, i)
		s.add("Case", id, map[string]any{"Id": id, "ContactId": contact, "Subject": fmt.Sprintf("about Name%d-", n)})
	}
	return vendortest.Planted{
		Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)},
		Stores: map[string]int64{"contacts": 1, "leads": 1, "cases": 3},
	}
}
