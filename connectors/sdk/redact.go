package sdk

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostMessage is the most bytes of an error that leave the connector.
const mostMessage = 300

var (
	looksLikeEmail = regexp.MustCompile(`(?i)[^\s@"'<>=&?/:;,]+(@|%40)[^\s@"'<>=&?/:;,]+\.[a-z]{2,}`)
	looksLikePhone = regexp.MustCompile(`\+?\(?\d[\d ().-]{6,}\d`)
)

// redact makes an error's text fit to leave the connector: without the
// person's identifiers, without what looks like anybody's, on one line and
// short. It is the second line of defence; connectors don't put identifiers
// into errors to begin with.
func redact(text string, p Person) string {
	for _, id := range p.ids {
		value := id.Value.Reveal()
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			text = replaceFold(text, form)
		}
	}
	text = looksLikeEmail.ReplaceAllString(text, redacted)
	text = looksLikePhone.ReplaceAllString(text, redacted)
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) <= mostMessage {
		return text
	}
	cut := mostMessage - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

// replaceFold replaces value wherever it stands, in any case.
func replaceFold(text, value string) string {
	if value == "" {
		return text
	}
	anyCase := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(value))
	return anyCase.ReplaceAllLiteralString(text, redacted)
}
