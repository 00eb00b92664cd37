package sqlmap

import (
	"strings"
	"unicode"
)

// mostSpellings bounds the spellings of one identifier.
const mostSpellings = 64

// spellings are the values that a lower-cased identifier is looked for as. A database
// may know the case of ASCII letters alone (SQLite always, PostgreSQL under the locale
// C): there lower('ÉVA@x.com') is 'Éva@x.com', which the identifier is not. So a letter
// beyond ASCII is looked for in both cases; where it has too many of them, all in
// one case, each word's first in upper case, and as it was given.
func spellings(given string) []string {
	lower := strings.ToLower(given)
	letters := 0
	for _, r := range lower {
		if upper(r) != r {
			letters++
		}
	}
	if letters == 0 {
		return []string{lower}
	}
	if 1<<min(letters, 30) > mostSpellings {
		return distinct(lower, asciiLower(strings.ToUpper(lower)), asciiLower(titled(lower)), asciiLower(given))
	}
	out := []string{""}
	for _, r := range lower {
		forms := []rune{r}
		if u := upper(r); u != r {
			forms = append(forms, u)
		}
		next := make([]string, 0, len(out)*len(forms))
		for _, form := range forms {
			for _, begun := range out {
				next = append(next, begun+string(form))
			}
		}
		out = next
	}
	return out
}

// upper is the other case of a letter beyond ASCII, and any other rune itself.
func upper(r rune) rune {
	if r < unicode.MaxASCII+1 {
		return r
	}
	return unicode.ToUpper(r)
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// titled writes the first letter of each word in upper case.
func titled(s string) string {
	inWord := false
	return strings.Map(func(r rune) rune {
		first := !inWord
		if inWord = unicode.IsLetter(r); inWord && first {
			return unicode.ToUpper(r)
		}
		return r
	}, s)
}

func distinct(all ...string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
