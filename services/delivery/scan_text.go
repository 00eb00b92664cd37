package delivery

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Types of items that are never disclosed (11 CCR 7024(d)), in the words the
// person reads.
const (
	kindSSN       = "Social Security number"
	kindTaxID     = "taxpayer identification number"
	kindLicence   = "driver's licence number"
	kindPassport  = "passport number"
	kindGovernID  = "government-issued identification number"
	kindAccount   = "financial account number"
	kindCard      = "payment card number"
	kindCardCode  = "payment card security code"
	kindHealthID  = "health insurance or medical identification number"
	kindPassword  = "account password"
	kindSecret    = "account secret"
	kindQuestion  = "security question or answer"
	kindBiometric = "unique biometric data"
)

var uuidShape = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Shapes found in text. Each is tried only on text that could have it.
var (
	hashShape     = regexp.MustCompile(`\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}|\$argon2(id|i|d)\$|\$scrypt\$|\$pbkdf2|pbkdf2_sha\d+\$|\$[156]\$[./A-Za-z0-9=,]{1,40}\$[./A-Za-z0-9]{20,}|\$y\$j|\{S?SHA(256|512)?\}[A-Za-z0-9+/=]{20,}|\$S\$[./A-Za-z0-9]{40,}|\$P\$[./A-Za-z0-9]{31}`)
	pemShape      = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	ssnLabel      = regexp.MustCompile(`(?i)\bssn\b|social[ _-]?security|\bitin\b|taxpayer[ _-]?id`)
	licenceText   = regexp.MustCompile(`(?i)(?:driver'?s?|driving)[ _-]{0,2}li[cs]en[cs]e[^0-9A-Za-z]{0,4}(?:(?:is|no|nr|num|number|id|#)[^0-9A-Za-z]{1,4}){0,3}([A-Za-z]{0,3}[ -]?[0-9][0-9A-Za-z -]{3,18})`)
	passportText  = regexp.MustCompile(`(?i)passport[^0-9A-Za-z]{0,4}(?:(?:is|no|nr|num|number|id|#)[^0-9A-Za-z]{1,4}){0,3}([A-Za-z]{0,3}[0-9][0-9A-Za-z]{4,11})\b`)
	passwordText  = regexp.MustCompile(`(?i)\b(?:password|passwd|passcode|passphrase|pwd)["']?\s*(?:[:=]|\bis\b)\s*(?:["'][^"']+["']|\S*[0-9!@#$%^&*]\S*)`)
	passwordHints = []string{"passw", "passc", "passp", "pwd"}
	templateText  = regexp.MustCompile(`(?i)(?:fingerprint|faceprint|voiceprint|minutiae|biometric|iris)[^\n]{0,40}?[^A-Za-z0-9+/_-][A-Za-z0-9+/_-]{96,}`)
	templateHints = []string{"fingerp", "facepr", "voicep", "minut", "biom", "iris"}
)

// templateHeads are how biometric interchange records (ISO/IEC 19794-2, -4, -5
// and -6) begin when they are written in base64.
var templateHeads = []string{"Rk1SACAy", "RklSADAx", "RkFDADAx", "SUlSADAx"}

// shortestTemplate is the fewest bytes of text a biometric template has.
const shortestTemplate = 32

// scanText returns the type of the first item in text that may never be
// disclosed, or "". labelled says that the field's name speaks of a Social
// Security or taxpayer number, so that nine bare digits are one.
func scanText(text string, labelled bool) string {
	digits, ascii, special := profile(text)
	if !ascii {
		text = plain(text)
		digits, _, special = profile(text)
	}
	if special && (hashShape.MatchString(text) || pemShape.MatchString(text)) {
		if strings.Contains(text, "PRIVATE KEY") {
			return kindSecret
		}
		return kindPassword
	}
	if containsAnyFold(text, passwordHints) && passwordText.MatchString(text) {
		return kindPassword
	}
	if len(text) >= shortestTemplate && hasTemplate(text) {
		return kindBiometric
	}
	if digits < 4 || uuidShape.MatchString(text) {
		return ""
	}
	if digits >= 9 {
		if kind := scanDigits(text, labelled); kind != "" {
			return kind
		}
		if hasIBAN(text) {
			return kindAccount
		}
	}
	if containsAnyFold(text, []string{"passport"}) && enoughDigits(passportText.FindStringSubmatch(text)) {
		return kindPassport
	}
	if containsAnyFold(text, []string{"driv"}) && enoughDigits(licenceText.FindStringSubmatch(text)) {
		return kindLicence
	}
	return ""
}

// hasTemplate finds a biometric template by how it begins, or a long blob by
// what is said before it. A shorter one is a device's or a file's fingerprint.
func hasTemplate(text string) bool {
	for _, head := range templateHeads {
		if strings.Contains(text, head) {
			return true
		}
	}
	return containsAnyFold(text, templateHints) && templateText.MatchString(text)
}

func enoughDigits(match []string) bool {
	return len(match) == 2 && countDigits(match[1]) >= 4
}

func countDigits(s string) (n int) {
	for i := range len(s) {
		if isDigit(s[i]) {
			n++
		}
	}
	return n
}

// profile counts digits and says whether text is all ASCII and whether it has
// a character that begins a password hash or a PEM block.
func profile(text string) (digits int, ascii, special bool) {
	ascii = true
	for i := range len(text) {
		switch c := text[i]; {
		case isDigit(c):
			digits++
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '$' || c == '{':
			special = true
		case c == '-':
			special = special || strings.HasPrefix(text[i:], "-----BEGIN")
		}
	}
	return digits, ascii, special
}

// plain maps the ways to write digits, spaces and dashes in Unicode to ASCII
// and drops what is invisible.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < utf8.RuneSelf:
			return r
		case unicode.Is(unicode.Pd, r) || r == 0x2212:
			return '-'
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Mn, r):
			return -1
		case unicode.IsDigit(r):
			return '0' + digitValue(r)
		}
		return r
	}, norm.NFKC.String(text))
}

// digitValue is the value of a decimal digit: in Unicode each script's ten are
// in a row that begins at its zero.
func digitValue(r rune) rune {
	v := rune(0)
	for v < 9 && unicode.IsDigit(r-v-1) {
		v++
	}
	// Rows that touch, such as the mathematical digits, are undone by NFKC.
	return v
}

func containsAnyFold(text string, words []string) bool {
	for _, w := range words {
		for i := 0; i+len(w) <= len(text); i++ {
			if text[i]|0x20 == w[0] && strings.EqualFold(text[i:i+len(w)], w) {
				return true
			}
		}
	}
	return false
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
