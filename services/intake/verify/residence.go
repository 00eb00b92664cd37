package verify

import (
	"slices"
	"strings"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
)

// claimLives begins the names of the claims by which systems are asked whether
// they hold an address in a state.
const claimLives = "lives in "

// states are how the state of a law is written in addresses. Only of a law that
// lets a request be refused for living elsewhere is there anything to ask.
var states = map[string][]string{"us-ca-ccpa": {"CA", "California"}}

// stateFields are what fields with a state are called.
var stateFields = []string{"state", "state_code", "address_state", "region", "region_code", "province", "administrative_area"}

// residence asks whether a system holds an address in the state of a law. The
// answer can help the person and nothing else: that no system does says nothing,
// for people move, and are residents while they are away for a time (18 CCR
// 17014).
func residence(regime string) []Claim {
	var out []Claim
	for _, written := range states[regime] {
		out = append(out, Claim{
			Point: Point{Name: claimLives + written, Form: wire.FormText, Fields: stateFields}, Value: request.NewSecret(written),
		})
	}
	return out
}

// resides reports whether a system holds an address in the state.
func (a Answer) resides() bool {
	return a.Known && slices.ContainsFunc(a.Matched, func(name string) bool { return strings.HasPrefix(name, claimLives) })
}
