package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/habeas-data/habeas/connectors/demo"
)

// people prints the identifiers of the people with a story, by role and kind,
// so that somebody who tries the company out knows whom to ask for.
func people(w io.Writer) error {
	out := map[string]map[string][]string{}
	for role, n := range map[string]int{
		"copier": demo.Copier, "leaver": demo.Leaver, "opt_outer": demo.OptOuter, "namesake": demo.Namesake,
		"other_namesake": demo.OtherNamesake, "cookie_only": demo.CookieOnly, "email_only": demo.EmailOnly, "busy": demo.Busy,
	} {
		p := demo.PersonAt(n)
		out[role] = map[string][]string{
			"email": {p.Email}, "phone": {p.Phone}, "customer_id": {p.CustomerID}, "user_id": {p.UserID},
			"device_id": p.DeviceIDs, "cookie_id": p.CookieIDs,
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return fmt.Errorf("printing the people: %w", err)
	}
	return nil
}
