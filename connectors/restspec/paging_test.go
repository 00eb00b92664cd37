package restspec

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// pages makes seven records of hers served in pages of different sizes: the
// second is short and the third has somebody else in it.
func pages(body func(page int, records string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		page := 0
		for name, unit := range map[string]int{"cursor": 1, "page": 1, "offset": 0, "after": 1} {
			v := q.Get(name)
			switch {
			case v == "":
			case name == "offset":
				n, _ := strconv.Atoi(v)
				page = map[int]int{0: 0, 3: 1, 4: 2, 8: 3}[n]
			default:
				n, _ := strconv.Atoi(strings.Trim(v, "cu"))
				page = n * unit
			}
		}
		if q.Get("email") == "" && q.Get("next") == "" {
			http.Error(w, "which one?", http.StatusBadRequest)
			return
		}
		ids := [][]int{{1, 2, 3}, {4}, {5, 6, 99, 7}, {}}[min(page, 3)]
		var records []string
		for _, id := range ids {
			email := "ada+x@example.com"
			if id == 99 {
				email = "bob@example.com"
			}
			records = append(records, fmt.Sprintf(`{"id":%d,"email":%q,"at":"u%d"}`, id, email, page+1))
		}
		link := `<https://other.example/>; rel="prev"`
		if page < 2 {
			link += fmt.Sprintf(`, </users?next=1&cursor=%d>; title="x,y"; rel="last next"`, page+1)
		}
		w.Header().Add("Link", link)
		_, _ = fmt.Fprint(w, body(page, strings.Join(records, ",")))
	}
}

func TestPaging(t *testing.T) {
	next := func(page int, text string) string {
		if page >= 2 {
			return "null"
		}
		return fmt.Sprintf(text, page+1)
	}
	for _, tt := range []struct {
		name, page string
		body       func(int, string) string
	}{
		{"cursor", `{cursor: {next: meta.next, param: cursor}}`, func(p int, r string) string {
			return fmt.Sprintf(`{"meta":{"x":[1,{"y":2}],"next":%s},"users":[%s]}`, next(p, `"c%d"`), r)
		}},
		{"cursor with a flag", `{cursor: {next: next, param: cursor}, more: has_more}`, func(p int, r string) string {
			return fmt.Sprintf(`{"users":[%s],"next":"c%d","has_more":%t}`, r, p+1, p < 2)
		}},
		{"offset", `{offset: {param: offset, limit_param: limit, size: 3}}`, func(_ int, r string) string { return `{"users":[` + r + `]}` }},
		{"offset with a total", `{offset: {param: offset, total: total}}`, func(_ int, r string) string { return `{"total":8,"users":[` + r + `]}` }},
		{"number", `{number: {param: page, first: 0, size_param: per, size: 3}}`, func(_ int, r string) string { return `{"users":[` + r + `]}` }},
		{"number of pages", `{number: {param: page, first: 0, pages: pages}}`, func(_ int, r string) string { return `{"users":[` + r + `],"pages":3}` }},
		{"after the last", `{after: {field: at, param: after}}`, func(_ int, r string) string { return `{"users":[` + r + `]}` }},
		{"link header", `{link: true}`, func(_ int, r string) string { return `{"users":[` + r + `]}` }},
		{"next address", `{next: links.next}`, func(p int, r string) string {
			return fmt.Sprintf(`{"users":[%s],"links":{"next":%s}}`, r, next(p, `"/users?next=1&cursor=%d"`))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVendor(t, map[string]http.HandlerFunc{"GET /users": pages(tt.body)})
			found, err := open(t, v, search("    page: "+tt.page+"\n")).Locate(t.Context(), her)
			if err != nil || len(found) != 1 || found[0].Count != 7 {
				t.Errorf("%v, %v; want 7 in %d requests", found, err, v.count("GET /users"))
			}
		})
	}
}

// TestPagingRefuses lists that have no end, or lead elsewhere.
func TestPagingRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, page, answer, say string
		header                  []string
		permanent               bool
	}{
		{"a circle", `{cursor: {next: next, param: cursor}}`, `{"users":[],"next":"c1"}`, "circle", nil, false},
		{"too many", `{number: {param: page}, max: 3}`, one, "more than 3 pages", nil, true},
		{"another host", `{next: next}`, `{"users":[],"next":"https://evil.example/users"}`, "allow-list", nil, true},
		{"an inner address", `{next: next}`, `{"users":[],"next":"http://127.0.0.1:1/users"}`, "only https", nil, true},
		{"a link elsewhere", `{link: true}`, `{"users":[]}`, "allow-list", []string{"Link", `<https://evil.example/>; rel=next`}, true},
		{"a link with a user", `{link: true}`, `{"users":[]}`, "allow-list", []string{"Link", `<//u:p@evil.example/>; rel=next`}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVendor(t, map[string]http.HandlerFunc{"GET /users": says(200, tt.answer, tt.header...)})
			_, err := open(t, v, search("    page: "+tt.page+"\n")).Locate(t.Context(), her)
			quiet(t, err)
			if err == nil || !strings.Contains(err.Error(), tt.say) || sdk.IsPermanent(err) != tt.permanent {
				t.Errorf("got %v, want %q", err, tt.say)
			}
		})
	}
}
