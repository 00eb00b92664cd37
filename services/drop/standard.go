package drop

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/habeas-data/habeas/services/request"
)

// Version is the version of the platform's rules that the standard forms
// follow. It is kept with every hash, so that a change of rules is seen.
const Version = "1.2.0"

// Email is the standard form of an e-mail address: without whitespace, in lower
// case. Dots and plus tags stay.
func Email(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s))
}

// Phone is the standard form of a telephone number: its last ten digits, or
// all when there are fewer.
func Phone(s string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
	return digits[max(0, len(digits)-10):]
}

// Birth is the standard form of a date of birth: year, month and day as eight
// digits.
func Birth(d request.Date) string { return strings.ReplaceAll(d.String(), "-", "") }

// ZIP is the standard form of a postal code: without the four digits after the
// hyphen, in lower case, letters and digits alone, without leading zeros, at
// most five characters. The zeros go before the rest is cut.
func ZIP(s string) string {
	s, _, _ = strings.Cut(s, "-")
	s = strings.TrimLeft(alphanumeric(s), "0")
	return s[:min(5, len(s))]
}

// AdvertisingID is the standard form of a mobile advertising identifier: its
// hexadecimal digits in lower case.
func AdvertisingID(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'f' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}

// VIN is the standard form of a vehicle's identification number.
func VIN(s string) string { return alphanumeric(s) }

// TelevisionID is the standard form of a connected television's identifier.
func TelevisionID(s string) string { return alphanumeric(s) }

// alphanumeric keeps ASCII letters and digits, in lower case.
func alphanumeric(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		default:
			return -1
		}
	}, s)
}

// Name is the standard form of a first or last name: in lower case, Greek and
// Cyrillic in Latin letters, without marks, letters and digits alone. Other
// scripts stay.
//
// The platform does not say which normal form it ends on. It matters for
// Hangul and for kana with voice marks, which stay decomposed here.
func Name(s string) string {
	// Composed first: a decomposed й is another letter than и to the tables.
	s = latin(strings.ToLower(norm.NFKC.String(s)))
	s = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
	// A letter whose mark was no part of the tables is one of them now.
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, latin(strings.ToLower(s)))
}

// latin replaces the letters that have a Latin spelling.
func latin(s string) string {
	var b strings.Builder
	for _, r := range norm.NFC.String(s) {
		if spelling, ok := spellings[r]; ok {
			b.WriteString(spelling)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

var spellings = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ð': "d", 'þ': "th", 'ł': "l", 'đ': "d", 'ħ': "h", 'ŋ': "n", 'ı': "i", 'ĳ': "ij", 'ŀ': "l",

	'α': "a", 'β': "v", 'γ': "g", 'δ': "d", 'ε': "e", 'ζ': "z", 'η': "i", 'θ': "th", 'ι': "i", 'κ': "k", 'λ': "l", 'μ': "m",
	'ν': "n", 'ξ': "x", 'ο': "o", 'π': "p", 'ρ': "r", 'σ': "s", 'ς': "s", 'τ': "t", 'υ': "y", 'φ': "f", 'χ': "ch", 'ψ': "ps", 'ω': "o",
	'ά': "a", 'έ': "e", 'ή': "i", 'ί': "i", 'ύ': "y", 'ό': "o", 'ώ': "o", 'ϊ': "i", 'ΐ': "i", 'ϋ': "y", 'ΰ': "y",

	'а': "a", 'б': "b", 'в': "v", 'г': "g", 'д': "d", 'е': "e", 'ё': "yo", 'ж': "zh", 'з': "z", 'и': "i", 'й': "y", 'к': "k",
	'л': "l", 'м': "m", 'н': "n", 'о': "o", 'п': "p", 'р': "r", 'с': "s", 'т': "t", 'у': "u", 'ф': "f", 'х': "kh", 'ц': "ts",
	'ч': "ch", 'ш': "sh", 'щ': "shch", 'ъ': "", 'ы': "y", 'ь': "", 'э': "e", 'ю': "yu", 'я': "ya",
	'є': "e", 'і': "i", 'ї': "i", 'ґ': "g", 'ў': "u",
}
