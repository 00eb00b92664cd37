package portal_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/intake/portal"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/internal/sms/smstest"
	"github.com/habeas-data/habeas/services/request"
)

// texting sets a provider of text messages up.
func texting(t *testing.T) (*smstest.Twilio, func(*portal.Config)) {
	t.Helper()
	p := smstest.NewTwilio(t)
	s, err := sms.NewTwilio(sms.Twilio{Account: smstest.Account, Secret: smstest.Token, From: "+15005550006"}, p.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	return p, func(c *portal.Config) {
		c.Verify.Text, c.Verify.Host = sms.Within{Sender: s, Prefixes: []string{"+1"}}, "privacy.example.com"
	}
}

var inText = regexp.MustCompile(`\b\d{6}\b`)

// From the form to the copy with a phone and no e-mail address, without
// JavaScript, in Spanish: the code by text message, the request's page, and the
// code for the download. No page shows the number.
func TestByPhoneAlone_VE4_IN7(t *testing.T) {
	twilio, with := texting(t)
	r := newRig(t, with)
	b := r.browser()
	if a := b.get("/privacy/know-categories?lang=es"); !strings.Contains(a.body, `name="point_phone" type="tel" autocomplete="tel"`) || !strings.Contains(a.body, "¿No tiene correo?") {
		t.Errorf("the form does not say that a number will do: %s", a.body)
	}
	for phone, problem := range map[string]string{"": "o un número de teléfono", "call me": "con su código de área"} {
		if a := b.post("/privacy/know-categories", "point_phone", phone, "lang", "es"); a.code != http.StatusUnprocessableEntity || !strings.Contains(a.body, problem) {
			t.Errorf("the number %q: status %d, without %q", phone, a.code, problem)
		}
	}
	link := b.submit("/privacy/know-specific", "point_phone", "(415) 555-0123", "point_postal_code", "94110", "point_full_name", "Planted Person", "declaration", "Planted Person", "lang", "es")
	ids, err := r.intake.Identifiers(t.Context(), new(r.request(link)))
	if err != nil || len(ids) != 1 || ids[0] != request.NewIdentifier(request.Phone, plantedPhone) {
		t.Fatalf("the request is about %v, %v", ids, err)
	}
	r.work()
	page := b.get(link)
	for _, want := range []string{`name="code" type="text" autocomplete="one-time-code" inputmode="numeric"`, "Código del correo o del mensaje de texto", link + "/text"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q: %s", want, page.body)
		}
	}
	text := twilio.Wait(t, 1)[0]
	if text.To != plantedPhone || !strings.Contains(text.Body, "su clave es") {
		t.Errorf("the message is %+v", text)
	}
	if a := b.post(link+"/code", "code", "no code", "lang", "es"); a.code != http.StatusUnprocessableEntity {
		t.Errorf("a wrong code: status %d", a.code)
	}
	if a := b.post(link+"/code", "code", inText.FindString(text.Body), "lang", "es"); a.code != http.StatusSeeOther {
		t.Fatalf("the right code: status %d: %s", a.code, a.body)
	}
	r.work()
	req := r.request(link)
	v, _ := req.Verification()
	if got, ok := v.(request.Verified); !ok || got.Method != verify.MethodDeclared || !slices.Contains(got.Points, "phone_code") {
		t.Fatalf("the request is %s, verified by %+v", req.State(), v)
	}

	r.finished(link)
	asked := b.post(link+"/download-code", "by", "text", "phone", "", "lang", "es")
	code := inText.FindString(twilio.Wait(t, 2)[1].Body)
	ticket := regexp.MustCompile(`name="ticket" value="([^"]+)"`).FindStringSubmatch(asked.body)
	if asked.code != http.StatusOK || ticket == nil || !strings.Contains(asked.body, "Si conocemos este número") {
		t.Fatalf("asking for a code: status %d: %s", asked.code, asked.body)
	}
	got := b.post(link+"/download", "ticket", ticket[1], "code", code, "lang", "es")
	if got.code != http.StatusOK || got.body != "the package" {
		t.Errorf("the download: status %d: %s", got.code, got.body)
	}
	for _, shown := range []string{page.body, asked.body, b.get(link).body, r.logs.String()} {
		if strings.Contains(shown, "4155550123") || strings.Contains(shown, "555-0123") {
			t.Error("a page or the log shows the number")
		}
	}
}

// VE-17: asking for a text message gives the same page for a number that a
// system holds, one that none does, and one of somebody else.
func TestTextNoOracle_VE17(t *testing.T) {
	twilio, with := texting(t)
	r := newRig(t, with)
	b := r.browser()
	known := b.submit("/privacy/know-specific", "email", planted)
	unknown := b.submit("/privacy/know-specific", "email", stranger)
	r.work()
	say := func(link, phone string) answer {
		a := b.post(link+"/text", "phone", phone, "lang", "en")
		if a.code != http.StatusSeeOther {
			t.Fatalf("asking for a text message: status %d: %s", a.code, a.body)
		}
		page := b.get(a.header.Get("Location"))
		for _, its := range []string{link, string(r.request(link).ID)} {
			page.body = strings.ReplaceAll(page.body, its, "LINK")
		}
		return page
	}
	pages := []answer{say(known, "+1 415 555 0199"), say(unknown, plantedPhone), say(known, plantedPhone)}
	r.work()
	r.work()
	for i, p := range pages {
		if p.code != pages[0].code || p.body != pages[0].body || !strings.Contains(p.body, "If we know this number") {
			t.Errorf("page %d differs: %s", i, p.body)
		}
	}
	if got := twilio.Texts(); len(got) != 1 || got[0].To != plantedPhone {
		t.Errorf("messages went to %+v, want one to the number held", got)
	}
	r.finished(known)
	if a := b.post(known+"/download-code", "by", "text", "phone", "+1 415 555 0199"); a.code != http.StatusOK || !strings.Contains(a.body, "If we know this number") {
		t.Errorf("a code for a download to another number: status %d", a.code)
	}
	if a := b.post(known+"/download-code", "by", "text", "phone", "(415) 555-0123"); a.code != http.StatusOK {
		t.Errorf("a code for a download: status %d", a.code)
	}
	for _, text := range twilio.Wait(t, 2) {
		if text.To != plantedPhone {
			t.Errorf("a message went to %s", text.To)
		}
	}
}

// VE-17: one request, and one number from any request, is sent so many messages
// and no more; a page without a provider offers none.
func TestTextLimits_VE17(t *testing.T) {
	_, with := texting(t)
	r := newRig(t, with)
	b := r.browser()
	refused := func(link, phone string) bool {
		a := b.post(link+"/text", "phone", phone)
		if a.code != http.StatusSeeOther && a.code != http.StatusTooManyRequests {
			t.Fatalf("status %d: %s", a.code, a.body)
		}
		return a.code == http.StatusTooManyRequests
	}
	first := b.submit("/privacy/delete", "email", planted, "scope", "all")
	for i := range 6 {
		if got := refused(first, ""); got != (i >= 5) {
			t.Errorf("try %d at one request: refused %v", i+1, got)
		}
	}
	tries := 0
	for _, who := range []string{"a@example.org", "b@example.org", "c@example.org"} {
		link := b.submit("/privacy/delete", "email", who, "scope", "all")
		for range 5 {
			if refused(link, plantedPhone) {
				break
			}
			tries++
		}
	}
	if tries != 10 {
		t.Errorf("one number was tried %d times in a day, want 10", tries)
	}
	if a := b.post(first+"/text", "phone", plantedPhone, "ssn", "1"); a.code != http.StatusUnprocessableEntity {
		t.Errorf("a field that is not asked for: status %d", a.code)
	}

	plain := newRig(t).browser()
	link := plain.submit("/privacy/delete", "email", planted, "scope", "all")
	if page := plain.get(link); strings.Contains(page.body, "text message") || strings.Contains(page.body, `name="phone"`) {
		t.Error("text messages are offered without a provider")
	}
	if a := plain.post(link+"/text", "phone", plantedPhone); a.code != http.StatusNotFound {
		t.Errorf("asking without a provider: status %d", a.code)
	}
	if a := plain.post("/privacy/delete", "point_phone", plantedPhone, "scope", "all"); a.code != http.StatusUnprocessableEntity {
		t.Errorf("a number alone without a provider: status %d", a.code)
	}
	if err := r.verify.SendText(t.Context(), request.NewID(), plantedPhone); !errors.Is(err, verify.ErrGone) {
		t.Error(err)
	}
}
