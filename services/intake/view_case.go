package intake

import (
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// CaseView is what was said and decided about a request, for staff.
type CaseView struct {
	// PublicState is the state as the consumer may be told it.
	PublicState  request.State     `json:"public_state" doc:"The state as the consumer may be told it: what holds a request is not told"`
	Requester    request.Requester `json:"requester,omitempty"`
	Minor        request.Minor     `json:"minor,omitempty"`
	Undesignated bool              `json:"undesignated,omitempty" doc:"It came by a way the company did not name; it counts all the same"`
	Unconfirmed  bool              `json:"unconfirmed,omitempty" doc:"Its second step is to come"`
	Portions     []string          `json:"portions,omitempty"`
	Answer       string            `json:"answer,omitempty" doc:"mail: the answer is sent on paper"`
	Disputed     []string          `json:"disputed,omitempty" doc:"Names of the disputed fields"`
	Stated       bool              `json:"stated,omitempty" doc:"The consumer's statements are kept with it"`
	NeedsLevel   request.Level     `json:"needs_level,omitempty" doc:"How sure one must be of the requester"`
	Since        string            `json:"since,omitempty" doc:"The first day it reaches back to"`
	Clipped      bool              `json:"clipped,omitempty" doc:"More was asked for than the law reaches back to"`
	Extension    string            `json:"extension_reason,omitempty"`
	Parent       request.ID        `json:"parent,omitempty" doc:"The request it follows from"`
	Origin       request.Origin    `json:"origin,omitempty"`
	Children     []ChildView       `json:"children,omitempty"`
	Holds        []HoldView        `json:"holds,omitempty"`
	Approvals    []ApprovalView    `json:"approvals,omitempty" doc:"Who agreed to something that takes two people"`
	Review       *ReviewView       `json:"review,omitempty" doc:"Of a copy that somebody looks at before it is handed over"`
	Offers       *OffersView       `json:"offers,omitempty" doc:"What a denial comes with"`
}

// ChildView is a request that follows.
type ChildView struct {
	ID     request.ID     `json:"id"`
	Right  request.Right  `json:"right"`
	Origin request.Origin `json:"origin"`
	At     time.Time      `json:"at"`
	Made   bool           `json:"made"`
}

// HoldView is a reason to wait.
type HoldView struct {
	ID      request.ID       `json:"id"`
	Kind    request.HoldKind `json:"kind"`
	Ref     string           `json:"ref,omitempty"`
	Reason  string           `json:"reason,omitempty"`
	By      string           `json:"by,omitempty"`
	Since   time.Time        `json:"since"`
	Until   *time.Time       `json:"until,omitempty"`
	Renewed int              `json:"renewed,omitempty"`
	Ended   *time.Time       `json:"ended,omitempty"`
}

// ApprovalView is one person's yes.
type ApprovalView struct {
	What string    `json:"what"`
	By   string    `json:"by"`
	At   time.Time `json:"at"`
}

// OffersView is what a denial comes with.
type OffersView struct {
	OptOut    bool   `json:"opt_out,omitempty" doc:"Ask whether to opt out instead: POST …/opt-out"`
	PolicyURL string `json:"policy_url,omitempty"`
	Appeal    bool   `json:"appeal,omitempty" doc:"The denial can be appealed: POST …/appeal"`
}

func caseView(r *store.Request) CaseView {
	c := r.Case
	v := CaseView{
		PublicState: r.Public(), Requester: c.Requester, Minor: c.Minor, Undesignated: c.Undesignated, Unconfirmed: c.Unconfirmed,
		Portions: c.Portions, Answer: string(c.Answer), Disputed: c.Disputed, Stated: c.Stated, NeedsLevel: r.Level(), Since: r.Since().String(), Clipped: r.Terms.Clipped,
		Parent: c.Parent, Origin: c.Origin,
	}
	v.Review = reviewView(r)
	if r.Extension != nil {
		v.Extension = r.Extension.Reason
	}
	for _, child := range c.Children {
		v.Children = append(v.Children, ChildView{ID: child.ID, Right: child.Right, Origin: child.Origin, At: child.At, Made: child.Made})
	}
	for _, h := range c.Holds {
		v.Holds = append(v.Holds, HoldView{
			ID: h.ID, Kind: h.Kind, Ref: h.Ref, Reason: h.Reason, By: h.By, Since: h.Since, Until: timeOrNil(h.Until), Renewed: h.Renewed, Ended: timeOrNil(h.Ended),
		})
	}
	for _, a := range c.Approvals {
		v.Approvals = append(v.Approvals, ApprovalView{What: a.What, By: a.By, At: a.At})
	}
	return v
}

func (v *CaseView) offer(o Offers) {
	if o != (Offers{}) {
		v.Offers = &OffersView{OptOut: o.OptOut, PolicyURL: o.PolicyURL, Appeal: o.Appeal}
	}
}
