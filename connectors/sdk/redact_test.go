package sdk

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestRedact(t *testing.T) {
	p := NewPerson(ID(Email, "ann.other@example.com"), ID(CustomerID, "cus-1001"), ID(Phone, "+15550100200"))
	for _, tc := range []struct{ in, want string }{
		{"nothing to see", "nothing to see"},
		{"for ANN.Other@example.com: gone", "for [redacted]: gone"},
		{"GET /c?email=ann.other%40example.com: 500", "GET /c?email=[redacted]: 500"},
		{"customer CUS-1001 is locked", "customer [redacted] is locked"},
		{"somebody.else+x@mail.example.org is locked", "[redacted] is locked"},
		{"call (555) 010-0200 or +1 555 010 0200", "call [redacted] or [redacted]"},
		{"two\nlines\tand a bell\a", "two lines and a bell "},
		{"status 503 after 3 tries", "status 503 after 3 tries"},
	} {
		if have := redact(tc.in, p); have != tc.want {
			t.Errorf("redact(%q) = %q, want %q", tc.in, have, tc.want)
		}
	}
}

// TestRedactAlways: whatever the text, no identifier survives, and the text is
// short and valid.
func TestRedactAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[a-zA-Z0-9._@ +%-]{3,30}`).Draw(t, "value")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		form := rapid.SampledFrom([]string{value, strings.ToUpper(value), url.QueryEscape(value)}).Draw(t, "form")
		have := redact(before+form+after, NewPerson(ID(Email, value)))
		if strings.Contains(strings.ToLower(have), strings.ToLower(value)) && !strings.Contains(redacted, strings.ToLower(value)) {
			t.Fatalf("%q survives in %q", value, have)
		}
		if len(have) > mostMessage || !utf8.ValidString(have) {
			t.Fatalf("%d bytes, valid: %v", len(have), utf8.ValidString(have))
		}
	})
}
