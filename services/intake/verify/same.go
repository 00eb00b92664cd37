package verify

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// claimSame begins the names of the claims by which systems are asked whether a
// further identifier is that of the person they know by the anchor.
const claimSame = "same person "

// sameFields are what fields with an identifier are called.
var sameFields = map[request.Kind][]string{
	request.Email:      {"email", "email_address", "e_mail", "mail", "contact_email", "customer_email", "user_email"},
	request.Phone:      {"phone", "phone_number", "mobile", "mobile_phone", "telephone"},
	request.CustomerID: {"customer_id", "customer_number", "customer_no", "customer", "account_number", "account_id"},
	request.UserID:     {"user_id", "userid", "user", "account_id"},
}

// others are the identifiers that came with a request besides the anchor. Names
// are left out, by which nobody is acted on, and so are kinds that a connector
// has added to: what it found belongs to whom was verified before.
func (r *Room) others(ctx context.Context, req *store.Request, f *file) ([]request.Identifier, error) {
	if len(req.WrappedKey) == 0 {
		return nil, nil
	}
	ids, err := r.Requests.Identifiers(ctx, req)
	if err != nil {
		return nil, err
	}
	found := func(kind request.Kind) bool {
		return slices.ContainsFunc(req.Kinds, func(k store.Kind) bool { return k.Name == string(kind) && k.By != "" })
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id request.Identifier) bool {
		return id.Kind == request.Name || id == f.anchor() || found(id.Kind)
	}), nil
}

// sameClaims ask of each whether it is the same person's.
func sameClaims(p Policy, others []request.Identifier) []Claim {
	out := make([]Claim, len(others))
	for i, id := range others {
		fields := append(slices.Clone(sameFields[id.Kind]), string(id.Kind))
		for _, pt := range p.Points {
			if slices.ContainsFunc(pt.Fields, func(f string) bool { return slices.Contains(fields, f) }) {
				fields = append(fields, pt.Fields...)
			}
		}
		slices.Sort(fields)
		form := wire.FormText
		switch id.Kind {
		case request.Email:
			form = wire.FormEmail
		case request.Phone:
			form = wire.FormPhone
		}
		out[i] = Claim{Point: Point{Name: claimSame + strconv.Itoa(i), Form: form, Fields: slices.Compact(fields)}, Value: id.Value}
	}
	return out
}

// tie remembers which of the others systems hold for the person of the anchor.
func (f *file) tie(others []request.Identifier, matched []string) {
	for i, id := range others {
		pair := [2]string{string(id.Kind), id.Reveal()}
		if slices.Contains(matched, claimSame+strconv.Itoa(i)) && !slices.Contains(f.Tied, pair) {
			f.Tied = append(f.Tied, pair)
		}
	}
}

// vouched reports whether all that a request would act on is the person's who was
// verified: the anchor, what systems hold for that person, a number on which a
// code arrived, and, for a login, the account's. One request may name two people,
// and who proves to be one of them has proved nothing of the other.
func (r *Room) vouched(ctx context.Context, req *store.Request, f *file, method string) (bool, error) {
	others, err := r.others(ctx, req, f)
	if err != nil {
		return false, err
	}
	one := append([][2]string{f.Anchor}, f.Tied...)
	proven := slices.Clone(f.Login)
	if method != MethodLogin || len(f.Login) == 0 {
		proven = append(proven, f.Anchor)
	}
	if f.passed(viaText) {
		proven = append(proven, [2]string{string(request.Phone), f.Phone.Number})
	}
	if slices.ContainsFunc(proven, func(p [2]string) bool { return slices.Contains(one, p) }) {
		proven = append(proven, one...)
	}
	var open []string
	for _, id := range append([]request.Identifier{f.anchor()}, others...) {
		if !slices.Contains(proven, [2]string{string(id.Kind), id.Reveal()}) {
			open = append(open, string(id.Kind))
		}
	}
	if len(open) == 0 {
		return true, nil
	}
	slices.Sort(open)
	r.Logger.WarnContext(ctx, "a requester is verified by one identifier and asks by others that no system holds for the same person; somebody has to look",
		slog.String("request", string(req.ID)), slog.String("unproven", strings.Join(slices.Compact(open), ", ")))
	return false, nil
}
