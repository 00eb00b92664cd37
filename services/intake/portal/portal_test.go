package portal_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

var paths = []string{"opt-out", "limit", "know-specific", "know-categories", "delete", "correct", "allow-sale", "allow-sensitive-use"}

// Every word is there in every language, and every word is used.
func TestWords(t *testing.T) {
	words := map[string]map[string]string{}
	for _, language := range verify.Languages() {
		content, err := os.ReadFile("words/" + language + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]string{}
		if err := yaml.Unmarshal(content, &m); err != nil {
			t.Fatal(err)
		}
		words[language] = m
	}
	en := slices.Sorted(maps.Keys(words["en"]))
	for language, w := range words {
		if got := slices.Sorted(maps.Keys(w)); !slices.Equal(got, en) {
			t.Errorf("%s and en have different words", language)
		}
		for key, text := range w {
			if strings.TrimSpace(text) == "" || language != "en" && text == words["en"][key] && len(text) > 12 {
				t.Errorf("%s: %s is empty or not translated", language, key)
			}
			if strings.Count(text, "{company}") != strings.Count(words["en"][key], "{company}") {
				t.Errorf("%s: %s has another place for the company", language, key)
			}
		}
	}
}

// Every page is whole in both languages, whatever it shows.
func TestPages(t *testing.T) {
	for _, language := range verify.Languages() {
		b := newRig(t).browser()
		for _, p := range append([]string{""}, paths...) {
			a := b.get("/privacy/" + p + "?lang=" + language)
			if a.code != http.StatusOK || !strings.Contains(a.body, `<html lang="`+language+`">`) || !strings.HasSuffix(a.body, "</html>") {
				t.Errorf("%s in %s: status %d, %.80s", p, language, a.code, a.body)
			}
			if strings.Contains(a.body, "<script") {
				t.Errorf("%s needs JavaScript", p)
			}
			if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || a.header.Get("Referrer-Policy") != "same-origin" || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: the headers are %v", p, a.header)
			}
		}
	}
}

func TestLanguage(t *testing.T) {
	for _, c := range []struct{ query, cookie, accept, want string }{
		{"", "", "", "en"}, {"", "", "es-MX,es;q=0.9,en;q=0.8", "es"}, {"", "", "de, es;q=0.5", "es"}, {"es", "", "en", "es"}, {"", "es", "en", "es"}, {"xx", "", "", "en"},
	} {
		b := newRig(t).browser()
		b.header.Set("Accept-Language", c.accept)
		if c.cookie != "" {
			b.cookies["lang"] = &http.Cookie{Name: "lang", Value: c.cookie}
		}
		if a := b.get("/privacy/?lang=" + c.query); !strings.Contains(a.body, `<html lang="`+c.want+`">`) {
			t.Errorf("%+v: %.60s", c, a.body)
		}
	}
}

// IN-3: nobody needs an account.
func TestNoAccount_IN1_IN3(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	link := b.submit("/privacy/know-categories", "email", planted, "range", "all")
	req := r.request(link)
	if req.Channel != request.ChannelWeb || req.State() != request.AwaitingVerification || !req.Terms.Received.Equal(r.clock()) {
		t.Errorf("the request is %s by %s", req.State(), req.Channel)
	}
	if a := b.get(link); a.code != http.StatusOK || strings.Contains(a.body, planted) || !strings.Contains(a.body, string(req.ID)) {
		t.Errorf("its page: status %d", a.code)
	}
}

// IN-4: each field says why it is asked for, and a field that is not asked for
// is refused.
func TestNecessity_IN4(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	for _, p := range paths {
		page := b.get("/privacy/" + p).body
		for _, input := range regexp.MustCompile(`<(input|select|textarea) id="([a-z_]+)"[^>]*>`).FindAllStringSubmatch(page, -1) {
			why := regexp.MustCompile(`id="` + input[2] + `-why">([^<]+)<`).FindStringSubmatch(page)
			if why == nil || len(why[1]) < 10 || !strings.Contains(input[0], `aria-describedby="`+input[2]+`-why"`) {
				t.Errorf("%s: %s does not say why it is asked for", p, input[2])
			}
		}
		if a := b.post("/privacy/"+p, "email", planted, "birth_date", "1985-07-04"); a.code != http.StatusUnprocessableEntity || strings.Contains(a.body, "1985") {
			t.Errorf("%s with a field that is not asked for: status %d", p, a.code)
		}
	}
	list, err := r.store.List(t.Context(), store.Filter{})
	if err != nil || len(list) != 0 {
		t.Errorf("%d requests were stored, %v", len(list), err)
	}
	for name, c := range map[string]struct {
		f    portal.FormForTest
		want string
	}{
		"opt-out with a birth date":      {portal.FormForTest{Right: request.OptOutSaleShare, Fields: []portal.FieldForTest{{Name: "birth_date", Label: "x", Necessity: "because"}}}, "birth_date"},
		"opt-out that asks for proof":    {portal.FormForTest{Right: request.OptOutSaleShare, Points: []portal.FieldForTest{{Name: "phone", Label: "x", Necessity: "because"}}}, "never verified"},
		"a field that does not say why":  {portal.FormForTest{Right: request.Delete, Fields: []portal.FieldForTest{{Name: "email", Label: "x"}}}, "why"},
		"an opt-out that asks an e-mail": {portal.FormForTest{Right: request.OptOutSaleShare, Fields: []portal.FieldForTest{{Name: "email", Label: "x", Necessity: "because"}}}, ""},
	} {
		err := portal.CheckForTest(c.f)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// steps counts the pages and presses from the first page to the end.
func steps(t *testing.T, b *browser, path string, pairs ...string) int {
	t.Helper()
	n := 1 // to the form
	if home := b.get("/privacy/").body; !strings.Contains(home, `href="/privacy/`+path+`?`) {
		t.Fatalf("the first page does not lead to %s", path)
	}
	n++ // to send it
	a := b.post("/privacy/"+path, pairs...)
	if a.code != http.StatusOK && a.code != http.StatusSeeOther {
		t.Fatalf("%s: status %d", path, a.code)
	}
	return n
}

// IN-7: opting out takes no more steps than anything else, is offered first,
// is done when the button is pressed, and asks for no confirmation.
func TestSymmetry_IN7(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	out := steps(t, b, "opt-out", "email", planted)
	for _, p := range paths[2:] {
		fields := []string{"email", planted}
		if p == "correct" {
			fields = append(fields, "correction", "the name is Planted")
		}
		if n := steps(t, b, p, fields...); out > n {
			t.Errorf("opting out takes %d steps, %s takes %d", out, p, n)
		}
	}
	home := b.get("/privacy/").body
	if first := strings.Index(home, "/opt-out?"); first < 0 || first > strings.Index(home, "/know-specific?") {
		t.Error("opting out is not offered first")
	}
	page := b.get("/privacy/opt-out").body
	if n := strings.Count(page, "<input id="); n != 1 || strings.Count(page, "<button") != 1 {
		t.Errorf("the opt-out form has %d fields, want one, and one button", n)
	}
	list, err := r.store.List(t.Context(), store.Filter{Right: request.OptOutSaleShare})
	if err != nil || len(list) != 1 || list[0].State() != request.Accepted {
		t.Fatalf("opt-outs: %d, %v; want one that goes straight on", len(list), err)
	}
	if n := len(r.mail.Letters()); n != 0 {
		t.Errorf("an opt-out sent %d messages", n)
	}
}

// IN-6, the form: deleting everything comes first and is the only primary
// choice.
func TestDeleteAllFirst_IN6(t *testing.T) {
	page := newRig(t).browser().get("/privacy/delete").body
	buttons := regexp.MustCompile(`<button[^>]*>`).FindAllString(page, -1)
	if len(buttons) == 0 || !strings.Contains(buttons[0], `class="primary"`) || !strings.Contains(buttons[0], `value="all"`) {
		t.Fatalf("the buttons are %v", buttons)
	}
	for _, other := range buttons[1:] {
		if strings.Contains(other, "primary") {
			t.Errorf("another button is as prominent: %s", other)
		}
	}
}

// IN-6: a choice of portions is taken as such.
func TestPortions_IN6(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	if a := b.post("/privacy/delete", "email", planted, "scope", "some"); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `value="`+planted+`"`) {
		t.Errorf("no portion chosen: status %d; what was typed is kept", a.code)
	}
	some := r.request(b.submit("/privacy/delete", "email", planted, "scope", "some", "portion", "A", "portion", "K"))
	all := r.request(b.submit("/privacy/delete", "email", planted, "scope", "all", "portion", "A"))
	if got := some.Case.Portions; !slices.Equal(got, []string{"A", "K"}) || len(all.Case.Portions) != 0 {
		t.Errorf("portions %v of some, %v of all", got, all.Case.Portions)
	}
}

// VE-7: the field a correction is about proves nothing.
func TestDisputed_VE7(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	points := []string{"email", planted, "correction", "4155550199", "point_phone", "4155550123", "point_postal_code", "94110"}
	about := func(field string) request.State {
		link := b.submit("/privacy/correct", append([]string{"correct_field", field}, points...)...)
		r.work()
		return r.request(link).State()
	}
	if got := about("phone"); got != request.AwaitingVerification {
		t.Errorf("verified with the disputed field: %s", got)
	}
	if got := about("city"); got != request.Accepted {
		t.Errorf("two points that are not disputed: %s", got)
	}
}

func TestSentTwice(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	first, second := b.submit("/privacy/delete", "email", planted, "key", "k1", "scope", "all"), b.submit("/privacy/delete", "email", planted, "key", "k1", "scope", "all")
	if first != second {
		t.Errorf("one form made two requests: %s, %s", first, second)
	}
}

func TestVerifyByCode(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	link := b.submit("/privacy/know-categories", "email", planted, "point_postal_code", "94110", "lang", "es")
	r.work()
	if a := b.post(link+"/code", "code", "000"); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `role="alert"`) {
		t.Errorf("a wrong code: status %d", a.code)
	}
	if a := b.post(link+"/code", "code", r.code(1)); a.code != http.StatusSeeOther {
		t.Fatalf("the code: status %d", a.code)
	}
	r.work()
	if s := r.request(link).State(); s != request.Accepted {
		t.Errorf("the request is %s", s)
	}
	if strings.Contains(r.logs.String(), planted) || strings.Contains(r.logs.String(), "94110") {
		t.Error("the log holds what the person gave")
	}
}

func TestVerifyByMore(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	link := b.submit("/privacy/know-specific", "email", planted, "point_postal_code", "94110")
	r.work()
	if a := b.post(link+"/points", "point_phone", "4155550123", "point_full_name", "Planted Person", "declaration", "x"); a.code != http.StatusUnprocessableEntity {
		t.Errorf("a signature of one letter: status %d", a.code)
	}
	if a := b.post(link+"/points", "point_postal_code", "94110", "point_phone", "4155550123", "point_full_name", "Planted Person", "declaration", "Planted Person"); a.code != http.StatusSeeOther {
		t.Fatalf("more data points: status %d", a.code)
	}
	r.work()
	if s := r.request(link).State(); s != request.Accepted {
		t.Errorf("the request is %s", s)
	}
}

// A request that is stored without a case, because something broke between the
// two or because it came by the API, is verified from its page all the same.
func TestVerifyWithoutCase(t *testing.T) {
	r := newRig(t)
	taken, err := r.intake.Take(t.Context(), []intake.Entry{{Submission: request.Submission{
		Right: request.KnowCategories, Identifiers: []request.Identifier{request.NewIdentifier(request.Email, planted)},
	}}}, "test")
	if err != nil || taken[0].Err != nil {
		t.Fatal(err, taken)
	}
	link := r.portal.Link(taken[0].ID)
	if a := r.browser().post(link+"/points", "point_postal_code", "94110", "point_phone", "4155550123"); a.code != http.StatusSeeOther {
		t.Fatalf("status %d", a.code)
	}
	r.work()
	if s := r.request(link).State(); s != request.Accepted {
		t.Errorf("the request is %s", s)
	}
}

// VE-17: the same pages for somebody known and somebody unknown, but for the
// reference, and before anybody was asked.
func TestSamePages_VE17(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	var pages [2][]string
	for i, who := range []string{planted, stranger} {
		link := b.submit("/privacy/delete", "email", who, "point_postal_code", "94110")
		r.work()
		req := r.request(link)
		blank := strings.NewReplacer(link, "LINK", string(req.ID), "ID")
		for _, a := range []answer{b.get(link), b.post(link+"/resend", "lang", "en"), b.post(link+"/code", "code", "12"), b.post(link+"/points", "point_phone", "1")} {
			pages[i] = append(pages[i], tokens.ReplaceAllString(blank.Replace(a.body+a.header.Get("Location")), "TOKEN"))
		}
	}
	for i := range pages[0] {
		if pages[0][i] != pages[1][i] {
			t.Errorf("page %d differs:\n%s\n%s", i, pages[0][i], pages[1][i])
		}
	}
}

var tokens = regexp.MustCompile(`[A-Z2-7]{32}`)

func TestLinks(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	one, two := b.submit("/privacy/delete", "email", planted), b.submit("/privacy/delete", "email", stranger)
	crossed := one[:strings.LastIndex(one, "/")] + two[strings.LastIndex(two, "/"):]
	for _, link := range []string{crossed, one[:len(one)-1], one + "A", "/privacy/r/nonsense/nonsense", "/privacy/nowhere"} {
		if a := b.get(link); a.code != http.StatusNotFound {
			t.Errorf("%s: status %d", link, a.code)
		}
		if a := b.post(link+"/withdraw", "lang", "en"); a.code != http.StatusNotFound && a.code != http.StatusMethodNotAllowed {
			t.Errorf("%s/withdraw: status %d", link, a.code)
		}
	}
	if a := b.post(one+"/withdraw", "lang", "en"); a.code != http.StatusSeeOther || r.request(one).Ending.Result != request.ResultCancelled {
		t.Errorf("withdrawing: status %d", a.code)
	}
}

func TestOtherSites(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	b.header.Set("Sec-Fetch-Site", "cross-site")
	if a := b.post("/privacy/delete", "email", planted); a.code != http.StatusForbidden {
		t.Errorf("a form of another site: status %d", a.code)
	}
}

func TestLimits_VE17(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	refused := 0
	for range 12 {
		if a := b.post("/privacy/delete", "email", planted); a.code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d of 12 requests for one person were refused, want 2", refused)
	}
}

// VE-18: who says she lives in Texas is not refused and shows no paper; a law
// that is not in force here leaves the wider right.
func TestResidence_VE18(t *testing.T) {
	for _, c := range []struct {
		name, state, regime string
		confirmed           bool
	}{
		{"Texas, whose law is in force here", "TX", "us-tx", true},
		{"Texas, whose law is not confirmed", "TX", "us-ca-ccpa", false},
		{"California", "CA", "us-ca-ccpa", true},
		{"elsewhere", "other", "us-ca-ccpa", true},
		{"not said", "", "us-ca-ccpa", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			if c.confirmed {
				if err := r.intake.Regimes.Confirm("us-tx"); err != nil {
					t.Fatal(err)
				}
			}
			req := r.request(r.browser().submit("/privacy/delete", "email", planted, "state", c.state))
			if req.Regime != c.regime || req.State() != request.AwaitingVerification || req.Terms.Due.Respond.IsZero() {
				t.Errorf("the request is under %s, %s, due %s; want %s", req.Regime, req.State(), req.Terms.Due.Respond, c.regime)
			}
		})
	}
}

// VE-2, KN-8: a copy is released once, after the person has shown again who
// she is.
func TestDownload_VE2_KN8(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	link := b.submit("/privacy/know-specific", "email", planted)
	if a := b.post(link+"/download", "lang", "en"); a.code != http.StatusForbidden {
		t.Errorf("before it is ready: status %d", a.code)
	}
	r.finished(link)
	if a := b.post(link+"/download", "lang", "en"); a.code != http.StatusForbidden || r.asked != 0 {
		t.Errorf("without showing who she is: status %d", a.code)
	}
	page := b.post(link+"/download-code", "lang", "en").body
	ticket := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(page)[1]
	code := r.code(1)
	wrong := "111111"
	if wrong == code {
		wrong = "222222"
	}
	if a := b.post(link+"/download", "ticket", ticket, "code", wrong); a.code != http.StatusForbidden {
		t.Errorf("a wrong code: status %d", a.code)
	}
	other := b.submit("/privacy/know-specific", "email", planted)
	r.finished(other)
	if a := b.post(other+"/download", "ticket", ticket, "code", code); a.code != http.StatusForbidden {
		t.Errorf("the code of another request: status %d", a.code)
	}
	r.pack = func() (io.ReadCloser, int64, error) {
		return io.NopCloser(io.LimitReader(strings.NewReader("the package"), 4)), 11, nil
	}
	b.post(link+"/download", "ticket", ticket, "code", code) // breaks off
	r.pack = func() (io.ReadCloser, int64, error) { return nil, 0, errors.New("delivery is down") }
	if a := b.post(link+"/download", "ticket", ticket, "code", code); a.code != http.StatusServiceUnavailable {
		t.Errorf("delivery down: status %d", a.code)
	}
	r.pack = func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("the package")), 11, nil }
	if a := b.post(link+"/download", "ticket", ticket, "code", code); a.code != http.StatusOK || a.body != "the package" {
		t.Fatalf("the right code: status %d, %.100s", a.code, a.body)
	}
	if a := b.post(link+"/download", "ticket", ticket, "code", code); a.code != http.StatusGone {
		t.Errorf("a second time: status %d", a.code)
	}
	again := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(b.post(other+"/download-code", "lang", "en").body)[1]
	late := r.code(2)
	r.pass(16 * time.Minute)
	if a := b.post(other+"/download", "ticket", again, "code", late); a.code != http.StatusForbidden {
		t.Errorf("a code that is too old: status %d", a.code)
	}
}

// The code for a download is not guessed by asking for code after code.
func TestDownloadCodesAreGuessedInVain_VE2(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	link := b.submit("/privacy/know-specific", "email", planted)
	r.finished(link)
	r.pack = func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("the package")), 11, nil }
	ask := func(n int) (ticket, code string) {
		page := b.post(link+"/download-code", "lang", "en").body
		return regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(page)[1], r.code(n)
	}
	for n := 1; n <= 6; n++ {
		ticket, code := ask(n)
		wrong := "111111"
		if wrong == code {
			wrong = "222222"
		}
		for range 5 {
			if a := b.post(link+"/download", "ticket", ticket, "code", wrong); a.code != http.StatusForbidden {
				t.Fatalf("a wrong code: status %d", a.code)
			}
		}
		r.pass(time.Hour)
	}
	ticket, code := ask(7)
	if a := b.post(link+"/download", "ticket", ticket, "code", code); a.code != http.StatusTooManyRequests {
		t.Errorf("after thirty wrong codes a right one: status %d", a.code)
	}
	r.pass(24 * time.Hour)
	ticket, code = ask(8)
	if a := b.post(link+"/download", "ticket", ticket, "code", code); a.code != http.StatusOK {
		t.Errorf("a day later: status %d", a.code)
	}
}

// KN-4: a person chooses how the answer comes; what is no way is refused, and
// nobody is asked who does not ask to know.
func TestAnswerByMail_KN4(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	for _, path := range []string{"/privacy/know-specific", "/privacy/know-categories"} {
		if page := b.get(path).body; !strings.Contains(page, "On paper, by mail") {
			t.Errorf("%s does not offer mail", path)
		}
		for answer, want := range map[string]request.Answer{"mail": request.AnswerByMail, "": request.AnswerHere} {
			if got := r.request(b.submit(path, "email", planted, "answer", answer)).Case.Answer; got != want {
				t.Errorf("%s with %q: the answer comes by %q", path, answer, got)
			}
		}
		if a := b.post(path, "email", planted, "answer", "pigeon"); a.code == http.StatusSeeOther {
			t.Errorf("%s takes an answer by pigeon", path)
		}
	}
	if page := b.get("/privacy/delete").body; strings.Contains(page, "On paper, by mail") {
		t.Error("who deletes is asked how an answer should come")
	}
}

// KN-8: once its time is over a copy is gone, and says so. A report on categories is handed out the same way.
func TestExpiredDownload_KN8(t *testing.T) {
	for _, path := range []string{"/privacy/know-specific", "/privacy/know-categories"} {
		r := newRig(t)
		b := r.browser()
		link := b.submit(path, "email", planted)
		r.finished(link)
		page := b.post(link+"/download-code", "lang", "en").body
		ticket := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(page)[1]
		code := r.code(1)
		r.pack = func() (io.ReadCloser, int64, error) { return nil, 0, fmt.Errorf("asking: %w", portal.ErrExpired) }
		a := b.post(link+"/download", "ticket", ticket, "code", code)
		if a.code != http.StatusGone || !strings.Contains(a.body, "This answer is no longer here") {
			t.Errorf("%s: status %d, %.300s", path, a.code, a.body)
		}
		r.pack = func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("the report")), 10, nil }
		if a := b.post(link+"/download", "ticket", ticket, "code", code); a.code != http.StatusOK || a.body != "the report" {
			t.Errorf("%s: an answer that is there: status %d", path, a.code)
		}
	}
}

// VE-17: a code for a download goes to an address that a system holds, and to
// no other.
func TestDownloadToNewAddress_VE17(t *testing.T) {
	r := newRig(t)
	b := r.browser()
	fresh, known := b.submit("/privacy/know-specific", "email", stranger), b.submit("/privacy/know-specific", "email", planted)
	r.finished(fresh)
	r.finished(known)
	if a := b.post(fresh+"/download-code", "lang", "en"); a.code != http.StatusOK {
		t.Errorf("status %d", a.code)
	}
	b.post(known+"/download-code", "lang", "en")
	for _, l := range r.mail.Wait(t, 1) {
		if l.To != planted {
			t.Errorf("a code went to %s, which no system holds", l.To)
		}
	}
}

// OO-2: the pages say that the signal is honoured, without a click.
func TestSignalShown_OO2(t *testing.T) {
	b := newRig(t).browser()
	if page := b.get("/privacy/").body; strings.Contains(page, "Opt-Out Request Honored") {
		t.Error("without a signal the page says that one is honoured")
	}
	b.header.Set("Sec-GPC", "1")
	for _, path := range []string{"/privacy/", "/privacy/opt-out"} {
		if page := b.get(path).body; !strings.Contains(page, "Opt-Out Request Honored") {
			t.Errorf("%s does not say that the signal is honoured", path)
		}
	}
}

func TestBrand(t *testing.T) {
	r := newRig(t, func(c *portal.Config) { c.Brand.Colour = "#7a1fa2" })
	if css := r.browser().get("/privacy/assets/brand.css").body; !strings.Contains(css, "#7a1fa2") {
		t.Errorf("the style sheet is %q", css)
	}
	for _, b := range []portal.Brand{{}, {Company: "X", Colour: "red"}, {Company: "X", Colour: "#ffee00"}} {
		if _, err := portal.New(portal.Config{Brand: b, Verify: r.verify}); err == nil || !strings.Contains(err.Error(), "portal.brand") {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

// OO-6: who takes a choice back does so in two steps. The second goes to the address
// alone, so that nobody takes back what somebody else chose; a signed-in person takes
// it at once.
func TestTakenBackInTwoSteps_OO6(t *testing.T) {
	for path, right := range map[string]request.Right{"allow-sale": request.OptInSaleShare, "allow-sensitive-use": request.OptInSPI} {
		r := newRig(t)
		b := r.browser()
		b.post("/privacy/opt-out", "email", planted)
		if b.cookies["habeas_optout"] == nil {
			t.Fatal("the opt-out left no mark")
		}
		a := b.post("/privacy/"+path, "email", planted)
		if a.code != http.StatusOK || inLink.MatchString(a.body) || strings.Contains(a.body, planted) {
			t.Fatalf("%s: status %d; the page must lead nowhere: %s", path, a.code, a.body)
		}
		list, err := r.store.List(t.Context(), store.Filter{Right: right})
		if err != nil || len(list) != 1 || list[0].State() != request.Received || !list[0].Case.Unconfirmed {
			t.Fatalf("%s: after one step %d requests, %v", path, len(list), err)
		}
		id := list[0].ID
		notices, err := r.store.Notices(t.Context(), 100)
		if err != nil || !slices.ContainsFunc(notices, func(n store.Notice) bool { return n.RequestID == id && n.Kind == store.NoticeConfirm }) {
			t.Errorf("%s: the second step is sent to nobody: %+v, %v", path, notices, err)
		}
		link := r.portal.Link(id)
		for _, language := range verify.Languages() {
			if page := b.get(link + "?lang=" + language); page.code != http.StatusOK || !strings.Contains(page.body, link+"/confirm") {
				t.Errorf("%s: its page in %s has no second step: status %d", path, language, page.code)
			}
		}
		if a := b.post(strings.Replace(link, "/r/", "/r/x", 1) + "/confirm"); a.code != http.StatusNotFound {
			t.Errorf("%s: confirming by a wrong link: status %d", path, a.code)
		}
		for range 2 {
			if a := b.post(link+"/confirm", "lang", "en"); a.code != http.StatusSeeOther {
				t.Errorf("%s: confirming: status %d", path, a.code)
			}
		}
		if req := r.request(link); req.Ending == nil || req.Ending.Result != request.ResultComplete || len(req.Case.Children) != 1 {
			t.Errorf("%s: after two steps it is %s, %+v", path, req.State(), req.Ending)
		}
		if marked := b.cookies["habeas_optout"] != nil; marked != (right == request.OptInSPI) {
			t.Errorf("%s: the mark of the opt-out is there: %t", path, marked)
		}
		if page := b.get(link + "?said=confirmed"); strings.Contains(page.body, "/confirm") || !strings.Contains(page.body, "Your request is confirmed.") {
			t.Errorf("%s: its page after the second step: %s", path, page.body)
		}

		b.post("/privacy/"+path, "email", stranger)
		list, err = r.store.List(t.Context(), store.Filter{Right: right})
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %d requests, %v", path, len(list), err)
		}
		other := r.portal.Link(list[0].ID)
		b.post(other + "/withdraw")
		if a := b.post(other + "/confirm"); a.code != http.StatusSeeOther || r.request(other).Ending.Result != request.ResultCancelled {
			t.Errorf("%s: confirming what was withdrawn: status %d", path, a.code)
		}
	}
}
