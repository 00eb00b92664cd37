package draft

import (
	"slices"
	"strings"
	"unicode"
)

// rule says what words in a column's name point to.
type rule struct {
	category string
	score    float64
	// phrases are words that stand together in the name. "^" before a phrase
	// asks for the whole name.
	phrases string
}

// rules are in no order: the best score counts, then the longest phrase.
var rules = []rule{
	{"user.contact.email", .95, "email, e mail, mail address, email address, correo, courriel, emailaddress, ^mail, ^recipient, ^sender, mailto"},
	{"user.contact.phone_number", .9, "phone, telephone, mobile, cell, cellphone, msisdn, tel, fax, phonenumber, telefono, telefon, handy, whatsapp, landline"},
	{"user.name", .9, "first name, last name, full name, given name, family name, middle name, surname, forename, firstname, lastname, fullname, fname, lname, maiden name, nickname, display name, nachname, vorname, apellido, prenom, contact name, customer name, user name full, cardholder, cardholder name, account holder, holder name, recipient name, beneficiary name, legal name, billing name, shipping name, name on card, bill name, patient name, employee name, guest name, salutation, author name, buyer name, middlename, ship name, cc owner, card owner, nicename, courtesy, comment author, contact person, nombre"},
	{"user.account.username", .85, "username, user name, login, login name, screen name, handle, ^user, gamertag"},
	{"user.contact.address.street", .9, "street, street address, address line, address 1, address 2, address1, address2, addr, addr1, addr2, street name, house number, strasse, calle, line 1, line 2, line1, line2, apartment, apt, house no, address"},
	{"user.contact.address.city", .85, "city, town, municipality, locality, ciudad, ville, ^ort, wohnort"},
	{"user.contact.address.postal_code", .85, "zip, zipcode, zip code, postcode, postal code, post code, plz, postalcode, postal"},
	{"user.contact.address.state", .6, "province, ship region, shipping region, billing region, ship state, home region, ^state, address state, billing state, shipping state, state province, home state"},
	{"user.contact.address.country", .5, "country, country code, nationality code"},
	{"user.demographic.date_of_birth", .95, "date of birth, dob, birthdate, birth date, birthday, birth year, year of birth, birth day, born, born on, geburtsdatum, date naissance, fecha nacimiento"},
	{"user.demographic.gender", .9, "gender, sex, pronoun, pronouns"},
	{"user.demographic", .8, "nationality, citizenship, marital status, age, age range, age group, household size, mother tongue, veteran status, veteran, disability, place of birth, birthplace, number of children, immigration status"},
	{"user.racial", .85, "race, ethnicity, ethnic group"},
	{"user.religious_belief", .9, "religion, religious affiliation, denomination, faith"},
	{"user.sexual_orientation", .95, "sexual orientation, orientation sexual"},
	{"user.political_opinion", .85, "political opinion, party affiliation, political party, union member, trade union, union membership"},
	{"user.government_id.national_identification_number", .95, "ssn, social security, social security number, national id, national insurance, nino, tax id, taxpayer id, tin, itin, cpf, dni, curp, aadhaar, vat id, taxvat, sin number, identity number, national identification, personnummer, steuer id, social insurance"},
	{"user.government_id.passport_number", .95, "passport, passport number, passport no"},
	{"user.government_id.drivers_license_number", .95, "drivers license, driver license, driving licence, driver licence, license number, licence number, dl number, drivers licence"},
	{"user.government_id", .85, "visa number, alien number, id card, document number, identity document, id document, green card, identity card"},
	{"user.payment.card_number", .95, "card number, cc number, credit card, creditcard, card no, pan, cc num, debit card, card num"},
	{"user.payment", .75, "card last 4, card last4, last 4, last4, last four, card brand, card expiry, exp month, exp year, expiry month, expiry year, card exp, cvv, cvc, payment method, payment token, card fingerprint, billing agreement, card token, stripe customer, payment source, card type"},
	{"user.financial.account_number", .9, "iban, bank account, account number, routing number, sort code, bic, swift, bank account number, sepa mandate, acct no, kontonummer"},
	{"user.financial", .75, "salary, income, credit score, net worth, wage, annual income, loan amount, compensation, fico"},
	{"user.authorization.password", .95, "password, user pass, passwd, pwd, password hash, password digest, encrypted password, pass hash, passphrase, kennwort"},
	{"user.authorization", .8, "api key, access token, refresh token, auth token, session token, otp secret, totp secret, reset token, recovery code, recovery codes, mfa secret, pin code, login token, remember token, secret answer, security answer, security question, reset password token, confirmation token, activation key, rp token, login key, jwt, private key, oauth token"},
	{"user.device.ip_address", .95, "ip, ip address, ipaddress, client ip, remote ip, last ip, ip addr, remote addr, forwarded for, ipv4, ipv6, sign in ip, signup ip, remote address"},
	{"user.device.cookie_id", .9, "cookie, cookie id, visitor id, anonymous id, client id ga, ga client id, ga cid, fbp, fbclid, gclid, anon id"},
	{"user.device.device_id", .9, "device id, idfa, gaid, adid, imei, advertising id, mac address, device token, push token, udid, device uuid, installation id, serial number device, android id, fcm token, apns token, device identifier, imsi, device fingerprint, browser fingerprint"},
	{"user.device", .75, "user agent, useragent, browser, device model, device type, os version, platform version, screen resolution, device name, operating system"},
	{"user.location.precise", .9, "latitude, longitude, lat, lng, lon, geo point, geolocation, gps, coordinates, geo lat, geo lng, latlng, lat long, geopoint"},
	{"user.location", .7, "location, last location, timezone user, geo city, geo region, geo country, user timezone, home location"},
	{"user.job_title", .85, "job title, occupation, profession, position title, role title, jobtitle"},
	{"user.workplace", .7, "employer, company name, workplace, department, employee number, manager name, company, hire date"},
	{"user.education", .85, "school, university, degree, graduation year, gpa, student id, education, college, major"},
	{"user.health_and_medical", .9, "diagnosis, medical, blood type, allergies, allergy, medication, health, icd10, icd 10, treatment, symptoms, prescription, disability type, mrn, medical record, insurance number, health insurance, pregnancy, bmi, heart rate, weight kg, height cm, icd"},
	{"user.biometric", .95, "fingerprint template, face template, voiceprint, biometric, retina, iris, face embedding, face vector, faceprint, palm print"},
	{"user.genetic", .95, "genome, dna, genotype, genetic"},
	{"user.content.photo", .8, "avatar, photo, profile picture, profile pic, selfie, headshot, profile image, portrait, picture, signature image"},
	{"user.content", .6, "bio, about me, message, comment, comments, notes, note, body, feedback, resume, cv, cover letter, special request, special requests, transcript, review text, reply, chat, description user, free text, remark, remarks, memo, signature, testimonial, internal notes, message text, answer, complaint, question text, ^text, ^content, ^caption"},
	{"user.behavior.search_history", .85, "search query, search term, query text, search terms, search text, ^query"},
	{"user.behavior.browsing_history", .8, "page url, referrer, referer, visited url, page path, landing page, landing url, page title, current url, utm source, utm campaign, utm medium, ^url visited, entry page, exit page"},
	{"user.behavior", .6, "event name, event properties, event data, interests, last seen, last login, last active, last sign in, last activity, watch history, listened, clicked, click, page views, session data, viewed, sign in count, login count"},
	{"user.privacy_preferences", .75, "marketing consent, opt out, opt in, unsubscribed, consent, do not sell, newsletter, marketing opt in, gdpr consent, do not call, email opt in, unsubscribe, subscribed"},
	{"user.derived", .7, "lifetime value, ltv, churn score, segment, propensity, risk score, lead score, persona, fraud score, churn risk, predicted, cohort, engagement score, nps score, segments, clv"},
	{"user.unique_id", .7, "user id, customer id, account id, member id, person id, patient id, subscriber id, userid, customerid, client id, contact id, profile id, guest id, customer number, account no, member number, loyalty number, loyalty id, external user id, customer no, membership number, user uuid, owner id, author id, facebook id, google id, apple id, oauth uid, twitter id, linkedin id, user ref, customer ref, buyer id, recipient id, sender id, kundennummer, passenger id, applicant id, candidate id, employee id, staff id, manager id, rep id, agent id, post author, reports to, lead id, frequent flyer, player id, sub, created by user, discord id, telegram id"},
	{"user.contact", .7, "linkedin, linkedin url, twitter, facebook, instagram, social profile, skype, user url, author url, personal website, emergency contact, references,  social handle, facebook url, github username, slack handle, telegram, next of kin"},
	{"user.transaction", .6, "order total, purchase amount, amount paid, purchase history, items purchased"},
}

// flags are words that make a column say something about a datum instead of
// holding it.
var flags = []string{
	"count", "sent", "verified", "enabled", "is", "has", "template", "subject", "status", "type", "format", "bounced",
	"length", "required", "attempts", "index", "valid", "version", "provider", "limit", "total", "size", "label",
	"threshold", "flag", "max", "min", "config", "pattern", "regex", "schema", "default", "retries", "changed", "updated", "confirmed",
	"plan", "tax", "currency", "interval", "width", "height", "opens", "approved", "failures", "failed", "queue", "job", "task", "can",
}

// trade are words of tables that are about goods, code or machines: there, a
// name or an address is not a person's.
var trade = []string{
	"product", "sku", "item", "catalog", "catalogue", "category", "tag", "warehouse", "vendor", "brand", "article", "migration", "flag", "feature",
	"setting", "config", "permission", "role", "currency", "country", "plan", "price", "coupon", "template", "job", "queue", "server", "host", "deployment",
	"region", "zone", "tax", "rate", "store", "shop", "venue", "campaign", "file", "asset", "film", "movie", "book", "track", "album", "artist", "genre",
	"office", "depot", "airport", "station", "material", "machine", "sensor", "stock", "inventory", "supplier", "metric", "log level", "locale", "schema", "branch", "city", "cities", "state", "hotel", "restaurant", "language", "translation", "location", "node",
}

// about are words of tables that hold people.
var about = []string{
	"user", "customer", "person", "people", "contact", "member", "employee", "patient", "client", "account", "profile", "subscriber", "guest", "student",
	"lead", "buyer", "staff", "recipient", "applicant", "candidate", "passenger", "signup", "subscription", "author", "visitor", "household", "donor", "tenant", "owner",
	"address", "player", "identity", "respondent", "attendee", "participant", "beneficiary", "kunde", "kunden", "persona", "usuario", "cliente", "policyholder", "cardholder", "friend", "follower",
}

// namesOfPeople are what only a table about people makes personal.
var inPeople = map[string]struct {
	category string
	score    float64
}{
	"name": {"user.name", .85}, "title": {"user.job_title", .55}, "prefix": {"user.name", .55}, "suffix": {"user.name", .55}, "district": {"user.contact.address.state", .7}, "website": {"user.contact", .6}, "url": {"user.contact", .5}, "extension": {"user.contact.phone_number", .5}, "entity id": {"user.unique_id", .6}, "location": {"user.location", .6}, "city": {"user.contact.address.city", .9},
	"state": {"user.contact.address.state", .8}, "country": {"user.contact.address.country", .75}, "region": {"user.contact.address.state", .6},
	"id": {"user.unique_id", .75}, "uuid": {"user.unique_id", .75}, "external id": {"user.unique_id", .7}, "number": {"user.unique_id", .5},
	"language": {"user.demographic", .5}, "locale": {"user.demographic", .5}, "timezone": {"user.location", .6}, "first": {"user.name", .8}, "last": {"user.name", .8},
	"photo url": {"user.content.photo", .85}, "image": {"user.content.photo", .6}, "picture": {"user.content.photo", .85}, "company": {"user.workplace", .75},
	"first seen": {"user.behavior", .6}, "initials": {"user.name", .7}, "full": {"user.name", .6}, "county": {"user.contact.address.state", .6},
	"time zone": {"user.location", .6}, "legal name": {"user.name", .85}, "code": {"user.unique_id", .3}, "nick": {"user.name", .8}, "alias": {"user.name", .7}, "pin": {"user.authorization", .7},
}

// words takes a name apart at underscores, capitals and digits, in lower case:
// homeAddress2 is home, address, 2.
func words(name string) []string {
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = nil
		}
	}
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case len(word) == 0:
		case unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])):
			flush()
		case unicode.IsDigit(r) != unicode.IsDigit(runes[i-1]) && !versioned(string(word), runes[i:]):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return out
}

// versioned reports whether the digits belong to the word: ipv4, icd10, last4.
func versioned(word string, rest []rune) bool {
	word = strings.ToLower(word)
	return word == "ipv" || word == "icd" || strings.IndexFunc(word, unicode.IsDigit) >= 0 && len(rest) > 0 && !unicode.IsLetter(rest[0])
}

// phrase is a rule's words, ready to compare.
type phrase struct {
	rule  *rule
	words []string
	whole bool
}

var phrases = func() []phrase {
	var all []phrase
	for i := range rules {
		for p := range strings.SplitSeq(rules[i].phrases, ",") {
			p, whole := strings.CutPrefix(strings.TrimSpace(p), "^")
			all = append(all, phrase{rule: &rules[i], words: strings.Fields(splitPhrase(p)), whole: whole})
		}
	}
	return all
}()

// splitPhrase takes a phrase apart as a name would be, so that both compare.
func splitPhrase(p string) string { return strings.Join(words(p), " ") }

// byName is what the names of a column and its table point to.
func byName(table, column string) (category string, score float64) {
	name, in := words(column), words(table)
	best := 0
	for i := range phrases {
		p := &phrases[i]
		if !p.in(name) {
			continue
		}
		if p.rule.score > score || p.rule.score == score && len(p.words) > best {
			category, score, best = p.rule.category, p.rule.score, len(p.words)
		}
	}
	people, goods := mentions(in, about), mentions(in, trade) && !ofSomebody(name)
	if p, ok := inPeople[strings.Join(name, " ")]; ok && people && p.score > score {
		category, score = p.category, p.score
	}
	if goods && !people && !certain(category) {
		score *= .3
	}
	if slices.ContainsFunc(name, func(w string) bool { return slices.Contains(flags, w) }) && !strings.HasPrefix(category, "user.privacy") && !held(column, category) {
		score *= .3
	}
	return category, score
}

// ofSomebody reports whether a column's name itself says whose it is, as in
// contact_name.
func ofSomebody(name []string) bool {
	return mentions(slices.DeleteFunc(slices.Clone(name), func(w string) bool { return w == "address" }), about)
}

// certain are categories that no table makes harmless.
func certain(category string) bool {
	return slices.Contains([]string{
		"user.contact.email", "user.device.ip_address", "user.demographic.date_of_birth", "user.payment.card_number", "user.authorization.password",
		"user.government_id.national_identification_number", "user.government_id.passport_number", "user.device.device_id", "user.unique_id",
	}, category)
}

// held reports whether a word that is a flag elsewhere belongs to the phrase
// itself, as in "job title" or "device type".
func held(column, category string) bool {
	name := words(column)
	for i := range phrases {
		p := &phrases[i]
		if p.rule.category == category && p.in(name) && slices.ContainsFunc(p.words, func(w string) bool { return slices.Contains(flags, w) }) {
			return true
		}
	}
	return false
}

func (p *phrase) in(name []string) bool {
	if p.whole {
		return slices.Equal(p.words, name)
	}
	for i := 0; i+len(p.words) <= len(name); i++ {
		if slices.Equal(p.words, name[i:i+len(p.words)]) {
			return true
		}
	}
	return false
}

// mentions reports whether a name has one of the words, in the singular or
// the plural.
func mentions(name, list []string) bool {
	return slices.ContainsFunc(name, func(w string) bool {
		for _, form := range []string{w, strings.TrimSuffix(w, "s"), strings.TrimSuffix(w, "es"), strings.TrimSuffix(w, "ies") + "y"} {
			if slices.Contains(list, form) {
				return true
			}
		}
		return false
	})
}
