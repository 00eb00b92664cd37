package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/habeas-data/habeas/connectors/demo"
)

// people prints the identifiers of the people with a story, by role and kind,
// so that somebody who tries the company out knows whom to ask for. After them
// come count ordinary people from number first on, as "person-N". Besides the
// kinds of identifiers, "name" is what they are called and "systems" where they
// are known.
func people(w io.Writer, first, count int) error {
	cast := map[string]int{
		"copier": demo.Copier, "leaver": demo.Leaver, "opt_outer": demo.OptOuter, "namesake": demo.Namesake,
		"other_namesake": demo.OtherNamesake, "cookie_only": demo.CookieOnly, "email_only": demo.EmailOnly, "busy": demo.Busy,
	}
	for n := first; n < first+count; n++ {
		cast[fmt.Sprintf("person-%d", n)] = n
	}
	out := map[string]map[string][]string{}
	for role, n := range cast {
		p := demo.PersonAt(n)
		out[role] = map[string][]string{
			"email": {p.Email}, "phone": {p.Phone}, "customer_id": {p.CustomerID}, "user_id": {p.UserID},
			"device_id": p.DeviceIDs, "cookie_id": p.CookieIDs, "name": {p.First + " " + p.Last}, "systems": systems(p),
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("printing the people: %w", err)
	}
	return nil
}

// systems lists where a person is known.
func systems(p demo.Person) []string {
	in := []string{}
	for _, s := range []struct {
		name  string
		known bool
	}{{"billing", p.InBilling}, {"crm", p.InCRM}, {"analytics", p.InAnalytics}, {"adtech", p.InAdtech}} {
		if s.known {
			in = append(in, s.name)
		}
	}
	return in
}
