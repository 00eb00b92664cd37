package delivery_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/request"
)

// TestNumbersInText_KN10 has both directions: what is a telephone number, and
// what looks like one and must stay.
func TestNumbersInText_KN10(t *testing.T) {
	for _, c := range []struct {
		text string
		want string // separated by |
	}{
		{"call 415-555-0123 please", "415-555-0123"},
		{"(415) 555-0123", "(415) 555-0123"},
		{"reach Bob: (415)555-0123.", "(415)555-0123"},
		{"415.555.0123", "415.555.0123"},
		{"it is 415 555 0123, thanks", "415 555 0123"},
		{"1-415-555-0123", "1-415-555-0123"},
		{"+1 (415) 555-0123", "+1 (415) 555-0123"},
		{"+14155550123", "+14155550123"},
		{"tel:+14155550123", "+14155550123"},
		{"Phone:4155550123", "4155550123"},
		{"my mobile is 4155550123", "4155550123"},
		{"call me at 14155550123 today", "14155550123"},
		{"415-555-0123 ext. 42 or 212-555-0188 x7", "415-555-0123 ext. 42|212-555-0188 x7"},
		{"415\u2011555\u20110123", "415\u2011555\u20110123"},
		{"415\u00a0555\u00a00123", "415\u00a0555\u00a00123"},
		{"2026-11-02 415-555-0123 called", "415-555-0123"},
		{"415-555-0123 2 items", "415-555-0123"},
		{"415-555-0123/212-555-0188", "415-555-0123|212-555-0188"},
		{"+44 20 7946 0958", "+44 20 7946 0958"},
		{"+44 (0)20 7946 0958, London", "+44 (0)20 7946 0958"},
		{"+44 20 7946 0958 2 items", "+44 20 7946 0958"},
		{"+33 1 42 68 53 00", "+33 1 42 68 53 00"},
		{"+49 30 901820", "+49 30 901820"},
		{"+52 55 5093 4500", "+52 55 5093 4500"},
		{"0044 20 7946 0958", "0044 20 7946 0958"},
		{"011 44 20 7946 0958", "011 44 20 7946 0958"},
		{"020 7946 0958", "020 7946 0958"},
		{"01 42 68 53 00", "01 42 68 53 00"},
		{"phone 555-0123", "555-0123"},
		{"phone number: 415-555-0123", "415-555-0123"},
		{"tel. no. 415-555-0123", "415-555-0123"},

		// Dates and times.
		{"2026-11-02", ""}, {"2026-11-02T09:30:00Z", ""}, {"02.11.2026 09:30", ""}, {"11/02/2026", ""}, {"call 2026-11-02 10:30", ""},
		{"call on 20261102", ""}, {"1700000000", ""}, {"1700000000000", ""}, {"call at 10:30 2026", ""},
		// Orders and other numbers of companies.
		{"order 415-555-0123", ""}, {"order number: 415-555-0123", ""}, {"Order #415-555-0123", ""}, {"invoice 4155550123", ""},
		{"112-4567890-1234567", ""}, {"4155550123", ""}, {"call about invoice 1234567", ""}, {"tracking no. 020 7946 0958", ""},
		{"1Z999AA10123456784", ""}, {"978-0-13-468599-1", ""}, {"SKU-415-555-0123", ""}, {"acct_4155550123", ""}, {"ref: 4155550123", ""},
		{"https://example.com/415-555-0123", ""}, {"?order_id=4155550123", ""}, {"AB415-555-0123", ""}, {"415-555-0123-77", ""},
		// Amounts and measures.
		{"$415.555.0123", ""}, {"1,250,000.00 and 3,000,000.00", ""}, {"1 250 000 000", ""}, {"USD 250 300 4000 5000", ""}, {"37.7749 -122.4194", ""},
		{"100 200 300 400 500", ""}, {"192.168.100.100", ""}, {"10.0.0.1 172.16.254.1", ""}, {"3.14159265358979", ""}, {"+15% of 1000000", ""}, {"+5 points", ""},
		// Codes.
		{"550e8400-e29b-41d4-a716-446655440000", ""}, {"94103-1234", ""}, {"Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/115.0", ""},
		{"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36", ""}, {"sha 9f4155550123ab", ""}, {"411-555-0123", ""}, {"415-155-0123", ""}, {"115-555-0123", ""},
	} {
		if got := strings.Join(delivery.Numbers(c.text), "|"); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// TestNumbersAnywhere_KN10 plants numbers in any text: they are found whatever
// stands around them, and the person's own are left however they are written.
func TestNumbersAnywhere_KN10(t *testing.T) {
	digits := rapid.Custom(func(t *rapid.T) string {
		return rapid.StringMatching(`[2-9][2-8][2-9][2-9][2-9][2-9][0-9]{4}`).Draw(t, "digits")
	})
	shapes := []func(d string) string{
		func(d string) string { return d[:3] + "-" + d[3:6] + "-" + d[6:] },
		func(d string) string { return "(" + d[:3] + ") " + d[3:6] + "-" + d[6:] },
		func(d string) string { return d[:3] + "." + d[3:6] + "." + d[6:] },
		func(d string) string { return "1 " + d[:3] + " " + d[3:6] + " " + d[6:] },
		func(d string) string { return "+1" + d },
		func(d string) string { return "+1 " + d[:3] + "-" + d[3:6] + "-" + d[6:] },
		func(d string) string { return "001-" + d[:3] + "-" + d[3:6] + "-" + d[6:] },
	}
	rapid.Check(t, func(t *rapid.T) {
		number, mine := digits.Draw(t, "other"), digits.Filter(func(d string) bool { return d[:1] != "8" }).Draw(t, "own")
		if number == mine || strings.HasPrefix(number, "8") || strings.HasPrefix(number, "9") {
			return
		}
		around := rapid.StringMatching(`[a-hj-wyz ]{0,12}[,;!?] `)
		before, after := around.Draw(t, "before"), around.Draw(t, "after")
		own := []request.Identifier{request.NewIdentifier(request.Phone, "+1"+mine)}
		shape := rapid.SampledFrom(shapes).Draw(t, "shape")
		masked, kinds := delivery.MaskOthers(own, "note", before+shape(number)+" "+after, "")
		if want := before + "[another person's telephone number] " + after; masked != want || len(kinds) != 1 {
			t.Fatalf("%q became %q", shape(number), masked)
		}
		hers := before + shape(mine) + " " + after
		if masked, kinds := delivery.MaskOthers(own, "note", hers, ""); masked != hers || len(kinds) > 0 {
			t.Fatalf("her own %q became %q", hers, masked)
		}
	})
}

// TestNoNumbers_KN10 has texts of dates, amounts and order numbers, in which
// nothing may be masked.
func TestNoNumbers_KN10(t *testing.T) {
	word := rapid.OneOf(
		rapid.StringMatching(`20[0-9]{2}-[01][0-9]-[0-3][0-9]`), rapid.StringMatching(`[0-9]{1,3}(,[0-9]{3}){1,3}\.[0-9]{2}`),
		rapid.StringMatching(`#[0-9]{5,12}`), rapid.StringMatching(`order [0-9]{3}-[0-9]{3}-[0-9]{4}`), rapid.StringMatching(`[1-9][0-9]{2}-[0-9]{7}-[0-9]{7}`),
		rapid.StringMatching(`[A-Z]{2}[0-9]{6,12}`), rapid.StringMatching(`(0|[1-9][0-9]{0,2})\.[0-9]{4,8}`), rapid.StringMatching(`[0-9]{1,2}:[0-9]{2}:[0-9]{2}`),
		rapid.StringMatching(`1[0-9]{9,12}`), rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}`), rapid.StringMatching(`(ab|cd|price){1,2}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(word, 1, 8).Draw(t, "words"), rapid.SampledFrom([]string{", ", "; ", " and "}).Draw(t, "separator"))
		if found := delivery.Numbers(text); len(found) > 0 {
			t.Fatalf("%q: %q", text, found)
		}
	})
}

// TestNamesInLines_KN10 has the lines that say whose a name is.
func TestNamesInLines_KN10(t *testing.T) {
	jane := []request.Identifier{request.NewIdentifier(request.Name, "Jane Doe")}
	const name = "[another person's name]"
	for _, c := range []struct {
		own        []request.Identifier
		text, want string
	}{
		{jane, "Agent: Bob Marsh\nAsked for a refund.", "Agent: " + name + "\nAsked for a refund."},
		{nil, "Assigned to: Bob Marsh", "Assigned to: " + name},
		{nil, "> Support agent: Bob\n> ok", "> Support agent: " + name + "\n> ok"},
		{jane, "Hi Bob,\nhere it is.\nBest regards,\nEve Stone\n", "Hi " + name + ",\nhere it is.\nBest regards,\n" + name + "\n"},
		{jane, "Hi Jane,\nhere it is.\nThanks,\nJane Doe", "Hi Jane,\nhere it is.\nThanks,\nJane Doe"},
		{nil, "Hi Bob,\nBest,\nEve", "Hi Bob,\nBest,\nEve"}, // whose they are, nobody knows
		{jane, "Hi Team,\nDear Customer,\nAgent: Unassigned\nAgent: none", "Hi Team,\nDear Customer,\nAgent: Unassigned\nAgent: none"},
		{jane, "The agent: he was kind. Agent: 7", "The agent: he was kind. Agent: 7"},
		{jane, "High Street,\nReport: Paris", "High Street,\nReport: Paris"},
	} {
		got, kinds := delivery.MaskOthers(c.own, "body", c.text, "")
		if got != c.want || (len(kinds) > 0) != (c.text != c.want) {
			t.Errorf("%q became %q (%v), want %q", c.text, got, kinds, c.want)
		}
	}
}

// TestOthersInARecord_KN10 builds a package of a ticket: what its own columns say
// of others, and of the person, holds for its free text.
func TestOthersInARecord_KN10(t *testing.T) {
	f := newFixture(t)
	f.order.Own = []request.Identifier{request.NewIdentifier(request.Email, "jane@example.com"), request.NewIdentifier(request.Name, "Jane Doe")}
	f.order.NamesOthers = []delivery.NamesOthers{{Connector: "desk", Store: "tickets", Fields: []string{"handled_by"}}}
	f.part("desk", "tickets", fields{
		"body", "Hi Jane,\nBob Marsh called (212) 555-0188 and 415-555-0123. Your order 415-555-0199 of 2026-11-02 costs 1,250.00. Also ask Zed.\nRegards,\nBob",
		"agent", "Bob Marsh",
		"handled_by", "zed",
		"requester_phone", "(415) 555-0123",
		"caller", "+1 212 555 0188",
		"hotline", "1-800-555-0199 or 888-555-0142",
		"user_agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
		"thread", map[string]any{"last": "Bob Marsh wrote; Bob Marshall did not", "n": 4155550123},
	}, fields{"body", "Nobody is named here; Bob Marsh is another ticket's.", "agent", "Jane Doe"})
	p := f.build()
	records := p.data(t).Stores[0].Records
	const name = "[another person's name]"
	for field, want := range map[string]string{
		"body":            `"Hi Jane,\n` + name + ` called [another person's telephone number] and 415-555-0123. Your order 415-555-0199 of 2026-11-02 costs 1,250.00. Also ask Zed.\nRegards,\n` + name + `"`,
		"agent":           `"` + name + `"`,
		"handled_by":      `"` + name + `"`,
		"requester_phone": `"(415) 555-0123"`,
		"caller":          `"[another person's telephone number]"`,
		"hotline":         `"1-800-555-0199 or 888-555-0142"`,
		"user_agent":      `"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"`,
		"thread":          `{"last":"` + name + ` wrote; Bob Marshall did not","n":4155550123}`,
	} {
		if d := cmp.Diff(want, string(records[0].Fields[field])); d != "" {
			t.Errorf("%s: %s", field, d)
		}
	}
	if got := string(records[1].Fields["agent"]); got != `"Jane Doe"` {
		t.Errorf("her own name where she is the agent: %s", got)
	}
	kinds := map[string]bool{}
	for _, w := range p.result.Withheld {
		kinds[w.Field+" "+w.Kind] = true
		if w.Basis != "Civ. Code 1798.145(k)" {
			t.Errorf("%+v", w)
		}
	}
	for _, want := range []string{"agent another person's name", "caller another person's telephone number", "body another person's name", "body another person's telephone number"} {
		if !kinds[want] {
			t.Errorf("nothing says that %s was withheld: %v", want, kinds)
		}
	}
	for file, text := range p.files {
		if strings.Contains(text, "555-0188") || strings.Contains(text, "555 0188") || strings.Contains(text, "called Bob") {
			t.Errorf("%s has what is another person's", file)
		}
	}
}

// TestNumbersOfHostileShapes_KN10 must end soon.
func TestNumbersOfHostileShapes_KN10(t *testing.T) {
	for name, text := range map[string]string{
		"pluses":     strings.Repeat("+1234567 ", 4_000),
		"groups":     strings.Repeat("415 ", 30_000),
		"ones":       strings.Repeat("1 ", 60_000),
		"brackets":   strings.Repeat("(", 100_000) + "4155550123",
		"greetings":  strings.Repeat("Hi Ab Cd\n", 5_000),
		"agents":     strings.Repeat("Agent: \n", 5_000),
		"long lines": strings.Repeat("Regards,", 20_000),
	} {
		if _, kinds := delivery.MaskOthers([]request.Identifier{request.NewIdentifier(request.Name, "Jane Doe")}, "note", text, ""); len(kinds) > 0 {
			t.Errorf("%s: %v", name, kinds)
		}
	}
}

func FuzzOthers(f *testing.F) {
	f.Add("note", "call (415) 555-0123 ext. 4", `[{"name":"phone","value":"+1 415 555 0123"}]`)
	f.Add("agent", "Agent: Bob Marsh\nHi Bob,", `[{"name":"agent","value":"Bob Marsh"}]`)
	f.Fuzz(func(t *testing.T, name, text, fields string) {
		own := []request.Identifier{request.NewIdentifier(request.Phone, "+14155550100"), request.NewIdentifier(request.Name, "Jane Doe")}
		masked, kinds := delivery.MaskOthers(own, name, text, fields)
		if (masked == text) != (len(kinds) == 0) {
			t.Fatalf("%q became %q: %v", text, masked, kinds)
		}
	})
}

func BenchmarkOthers(b *testing.B) {
	text := "Hi Jane,\n" + strings.Repeat("the parcel of 2026-11-02 with order 112-4567890-1234567 costs 1,250.00. ", 5) + "Call (212) 555-0188.\nRegards,\nBob"
	own := []request.Identifier{request.NewIdentifier(request.Name, "Jane Doe")}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, kinds := delivery.MaskOthers(own, "body", text, ""); len(kinds) != 2 {
			b.Fatal(fmt.Sprint(kinds))
		}
	}
}
