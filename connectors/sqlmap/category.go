package sqlmap

import (
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// within reports whether category is parent or lies under it, by dotted
// segment: user.device.cookie_id is not within user.device.cookie.
func within(category, parent string) bool {
	return category == parent || strings.HasPrefix(category, parent+".")
}

// personal reports whether a data category is about a person.
func personal(category string) bool { return within(category, "user") }

// letters gives the statutory category (Civ. Code 1798.140(v)(1)) of a data
// category of the fideslang taxonomy. The longest entry that holds counts.
var letters = []struct{ data, letter string }{
	{"user", "A"},
	{"user.account", "A"},
	{"user.authorization", "L"},
	{"user.behavior", "F"},
	{"user.behavior.purchase_history", "D"},
	{"user.biometric", "E"},
	{"user.biometric_health", "E"},
	{"user.contact", "A"},
	{"user.content", "F"},
	{"user.content.photo", "H"},
	{"user.demographic", "C"},
	{"user.device", "F"},
	{"user.financial", "B"},
	{"user.genetic", "L"},
	{"user.government_id", "L"},
	{"user.health_and_medical", "L"},
	{"user.job_title", "I"},
	{"user.location", "G"},
	{"user.location.precise", "L"},
	{"user.payment", "B"},
	{"user.political_opinion", "L"},
	{"user.privacy_preferences", "F"},
	{"user.racial", "L"},
	{"user.religious_belief", "L"},
	{"user.sensor", "H"},
	{"user.sexual_orientation", "L"},
	{"user.telemetry", "F"},
	{"user.tracking", "F"},
	{"user.transaction", "D"},
	{"user.workplace", "I"},
	{"user.derived", "K"},
	{"user.inferred", "K"},
	{"user.education", "J"},
}

func letterOf(category string) string {
	best, letter := "", ""
	for _, l := range letters {
		if within(category, l.data) && len(l.data) > len(best) {
			best, letter = l.data, l.letter
		}
	}
	return letter
}

// undisclosed are the items never given in answer to a request to know
// (11 CCR 7024(d)), each with the type the person is told instead.
var undisclosed = []struct {
	data string
	kind sdk.Withheld
}{
	{"user.government_id", "government identification number"},
	{"user.government_id.drivers_license_number", "driver's licence number"},
	{"user.government_id.passport_number", "passport number"},
	{"user.government_id.national_identification_number", "Social Security or other national identification number"},
	{"user.government_id.social_security_number", "Social Security number"},
	{"user.financial.account_number", "financial account number"},
	{"user.financial.bank_account", "financial account number"},
	{"user.financial.credit_card", "payment card number"},
	{"user.payment.card_number", "payment card number"},
	{"user.payment.account_number", "financial account number"},
	{"user.authorization", "password or other account credential"},
	{"user.authorization.password", "account password"},
	{"user.authorization.security_question", "security question or answer"},
	{"user.biometric", "unique biometric data"},
	{"user.biometric.fingerprint", "unique biometric data: fingerprint"},
	{"user.biometric.voice", "unique biometric data: voice"},
	{"user.biometric.retinal", "unique biometric data: retinal scan"},
	{"user.health_and_medical.insurance_beneficiary_id", "health insurance number"},
	{"user.health_and_medical.record_id", "medical identification number"},
}

// withheldAs returns what stands in a copy for a column of these categories,
// or "" when the column may be disclosed.
func withheldAs(categories []string) sdk.Withheld {
	best, kind := "", sdk.Withheld("")
	for _, c := range categories {
		for _, u := range undisclosed {
			if within(c, u.data) && len(u.data) > len(best) {
				best, kind = u.data, u.kind
			}
		}
	}
	return kind
}
