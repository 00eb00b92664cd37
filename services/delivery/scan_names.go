package delivery

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// nameRule withholds by a field's name what its content alone does not show.
type nameRule struct {
	kind string
	// words are alternatives; each matches when all its words are in the name.
	words []string
	// shape says whether a value of such a field is the item and not, say, the
	// date it was changed.
	shape func(value string, number bool) bool
}

var nameRules = []nameRule{
	{kindSSN, []string{"ssn", "social security", "socialsecurity"}, digitsFrom(4)},
	{kindTaxID, []string{"itin", "tin", "tax id", "taxpayer", "taxid"}, digitsFrom(4)},
	{kindLicence, []string{
		"driver license", "driver licence", "drivers license", "drivers licence", "driving license", "driving licence",
		"driverlicense", "driverslicense", "dl number", "dl no", "dln",
	}, idLike},
	{kindPassport, []string{"passport"}, idLike},
	{kindGovernID, []string{"national id", "nationalid", "government id", "gov id", "id card number", "military id", "alien number", "green card", "residence permit"}, idLike},
	{kindCardCode, []string{"cvv", "cvc", "cvv2", "cvc2", "card security code", "card verification"}, digitsFrom(3)},
	{kindCard, []string{"card last4", "card last 4", "card last four", "last4", "last 4", "last four"}, exactlyFour},
	{kindCard, []string{"card number", "cardnumber", "card no", "cc number", "ccnumber", "cc num", "credit card", "debit card", "card pan", "pan"}, digitsFrom(12)},
	{kindAccount, []string{"iban", "bank account", "bankaccount", "ach account", "account iban", "checking account", "savings account"}, digitsFrom(5)},
	{kindHealthID, []string{"health insurance", "health plan", "mrn", "medical record number", "medical record id", "medical id", "medicare", "medicaid", "patient id", "patient number"}, idLike},
	{kindQuestion, []string{"security question", "security answer", "secret question", "secret answer", "challenge question", "challenge answer"}, anything},
	{kindPassword, []string{"password", "passwd", "pwd", "passcode", "passphrase", "passhash", "pass hash", "pw hash"}, credential},
	{kindSecret, []string{"secret", "api key", "apikey", "access token", "refresh token", "auth token", "session token", "bearer", "private key", "totp", "otp seed", "recovery code", "backup code"}, credential},
	{kindBiometric, []string{
		"biometric", "faceprint", "voiceprint", "face embedding", "face template", "face encoding", "face vector",
		"fingerprint template", "fingerprint minutiae", "fingerprint scan", "iris scan", "iris code", "retina scan", "voice template", "palm print",
	}, anything},
}

// rulesFor returns the rules whose words are all in a dotted name.
func rulesFor(name string) []nameRule {
	words := nameWords(name)
	var rules []nameRule
	for _, r := range nameRules {
		if slices.ContainsFunc(r.words, func(alternative string) bool {
			for w := range strings.SplitSeq(alternative, " ") {
				if !slices.Contains(words, w) {
					return false
				}
			}
			return true
		}) {
			rules = append(rules, r)
		}
	}
	return rules
}

// nameWords splits a name at everything but letters and digits, and where
// camel case turns; "last4" stays one word.
func nameWords(name string) []string {
	var words []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			words = append(words, string(word))
			word = nil
		}
	}
	runes := []rune(plain(name))
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			if r != '\'' {
				flush()
			}
			continue
		case unicode.IsUpper(r) && i > 0 && (unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1])),
			unicode.IsUpper(r) && i > 0 && unicode.IsUpper(runes[i-1]) && i+1 < len(runes) && unicode.IsLower(runes[i+1]):
			flush()
		}
		word = append(word, unicode.ToLower(r))
	}
	flush()
	return words
}

func digitsFrom(least int) func(string, bool) bool {
	return func(v string, _ bool) bool { return countDigits(v) >= least && !isDate(v) }
}

func exactlyFour(v string, _ bool) bool { return countDigits(v) == 4 && !isDate(v) }

// idLike is a value of a few letters and digits with at least four digits.
func idLike(v string, _ bool) bool {
	n := countDigits(v)
	return n >= 4 && len(v) <= 64 && !isDate(v)
}

// credential is any text but a date; short numbers count something.
func credential(v string, number bool) bool {
	if number {
		return countDigits(v) >= 4
	}
	return v != "" && !isDate(v)
}

func anything(v string, _ bool) bool { return v != "" && !isDate(v) }

func isDate(v string) bool {
	if len(v) < 10 || len(v) > 40 || v[4] != '-' {
		return false
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly, time.DateTime, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00"} {
		if _, err := time.Parse(layout, v); err == nil {
			return true
		}
	}
	return false
}
