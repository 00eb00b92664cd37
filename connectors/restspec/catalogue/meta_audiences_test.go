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

var _ = register("meta-audiences", vendortest.Entry{
	New:      newMeta,
	Settings: map[string]string{"audience": "777"},
	Blind:    true,
	Slow:     true,
	Settles:  true,
	Acts:     []string{"DELETE /v25.0"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"a_wrong_audience_is_no_missing_person": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.Answer(404))
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); sdk.CodeOf(err) != sdk.Configuration || !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
		},
		"a_flagged_audience_is_a_failure": func(t *testing.T, r *vendortest.Rig) {
			m := r.Vendor.(*meta)
			m.mu.Lock()
			m.code = 100
			m.mu.Unlock()
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
		},
		"a_quota_without_retry_after_waits_an_hour": func(t *testing.T, r *vendortest.Rig) {
			m := r.Vendor.(*meta)
			m.mu.Lock()
			m.code = 17
			m.mu.Unlock()
			err := r.Eraser().Erase(r.InJob(), r.Her.Person)
			if after, notYet := sdk.AsNotYet(err); !notYet || after.Hours() != 1 {
				t.Errorf("it comes back in %s: %v", after, err)
			}
		},
	},
})

// meta plays removal of members.
type meta struct {
	*fake
	code int // of an error to answer with
}

func newMeta() vendortest.Vendor {
	m := &meta{fake: newFake(bearer("META_ACCESS_TOKEN"))}
	m.on("DELETE /v25.0/777/users", func(w http.ResponseWriter, r *http.Request) {
		payload, _ := read(r)["payload"].(map[string]any)
		rows, _ := payload["data"].([]any)
		if m.code != 0 || len(rows) == 0 || len(rows) > 10000 || fmt.Sprint(payload["schema"]) != "[EMAIL_SHA256]" {
			answer(w, 400, map[string]any{"error": map[string]any{"code": m.code, "message": "Invalid parameter"}})
			return
		}
		var hashes []string
		for _, row := range rows {
			hashes = append(hashes, strings.Trim(fmt.Sprint(row), "[]"))
		}
		m.accept("", "queued", func() {
			m.remove("members", func(rec map[string]any) bool { return slices.Contains(hashes, rec["hash"].(string)) })
		})
		answer(w, 200, map[string]any{"audience_id": "777", "num_received": len(rows), "num_invalid_entries": 0})
	})
	return m
}

func (m *meta) Finish() { m.end("done") }

func (m *meta) Plant(n int) vendortest.Planted {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add("members", email(n), map[string]any{"hash": hashed(email(n))})
	return vendortest.Planted{Person: byEmail(n), Traces: []string{hashed(email(n))}, Stores: map[string]int64{"audience": 1}}
}
