package sqlmap

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// change is what happens to one column of a row that stays.
type change struct {
	f *field
	// make gives the new value from the old; nil sets NULL.
	make func(old value) value
	// reads is set when make looks at the old value.
	reads bool
	// fixed is what the change leaves in every row, and prefix what that begins
	// with, where it is not NULL and can be told.
	fixed  value
	prefix string
	// inside are the fields of a document that make replaces, when it leaves
	// the others as they are.
	inside map[*field]func(any) any
}

// reaches reports whether the change takes away what the field held.
func (ch change) reaches(f *field) bool {
	return ch.f == f || f.doc != nil && ch.f == f.doc && (ch.inside == nil || ch.inside[f] != nil)
}

// erased stands where a text column must hold something.
const erased = "[erased]"

// erasedPrefix begins what stands where a text column must hold something of its
// own.
const erasedPrefix = "erased-"

// strategies are the masking strategies of the dataset format. Those that
// derive a value by a key are carried out with a key that nobody has: random.
var strategies = []string{"null_rewrite", "string_rewrite", "random_string_rewrite", "hash", "hmac", "aes_encrypt", "preserve"}

func knownStrategy(name string) bool { return slices.Contains(strategies, name) }

// overridden makes the change that a masking override asks for.
func overridden(f *field) change {
	o := f.meta.Masking
	c := change{f: f}
	suffix := o.Configuration.Format.Suffix
	switch o.Strategy {
	case "string_rewrite":
		fixed := o.Configuration.RewriteValue + suffix
		c.fixed = f.fit(fixed)
		c.make = func(value) value { return c.fixed }
	case "random_string_rewrite":
		n := o.Configuration.Length
		if n <= 0 {
			n = 30
		}
		c.make = func(value) value { return f.fit(randomHex(n) + suffix) }
	case "hash", "hmac", "aes_encrypt":
		c.make = func(value) value { return f.fit(randomHex(64) + suffix) }
	}
	return c
}

// fit shortens text to what the column and the map allow.
func (f *field) fit(s string) value {
	limit := f.meta.Length
	if n := f.col.length; n > 0 && (limit == 0 || n < limit) {
		limit = n
	}
	if limit > 0 && utf8.RuneCountInString(s) > limit {
		s = string([]rune(s)[:limit])
	}
	return s
}

// fixed is the constant that replaces a value of the column's class, or false
// when there is none that surely fits.
func (f *field) fixed() (value, bool) {
	switch f.col.class {
	case classText:
		return f.fit(erased), true
	case classInt, classNumber:
		return "0", true
	case classBool:
		return "0", true
	case classTime:
		return "1970-01-02 00:00:00", true // the first day is not in every type
	case classUUID:
		return "00000000-0000-0000-0000-000000000000", true
	case classJSON:
		return "{}", true
	case classBytes:
		return "", true
	}
	return nil, false
}

// randomHex is n random lower-case hex digits.
func randomHex(n int) string {
	b := make([]byte, (n+1)/2)
	// Never fails: it ends the program instead.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)[:n]
}

// scramble puts a random letter for each letter and a random digit for each
// digit. No key is involved, so nothing can undo it.
func scramble(old value) value {
	switch old := old.(type) {
	case nil:
		return nil
	case int64:
		digits := scramble(strconv.FormatInt(old, 10)).(string)
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil { // more than an int64 holds
			return int64(0)
		}
		return n
	case string:
		return strings.Map(func(r rune) rune {
			switch {
			case unicode.IsDigit(r):
				return '0' + roll(10)
			case unicode.IsUpper(r):
				return 'A' + roll(26)
			case unicode.IsLetter(r):
				return 'a' + roll(26)
			}
			return r
		}, old)
	}
	return nil
}

func roll(n int64) rune {
	i, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		return 0 // never: the reader ends the program instead
	}
	return rune(i.Int64()) //nolint:gosec // below the length of the alphabet
}
