package delivery

import (
	"strings"
	"sync"
)

// group is a run of digits in a text.
type group struct {
	start, end int
	// sep is the separator between this group and the next, without the spaces
	// around it, or 0 when something else follows.
	sep byte
	// loose says that the digits are in the middle of letters, as in a hash.
	loose bool
}

// maxGroups bounds the groups that one number may be written in.
const maxGroups = 19

// scanDigits looks for card numbers, Social Security numbers and taxpayer
// numbers. Nine bare digits are one when the field's name, labelled, or the
// text itself speaks of such a number.
func scanDigits(text string, labelled bool) string {
	groups := digitGroups(text)
	label := sync.OnceValue(func() bool { return labelled || ssnLabel.MatchString(text) })
	for i, g := range groups {
		if g.loose {
			continue
		}
		if kind := ssnAt(text, groups[i:], label); kind != "" {
			return kind
		}
		if cardAt(text, groups[i:]) {
			return kindCard
		}
	}
	return ""
}

func digitGroups(text string) []group {
	var groups []group
	for i := 0; i < len(text); i++ {
		if !isDigit(text[i]) {
			continue
		}
		g := group{start: i}
		for i < len(text) && isDigit(text[i]) {
			i++
		}
		g.end = i
		g.sep = groupSeparator(text[i:])
		g.loose = insideToken(text, g)
		groups = append(groups, g)
	}
	return groups
}

// widestSeparator is the most bytes between two groups of one number.
const widestSeparator = 4

// groupSeparator is what a text that follows digits separates them by from the next
// ones: spaces, or a dash, dot, underscore or slash. A dash or slash may have
// spaces around it; a dot with one ends a sentence.
func groupSeparator(text string) (sep byte) {
	for i := 0; i < len(text) && i <= widestSeparator; i++ {
		switch c := text[i]; {
		case isDigit(c):
			return sep
		case c == ' ' || c == '\t':
			if sep == '.' || sep == '_' {
				return 0
			}
			if sep == 0 {
				sep = ' '
			}
		case c == '-' || c == '/':
			if sep != 0 && sep != ' ' {
				return 0
			}
			sep = c
		case c == '.' || c == '_':
			if sep != 0 {
				return 0
			}
			sep = c
		default:
			return 0
		}
	}
	return 0
}

// alike reports whether two separators may be in one number: people who type a
// dash in one place type a space in another.
func alike(a, b byte) bool {
	return a == b && a != 0 || (a == ' ' || a == '-') && (b == ' ' || b == '-')
}

// insideToken reports whether the digits have letters on one side and more
// digits beyond those: part of a hash or a code, and no number by itself.
func insideToken(text string, g group) bool {
	i := g.start
	for i > 0 && isLetter(text[i-1]) {
		i--
	}
	j := g.end
	for j < len(text) && isLetter(text[j]) {
		j++
	}
	return i < g.start && i > 0 && isDigit(text[i-1]) || j > g.end && j < len(text) && isDigit(text[j])
}

// ssnAt looks for a Social Security or individual taxpayer number that begins
// with the first group: 3-2-4 digits, or nine in a row when labelled.
func ssnAt(text string, groups []group, labelled func() bool) string {
	size := func(i int) int { return groups[i].end - groups[i].start }
	switch {
	case size(0) == 3 && len(groups) >= 3 && alike(groups[0].sep, groups[1].sep) && size(1) == 2 && size(2) == 4:
		return ssnKind(text[groups[0].start:groups[0].end], text[groups[1].start:groups[1].end], text[groups[2].start:groups[2].end])
	case size(0) == 9 && labelled():
		t := text[groups[0].start:groups[0].end]
		return ssnKind(t[:3], t[3:5], t[5:])
	}
	return ""
}

// ssnKind says what a number of area, group and serial is, by the ranges that
// are issued: no SSN has area 000, 666 or 900 to 999, group 00 or serial 0000;
// an ITIN has area 900 to 999 and group 50 to 65, 70 to 88, 90 to 92 or 94 to 99.
func ssnKind(area, grp, serial string) string {
	if area[0] == '9' {
		if (grp >= "50" && grp <= "65") || (grp >= "70" && grp <= "88") || (grp >= "90" && grp != "93") {
			return kindTaxID
		}
		return ""
	}
	if area == "000" || area == "666" || grp == "00" || serial == "0000" {
		return ""
	}
	return kindSSN
}

// cardAt reports whether a card number begins with the first group: 13 to 19
// digits with one kind of separator throughout. Dots separate groups only when
// there are two or more: a single one is a decimal point. Slashes, and dashes mixed
// with spaces, separate groups of four alone: dates and telephone numbers have them.
func cardAt(text string, groups []group) bool {
	var digits [19]byte
	n, fours, strict := 0, true, groups[0].sep == '/'
	for i, g := range groups[:min(len(groups), maxGroups)] {
		if i > 0 {
			before := groups[i-1]
			if !alike(before.sep, groups[0].sep) {
				return false
			}
			fours = fours && before.end-before.start == 4
			strict = strict || before.sep != groups[0].sep
			if strict && !fours {
				return false
			}
		}
		if n+g.end-g.start > len(digits) {
			return false
		}
		n += copy(digits[n:], text[g.start:g.end])
		if i == 1 && groups[0].sep == '.' {
			continue
		}
		if !g.loose && isCard(digits[:n]) {
			return true
		}
	}
	return false
}

// isCard reports whether digits have the length and prefix of a card network
// and a valid check digit (ISO/IEC 7812).
func isCard(d []byte) bool {
	n := len(d)
	if n < 13 {
		return false
	}
	p := func(k int) (v int) {
		for _, c := range d[:k] {
			v = v*10 + int(c-'0')
		}
		return v
	}
	p2, p3, p4 := p(2), p(3), p(4)
	var known bool
	switch {
	case d[0] == '4':
		known = n == 13 || n == 16 || n == 19 // Visa
	case p2 >= 51 && p2 <= 55, p4 >= 2221 && p4 <= 2720:
		known = n == 16 // Mastercard
	case p2 == 34 || p2 == 37:
		known = n == 15 // American Express
	case p3 >= 300 && p3 <= 305, p2 == 36, p2 == 38, p2 == 39:
		known = n == 14 || n == 16 // Diners Club
	case p4 >= 3528 && p4 <= 3589, p4 == 6011, p3 >= 644 && p3 <= 649, p2 == 65, p2 == 62:
		known = n >= 16 // JCB, Discover, UnionPay
	case p2 == 50, p2 >= 56 && p2 <= 58, p2 == 63, p2 == 67, p2 == 60:
		known = n == 16 || n == 18 || n == 19 // Maestro and domestic networks
	}
	return known && luhn(d)
}

func luhn(d []byte) bool {
	sum := 0
	for i, c := range d {
		v := int(c - '0')
		if (len(d)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// ibanLength is the length of an IBAN by country (ISO 13616 registry).
var ibanLength = map[string]int{
	"AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
	"CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
	"FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
	"IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
	"LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
	"PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
	"SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}

// hasIBAN reports whether text holds an IBAN with the length of its country
// and valid check digits, with or without spaces.
func hasIBAN(text string) bool {
	for i := 0; i+4 <= len(text); i++ {
		if !isLetter(text[i]) || !isLetter(text[i+1]) || !isDigit(text[i+2]) || !isDigit(text[i+3]) {
			continue
		}
		if i > 0 && (isLetter(text[i-1]) || isDigit(text[i-1])) {
			continue
		}
		want := ibanLength[strings.ToUpper(text[i:i+2])]
		if want == 0 {
			continue
		}
		compact := make([]byte, 0, 34)
		j := i
		for ; j < len(text) && len(compact) < want; j++ {
			c := text[j]
			if c == ' ' || c == '-' {
				continue
			}
			if !isDigit(c) && !isLetter(c) {
				break
			}
			if isLetter(c) {
				c &^= 0x20
			}
			compact = append(compact, c)
		}
		ends := j == len(text) || !isLetter(text[j]) && !isDigit(text[j])
		if ends && len(compact) == want && mod97(compact) == 1 {
			return true
		}
	}
	return false
}

func mod97(iban []byte) int {
	rem := 0
	for _, part := range [][]byte{iban[4:], iban[:4]} {
		for _, c := range part {
			if isDigit(c) {
				rem = (rem*10 + int(c-'0')) % 97
			} else {
				rem = (rem*100 + int(c-'A') + 10) % 97
			}
		}
	}
	return rem
}
