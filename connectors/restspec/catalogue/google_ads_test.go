package catalogue_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
)

var _ = register("google-ads", vendortest.Entry{
	New:      newGoogleAds,
	Settings: map[string]string{"account": "123", "list": "456", "client_id": "app-1", "token_url": "BASE/token"},
	Blind:    true,
	Slow:     true,
	Acts:     []string{"POST /v1/audienceMembers"},
	Pitfalls: map[string]func(*testing.T, *vendortest.Rig){
		"hashes_are_of_the_trimmed_and_lowered_address": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), person("  "+strings.ToUpper(email(1))+" ")) // accepted, not finished
			if asked := r.Asked(r.Entry.Acts...); len(asked) != 1 || !strings.Contains(asked[0].Body, hashed(email(1))) || strings.Contains(asked[0].Body, "@") {
				t.Errorf("asked %v", asked)
			}
		},
		"one_bad_record_spoils_a_request_and_not_the_people": func(t *testing.T, r *vendortest.Rig) {
			g := r.Vendor.(*googleAds)
			g.mu.Lock()
			g.bad = hashed("bad@example.com")
			g.mu.Unlock()
			people := []sdk.Person{r.Her.Person, person("bad@example.com")}
			errs := r.Eraser().EraseBatch(r.InJob(), people)
			if _, notYet := sdk.AsNotYet(errs[0]); !notYet || !sdk.IsPermanent(errs[1]) {
				t.Errorf("they ended with %v", errs)
			}
		},
		"a_partial_success_is_no_success": func(t *testing.T, r *vendortest.Rig) {
			_ = r.Eraser().Erase(r.InJob(), r.Her.Person) // accepted, not finished
			r.Vendor.(*googleAds).end("PARTIAL_SUCCESS")
			r.Advance(1 << 43)
			if err := r.Eraser().Erase(r.InJob(), r.Her.Person); !sdk.IsPermanent(err) {
				t.Errorf("it ended with %v", err)
			}
		},
	},
})

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// googleAds plays removal, which fails fast, and the status of a request.
type googleAds struct {
	*fake
	bad string
}

func newGoogleAds() vendortest.Vendor {
	g := &googleAds{fake: google(newFake(nil))}
	g.on("POST /v1/audienceMembers:remove", func(w http.ResponseWriter, r *http.Request) {
		body := read(r)
		text := fmt.Sprint(body)
		var hashes []string
		members, _ := body["audienceMembers"].([]any)
		for _, m := range members {
			hashes = append(hashes, strings.TrimRight(fmt.Sprint(m)[strings.LastIndex(fmt.Sprint(m), ":")+1:], "]"))
		}
		if len(members) == 0 || len(members) > 10000 || body["encoding"] != "HEX" || !strings.Contains(text, "accountId:123") ||
			!strings.Contains(text, "productDestinationId:456") || g.bad != "" && slices.Contains(hashes, g.bad) {
			answer(w, 400, map[string]any{"error": map[string]any{"status": "INVALID_ARGUMENT"}})
			return
		}
		id := g.accept("r", "PROCESSING", func() {
			g.remove("members", func(rec map[string]any) bool { return slices.Contains(hashes, rec["hash"].(string)) })
		})
		answer(w, 200, map[string]any{"requestId": id})
	})
	g.on("GET /v1/requestStatus:retrieve", func(w http.ResponseWriter, r *http.Request) {
		work := g.works[r.URL.Query().Get("requestId")]
		if work == nil {
			answer(w, 404, map[string]any{"error": map[string]any{"status": "NOT_FOUND"}})
			return
		}
		answer(w, 200, map[string]any{"requestStatusPerDestination": []any{map[string]any{"requestStatus": work.state}}})
	})
	return g
}

func (g *googleAds) Finish() { g.end("SUCCESS") }

func (g *googleAds) Plant(n int) vendortest.Planted {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add("members", email(n), map[string]any{"hash": hashed(email(n))})
	return vendortest.Planted{Person: byEmail(n), Traces: []string{hashed(email(n))}, Stores: map[string]int64{"audience": 1}}
}
