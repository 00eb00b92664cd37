package delivery_test

import (
	"encoding/xml"
	"errors"
	"html/template"
	"io"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/delivery"
)

// checkHTML reads a page strictly: every element closed, and none that runs or
// fetches anything.
func checkHTML(t *testing.T, page string) {
	t.Helper()
	body, ok := strings.CutPrefix(page, "<!DOCTYPE html>\n")
	if !ok {
		t.Fatalf("no doctype: %.40q", page)
	}
	dec := xml.NewDecoder(strings.NewReader(body))
	dec.Entity = xml.HTMLEntity
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("report.html: %v", err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "script", "iframe", "object", "embed", "link", "img", "form", "svg", "base":
			t.Errorf("report.html has a <%s>", e.Name.Local)
		}
		for _, a := range e.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "src" ||
				a.Name.Local == "href" && !strings.HasPrefix(a.Value, "#") && !strings.HasPrefix(a.Value, "csv/") {
				t.Errorf("report.html has %s=%q", a.Name.Local, a.Value)
			}
		}
	}
}

func TestReportOfHostileValues(t *testing.T) {
	f := newFixture(t)
	f.part("crm", `x"><script>alert(1)</script>`,
		fields{"name", `<script>alert("1")</script>`, "bio", "\u202egnp.exe", "nul", "a\x00b\x1bc", "big", strings.Repeat("é", 1_000_000)},
		fields{`<img src=x onerror="alert(1)">`, "=HYPERLINK(\"http://evil\")", "name", `{{.}} --> ]]> <!--`},
	)
	p := f.build()
	page := strings.ReplaceAll(p.files["report.html"], "&#43;", "+")
	checkHTML(t, page)
	for _, bad := range []string{"<script", "<img", "\u202e", "\x00", "\x1b", "=\"http"} {
		if strings.Contains(page, bad) {
			t.Errorf("report.html has %q", bad)
		}
	}
	for _, want := range []string{"<script>alert", "\u27e8U+202E\u27e9gnp.exe", "a\u27e8U+0000\u27e9b", strings.Repeat("é", 300) + "…"} {
		if !strings.Contains(page, template.HTMLEscapeString(want)) {
			t.Errorf("report.html does not show %q", want)
		}
	}
	if len(page) > 50_000 {
		t.Errorf("a page of %d bytes", len(page))
	}
	record := p.data(t).Stores[0].Records[0]
	if got := string(record.Fields["nul"]); got != `"a\u0000b\u001bc"` || len(record.Fields["big"]) != 2_000_002 {
		t.Errorf("data.json changed a value: %s, %d bytes", got, len(record.Fields["big"]))
	}
	rows := p.csv(t, p.result.Files[2].Name)
	if rows[0][5] != `<img src=x onerror="alert(1)">` || rows[2][5] != `'=HYPERLINK("http://evil")` || rows[1][3] != "a\u2400b\x1bc" {
		t.Errorf("CSV: %q %q %q", rows[0][5], rows[2][5], rows[1][3])
	}
}

func TestCSVInjection(t *testing.T) {
	for text, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\t=1": "'\t=1", "\r=1": "'\r=1", "  =1": "'  =1",
		"\u00a0=1": "'\u00a0=1", "\"=1": "'\"=1", "\uff1d1": "'\uff1d1", "|calc": "'|calc", "a=1": "a=1", "": "", "1-1": "1-1", "'=1": "'=1",
	} {
		if got := delivery.Harmless(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	f := newFixture(t)
	f.part("crm", "contacts", fields{"=cmd|'/c calc'!A1", "x", "n", -5, "quote", "a\"b,c\nd"})
	rows := f.build().csv(t, "csv/crm-contacts.csv")
	if rows[0][1] != "'=cmd|'/c calc'!A1" || rows[1][2] != "-5" || rows[1][3] != "a\"b,c\nd" {
		t.Errorf("%q", rows)
	}
}

func TestReportSays(t *testing.T) {
	f := newFixture(t)
	f.part("billing", "invoices", fields{"number", "INV-1", "total", 12.5}).Categories = []string{"A", "B"}
	f.rawPart("billing", "invoices", `{"category":"D","fields":[]}`)
	var many []fields
	for range 30 {
		many = append(many, fields{"a", 1, "b", 2, "c", 3, "d", 4, "e", 5, "f", 6, "g", 7, "h", 8})
	}
	f.part("analytics", "events", many...).Categories = []string{"F", "K"}
	f.rawPart("analytics", "profile", `{"category":"","fields":[]}`, `{"category":"K","fields":[{"name":"x","value":1}]}`).Categories = []string{"F", "K"}
	p := f.build()
	page := p.files["report.html"]
	checkHTML(t, page)
	for _, want := range []string{
		`<html lang="en">`, "Your personal information at Clientary", "California Consumer Privacy Act", "We hold 34 records about you in 3 places",
		"Identifiers (A)", "Commercial information (D)", "Internet or other electronic network activity (F)", "Inferences (K)", "November 2, 2025 to November 20, 2026", "<caption>All records</caption>", "INV-1",
		"The first 20 are shown here", `<a href="csv/analytics-events.csv">`, `<th scope="col"`, `class="record"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("report.html does not say %q", want)
		}
	}
	if strings.Contains(page, "Customer records (B)") {
		t.Error("report.html names a category that nothing was found of")
	}
	if strings.Contains(page, "Collected, but not handed out") || strings.Contains(page, "not complete") {
		t.Error("report.html speaks of what is not so")
	}

	empty := newFixture(t).build()
	checkHTML(t, empty.files["report.html"])
	if !strings.Contains(empty.files["report.html"], "found no personal information about you from this period") || empty.result.Records != 0 {
		t.Errorf("nothing held: %s", empty.files["report.html"])
	}
}
