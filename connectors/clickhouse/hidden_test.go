package clickhouse

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// lightweight plays a server that has lightweight deletes, which the server of
// the tests is too old for: rows of hers that a select does not show until the
// deleted mask is applied, or is not heeded.
type lightweight struct {
	hidden  int
	pending bool
	applied []string
}

func (l *lightweight) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text := r.URL.Query().Get("query")
	if text == "" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		text = string(body)
	}
	switch {
	case strings.HasPrefix(text, "ALTER"):
		l.applied, l.pending = append(l.applied, text), true
	case strings.Contains(text, "system.mutations"):
		n := 0
		if l.pending {
			n = 1
		}
		fmt.Fprintf(w, `{"n":%d}`, n)
	case r.URL.Query().Get(maskSetting) == "0":
		fmt.Fprintf(w, `{"habeas_count":%d}`, l.hidden)
	default:
		fmt.Fprint(w, `{"habeas_count":0}`)
	}
}

// TestHiddenRowsAreNotErased lets somebody else's lightweight delete hide rows:
// the mask is applied once, and nothing is over before it is.
func TestHiddenRowsAreNotErased(t *testing.T) {
	l := &lightweight{hidden: 2}
	fake := httptest.NewServer(l)
	defer fake.Close()
	m, err := ParseMap("m.yaml", []byte(`stores: [{name: visits, table: d.visits, identifiers: {user_id: user}, categories: {"*": {letter: F}}}]`))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(m, Settings{Address: fake.URL}, "")
	if err != nil {
		t.Fatal(err)
	}
	col, _ := columnOf("user", "String", sdk.UserID, false)
	known := &live{settings: map[string]bool{maskSetting: true}, stores: []*store{{spec: &m.Stores[0], columns: []column{col}}}}
	people := []sdk.Person{person(sdk.UserID, "ada")}
	for _, step := range []string{"hidden", "being applied", "applied"} {
		if step == "applied" {
			l.hidden, l.pending = 0, false
		}
		err := c.unhide(t.Context(), known, people)
		if _, notYet := sdk.AsNotYet(err); notYet != (step != "applied") || !notYet && err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	if diff := cmp.Diff([]string{"ALTER TABLE d.visits APPLY DELETED MASK"}, l.applied); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	if err := c.unhide(t.Context(), &live{stores: known.stores}, people); err != nil {
		t.Errorf("on a server without lightweight deletes: %v", err)
	}
	if set := known.masked(); set[maskSetting] != "0" {
		t.Errorf("rows are counted under %v", set)
	}
}
