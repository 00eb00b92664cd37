package catalogue_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("sendgrid", vendortest.Entry{
	New:     newSendgrid,
	Blind:   true,
	Slow:    true,
	Settles: true,
	Acts:    []string{"DELETE /v3/marketing/contacts", "POST /v3/recipients/erasejob"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"an_address_is_no_query": func(t *testing.T, r *vendortest.Rig) {
			if _, err := r.Connector.Locate(r.InJob(), person("x' OR email LIKE '%@example.com")); err == nil {
				t.Error("a quote went into the query")
			}
		},
		"contacts_and_recipients_both_go": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			if len(r.Asked("DELETE /v3/marketing/contacts")) != 1 || len(r.Asked("POST /v3/recipients/erasejob")) != 1 {
				t.Errorf("asked %v", r.Asked(r.Entry.Acts...))
			}
		},
		"nobody_is_deleted_by_an_empty_list": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), person("unknown@example.com")) // accepted, not finished
			for _, a := range r.Asked("DELETE /v3/marketing/contacts") {
				t.Errorf("asked to delete contacts with %q", a.Query)
			}
		},
		"without_an_address_nothing_is_asked": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(sdk.NewPerson(sdk.ID(sdk.UserID, "u1")))
			if n := len(r.Asked()); n > 0 {
				t.Errorf("%d requests", n)
			}
		},
	},
})

// sendgrid plays the search by query and two kinds of jobs.
type sendgrid struct{ *fake }

func newSendgrid() vendortest.Vendor {
	s := &sendgrid{newFake(bearer("SENDGRID_API_KEY"))}
	s.on("POST /v3/marketing/contacts/search", func(w http.ResponseWriter, r *http.Request) {
		query := fmt.Sprint(read(r)["query"])
		address, ok := strings.CutPrefix(query, "email = '")
		if !ok || strings.Count(query, "'") != 2 {
			answer(w, 400, map[string]any{"errors": []any{map[string]any{"message": "bad query"}}})
			return
		}
		found := s.list("contacts", is("email", strings.TrimSuffix(address, "'")))
		answer(w, 200, map[string]any{"result": found, "contact_count": len(found)})
	})
	s.on("DELETE /v3/marketing/contacts", func(w http.ResponseWriter, r *http.Request) {
		ids := strings.Split(r.URL.Query().Get("ids"), ",")
		s.accept("job", "asked", func() {
			s.remove("contacts", func(rec map[string]any) bool { return slices.Contains(ids, fmt.Sprint(rec["id"])) })
		})
		answer(w, 202, map[string]any{"job_id": "j"})
	})
	s.on("POST /v3/recipients/erasejob", func(w http.ResponseWriter, r *http.Request) {
		addresses := words(read(r)["email_addresses"])
		if len(addresses) == 0 || len(addresses) > 5000 {
			answer(w, 400, map[string]any{"errors": []any{}})
			return
		}
		s.accept("job", "asked", func() {
			s.remove("recipients", func(rec map[string]any) bool { return slices.Contains(addresses, fmt.Sprint(rec["email"])) })
		})
		answer(w, 202, map[string]any{"job_id": "j"})
	})
	return s
}

func (s *sendgrid) Finish() { s.end("done") }

func (s *sendgrid) Plant(n int) vendortest.Planted {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := fmt.Sprintf("c-%d-", n)
	s.add("contacts", id, map[string]any{"id": id, "email": email(n), "first_name": fmt.Sprintf("Name%d-", n)})
	s.add("recipients", "r"+id, map[string]any{"email": email(n), "opened": 3})
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), fmt.Sprintf("Name%d-", n)}, Stores: map[string]int64{"contacts": 1, "recipients": 1}}
}
