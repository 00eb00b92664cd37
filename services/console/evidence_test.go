package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

const (
	evidenceID = request.ID("01985c5e-8c00-7000-8000-000000000001")
	testRoot   = "590acb0fc2ff9025ee9a91734c9960534721e707b7e5f68ad8faae9f2f91d06a"
	testHead   = "log.example.com/habeas\n2048\nWQrLD8L/kCXumpFzTJlgU0ch5we35faK2Pqun48ZHQY=\n\n\u2014 log.example.com/habeas 8AR2p7\n"
)

// log is a log that plays what the audit room says.
type log struct {
	err    error // of everything
	broken error // of a pack, in its middle
	asked  []string
	seen   LogWitnesses
}

func (l *log) Head(context.Context) (LogHead, error) {
	return LogHead{Origin: "log.example.com/habeas", VerifierKey: "log.example.com/habeas+1a2b3c4d+AbCdEf", Size: 2048, Root: testRoot, Note: testHead}, l.err
}

// Witnesses answers while the log does not.
func (l *log) Witnesses(context.Context) (LogWitnesses, error) { return l.seen, nil }

func (l *log) Population(_ context.Context, from, to string, after int64, limit int) (Population, error) {
	l.asked = append(l.asked, fmt.Sprintf("population %s %s %d", from, to, after))
	p := Population{From: from, To: to, Start: 1000, Close: 1710, End: 2048, Root: testRoot, Types: map[string]int64{"intake": 142, "plan": 142, "outcome": 300, "closure": 126}}
	for i := after + 1; i < 142 && len(p.Rows) < limit; i++ {
		row := PopulationRow{ID: string(evidenceID), Right: "delete", Regime: "us-ca-ccpa", Channel: "web", Received: "2026-05-02", Answered: "2026-05-09", Result: "complete", IntakeLeaf: i, ClosureLeaf: i + 1000, Records: 9}
		switch i % 5 {
		case 3:
			row.Right, row.Result, row.ReasonCode = "know_specific", "denied", "unverified_specific"
		case 4:
			row.Right, row.Result, row.Answered, row.ClosureLeaf = "opt_out_sale_share", "", "", -1
		}
		p.Rows = append(p.Rows, row)
	}
	return p, l.err
}

func (l *log) Sample(ctx context.Context, from, to string, n int, word string) (Population, error) {
	p, err := l.Population(ctx, from, to, 10, n)
	l.asked[len(l.asked)-1] = fmt.Sprintf("sample %s %s %d %s", from, to, n, word)
	return p, err
}

func (l *log) Growth(ctx context.Context, older, newer string) (Growth, error) {
	l.asked = append(l.asked, older+"|"+newer)
	head, err := l.Head(ctx)
	old := head
	old.Size = 512
	return Growth{Older: old, Newer: head, Proof: []string{"lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=", "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4="}}, err
}

func (l *log) Account(_ context.Context, id request.ID) (Account, error) {
	if l.err == nil && id != evidenceID {
		return Account{}, ErrNoEvidence
	}
	return Account{
		ID: string(id), Right: "delete", Regime: "us-ca-ccpa", Channel: "web", Received: "2026-05-02", Answered: "2026-05-09", Result: "complete_with_exceptions", Closed: true,
		IntakeLeaf: 1201, ClosureLeaf: 1210, Size: 2048, Records: 9, Origin: "log.example.com/habeas", Root: testRoot, Omitted: []string{"lake: needs identifier"},
		Lines: []AccountLine{
			{Connector: "crm", Version: "v1.2.3", Action: "erase", Outcome: "done", Said: "9 May 2026, 09:30 UTC", Digest: testRoot, Leaf: 1207, Stores: []AccountStore{{Name: "contacts", Category: "A", Located: 17, Erased: 17}}},
			{Connector: "billing", Version: "v1.0.0", Action: "erase", Outcome: "retained", Said: "9 May 2026, 09:31 UTC", Digest: testRoot, Leaf: 1208, BackupExpiry: "2026-06-13",
				Stores: []AccountStore{{Name: "invoices", Located: 5, Erased: 2, Kept: 3, Basis: "ccpa-1798.105(d)(8)", Until: "2031-04-15"}}},
		},
	}, l.err
}

func (l *log) RequestPack(_ context.Context, id request.ID, w io.Writer) error {
	return l.file(w, string(id))
}
func (l *log) PeriodPack(_ context.Context, from, to string, w io.Writer) error {
	return l.file(w, from+to)
}
func (l *log) Certificate(_ context.Context, id request.ID, w io.Writer) error {
	return l.file(w, string(id))
}

func (l *log) file(w io.Writer, text string) error {
	if l.err != nil {
		return l.err
	}
	if _, err := io.WriteString(w, "the file of "+text); err != nil {
		return err
	}
	return l.broken
}

// TestWitnessesAreShown shows who cosigns, who does not and why, and that a
// witness has stopped the log.
func TestWitnessesAreShown(t *testing.T) {
	d := newDesk(t)
	d.log.seen = LogWitnesses{Size: 2048, QuorumSize: 2040, Note: testHead, Policy: "quorum both", Witnesses: []LogWitness{
		{Name: "auditor", KeyName: "w.auditor.example", KeyID: "1f2e3d4c", Size: 2048, Time: "9 May 2026, 09:30 UTC"},
		{Name: "cloud", KeyName: "w.example.net", KeyID: "0a1b2c3d", Size: 2040, Lag: 8, Time: "9 May 2026, 09:29 UTC", Trouble: "it answered 503"},
		{Name: "new", KeyName: "n.example.net", KeyID: "aa1b2c3d", Size: -1, Lag: 2048},
	}}
	d.fetch(t, "/evidence").says(t, "A quorum cosigned the head of 2040 leaves; the newest has 2048.", "auditor", "1f2e3d4c", "cosigned 2048 leaves, 9 May 2026, 09:30 UTC",
		"cosigned 2040 leaves, 9 May 2026, 09:29 UTC; 8 behind", "it answered 503", "has cosigned no head yet; 2048 behind")
	d.log.seen.QuorumSize = 2048
	d.fetch(t, "/evidence").says(t, "A quorum cosigned the newest head.")
	d.log.seen.Incident = "Witness auditor has seen other leaves than those this log has now: its history was changed."
	d.log.err = errors.New("the log is not open")
	d.fetch(t, "/evidence").says(t, "The log has stopped.", "Witness auditor has seen other leaves", "does not answer now")
	d.fetch(t, "/evidence/verify").says(t, "Witnesses", "verify.py --policy FILE")
}

func TestEvidencePagesTell(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/evidence").says(t, "log.example.com/habeas", "2048", testRoot, "This log has no witnesses", "The quarter before")
	period := "/evidence/period?from=2026-04-01&to=2026-07-01"
	a := d.fetch(t, period)
	a.says(t, "Requests from 2026-04-01 to before 2026-07-01", "Leaves of the period 710", "of them intake 142", "Requests in the list 142 , one for each intake", "Denied unverified_specific", "open")
	if n := len(elements(a.doc, "tr")); n != perPage+1 {
		t.Errorf("%d rows", n)
	}
	var next string
	for _, link := range elements(a.doc, "a") {
		if attr(link, "rel") == "next" {
			next = attr(link, "href")
		}
	}
	a = d.fetch(t, next)
	if n := len(elements(a.doc, "tr")); n != 43 {
		t.Errorf("%d rows on the next page, at %s", n, next)
	}
	d.fetch(t, "/evidence/sample?from=2026-04-01&to=2026-07-01&n=5&word=+tea+").says(t, "Sample of 5", "the word “tea”", "--sample 5 --word 'tea'")
	d.fetch(t, "/evidence/requests/"+string(evidenceID)).says(t, "crm erase", "contacts A 17 17 0 0 0", "ccpa-1798.105(d)(8), until 2031-04-15", "leaf 1201", "lake: needs identifier", "will have forgotten by 2026-06-13")
	d.fetch(t, "/evidence/verify").says(t, "Why a period's list is complete", "How a sample is drawn", "What it does not show")
	if a := d.fetch(t, "/evidence/find?id="+strings.ToUpper(string(evidenceID))); a.path != "/evidence/requests/"+string(evidenceID) {
		t.Errorf("led to %s", a.path)
	}
	d.fetch(t, "/evidence/consistency?older="+url.QueryEscape(strings.ReplaceAll(testHead, "\n", "\r\n"))).says(t, "They fit.", "512", "Xwg/Choz")
	if got := d.log.asked[len(d.log.asked)-1]; got != testHead+"|" {
		t.Errorf("the log was asked for %q", got)
	}
	for path, status := range map[string]int{
		"/evidence/period": 400, "/evidence/period?from=2026-07-01&to=2026-04-01": 400, "/evidence/period?from=x&to=y": 400, period + "&after=x": 400,
		"/evidence/period/pack?from=x&to=y": 400, "/evidence/sample?from=2026-04-01&to=2026-07-01&n=0": 400, "/evidence/sample?from=2026-04-01&to=2026-07-01&n=99999": 400,
		"/evidence/consistency": 400, "/evidence/consistency?older=" + strings.Repeat("x", 9<<10): 400,
		"/evidence/requests/x": 404, "/evidence/requests/" + string(request.NewID()): 404, "/evidence/requests/x/pack": 404, "/evidence/find?id=x": 404,
	} {
		a := d.fetch(t, path)
		a.decent(t, true)
		if a.status != status {
			t.Errorf("%s: status %d, want %d", path[:min(80, len(path))], a.status, status)
		}
	}
}

// Heads that do not fit, and texts that are none, are told apart from a log that
// does not answer.
func TestHeadsThatDoNotFit(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		err    error
		status int
		says   string
	}{
		{fmt.Errorf("asking: %w", ErrInconsistent), 200, "They do not fit."},
		{fmt.Errorf("asking: %w", ErrNoHead), 422, "no head that this log signed"},
		{errors.New("no route to " + planted), 503, "The log does not answer now"},
	} {
		d.log.err = c.err
		a := d.fetch(t, "/evidence/consistency?older=x")
		a.decent(t, true)
		a.says(t, c.says)
		if a.status != c.status {
			t.Errorf("%v: status %d, want %d", c.err, a.status, c.status)
		}
	}
}

// A log that is down costs its pages, and the others say so and work.
func TestLogDown(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	d.log.err = errors.New("no route to " + planted)
	a := d.fetch(t, "/evidence")
	a.decent(t, true)
	a.says(t, "The log does not answer now", "A period", "Compare")
	if a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	for _, path := range []string{"/evidence/period?from=2026-04-01&to=2026-07-01", "/evidence/requests/" + string(evidenceID), "/evidence/requests/" + string(evidenceID) + "/pack", "/evidence/requests/" + string(evidenceID) + "/certificate"} {
		a := d.fetch(t, path)
		a.decent(t, true)
		a.says(t, "The log does not answer now")
		if a.status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
	for _, path := range []string{"/", "/today", "/evidence/verify"} {
		if a := d.fetch(t, path); a.status != http.StatusOK {
			t.Errorf("%s: status %d", path, a.status)
		}
	}
	d.room.config.Evidence = noLog{}
	d.fetch(t, "/evidence").says(t, "was not told where the log is", "audit.url")
}

// Who takes evidence away is on record first; a pack that breaks in its middle is
// no answer.
func TestTakingEvidenceIsOnRecord(t *testing.T) {
	d := newDesk(t)
	auditor := d.as(t, "ana", access.Auditor)
	for path, c := range map[string]struct{ typ, name, text string }{
		"/evidence/requests/" + string(evidenceID) + "/pack":        {"application/zip", "evidence-" + string(evidenceID) + ".zip", string(evidenceID)},
		"/evidence/requests/" + string(evidenceID) + "/certificate": {"application/pdf", "certificate-" + string(evidenceID) + ".pdf", string(evidenceID)},
		"/evidence/period/pack?from=2026-04-01&to=2026-07-01":       {"application/zip", "evidence-2026-04-01-to-2026-07-01.zip", "2026-04-012026-07-01"},
	} {
		a := d.do(t, auditor, http.MethodGet, path, nil, nil)
		if a.status != http.StatusOK || a.body != "the file of "+c.text || a.header.Get("Content-Type") != c.typ || !strings.Contains(a.header.Get("Content-Disposition"), c.name) {
			t.Errorf("%s: status %d, %s, %v", path, a.status, a.body, a.header)
		}
	}
	list, err := d.looks(t)
	if err != nil || len(list) != 3 {
		t.Fatalf("on record: %+v, %v", list, err)
	}
	for _, a := range list {
		if a.Who != "ana" || a.Role != "auditor" || !strings.HasPrefix(a.Purpose, "console: take ") {
			t.Errorf("recorded %+v", a)
		}
	}
	d.log.broken = errors.New("the disk is full")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.server.URL+"/evidence/period/pack?from=2026-04-01&to=2026-07-01", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := auditor.Do(req); err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		if closed := res.Body.Close(); err == nil || closed != nil {
			t.Error("a broken pack was taken for a whole one")
		}
	}
}

// An auditor sees evidence, lists and counts, changes nothing, and meets nobody's
// data: every page that the role can reach is looked through for what is planted
// in every place of the store.
func TestAuditorsSeeNobody(t *testing.T) {
	d := newDesk(t)
	ids := d.company(t)
	auditor := d.as(t, "ana", access.Auditor)
	ana := access.Identity{Roles: []access.Role{access.Auditor}}
	seen := 0
	for _, one := range d.room.routes() {
		method, path, _ := strings.Cut(one.pattern, " ")
		if path == "" || strings.HasPrefix(path, "/assets/") || strings.HasPrefix(path, "/login") || strings.HasSuffix(path, "/events") || path == "/logout" {
			continue
		}
		path = strings.ReplaceAll(path, "{$}", "")
		for _, id := range append([]request.ID{evidenceID}, ids["deletion"], ids["copied"], ids["denied"]) {
			at := strings.NewReplacer("{id}", string(id), "{connector}", "crm").Replace(path)
			if strings.Contains(at, "{") {
				continue
			}
			if strings.Contains(at, "/evidence/") {
				at += "?" + url.Values{"from": {"2026-04-01"}, "to": {"2026-07-01"}, "n": {"5"}, "older": {testHead}, "id": {string(id)}}.Encode()
			}
			a := d.do(t, auditor, method, at, url.Values{}, http.Header{"Sec-Fetch-Site": {"same-origin"}})
			may := ana.May(access.Table[one.pattern])
			if (a.status == http.StatusForbidden) == may {
				t.Errorf("%s: status %d, and the table says %t", one.pattern, a.status, may)
			}
			if may && method != http.MethodGet {
				t.Errorf("an auditor may %s", one.pattern)
			}
			if strings.Contains(a.body, "planted") || strings.Contains(a.body, "example.com\"") || strings.Contains(a.body, planted) {
				t.Errorf("%s shows personal data to an auditor", at)
			}
			if may && strings.Contains(a.body, `href="/requests/`) {
				t.Errorf("%s leads an auditor where the role may not go", at)
			}
			seen++
			if !strings.Contains(path, "{id}") {
				break
			}
		}
	}
	if seen < 30 || len(d.act.calls) > 0 {
		t.Errorf("%d pages were seen, and %v was done", seen, d.act.calls)
	}
}

func TestTokensPage(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/tokens").says(t, "There are no tokens but the deployment's own", "take evidence away")
	a := d.post(t, "/tokens", url.Values{"name": {"the auditors"}, "scope": {"evidence", "read"}, "days": {"30"}})
	a.decent(t, true)
	a.says(t, "the auditors is made", "Copy its secret now", "read, evidence", "Good", "made by console", "never")
	var secret string
	for _, n := range elements(a.doc, "code") {
		if attr(n, "id") == "secret" {
			secret = textOf(n)
		}
	}
	token, err := d.tokens.Check(t.Context(), secret)
	if err != nil {
		t.Fatalf("the secret %q: %v", secret, err)
	}
	a = d.fetch(t, "/tokens")
	if strings.Contains(a.body, secret) {
		t.Error("the secret is shown twice")
	}
	a.says(t, "the auditors", "15 Jun 2026, 18:00 UTC")
	a = d.post(t, "/tokens/"+token.ID+"/revoke", nil)
	a.says(t, "Revoked")
	if _, err := d.tokens.Check(t.Context(), secret); err == nil {
		t.Error("a revoked token is good")
	}
	for _, c := range []struct {
		form   url.Values
		status int
		says   string
	}{
		{url.Values{"name": {""}, "scope": {"read"}, "days": {"30"}}, 422, "Name is missing"},
		{url.Values{"name": {"typed"}, "days": {"30"}}, 422, "Scopes are missing"},
		{url.Values{"name": {"typed"}, "scope": {"root"}, "days": {"30"}}, 422, "no scope"},
		{url.Values{"name": {"typed"}, "scope": {"read"}, "days": {"many"}}, 422, "from 1 to 366"},
	} {
		a := d.post(t, "/tokens", c.form)
		a.decent(t, true)
		a.says(t, c.says)
		if a.status != c.status || c.form.Get("name") != "" && !strings.Contains(a.body, `value="typed"`) {
			t.Errorf("%v: status %d", c.form, a.status)
		}
	}
	if a := d.post(t, "/tokens/tok_none/revoke", nil); a.status != http.StatusNotFound {
		t.Errorf("revoking nothing: %d", a.status)
	}
	for _, role := range []access.Role{access.Viewer, access.Operator, access.Approver, access.Auditor} {
		client := d.as(t, "ana", role)
		if a := d.do(t, client, http.MethodGet, "/tokens", nil, nil); a.status != http.StatusForbidden {
			t.Errorf("%s sees tokens", role)
		}
		if a := d.do(t, client, http.MethodPost, "/tokens", url.Values{"name": {"x"}, "scope": {"all"}, "days": {"1"}}, nil); a.status != http.StatusForbidden {
			t.Errorf("%s makes tokens", role)
		}
	}
	if err := d.store.PutToken(t.Context(), store.Token{ID: "tok_old", Name: "an old one", Digest: bytes.Repeat([]byte{1}, 32), Scopes: []string{"submit"}, CreatedAt: now.AddDate(0, -2, 0), CreatedBy: "max", ExpiresAt: now.AddDate(0, -1, 0)}); err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/tokens").says(t, "an old one", "Ended")
}

// OO-10, DE-9, DE-11: a program that has a token for asking about people and
// does not ask is seen beside the tokens and the connectors.
func TestNotAskingIsSeen_OO10_DE9_DE11(t *testing.T) {
	d := newDesk(t)
	const connectors, asking = "asked nothing in the last seven days", "Not asking"
	if a := d.fetch(t, "/connectors"); strings.Contains(a.body, connectors) {
		t.Error("somebody is said not to ask where nobody has to")
	}
	old := store.Token{ID: "tok_importer", Name: "the importer", Digest: bytes.Repeat([]byte{2}, 32), Scopes: []string{"suppression"}, CreatedAt: now.AddDate(0, 0, -8), CreatedBy: "max", ExpiresAt: now.AddDate(0, 1, 0)}
	if err := d.store.PutToken(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/tokens").says(t, "the importer", asking, "One program should ask about people")
	d.fetch(t, "/connectors").says(t, "One program that should ask about people", connectors)
	if err := d.store.UseToken(t.Context(), old.ID, now); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/tokens", "/connectors"} {
		if a := d.fetch(t, path); strings.Contains(a.body, asking) || strings.Contains(a.body, connectors) {
			t.Errorf("%s: a program that has just asked is said not to", path)
		}
	}
}

// Auditors' and admins' pages in a real browser: as they look, and each action
// done by hand.
func TestEvidenceInABrowser(t *testing.T) {
	d := newDesk(t)
	b := browsertest.New(t)
	b.Run(chromedp.Navigate(d.server.URL+"/login"), chromedp.SendKeys("#token", token, chromedp.ByID), chromedp.Click(`form[action="/login"] button`, chromedp.ByQuery))
	b.Wait(`location.pathname === "/"`)
	for _, p := range []struct {
		name, path string
		few        bool // two looks are enough for what others show too
	}{
		{"evidence", "/evidence", false}, {"period", "/evidence/period?from=2026-04-01&to=2026-07-01&after=125", false}, {"sample", "/evidence/sample?from=2026-04-01&to=2026-07-01&n=5&word=tea", true},
		{"evidence-request", "/evidence/requests/" + string(evidenceID), false}, {"heads", "/evidence/consistency?older=" + url.QueryEscape(testHead), true}, {"checking", "/evidence/verify", true}, {"tokens", "/tokens", false},
	} {
		for _, width := range []int64{browsertest.Desktop, browsertest.Phone} {
			for _, scheme := range []string{"light", "dark"} {
				if p.few && (width == browsertest.Desktop) == (scheme == "dark") {
					continue
				}
				name := "console-" + p.name + "-" + map[int64]string{browsertest.Desktop: "desktop", browsertest.Phone: "phone"}[width] + "-" + scheme
				b.Width(width)
				b.Run(
					emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
					chromedp.Navigate(d.server.URL+p.path),
				)
				b.Wait(`document.querySelector("main h1") !== null`)
				b.Accessible(name)
				b.Shot(name)
				if b.Text("document.documentElement.scrollWidth > window.innerWidth") == "true" {
					t.Errorf("%s is wider than the window", name)
				}
			}
		}
	}
	at := func(path string) string { return `location.pathname === ` + quoted(path) }
	b.Width(browsertest.Desktop)

	// A period, a sample of it, and a request of that.
	b.Run(chromedp.Navigate(d.server.URL+"/evidence"), chromedp.Click(`form[action="/evidence/period"] button`, chromedp.ByQuery))
	b.Wait(at("/evidence/period"))
	b.Run(chromedp.SetValue("#n", "3", chromedp.ByID), chromedp.SendKeys("#word", "tea", chromedp.ByID), chromedp.Click(`form[action="/evidence/sample"] button`, chromedp.ByQuery))
	b.Wait(at("/evidence/sample") + ` && document.querySelectorAll("tbody tr").length === 3`)
	b.Run(chromedp.Click("tbody a", chromedp.ByQuery))
	b.Wait(at("/evidence/requests/" + string(evidenceID)))

	// By its id, and two heads.
	b.Run(chromedp.Navigate(d.server.URL+"/evidence"), chromedp.SendKeys("#find", string(evidenceID), chromedp.ByID), chromedp.Click(`form[action="/evidence/find"] button`, chromedp.ByQuery))
	b.Wait(at("/evidence/requests/" + string(evidenceID)))
	b.Run(chromedp.Navigate(d.server.URL+"/evidence"), chromedp.SendKeys("#older", testHead, chromedp.ByID), chromedp.Click(`form[action="/evidence/consistency"] button`, chromedp.ByQuery))
	b.Wait(at("/evidence/consistency") + ` && document.body.innerText.includes("They fit.")`)
	if got := d.log.asked[len(d.log.asked)-1]; got != testHead+"|" {
		t.Errorf("the browser handed over %q", got)
	}

	// A token is made, seen once, and revoked.
	b.Run(chromedp.Navigate(d.server.URL+"/tokens"), chromedp.SendKeys("#name", "by hand", chromedp.ByID), chromedp.Click("#scope-read", chromedp.ByID), chromedp.Click(`form[action="/tokens"] button`, chromedp.ByQuery))
	b.Wait(`document.getElementById("secret") !== null`)
	b.Accessible("console-token-made")
	b.Shot("console-token-made")
	secret := b.Text(`document.getElementById("secret").textContent`)
	if _, err := d.tokens.Check(t.Context(), secret); err != nil {
		t.Errorf("the secret on the page: %v", err)
	}
	b.Run(chromedp.Click(`form[action$="/revoke"] button`, chromedp.ByQuery))
	b.Wait(`document.querySelector(".badge.bad") !== null && document.getElementById("secret") === null`)
	if _, err := d.tokens.Check(t.Context(), secret); err == nil {
		t.Error("a revoked token is good")
	}
}

func quoted(text string) string {
	out, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(out)
}
