package request

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/unicode/norm"
)

// DefaultRegion is where a phone number without a country code is taken to be
// from.
const DefaultRegion = "US"

// Limits of what is taken from outside, in bytes.
const (
	MaxIdentifiers     = 32
	MaxIdentifierBytes = 512
	maxEmailBytes      = 254 // RFC 5321 4.5.3.1.3, less the angle brackets
)

var codePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// isCode reports whether s is a short word of the kind that is safe in a
// subject, a metric label or a column.
func isCode(s string) bool { return len(s) <= maxCode && codePattern.MatchString(s) }

// plainText reports whether s is valid, decoded text without control
// characters and without the invisible ones that make two different texts look
// alike. Joiners are allowed: some scripts can't write a name without them.
func plainText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r == utf8.RuneError, unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return false
		case unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d':
			return false
		}
	}
	return true
}

// Normalize brings an identifier into the form in which systems compare it:
// an address lower case and composed (NFC) with its dots and plus signs kept,
// because only its own mail host knows what they mean; a phone number in E.164;
// a name with single spaces; anything else trimmed. It refuses what cannot be
// such a value. An error never carries the value.
func (id Identifier) Normalize() (Identifier, error) {
	if !isCode(string(id.Kind)) {
		return Identifier{}, errors.New("kind: want lower-case letters, digits and underscores, such as customer_id")
	}
	raw := strings.TrimSpace(id.Reveal())
	switch {
	case len(raw) > MaxIdentifierBytes:
		return Identifier{}, fmt.Errorf("value is longer than %d bytes", MaxIdentifierBytes)
	case !plainText(raw):
		return Identifier{}, errors.New("value has control or invisible characters, or is not valid UTF-8")
	}
	value := norm.NFC.String(raw)
	switch {
	case value == "":
		return Identifier{}, errors.New("value is empty")
	case len(value) > MaxIdentifierBytes: // composing can lengthen
		return Identifier{}, fmt.Errorf("value is longer than %d bytes", MaxIdentifierBytes)
	}
	var err error
	switch id.Kind {
	case Email:
		value, err = normalizeEmail(value)
	case Phone:
		value, err = normalizePhone(value)
	case Name:
		value = strings.Join(strings.Fields(value), " ")
	}
	if err != nil {
		return Identifier{}, err
	}
	if nobodys(id.Kind, value) {
		return Identifier{}, ErrNobodys
	}
	return NewIdentifier(id.Kind, value), nil
}

func normalizeEmail(value string) (string, error) {
	value = norm.NFC.String(strings.ToLower(value))
	local, domain, ok := strings.Cut(value, "@")
	switch {
	case !ok || local == "" || domain == "" || strings.Contains(domain, "@"):
		return "", errors.New("value is not an address: want one @ with a name before it and a domain after it")
	case strings.ContainsFunc(value, unicode.IsSpace):
		return "", errors.New("value is not an address: it has a space in it")
	case strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") || strings.Contains(domain, ".."):
		return "", errors.New("value is not an address: its domain has an empty part")
	case strings.ContainsAny(value, `<>,;"()`):
		return "", errors.New("value is not a bare address: leave out names, quotes and brackets")
	case len(value) > maxEmailBytes:
		return "", fmt.Errorf("value is not an address: longer than %d bytes", maxEmailBytes)
	}
	return value, nil
}

// normalizePhone accepts every number that could exist and not only those in
// assigned blocks: the person knows better than a table of last year.
func normalizePhone(value string) (string, error) {
	number, err := phonenumbers.Parse(value, DefaultRegion)
	if err != nil || !phonenumbers.IsPossibleNumber(number) {
		// The library's error may repeat the number.
		return "", fmt.Errorf("value is not a phone number: want the international form, such as +14155550123, or one of region %s", DefaultRegion)
	}
	return phonenumbers.Format(number, phonenumbers.E164), nil
}
