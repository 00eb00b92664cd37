package request

import (
	"errors"
	"slices"
	"strings"
)

// placeholders are what systems and people write where there is no value. They
// stand in thousands of records of strangers.
var placeholders = []string{
	"null", "nil", "none", "nan", "undefined", "unknown", "unset", "not set", "blank", "anonymous",
	"n/a", "not available", "not applicable", "not provided", "deleted", "redacted",
}

// mailPlaceholders are more of them, of which two make an address of nobody.
var mailPlaceholders = []string{"na", "no", "test", "email", "noemail", "nomail", "invalid", "guest", "anon", "empty", "missing"}

// ErrNobodys says that a value can't be anybody's identifier.
var ErrNobodys = errors.New("value is what systems write for nobody, such as null, unknown or zeros: it would reach strangers; leave it out")

// nobodys reports whether a normalised value stands for nobody, or for whoever
// has none: a placeholder, only zeros such as the advertising identifier of
// devices that give none away, one digit over and over.
func nobodys(kind Kind, value string) bool {
	value = strings.ToLower(value)
	switch kind {
	case Name:
		return false // never enough to act on
	case Email:
		local, domain, _ := strings.Cut(value, "@")
		label, _, _ := strings.Cut(domain, ".")
		filler := func(word string) bool { return placeholder(word) || slices.Contains(mailPlaceholders, word) }
		return filler(local) && filler(label)
	case Phone:
		return oneDigit(strings.TrimPrefix(strings.TrimPrefix(value, "+"), "1"))
	default:
		return placeholder(value)
	}
}

// placeholder reports whether a word says that there is no value.
func placeholder(word string) bool {
	bare := strings.Trim(word, " ()[]<>{}'\"`*.\\/#_-")
	return bare == "" || slices.Contains(placeholders, bare) || strings.Trim(bare, "0-:. ") == "" || bare == "1" && strings.HasPrefix(word, "-")
}

func oneDigit(digits string) bool {
	return digits != "" && strings.Trim(digits, digits[:1]) == ""
}
