package console

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// answer is a page as a reader gets it.
type answer struct {
	status int
	header http.Header
	body   string
	path   string // where redirects led
	doc    *html.Node
}

func (d *desk) fetch(t testing.TB, path string) answer {
	t.Helper()
	return d.do(t, d.client, http.MethodGet, path, nil, nil)
}

func (d *desk) post(t testing.TB, path string, form url.Values) answer {
	t.Helper()
	return d.do(t, d.client, http.MethodPost, path, form, http.Header{"Sec-Fetch-Site": {"same-origin"}})
}

func (d *desk) do(t testing.TB, client *http.Client, method, path string, form url.Values, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(req.Header, header)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return d.send(t, client, req)
}

// send sends a request and reads the page it leads to.
func (d *desk) send(t testing.TB, client *http.Client, req *http.Request) answer {
	t.Helper()
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body), res.Request.URL.Path, doc}
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func elements(doc *html.Node, tags ...string) []*html.Node {
	var out []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (len(tags) == 0 || slices.Contains(tags, n.Data)) {
			out = append(out, n)
		}
	}
	return out
}

// text is what a reader of the page sees, with plain single spaces.
func (a answer) text() string { return textOf(a.doc) }

func textOf(doc *html.Node) string {
	var words []string
	for n := range doc.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			words = append(words, strings.Fields(n.Data)...)
		}
	}
	return strings.Join(words, " ")
}

func (a answer) says(t testing.TB, texts ...string) {
	t.Helper()
	got := a.text()
	for _, want := range texts {
		if !strings.Contains(got, want) {
			t.Errorf("%s does not say %q; it says: %s", a.path, want, got)
		}
	}
}

// decent checks what holds for every page: nothing but its own script and
// style, nobody's data, and a structure that a screen reader can tell.
func (a answer) decent(t testing.TB, whole bool) {
	t.Helper()
	if strings.Contains(a.body, "planted") || strings.Contains(a.body, "example.com") || strings.Contains(a.body, token) {
		t.Errorf("%s shows personal data or the token", a.path)
	}
	ids := make(map[string]bool)
	labels := make(map[string]bool)
	headings := 0
	for _, n := range elements(a.doc) {
		if id := attr(n, "id"); id != "" {
			if ids[id] {
				t.Errorf("%s: two elements have the id %s", a.path, id)
			}
			ids[id] = true
		}
		for _, at := range n.Attr {
			if at.Key == "style" || strings.HasPrefix(at.Key, "on") {
				t.Errorf("%s: <%s> has an inline %s", a.path, n.Data, at.Key)
			}
			if (at.Key == "href" || at.Key == "src" || at.Key == "action") && !strings.HasPrefix(at.Val, "/") && !strings.HasPrefix(at.Val, "#") {
				t.Errorf("%s: <%s> leads away, to %s", a.path, n.Data, at.Val)
			}
		}
		switch n.Data {
		case "style":
			t.Errorf("%s has an inline style sheet", a.path)
		case "script":
			if attr(n, "src") == "" || n.FirstChild != nil {
				t.Errorf("%s has an inline script", a.path)
			}
		case "label":
			labels[attr(n, "for")] = true
		case "h1":
			headings++
		case "img":
			if !slices.ContainsFunc(n.Attr, func(at html.Attribute) bool { return at.Key == "alt" }) {
				t.Errorf("%s has a picture without a text", a.path)
			}
		}
	}
	for _, n := range elements(a.doc) {
		for _, name := range []string{"aria-labelledby", "aria-describedby"} {
			if ref := attr(n, name); ref != "" && !ids[ref] {
				t.Errorf("%s: <%s> is described by %s, which is not there", a.path, n.Data, ref)
			}
		}
		field := n.Data == "select" || n.Data == "input" && attr(n, "type") != "hidden"
		if field && !labels[attr(n, "id")] {
			t.Errorf("%s: the field %s has no label", a.path, attr(n, "name"))
		}
		if n.Data == "button" && textOf(n) == "" {
			t.Errorf("%s has a button without a text", a.path)
		}
	}
	titles := slices.DeleteFunc(elements(a.doc, "title"), func(n *html.Node) bool { return n.Namespace == "svg" })
	if whole && (headings != 1 || len(elements(a.doc, "main")) != 1 || len(titles) != 1) {
		t.Errorf("%s has %d first headings and %d titles", a.path, headings, len(titles))
	}
}

func TestEveryPageIsDecent(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/").says(t, "No request has come in yet")
	ids := d.company(t)
	paths := []string{"/", "/today", "/?state=running", "/?right=delete&attention=1", "/?state=resolving", "/login", "/nowhere", "/requests/nonsense"}
	for _, id := range ids {
		paths = append(paths, "/requests/"+string(id))
	}
	for _, path := range paths {
		a := d.fetch(t, path)
		a.decent(t, true)
		if got := a.header.Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
			t.Errorf("%s is served under the policy %q", path, got)
		}
		if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s lacks a header: %v", path, a.header)
		}
		if len(elements(a.doc, "main")) == 1 && strings.HasPrefix(path, "/requests/0") {
			live := d.fetch(t, path+"/live")
			live.decent(t, false)
			if live.status != http.StatusOK || len(elements(live.doc, "h1")) != 0 || !strings.Contains(live.body, `data-part="status"`) {
				t.Errorf("%s/live is no fragment", path)
			}
			// The fragment is the part of the page: the script compares them.
			if !strings.Contains(a.body, strings.TrimSpace(live.body)) {
				t.Errorf("%s/live is not what the page shows", path)
			}
		}
	}
	d.fetch(t, "/live").decent(t, false)
}

func TestListTells(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	d.fetch(t, "/").says(t, "All 13 Open 9 Awaiting verification 1", "Running 5", "Closing 1 Closed 4", "13 requests, newest first", "Deletion "+string(ids["late"]), "2 days late",
		"A system failed", "4 days left", "adtech, analytics, crm, a decision", "verification", "Complete, some kept by law", "the log", "delivery", "the coordinator", "29 Apr 2026")
	for query, want := range map[string]int{
		"": 13, "?state=running": 5, "?state=running&right=delete": 3, "?attention=1": 4, "?right=opt_out_sale_share": 2, "?state=resolving": 0, "?regime=us-ca-ccpa": 13, "?regime=us-va-vcdpa": 0,
	} {
		a := d.fetch(t, "/"+query)
		if n := len(elements(a.doc, "tr")); n != want+1 && (want != 0 || n != 0) {
			t.Errorf("%q lists %d rows, want %d", query, n-1, want)
		}
	}
	d.fetch(t, "/?state=resolving").says(t, "No request matches")
	for _, bad := range []string{"?state=gone", "?right=forget", "?before=x", "?before=2026-06-15T18:00:00Z_x"} {
		if a := d.fetch(t, "/"+bad); a.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", bad, a.status)
		}
	}
}

func TestListPages(t *testing.T) {
	d := newDesk(t)
	want := make(map[string]bool)
	for i := range 2*store.PageSize(0) + 7 {
		id := d.add(t, made{right: request.Delete, state: request.Accepted, received: now.Add(-time.Duration(i/3) * time.Second)})
		want["/requests/"+string(id)] = true
	}
	pages := 0
	for next := "/?right=delete"; next != ""; pages++ {
		a := d.fetch(t, next)
		next = ""
		for _, n := range elements(a.doc, "a") {
			href := attr(n, "href")
			if strings.HasPrefix(href, "/requests/") {
				if !want[href] {
					t.Errorf("%s is listed twice", href)
				}
				delete(want, href)
			}
			if attr(n, "rel") == "next" {
				next = href
			}
		}
	}
	if pages != 3 || len(want) != 0 {
		t.Errorf("%d pages, %d requests are on none", pages, len(want))
	}
}

func TestRequestTells(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	d.fetch(t, "/requests/"+string(ids["deletion"])).says(t,
		"Deletion", "Running", "A system failed", "33 days left", "Account login, Reasonably high",
		"billing Erase Done, some kept by law attempt 1", "billing.invoices D 14 0 11 tax_records, until 2033-06-30",
		"adtech Erase Sent attempt 1 · Has looked and is acting Counted before acting; what is left is not known yet.", "adtech.audiences K 37 – 0",
		"analytics Erase Waiting attempt 3 · Next try 15 Jun 2026, 18:20 UTC unavailable the bucket does not answer", "Try analytics again now",
		"warehouse Erase Failed attempt 10 denied the credentials are not allowed", "Any of these would help: phone", "Waits for another system first; looked at again 15 Jun 2026, 19:00 UTC",
		"analytics needs another identifier: user_id or device_id", "warehouse has no ability for this right", "us-ca-ccpa 2026-01-01, us-ca@2026.1", "Records about the person, whatever their source",
		"email from the requester user_id from crm", "2 signed records", "habeas evidence export --request "+string(ids["deletion"]),
		"Deny the request", "Cancel the request", "Answer by", "Keep this record until", "Confirm receipt by")
	d.fetch(t, "/requests/"+string(ids["copied"])).says(t, "Copy of data", "Closed Complete", "crm.notes 41 41 0", "Withheld from the copy: driver's licence number",
		"2 481 337 bytes", "All records are in the log.", "Every connected system is asked.")
	d.fetch(t, "/requests/"+string(ids["optedOut"])).says(t, "Never asked for with this right", "Stop sale and sharing by", "There is no plan yet.")
	d.fetch(t, "/requests/"+string(ids["waiting"])).says(t, "Not verified; needs Reasonable", "Attest the requester", "No system has been asked yet.")
	d.fetch(t, "/requests/"+string(ids["tooMany"])).says(t, "201 344 records located, 50 000 allowed for one person; nothing was done", "Let analytics go on")
	d.fetch(t, "/requests/"+string(ids["late"])).says(t, "This request is 2 days late. This is why:", "crm failed after 10 tries: the CRM answers 500. Put the system right, then try crm again.",
		"crm Erase Planned : done Sent : done Located : not reached Answered : not well Failed 10 tries", "The request came in by web", "crm, erase: failed")
	d.fetch(t, "/requests/"+string(ids["deletion"])).says(t, "33 days left. It waits for this:", "warehouse failed after 10 tries: the credentials are not allowed to delete from events.",
		"analytics could not finish yet, after 3 tries: the bucket does not answer. It is tried again by itself. 15 Jun 2026, 18:20 UTC",
		"adtech has had its job to erase since 15 Jun 2026, 17:59 UTC and has not answered.", "crm waits until others are done.",
		"17 located 6 erased 0 left 11 kept by law Tax records until 30 Jun 2033", "43 located", "adtech was asked to erase", "The plan was made",
		"unverified_delete (11 CCR 7022(a))", "fraud (11 CCR 7026(e)), takes two", "Needed for fraud")
	d.fetch(t, "/requests/"+string(ids["waiting"])).says(t, "4 days left. It waits for this: Nobody has shown yet that the person is who they say.")
	d.fetch(t, "/requests/"+string(ids["denied"])).says(t, "Denied", "not_verified We could not verify that you are the account holder.")
}

// What can't be done is not offered.
func TestOffersOnlyWhatCanBeDone(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	held := made{right: request.Delete, state: request.Held, received: now.AddDate(0, 0, -1), edit: func(r *store.Request) {
		r.Case.Holds = []request.Hold{
			{ID: request.NewID(), Kind: request.LegalHold, Ref: "matter-17", Since: now.Add(-time.Hour)},
			{ID: request.NewID(), Kind: request.PoliceHold, Ref: "gone-1", Since: now.Add(-time.Hour), Ended: now.Add(-time.Minute)},
		}
	}}
	ids["heldBack"] = d.add(t, held)
	d.fetch(t, "/requests/"+string(ids["heldBack"])).says(t, "Legal hold since 15 Jun 2026, 17:00 UTC · matter-17")
	for name, want := range map[string]string{
		"waiting": "assign assign verify extend hold deny cancel", "deletion": "retry retry retry assign assign retry extend hold deny cancel", "tooMany": "retry assign assign approve retry extend hold deny cancel", "late": "retry assign assign retry hold deny cancel",
		"copied": "", "optedOut": "", "denied": "", "kept": "", "packaging": "assign assign extend deny cancel", "fresh": "assign assign deny cancel", "nobody": "assign assign extend hold deny cancel", "heldBack": "unhold assign assign extend hold deny cancel",
	} {
		var got []string
		for _, n := range elements(d.fetch(t, "/requests/"+string(ids[name])).doc, "form") {
			if action := attr(n, "action"); action != "/logout" {
				got = append(got, action[strings.LastIndex(action, "/")+1:])
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s offers %v, want %s", name, got, want)
		}
	}
}

func TestHostileTextIsText(t *testing.T) {
	d := newDesk(t)
	const hostile = `</p><script>alert(1)</script><img src=x onerror=alert(2)> {{.}} "'` + "`"
	m := deletion()
	for i := range m.jobs {
		m.jobs[i].Message, m.jobs[i].Code, m.jobs[i].Connector = hostile, hostile, `"><script>x</script>`
		m.jobs[i].Kinds = nil
	}
	m.state, m.ending = request.Closed, &request.Ending{Result: request.ResultDenied, Code: hostile, Reason: hostile}
	m.edit = func(r *store.Request) {
		r.Attention, r.Plan = hostile, []byte(`{"rule_version":"<script>1</script>","omissions":[{"connector":"<script>2</script>","reason":"<b>"}]}`)
		r.Kinds = []store.Kind{{Name: "<script>3</script>", By: "<i>"}}
	}
	id := d.add(t, m)
	for _, path := range []string{"/", "/requests/" + string(id)} {
		a := d.fetch(t, path)
		a.decent(t, true)
		if n := len(elements(a.doc, "script")); n != 1 {
			t.Errorf("%s has %d scripts", path, n)
		}
		if n := len(elements(a.doc, "img")); n != 1 {
			t.Errorf("%s has %d pictures", path, n)
		}
	}
	d.fetch(t, "/requests/"+string(id)).says(t, "<script>alert(1)</script>", "<script>2</script>", "<script>3</script>")
}

// A stored plan or outcome that can't be read costs its part of the page.
func TestUnreadableParts(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, made{
		right: request.Delete, state: request.Running, received: now, edit: func(r *store.Request) { r.Plan = []byte(`[]`) },
		jobs: []store.Job{
			{Connector: "crm", Action: request.ActionErase, State: request.JobDone, Outcome: []byte(`[1]`)},
			{Connector: "billing", Action: "polish", State: "shiny", Outcome: []byte(`{"tomorrow": 1, "stores": [{"store": "ledger", "locatedCount": "2"}]}`)},
		},
	})
	a := d.fetch(t, "/requests/"+string(id))
	a.decent(t, true)
	a.says(t, "The stored plan can't be read", "crm Erase Done", "billing Polish Shiny", "ledger 2")
}

func TestStoreDown(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, waiting())
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/live", "/today", "/today/live", "/requests/" + string(id), "/requests/" + string(id) + "/live"} {
		a := d.fetch(t, path)
		a.decent(t, true)
		a.says(t, "The database does not answer", "Nothing is lost")
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
}

func TestAssets(t *testing.T) {
	d := newDesk(t)
	page := d.fetch(t, "/login")
	for _, found := range regexp.MustCompile(`/assets/[^"]+`).FindAllString(page.body, -1) {
		a := d.fetch(t, found)
		if a.status != http.StatusOK || !strings.Contains(a.header.Get("Cache-Control"), "immutable") || a.header.Get("Content-Type") == "" {
			t.Errorf("%s: status %d, %v", found, a.status, a.header)
		}
	}
	for _, path := range []string{"/assets/console.go", "/assets/..%2fconsole.go", "/assets/", "/templates/frame.html"} {
		if a := d.fetch(t, path); a.status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
	if a := d.fetch(t, "/assets/console.css?v=old"); strings.Contains(a.header.Get("Cache-Control"), "immutable") {
		t.Error("an old address is kept for ever with new content")
	}
}
