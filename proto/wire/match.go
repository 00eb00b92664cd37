package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// Forms of data points: how two values of a kind are told to be the same.
const (
	FormText   = "text"   // letters and digits, case and spacing aside
	FormEmail  = "email"  // trimmed, lower case
	FormPhone  = "phone"  // the last ten digits
	FormE164   = "e164"   // a whole phone number with its country; without one, of North America
	FormDigits = "digits" // digits alone
	FormDate   = "date"   // a day
	FormAmount = "amount" // money, to the cent
)

// Forms returns every form.
func Forms() []string {
	return []string{FormText, FormEmail, FormPhone, FormE164, FormDigits, FormDate, FormAmount}
}

// InForm brings a value into the form in which it is compared; "" when it can't
// be such a value, and then it matches nothing.
func InForm(form, value string) string {
	value = strings.TrimSpace(norm.NFC.String(value))
	switch form {
	case FormText:
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return unicode.ToLower(r)
			}
			return -1
		}, value)
	case FormEmail:
		if !strings.Contains(value, "@") {
			return ""
		}
		return strings.ToLower(value)
	case FormPhone:
		d := digits(value)
		if len(d) < 7 {
			return ""
		}
		return d[max(0, len(d)-10):]
	case FormE164:
		return e164(value)
	case FormDigits:
		return digits(value)
	case FormDate:
		return day(value)
	case FormAmount:
		return cents(value)
	default:
		return ""
	}
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// e164 is a phone number in the form of ITU-T E.164; "" for what does not say
// which country it is of and is none of North America, and for what has anything
// but a number in it: a message may be sent by it, so it is never guessed at.
func e164(s string) string {
	international := strings.HasPrefix(s, "+")
	if international {
		s = s[1:]
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && !unicode.IsSpace(r) && !strings.ContainsRune("()-./\u2010\u2011\u2012\u2013", r)
	}) {
		return ""
	}
	d := digits(s)
	switch {
	case international, len(d) == 11 && d[0] == '1':
	case strings.HasPrefix(d, "011"): // dialled from North America
		d = d[3:]
	case strings.HasPrefix(d, "00"):
		d = d[2:]
	case len(d) == 10:
		d = "1" + d
	default:
		return ""
	}
	if len(d) < 8 || len(d) > 15 || d[0] == '0' || d[0] == '1' && (len(d) != 11 || d[1] < '2') {
		return ""
	}
	return "+" + d
}

func day(s string) string {
	for _, layout := range []string{time.DateOnly, time.RFC3339, time.RFC3339Nano, time.DateTime, "01/02/2006", "1/2/2006", "20060102"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format(time.DateOnly)
		}
	}
	return ""
}

func cents(s string) string {
	whole, part, _ := strings.Cut(strings.ReplaceAll(s, ",", ""), ".")
	whole, part = strings.TrimLeft(digits(whole), "0"), digits(part)
	if digits(s) == "" {
		return ""
	}
	return whole + "." + (part + "00")[:2]
}

// ClaimDigest is what stands for a value in a [habeasv1.Claim]; nil when the
// value is none of that form.
func ClaimDigest(key []byte, form, value string) []byte {
	plain := InForm(form, value)
	if plain == "" {
		return nil
	}
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, form+"\x00"+plain) // a hash never fails
	return mac.Sum(nil)
}

// SealClaims seals a question's claims to the reader's key.
func (k SealKey) SealClaims(c *habeasv1.MatchClaims, reader string) ([]byte, error) {
	return k.sealMatch("claims", c.GetMatchId(), c, reader)
}

// SealResult seals an answer's result to the reader's key.
func (k SealKey) SealResult(r *habeasv1.MatchResult, reader string) ([]byte, error) {
	return k.sealMatch("a match result", r.GetMatchId(), r, reader)
}

func (k SealKey) sealMatch(what, id string, m proto.Message, reader string) ([]byte, error) {
	if id == "" {
		return nil, fmt.Errorf("sealing %s: match_id is empty", what)
	}
	plain, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: a value is not valid UTF-8", what)
	}
	defer clear(plain)
	sealed, err := k.seal(plain, reader)
	if err != nil {
		return nil, fmt.Errorf("sealing %s: %w", what, err)
	}
	return sealed, nil
}

// OpenClaims opens what writer sealed to k for the given question.
func (k SealKey) OpenClaims(sealed []byte, writer, matchID string) (*habeasv1.MatchClaims, error) {
	c := &habeasv1.MatchClaims{}
	if err := k.openMatch("claims", sealed, writer, c); err != nil {
		return nil, err
	}
	if c.GetMatchId() != matchID || matchID == "" {
		return nil, fmt.Errorf("opening claims: match_id: %w", ErrNotForUs)
	}
	return c, nil
}

// OpenResult opens what writer sealed to k in answer to the given question.
func (k SealKey) OpenResult(sealed []byte, writer, matchID string) (*habeasv1.MatchResult, error) {
	r := &habeasv1.MatchResult{}
	if err := k.openMatch("a match result", sealed, writer, r); err != nil {
		return nil, err
	}
	if r.GetMatchId() != matchID || matchID == "" {
		return nil, fmt.Errorf("opening a match result: match_id: %w", ErrNotForUs)
	}
	return r, nil
}

func (k SealKey) openMatch(what string, sealed []byte, writer string, m proto.Message) error {
	plain, err := k.open(sealed, writer)
	if err != nil {
		return fmt.Errorf("opening %s: %w", what, err)
	}
	defer clear(plain)
	if err := proto.Unmarshal(plain, m); err != nil {
		return errors.New("opening " + what + ": not such a message")
	}
	return nil
}
