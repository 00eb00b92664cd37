package main

import (
	"fmt"

	"github.com/habeas-data/habeas/services/request"
)

// planRights reads of which rights a plan waits to be approved.
func planRights(names []string) ([]request.Right, error) {
	var out []request.Right
	for _, name := range names {
		r := request.Right(name)
		switch {
		case !r.Valid() || r.Desk():
			return nil, fmt.Errorf("coordinator.approve: %q is no right that is carried out; use delete, correct, know_specific or know_categories", name)
		case !r.Has(request.Held):
			return nil, fmt.Errorf("coordinator.approve: %s may not wait for anybody (11 CCR 7026(f), 7027(g)); leave it out", name)
		}
		out = append(out, r)
	}
	return out, nil
}
