package delivery_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/goccy/go-yaml"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/internal/browsertest"
)

// everything is a copy with something in every part of the page.
func everything(t testing.TB) *fixture {
	f := newFixture(t)
	f.order.Practices, f.order.Recorded = company, true
	f.order.Disclosures = informed(t).order.Disclosures
	f.part("billing", "invoices", fields{"number", "INV-1", "total", 12.5, "card", withheld("payment card number")}, fields{"number", "INV-2", "total", 7})
	f.rawPart("analytics", "segments", fields{"segment", "likely to move house", "score", 0.7}.line(t, "K"))
	f.part("crm", "contacts", fields{"a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6", "g", "7", "phone", "+14155550100"})
	f.order.Statements = []delivery.Statement{{Field: "phone", Text: secret("This is not my number any more.")}}
	f.order.Missing = []delivery.Missing{{Connector: "legacy", State: "failed", Reason: "this system did not answer completely"}}
	f.order.Notes = []delivery.Note{{
		Kind: delivery.NoteNotSearched, Connector: "archive", Store: "tapes", Categories: []string{"A", "D"}, Count: 2, Reason: "not searched", Basis: "11 CCR 7024(c)",
		Until: time.Date(2030, 1, 31, 0, 0, 0, 0, time.UTC),
	}}
	return f
}

// KN-4: a person can read the report, in both languages, on a phone and at a
// desk: no violation of accessibility, and nothing but tables to scroll
// sideways. The pictures are for people.
func TestReadable_KN4(t *testing.T) {
	pages := map[string]string{}
	for name, f := range map[string]*fixture{"categories": informed(t), "copy": everything(t)} {
		for _, language := range delivery.Languages {
			f.order.Language = language
			page := f.build().files["report.html"]
			checkHTML(t, page)
			pages[name+"-"+language] = page
		}
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(pages[strings.TrimPrefix(r.URL.Path, "/")])) // the browser may be gone
	}))
	t.Cleanup(site.Close)
	b := browsertest.New(t)
	for _, width := range []int64{browsertest.Phone, browsertest.Desktop} {
		b.Width(width)
		for name := range pages {
			shot := fmt.Sprintf("report/%s-%d", name, width)
			b.Run(chromedp.Navigate(site.URL + "/" + name))
			b.Shot(shot)
			b.Accessible(shot)
			if b.Text(`document.documentElement.scrollWidth > document.documentElement.clientWidth`) == "true" {
				t.Errorf("%s has to be scrolled sideways", shot)
			}
		}
	}
}

// KN-4: every word there is in one language is there in the other, with the same
// places to fill in.
func TestWordsOfReports_KN4(t *testing.T) {
	read := func(language string) map[string]string {
		t.Helper()
		var words map[string]string
		for _, fsys := range delivery.Texts() {
			text, err := fs.ReadFile(fsys, "words/"+language+".yaml")
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err == nil {
				err = yaml.Unmarshal(text, &words)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return words
	}
	en, es := read("en"), read("es")
	if len(en) < 100 {
		t.Fatalf("there are %d words", len(en))
	}
	blank := regexp.MustCompile(`%[sd]`)
	for name, text := range en {
		if es[name] == "" || !slices.Equal(blank.FindAllString(text, -1), blank.FindAllString(es[name], -1)) {
			t.Errorf("%s is %q in English and %q in Spanish", name, text, es[name])
		}
	}
	for name := range es {
		if en[name] == "" && !strings.HasPrefix(name, "kind ") {
			t.Errorf("%s is in Spanish alone", name)
		}
	}
}

// KN-4: the report speaks the person's language in every word it has of its own.
func TestReportInSpanish_KN4(t *testing.T) {
	f := everything(t)
	f.order.Language = "es"
	page := f.build().files["report.html"]
	golden(t, "copy/report-es.html", page)
	for _, english := range []string{"Your ", "We ", "Identifiers", "Records", "November", "payment card"} {
		if strings.Contains(page, english) {
			t.Errorf("the Spanish report says %q", english)
		}
	}
	if f.order.Language = "fr"; !strings.Contains(f.build().files["report.html"], `<html lang="en">`) {
		t.Error("a language without words does not fall back to English")
	}
}
