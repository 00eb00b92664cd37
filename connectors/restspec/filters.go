package restspec

import (
	"crypto/md5"  //nolint:gosec // some vendors name people by the MD5 of an address
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"
)

// filters turn a value into another before it is escaped for its position.
var filters = map[string]func(string) (string, error){
	"lower": func(s string) (string, error) { return strings.ToLower(s), nil },
	"upper": func(s string) (string, error) { return strings.ToUpper(s), nil },
	"trim":  func(s string) (string, error) { return strings.TrimSpace(s), nil },
	"digits": func(s string) (string, error) {
		return strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return r
			}
			return -1
		}, s), nil
	},
	"md5": func(s string) (string, error) {
		sum := md5.Sum([]byte(s)) //nolint:gosec // a vendor's name for a person, not a protection
		return hex.EncodeToString(sum[:]), nil
	},
	"sha1": func(s string) (string, error) {
		sum := sha1.Sum([]byte(s)) //nolint:gosec // likewise
		return hex.EncodeToString(sum[:]), nil
	},
	"sha256": func(s string) (string, error) {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:]), nil
	},
	"base64": func(s string) (string, error) { return base64.StdEncoding.EncodeToString([]byte(s)), nil },
	// google_email is an address as Google compares it: lower case, no spaces,
	// and no dots before the @ of its own mail.
	"google_email": func(s string) (string, error) {
		s = strings.ToLower(strings.Join(strings.Fields(s), ""))
		if local, domain, ok := strings.Cut(s, "@"); ok && (domain == "gmail.com" || domain == "googlemail.com") {
			s = strings.ReplaceAll(local, ".", "") + "@" + domain
		}
		return s, nil
	},
	// e164 is a plus and the digits.
	"e164": func(s string) (string, error) {
		digits := strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return r
			}
			return -1
		}, s)
		if digits == "" {
			return "", errEmpty
		}
		return "+" + digits, nil
	},
	// uuid makes a version 4 UUID (RFC 9562) of an effect's key: 32 hex digits.
	"uuid": func(s string) (string, error) {
		raw, err := hex.DecodeString(s)
		if err != nil || len(raw) != 16 {
			return "", errUnsafe
		}
		raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
		return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:]), nil
	},
	// backslash makes a quoted string of the value: "…" with backslash escapes.
	"backslash": func(s string) (string, error) {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return "", errUnsafe
		}
		return strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "`", "\\`").Replace(s), nil
	},
	// double doubles quotes, as SQL and OData do.
	"double": func(s string) (string, error) {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return "", errUnsafe
		}
		return strings.NewReplacer(`'`, `''`, `"`, `""`).Replace(s), nil
	},
	// plain refuses whatever could end a quoted string in any query language.
	"plain": func(s string) (string, error) {
		for _, r := range s {
			if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("@._+-:", r) {
				continue
			}
			return "", errUnsafe
		}
		return s, nil
	},
}

// quoting filters make a value safe inside a query language's quotes.
var quoting = []string{"backslash", "double", "plain", "md5", "sha1", "sha256", "base64", "digits"}
