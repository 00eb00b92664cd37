package catalogue_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("twilio", vendortest.Entry{
	New:      newTwilio,
	Settings: map[string]string{"account_sid": "AC1"},
	Acts:     []string{"DELETE /"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"both_directions_are_found": func(t *testing.T, r *vendortest.Rig) {
			r.Locate(r.Her.Person)
			to, from := 0, 0
			for _, a := range r.Asked("GET /2010-04-01/Accounts/AC1/Messages.json") {
				if strings.Contains(a.Query, "To=") {
					to++
				}
				if strings.Contains(a.Query, "From=") {
					from++
				}
			}
			if to == 0 || from == 0 {
				t.Errorf("%d searches by To, %d by From", to, from)
			}
		},
		"a_message_on_its_way_is_no_success": func(t *testing.T, r *vendortest.Rig) {
			r.Inject(vendortest.On(vendortest.Answer(409), "DELETE /"))
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); err == nil {
				t.Error("the refusal passed for a deletion")
			}
			if len(r.Locate(r.Her.Person)) == 0 {
				t.Error("she is not located any more")
			}
		},
	},
})

// twilio plays lists with filters and pages of two, which go on at a path.
type twilio struct{ *fake }

func newTwilio() vendortest.Vendor {
	f := &twilio{newFake(basicAuth(vendortest.SecretValue("TWILIO_API_KEY"), "TWILIO_API_SECRET"))}
	const account = "/2010-04-01/Accounts/AC1/"
	for path, kind := range map[string]string{"Messages": "messages", "Calls": "calls"} {
		f.on("GET "+account+path+".json", func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			all := f.list(kind, func(rec map[string]any) bool {
				return (q.Get("To") == "" || rec["to"] == q.Get("To")) && (q.Get("From") == "" || rec["from"] == q.Get("From"))
			})
			page, more := cut(all, is("sid", q.Get("PageToken")), 2)
			var next any
			if more {
				q.Set("PageToken", fmt.Sprint(page[len(page)-1]["sid"]))
				next = r.URL.Path + "?" + q.Encode()
			}
			answer(w, 200, map[string]any{kind: page, "next_page_uri": next})
		})
		f.on("DELETE "+account+path+"/{sid}", func(w http.ResponseWriter, r *http.Request) {
			sid := strings.TrimSuffix(r.PathValue("sid"), ".json")
			if f.records[kind][sid] == nil {
				answer(w, 404, map[string]any{"code": 20404})
				return
			}
			delete(f.records[kind], sid)
			w.WriteHeader(http.StatusNoContent)
		})
	}
	return f
}

func phoneOf(n int) string { return fmt.Sprintf("+1555010%04d", n) }

func (f *twilio) Plant(n int) vendortest.Planted {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range 3 {
		sid := fmt.Sprintf("SM%d-%d", n, i)
		rec := map[string]any{"sid": sid, "to": phoneOf(n), "from": "+15550000000", "body": fmt.Sprintf("for number %d.", n)}
		if i == 2 {
			rec["to"], rec["from"] = rec["from"], rec["to"]
		}
		f.add("messages", sid, rec)
	}
	sid := fmt.Sprintf("CA%d", n)
	f.add("calls", sid, map[string]any{"sid": sid, "to": "+15550000000", "from": phoneOf(n)})
	return vendortest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.Phone, phoneOf(n))),
		Traces: []string{phoneOf(n), fmt.Sprintf("for number %d.", n)}, Stores: map[string]int64{"messages": 3, "calls": 1},
	}
}
