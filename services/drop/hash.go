package drop

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/habeas-data/habeas/services/request"
)

// Hash is how the platform names an identifier: SHA-256 of its standard form,
// in Base64. It is not keyed, so it is personal data: whoever has a list of
// addresses can find out whose it is.
type Hash string

// HashOf returns the hash of a value in standard form; "" for an empty one,
// which names nobody.
func HashOf(standard string) Hash {
	if standard == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(standard))
	return Hash(base64.StdEncoding.EncodeToString(sum[:]))
}

// composite hashes the hashes of several values, one after the other; "" when
// one of them is empty.
func composite(standard ...string) Hash {
	var all strings.Builder
	for _, s := range standard {
		h := HashOf(s)
		if h == "" {
			return ""
		}
		all.WriteString(string(h))
	}
	return HashOf(all.String())
}

// Person is what a broker holds of one person that the platform's lists can
// name. Every value may be missing, and several may be there of one kind.
type Person struct {
	Emails, Phones, AdvertisingIDs, TelevisionIDs, VINs, ZIPs []string
	Names                                                     []FullName
	Births                                                    []request.Date
}

// FullName is a first and a last name.
type FullName struct{ First, Last string }

// Hashes returns the hashes by which lists can name p: one for each value, and
// for a composite list one for each combination of its values.
func (p Person) Hashes() map[List][]Hash {
	out := make(map[List][]Hash)
	add := func(l List, h Hash) {
		if h != "" {
			out[l] = append(out[l], h)
		}
	}
	for _, s := range p.Emails {
		add(ListEmail, HashOf(Email(s)))
	}
	for _, s := range p.Phones {
		add(ListPhone, HashOf(Phone(s)))
	}
	for _, s := range p.AdvertisingIDs {
		add(ListAdvertising, HashOf(AdvertisingID(s)))
	}
	for _, s := range p.TelevisionIDs {
		add(ListTelevision, HashOf(TelevisionID(s)))
	}
	for _, n := range p.Names {
		first, last := Name(n.First), Name(n.Last)
		for _, vin := range p.VINs {
			add(ListNameVIN, composite(first, last, VIN(vin)))
		}
		for _, birth := range p.Births {
			for _, zip := range p.ZIPs {
				add(ListNameBirthZIP, composite(first, last, Birth(birth), ZIP(zip)))
			}
		}
	}
	return out
}
