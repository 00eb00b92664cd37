package draft

import (
	"net/mail"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// shape is a kind of value that tells what it is by its look.
type shape struct {
	category string
	// sure is the score when all values look like it.
	sure float64
	// words name the shape in a draft.
	words string
	is    func(string) bool
}

var shapes = []shape{
	{"user.contact.email", .97, "e-mail addresses", isEmail},
	{"user.payment.card_number", .97, "payment card numbers", isCard},
	{"user.government_id.national_identification_number", .9, "Social Security numbers", regexp.MustCompile(`^\d{3}-\d{2}-\d{4}$`).MatchString},
	{"user.financial.account_number", .97, "IBANs", isIBAN},
	{"user.device.ip_address", .95, "IP addresses", isIP},
	{"user.authorization.password", .97, "password hashes", regexp.MustCompile(`^(\$2[aby]\$|\$argon2|\$scrypt|\$6\$|pbkdf2|\{SSHA)`).MatchString},
	{"user.authorization", .9, "signed tokens", regexp.MustCompile(`^eyJ[\w-]+\.eyJ[\w-]+\.`).MatchString},
	{"user.device", .9, "browsers' user agents", regexp.MustCompile(`^(Mozilla|Opera|Dalvik|okhttp)/\d`).MatchString},
	{"user.contact.phone_number", .85, "telephone numbers", isPhone},
	{"user.contact.address.street", .8, "street addresses", isStreet},
	{"user.name", .75, "names of people", isName},
	{"user.location.precise", .85, "coordinates", isPoint},
	{"user.device.device_id", .85, "hardware addresses", regexp.MustCompile(`^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$`).MatchString},
}

// mixed finds personal data inside longer texts and documents.
var mixed = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}|"(e_?mail|phone|first_?[nN]ame|last_?[nN]ame|ssn|dob|address)"\s*:|\b\d{3}-\d{2}-\d{4}\b`)

func isEmail(s string) bool {
	if len(s) > 254 || strings.ContainsAny(s, " <>") || !strings.Contains(s, ".") {
		return false
	}
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s
}

func isIP(s string) bool {
	if strings.Count(s, ".") != 3 && !strings.Contains(s, ":") {
		return false
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.IsSingleIP()
	}
	a, err := netip.ParseAddr(s)
	return err == nil && (a.Is4() || strings.Count(s, ":") > 1)
}

var phoneShape = regexp.MustCompile(`^(\+\d[\d ().-]{6,18}\d|\(\d{3}\) ?\d{3}-\d{4}|\d{3}[-. ]\d{3}[-. ]\d{4}|0\d{1,4}[ /-]\d[\d -]{4,12})( ?(x|ext\.?) ?\d+)?$`)

func isPhone(s string) bool {
	return phoneShape.MatchString(s) && !isDate(s)
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// isCard checks the length and the check digit (ISO/IEC 7812-1).
func isCard(s string) bool {
	digits := strings.NewReplacer(" ", "", "-", "").Replace(s)
	if len(digits) < 13 || len(digits) > 19 || !strings.ContainsRune("3456", rune(digits[0])) {
		return false
	}
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i]) - '0'
		if d < 0 || d > 9 {
			return false
		}
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

var ibanShape = regexp.MustCompile(`^[A-Z]{2}\d{2}[A-Z0-9]{11,30}$`)

// isIBAN checks the shape and the check digits (ISO 13616-1).
func isIBAN(s string) bool {
	s = strings.ReplaceAll(s, " ", "")
	if !ibanShape.MatchString(s) {
		return false
	}
	rest := 0
	for _, r := range s[4:] + s[:4] {
		n := int(r - '0')
		if r >= 'A' {
			n = int(r-'A') + 10
			rest = rest*10 + n/10
			rest, n = rest%97, n%10
		}
		rest = (rest*10 + n) % 97
	}
	return rest == 1
}

var streetShape = regexp.MustCompile(`(?i)^(\d{1,5}[a-z]? ([\p{L}.'-]+ ){1,4}(st|street|ave|avenue|rd|road|blvd|boulevard|lane|ln|drive|dr|court|ct|way|place|pl|terrace|square|sq|close|row)\b.*|[\p{L}. -]+(straße|strasse|str\.|weg|gasse|platz|allee) \d+.*|(rue|calle|via|avenida|rua) .+\d.*)$`)

func isStreet(s string) bool { return streetShape.MatchString(s) }

var pointShape = regexp.MustCompile(`^\(?(-?\d{1,2}\.\d{3,}), ?(-?\d{1,3}\.\d{3,})\)?$`)

func isPoint(s string) bool {
	m := pointShape.FindStringSubmatch(s)
	if m == nil {
		return false
	}
	lat, err := strconv.ParseFloat(m[1], 64)
	lon, err2 := strconv.ParseFloat(m[2], 64)
	return err == nil && err2 == nil && lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180
}

// givenNames are common first names of several languages: enough of a column
// of full names begins with one of them.
var givenNames = func() map[string]bool {
	set := map[string]bool{}
	for name := range strings.FieldsSeq(`
		james mary john patricia robert jennifer michael linda david elizabeth william barbara richard susan joseph jessica thomas sarah
		charles karen christopher lisa daniel nancy matthew betty anthony sandra mark margaret donald ashley steven kimberly paul emily andrew
		donna joshua michelle kenneth carol kevin amanda brian melissa george deborah timothy stephanie ronald rebecca edward sharon jason
		laura jeffrey cynthia ryan dorothy jacob amy gary kathleen nicholas angela eric shirley jonathan emma stephen brenda larry pamela
		justin nicole scott anna brandon samantha benjamin katherine samuel christine gregory helen frank debra alexander rachel raymond
		patrick carolyn jack janet dennis maria jerry olivia tyler heather aaron diane jose julie henry joyce adam victoria douglas kelly
		nathan christina peter lauren zachary joan kyle evelyn noah ann alice bob carlos juan luis miguel pedro ana carmen lucia sofia
		mohammed ahmed ali fatima aisha omar hassan yusuf wei li ming chen yan priya raj amit anita ravi sanjay hans klaus jurgen heike
		anke lars sven ingrid pierre jean marie claire luc giulia marco luca francesca ivan olga dmitri natasha yuki hiro kenji sakura
		kim lee max ella grace sam alex chris pat jo jane joe tom tim ben dan ed eva ida nora oscar otto felix leo mia lena paula tina`) {
		set[name] = true
	}
	return set
}()

var nameShape = regexp.MustCompile(`^(\p{Lu}[\p{L}'’-]+|\p{Lu}\.?)([ ,]+(\p{Lu}[\p{L}'’-]+|\p{Lu}\.?|de|van|von|der|da|bin|al|la)){0,4}$`)

func isName(s string) bool {
	if len(s) > 60 || !nameShape.MatchString(s) {
		return false
	}
	for part := range strings.FieldsFuncSeq(strings.ToLower(s), func(r rune) bool { return r == ' ' || r == ',' }) {
		if givenNames[part] {
			return true
		}
	}
	return false
}
