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

var _ = register("posthog", vendortest.Entry{
	New:      newPosthog,
	Settings: map[string]string{"project": "7"},
	Acts:     []string{"POST /api/projects/7/persons/bulk_delete"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"events_and_recordings_are_asked_for_too": func(t *testing.T, r *vendortest.Rig) {
			r.Erase(r.Her.Person)
			for _, a := range r.Asked(r.Entry.Acts...) {
				if !strings.Contains(a.Body, `"delete_events":true`) || !strings.Contains(a.Body, `"delete_recordings":true`) {
					t.Errorf("asked %s", a.Body)
				}
			}
		},
		"the_queue_is_named_as_a_backup": func(t *testing.T, r *vendortest.Rig) {
			if r.Manifest.BackupExpiry.Hours() < 7*24 {
				t.Errorf("backups end after %s", r.Manifest.BackupExpiry)
			}
		},
	},
})

// posthog plays the persons list, which goes on at a whole address, and the
// deletion of many.
type posthog struct{ *fake }

func newPosthog() vendortest.Vendor {
	p := &posthog{newFake(bearer("POSTHOG_PERSONAL_API_KEY"))}
	p.on("GET /api/projects/7/persons/", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		all := p.list("persons", func(rec map[string]any) bool {
			props, _ := rec["properties"].(map[string]any)
			ids, _ := rec["distinct_ids"].([]string)
			return q.Get("email") != "" && lower(props["email"]) == lower(q.Get("email")) || q.Get("distinct_id") != "" && slices.Contains(ids, q.Get("distinct_id"))
		})
		page, more := cut(all, is("uuid", q.Get("after")), 2)
		var next any
		if more {
			q.Set("after", fmt.Sprint(page[len(page)-1]["uuid"]))
			next = "http://" + r.Host + r.URL.Path + "?" + q.Encode()
		}
		answer(w, 200, map[string]any{"results": page, "next": next})
	})
	p.on("POST /api/projects/7/persons/bulk_delete/", func(w http.ResponseWriter, r *http.Request) {
		ids := words(read(r)["ids"])
		if len(ids) == 0 || len(ids) > 1000 {
			answer(w, 400, map[string]any{"type": "validation_error"})
			return
		}
		p.remove("persons", func(rec map[string]any) bool { return slices.Contains(ids, fmt.Sprint(rec["uuid"])) })
		answer(w, 202, map[string]any{})
	})
	return p
}

func (p *posthog) Plant(n int) vendortest.Planted {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range 3 {
		id := fmt.Sprintf("0190-%d-%d", n, i)
		p.add("persons", id, map[string]any{"uuid": id, "distinct_ids": []string{fmt.Sprintf("%s%d", userID(n), i)}, "properties": map[string]any{"email": email(n)}})
	}
	return vendortest.Planted{
		Person: byEmail(n).With(sdk.ID(sdk.UserID, userID(n)+"0")), Traces: []string{email(n), userID(n)}, Stores: map[string]int64{"persons": 3},
	}
}
