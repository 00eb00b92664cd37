// Package access decides who may do what in the console.
//
// It owes the console this: nobody gets past [Gate.Need] without a session and a
// role that the table of permissions names for that route; a route that the
// table does not name lets nobody through. A session begins only by proving
// who one is, gets a new cookie when it does, and ends by itself. Each view of
// what one person asked for is on record before it is shown.
package access

import (
	"context"
	"slices"
)

// Role is what a member of staff is there for.
type Role string

// Roles. One person may have several; what they may do adds up.
const (
	Viewer   Role = "viewer"   // sees how requests stand
	Operator Role = "operator" // keeps requests moving
	Approver Role = "approver" // decides about requests
	Auditor  Role = "auditor"  // takes evidence away, and changes nothing
	Admin    Role = "admin"    // may do everything
)

// Roles are all roles there are.
var Roles = []Role{Viewer, Operator, Approver, Auditor, Admin}

// Permission is what a route asks for.
type Permission string

// Permissions.
const (
	Open    Permission = "open"    // everybody, signed in or not
	SignIn  Permission = "sign_in" // everybody who is signed in
	See     Permission = "see"     // listings, counts and states
	Look    Permission = "look"    // what one person asked for; each view is on record
	Operate Permission = "operate" // verify, retry, cancel, pause a connector
	Decide  Permission = "decide"  // deny, hold, take more time, lift a cap
	// Evidence is what the log says of requests, by their ids: it names nobody.
	Evidence Permission = "evidence"
	// Handle is to do tasks of systems without an API, to print answers that go by
	// mail, and to look at copies before they are handed over: to see whom one is about, its documents, and to answer it. Each view
	// is on record.
	Handle Permission = "handle"
	// Manage is to say who may use the API.
	Manage Permission = "manage"
)

// grants says what each role may do. Admin may do everything.
var grants = map[Role][]Permission{
	Viewer:   {See, Look, Evidence},
	Operator: {See, Look, Operate, Evidence, Handle},
	Approver: {See, Look, Decide, Evidence},
	Auditor:  {See, Evidence},
	Admin:    {See, Look, Operate, Decide, Evidence, Handle, Manage},
}

// Table says what each route of the console asks for.
var Table = map[string]Permission{
	"GET /assets/{name}":  Open,
	"GET /login":          Open,
	"POST /login":         Open,
	"GET /login/start":    Open,
	"GET /login/callback": Open,
	"POST /logout":        Open,
	"/":                   SignIn,
	"GET /{$}":            See,
	"GET /live":           See,
	"GET /events":         See,
	"GET /today":          See,
	"GET /today/live":     See,
	"GET /find":           See,

	"GET /connectors":                     See,
	"GET /connectors/live":                See,
	"GET /connectors/{connector}":         See,
	"GET /connectors/{connector}/live":    See,
	"POST /connectors/{connector}/pause":  Operate,
	"POST /connectors/{connector}/resume": Operate,
	"GET /letters":                        See,
	"GET /letters/live":                   See,
	"POST /letters/retry":                 Operate,

	"GET /tasks":                                See,
	"GET /tasks/live":                           See,
	"GET /tasks/{connector}/{id}":               Handle,
	"GET /tasks/{connector}/{id}/proof/{proof}": Handle,
	"POST /tasks/{connector}/{id}/assign":       Handle,
	"POST /tasks/{connector}/{id}/attach":       Handle,
	"POST /tasks/{connector}/{id}/copy":         Handle,
	"POST /tasks/{connector}/{id}/uncopy":       Handle,
	"POST /tasks/{connector}/{id}/answer":       Handle,

	"GET /disclosures":                     See,
	"GET /disclosures/live":                See,
	"GET /disclosures/{recipient}":         See,
	"GET /disclosures/{recipient}/live":    See,
	"POST /disclosures/notices/{id}/again": Operate,
	"POST /disclosures/notices/{id}/note":  Operate,

	"GET /requests/{id}":          Look,
	"GET /requests/{id}/live":     Look,
	"GET /requests/{id}/events":   Look,
	"POST /find/person":           Look,
	"POST /filters":               Look,
	"POST /filters/drop":          Look,
	"POST /bulk/retry":            Operate,
	"POST /bulk/assign":           Operate,
	"POST /bulk/extend":           Decide,
	"POST /bulk/plans":            Decide,
	"POST /requests/{id}/plan":    Decide,
	"GET /requests/{id}/answer":   Handle,
	"POST /requests/{id}/posted":  Operate,
	"GET /requests/{id}/copy":     Handle,
	"POST /requests/{id}/copy":    Handle,
	"POST /requests/{id}/assign":  Operate,
	"POST /requests/{id}/verify":  Operate,
	"POST /requests/{id}/cancel":  Operate,
	"POST /requests/{id}/retry":   Operate,
	"POST /requests/{id}/deny":    Decide,
	"POST /requests/{id}/approve": Decide,
	"POST /requests/{id}/extend":  Decide,
	"POST /requests/{id}/hold":    Decide,
	"POST /requests/{id}/unhold":  Decide,

	"GET /evidence":                           Evidence,
	"GET /evidence/verify":                    Evidence,
	"GET /evidence/period":                    Evidence,
	"GET /evidence/period/pack":               Evidence,
	"GET /evidence/sample":                    Evidence,
	"GET /evidence/consistency":               Evidence,
	"GET /evidence/find":                      Evidence,
	"GET /evidence/requests/{id}":             Evidence,
	"GET /evidence/requests/{id}/pack":        Evidence,
	"GET /evidence/requests/{id}/certificate": Evidence,

	"GET /tokens":              Manage,
	"POST /tokens":             Manage,
	"POST /tokens/{id}/revoke": Manage,
}

// listings are the routes that show the log of requests, which serves compliance
// alone (11 CCR 7101(d)): each page of it that is opened is on record, and each
// that is refused.
var listings = map[string]bool{"GET /{$}": true}

// Identity is who is signed in.
type Identity struct {
	// Who names the person in records, the same at every login. It is the name
	// that trainings and approvals go by.
	Who   string
	Roles []Role
}

// recorded says whether a route with a permission shows what one person asked for
// or who that is, so that each view is put on record.
func (p Permission) recorded() bool { return p == Look || p == Handle }

// May says whether one of the identity's roles grants a permission.
func (i Identity) May(p Permission) bool {
	if p == Open || p == SignIn {
		return true
	}
	return slices.ContainsFunc(i.Roles, func(r Role) bool { return slices.Contains(grants[r], p) })
}

// role is the identity's most telling role, for records.
func (i Identity) role() string {
	for _, r := range slices.Backward(Roles) {
		if slices.Contains(i.Roles, r) {
			return string(r)
		}
	}
	return "none"
}

type identityKey struct{}

// Of returns who is signed in; the zero value when nobody is.
func Of(ctx context.Context) Identity {
	i, _ := ctx.Value(identityKey{}).(Identity)
	return i
}
