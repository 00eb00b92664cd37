// Package demo makes the demo company: a few thousand generated people and the
// systems that hold their data. Everything follows from a person's number, so
// the same company can be made again anywhere, byte for byte.
//
// The people are invented. Addresses end in example.com, .net or .org and
// phone numbers are in the 555-01xx range kept for fiction.
package demo

import (
	"fmt"
	"iter"
	"time"
)

// Size is how many people the demo company knows.
const Size = 3000

// People with a story. Every other number is an ordinary customer.
const (
	// Copier asks for a copy in the demo; she is in all four systems.
	Copier = 11
	// Leaver asks to be erased in the demo; he is in all four systems and has
	// paid invoices that the law keeps.
	Leaver = 12
	// OptOuter asks not to be sold; known to ad-tech by a cookie alone.
	OptOuter = 13
	// Namesake and OtherNamesake share a first and last name and a household.
	Namesake      = 21
	OtherNamesake = 22
	// CookieOnly is known by one cookie and nothing else, to ad-tech alone.
	CookieOnly = 31
	// EmailOnly is in the CRM by an e-mail address and nowhere else.
	EmailOnly = 32
	// Busy has 200,000 analytics events.
	Busy = 41
	// BusyEvents is how many.
	BusyEvents = 200_000
)

// Epoch is the day the company opened. Dates of records follow from it.
var Epoch = time.Date(2023, 3, 1, 9, 0, 0, 0, time.UTC)

// Person is one generated consumer.
type Person struct {
	N          int
	First      string
	Last       string
	Email      string // unique
	Phone      string // E.164, unique
	CustomerID string // billing's account number, unique
	UserID     string // the product's internal id, unique
	DeviceIDs  []string
	CookieIDs  []string
	Company    string
	Title      string
	Street     string
	City       string
	Zip        string
	Joined     time.Time
	// Where the person is known.
	InBilling, InCRM, InAnalytics, InAdtech bool
}

var (
	firsts    = []string{"Ada", "Boris", "Chana", "Dmitri", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jamal", "Kira", "Luis", "Mona", "Nils", "Olga", "Pablo", "Qing", "Rosa", "Sami", "Tess", "Umar", "Vera", "Wen", "Xenia", "Yusuf", "Zoe"}
	lasts     = []string{"Abara", "Brandt", "Castillo", "Duarte", "Eriksen", "Fontaine", "Goldberg", "Haddad", "Ivanova", "Jensen", "Kowalski", "Laurent", "Moreau", "Nakamura", "Okafor", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka", "Urban", "Vargas", "Weiss", "Xu", "Yilmaz", "Zhang", "O'Neill", "van Dijk", "Müller"}
	companies = []string{"Acorn Studio", "Birch & Sons", "Copperleaf", "Driftwood Labs", "Elm Street Dental", "Foxglove Media", "Granite Works", "Harbor Lane"}
	titles    = []string{"Owner", "Bookkeeper", "Designer", "Project Manager", "Consultant", "Architect", "Photographer"}
	streets   = []string{"Alder Way", "Bay Street", "Cedar Court", "Dune Road", "Echo Lane", "Fern Avenue"}
	cities    = []string{"Sacramento", "Fresno", "Oakland", "San Diego", "Eureka", "Long Beach"}
	domains   = []string{"example.com", "example.net", "example.org"}
)

// PersonAt makes person number n, counted from 0.
func PersonAt(n int) Person {
	h := mix(uint64(n))
	pick := func(list []string, salt uint64) string { return list[mix(h^salt)%uint64(len(list))] }
	p := Person{
		N: n, First: pick(firsts, 1), Last: pick(lasts, 2),
		Phone:      fmt.Sprintf("+1%03d%03d01%02d", 209+n/1000%700, 200+n/100%10*10+5, n%100),
		CustomerID: fmt.Sprintf("cus_%08x", uint32(mix(h^3))),
		UserID:     fmt.Sprintf("usr_%012x", mix(h^4)&0xffffffffffff),
		Company:    pick(companies, 5), Title: pick(titles, 6),
		Street: fmt.Sprintf("%d %s", 1+mix(h^7)%999, pick(streets, 8)), City: pick(cities, 9),
		Zip:       fmt.Sprintf("9%04d", mix(h^10)%10000),
		Joined:    Epoch.AddDate(0, 0, int(mix(h^11)%1200)),
		InBilling: h%10 < 8, InCRM: h%10 < 9, InAnalytics: h%7 < 6, InAdtech: h%5 < 4,
	}
	p.Email = fmt.Sprintf("%s.%d@%s", asciiLower(p.First), n, pick(domains, 12))
	for i := range 1 + mix(h^13)%2 {
		p.DeviceIDs = append(p.DeviceIDs, fmt.Sprintf("dev-%016x", mix(h^(100+i))))
	}
	for i := range 1 + mix(h^14)%3 {
		p.CookieIDs = append(p.CookieIDs, fmt.Sprintf("ck-%016x", mix(h^(200+i))))
	}
	return p.withStory()
}

func (p Person) withStory() Person {
	everywhere := func(b bool) { p.InBilling, p.InCRM, p.InAnalytics, p.InAdtech = b, b, b, b }
	switch p.N {
	case Copier, Leaver, OptOuter, Busy:
		everywhere(true)
	case Namesake, OtherNamesake:
		everywhere(true)
		p.First, p.Last = "Maria", "Fontaine"
		p.Street, p.City, p.Zip = "14 Cedar Court", "Oakland", "94607"
	case CookieOnly:
		everywhere(false)
		p.InAdtech, p.DeviceIDs, p.CookieIDs = true, nil, p.CookieIDs[:1]
	case EmailOnly:
		everywhere(false)
		p.InCRM = true
	}
	return p
}

// People yields the first n people in order.
func People(n int) iter.Seq[Person] {
	return func(yield func(Person) bool) {
		for i := range n {
			if !yield(PersonAt(i)) {
				return
			}
		}
	}
}

// mix is SplitMix64's finaliser: a fixed, well-spread function of its input.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
