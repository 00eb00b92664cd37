package catalogue_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

var _ = register("sentry", vendortest.Entry{
	New:      newSentry,
	Settings: map[string]string{"organization": "acme"},
	Acts:     []string{"DELETE /"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"an_issue_that_others_ran_into_stays_and_is_said_to": func(t *testing.T, r *vendortest.Rig) {
			f := r.Vendor.(*sentry)
			f.mu.Lock()
			f.event("shared", 1, 7)
			f.event("shared", 2, 8)
			f.mu.Unlock()
			if found := r.Locate(r.Her.Person); found["events"] != 4 {
				t.Errorf("located %v", found)
			}
			r.Erase(r.Her.Person)
			if found := r.Locate(r.Her.Person); found["events"] != 1 {
				t.Errorf("after the erasure %v are counted", found)
			}
			if asked := r.Asked("DELETE /api/0/"); len(asked) != 1 || strings.Contains(asked[0].Path, "shared") {
				t.Errorf("asked %v", asked)
			}
		},
		"the_last_page_has_a_next_link_too": func(t *testing.T, r *vendortest.Rig) {
			r.Locate(r.Her.Person)
			// One list of issues, two pages of events.
			if asked := r.Asked("GET /api/0/"); len(asked) != 3 {
				t.Errorf("asked %v", asked)
			}
		},
	},
})

// sentry plays issues that group events, and lists whose last page has a next
// link as well.
type sentry struct{ *fake }

func newSentry() vendortest.Vendor {
	f := &sentry{newFake(bearer("SENTRY_TOKEN"))}
	f.on("GET /api/0/organizations/acme/issues/", func(w http.ResponseWriter, r *http.Request) {
		f.page(w, r, f.list("issues", func(issue map[string]any) bool {
			return len(f.list("events", func(e map[string]any) bool { return e["groupID"] == issue["id"] && said(r, e) })) > 0
		}))
	})
	f.on("GET /api/0/organizations/acme/issues/{id}/events/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("full") != "true" {
			answer(w, 400, map[string]any{"detail": "the events would lack their users"})
			return
		}
		f.page(w, r, f.list("events", func(e map[string]any) bool { return e["groupID"] == r.PathValue("id") && said(r, e) }))
	})
	f.on("DELETE /api/0/organizations/acme/issues/{id}/", func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("id")
		if f.records["issues"][id] == nil {
			answer(w, 404, map[string]any{"detail": "The requested resource does not exist"})
			return
		}
		delete(f.records["issues"], id)
		f.remove("events", is("groupID", id))
		w.WriteHeader(http.StatusAccepted)
	})
	return f
}

// said reports whether an event is what the query asks for: user.FIELD:"value".
func said(r *http.Request, event map[string]any) bool {
	field, value, _ := strings.Cut(strings.TrimPrefix(r.URL.Query().Get("query"), "user."), ":")
	user, _ := event["user"].(map[string]any)
	return user[field] != nil && user[field] == strings.Trim(value, `"`)
}

// page answers with two records, and with where the next are, or would be.
func (f *sentry) page(w http.ResponseWriter, r *http.Request, all []map[string]any) {
	at := 0
	q := r.URL.Query()
	_, _ = fmt.Sscanf(q.Get("cursor"), "0:%d:0", &at) // no cursor is the beginning
	at = min(at, len(all))
	end := min(at+2, len(all))
	q.Set("cursor", fmt.Sprintf("0:%d:0", at+2))
	w.Header().Set("Link", fmt.Sprintf(`<http://%[1]s%[2]s?cursor=0:0:1>; rel="previous"; results="false"; cursor="0:0:1", <http://%[1]s%[2]s?%[3]s>; rel="next"; results="%[4]t"; cursor="x"`,
		r.Host, r.URL.Path, q.Encode(), end < len(all)))
	answer(w, 200, all[at:end])
}

// event adds an event of a person to an issue, which is made with its first.
func (f *sentry) event(issue string, person, no int) {
	if f.records["issues"][issue] == nil {
		f.add("issues", issue, map[string]any{"id": issue, "userCount": 0})
	}
	people := map[any]bool{email(person): true}
	for _, e := range f.list("events", is("groupID", issue)) {
		people[e["user"].(map[string]any)["email"]] = true
	}
	f.records["issues"][issue]["userCount"] = len(people)
	id := fmt.Sprintf("%s-%d-%d", issue, person, no)
	f.add("events", id, map[string]any{"eventID": id, "groupID": issue, "user": map[string]any{"email": email(person), "id": userID(person)}})
}

func (f *sentry) Plant(n int) vendortest.Planted {
	f.mu.Lock()
	defer f.mu.Unlock()
	for no := range 3 {
		f.event(fmt.Sprintf("issue-%d", n), n, no)
	}
	return vendortest.Planted{Person: byEmail(n), Traces: []string{email(n), userID(n)}, Stores: map[string]int64{"events": 3}}
}
