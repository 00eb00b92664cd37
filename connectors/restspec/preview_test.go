package restspec

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// TestPreview shows that a preview reads and does nothing else: no request that
// changes something, and no listening for callbacks.
func TestPreview(t *testing.T) {
	for name, tc := range map[string]struct {
		spec string
		want []CallPreview
	}{
		"at once": {eraseUsers, []CallPreview{{Step: "drop", Call: "DELETE /users/{{ .users.id }}", Writes: true, Times: 1}}},
		"slow":    {calling, []CallPreview{{Step: "drop", Call: "POST /erasures", Writes: true, Times: 1, Follows: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVendor(t, map[string]http.HandlerFunc{"GET /users": says(200, one)})
			c := open(t, v, search(tc.spec), func(o *Options) { o.Preview = true })
			p, err := c.(interface {
				Preview(context.Context, sdk.Person) (*Preview, error)
			}).Preview(t.Context(), her)
			if err != nil {
				t.Fatal(err)
			}
			var writes []CallPreview
			for _, call := range p.Calls {
				if call.Writes {
					writes = append(writes, call)
				}
			}
			if diff := cmp.Diff(tc.want, writes); diff != "" {
				t.Errorf("(-want +have):\n%s", diff)
			}
			if len(p.Found) != 1 || p.Found[0].Store != "users" || p.Found[0].Count != 1 {
				t.Errorf("found %v", p.Found)
			}
			if all, reads := len(v.asked), v.count("GET /users"); all != reads || reads == 0 {
				t.Errorf("the system was asked %v", v.asked)
			}
			if engineOf(c).callbackAddr != "" {
				t.Error("a preview takes callbacks")
			}
		})
	}
}
