package intake

import (
	"context"
	"errors"
	"fmt"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ErrNotOffered says that the request does not come with what was taken up.
var ErrNotOffered = errors.New("this request does not offer that")

// Offers are what a refused request comes with, besides its reason.
type Offers struct {
	// OptOut asks whether to opt out of sale and sharing instead: for a refused
	// deletion, where the business sells or shares and the person has not opted
	// out (11 CCR 7022(a), (g)).
	OptOut bool
	// PolicyURL is where the general practices are described (11 CCR 7024(b)).
	PolicyURL string
	// Appeal says that the person may appeal.
	Appeal bool
}

// OffersOf gives what a request comes with.
func (r *Room) OffersOf(ctx context.Context, req *store.Request) (Offers, error) {
	var o Offers
	if req.Ending == nil || req.Ending.Result != request.ResultDenied || !req.Terms.Ruled() || req.Right().Desk() {
		return o, nil
	}
	if rules, err := r.Regimes.At(req.Regime, req.Terms.Due.Received); err == nil {
		_, o.Appeal = rules.Appeal()
	}
	if req.Right().Know() {
		o.PolicyURL = r.PolicyURL
	}
	if req.Right() != request.Delete || !r.SellsOrShares {
		return o, nil
	}
	past, err := r.pasts(ctx, req.ID)
	if err != nil {
		return o, err
	}
	today, err := r.Regimes.ReceiptDate(req.Regime, r.Now())
	if err != nil {
		return o, err
	}
	o.OptOut = !request.ChoiceOf(past, today).OptedOut
	return o, nil
}

// OptOutInstead takes up the offer of a refused deletion: one call, no further
// question, the same request however often.
func (r *Room) OptOutInstead(ctx context.Context, id request.ID) (request.ID, error) {
	req, err := r.Lookup(ctx, id)
	if err != nil {
		return "", err
	}
	offers, err := r.OffersOf(ctx, &req)
	if err != nil {
		return "", err
	}
	if !offers.OptOut {
		// It may have been taken up already: then this is the same click again.
		past, err := r.pasts(ctx, id)
		if err != nil {
			return "", err
		}
		for _, p := range past {
			if p.Case.Parent == id && p.Case.Origin == request.FromOffer {
				return p.ID, nil
			}
		}
		return "", ErrNotOffered
	}
	taken, err := r.follow(ctx, &req, request.OptOutSaleShare, request.FromOffer, "habeas:offer:"+string(id))
	return taken.ID, err
}

// Appeal starts the second look a regime gives a consumer who was refused, with
// a clock of its own (for example Va. Code 59.1-577(C)).
func (r *Room) Appeal(ctx context.Context, id request.ID) (request.ID, error) {
	req, err := r.Lookup(ctx, id)
	if err != nil {
		return "", err
	}
	offers, err := r.OffersOf(ctx, &req)
	if err != nil {
		return "", err
	}
	if !offers.Appeal {
		return "", ErrNotOffered
	}
	taken, err := r.follow(ctx, &req, request.Appeal, request.FromAppeal, "habeas:appeal:"+string(id))
	return taken.ID, err
}

// follow takes in a request of the same person that follows from another.
func (r *Room) follow(ctx context.Context, parent *store.Request, right request.Right, origin request.Origin, key string) (Taken, error) {
	of, err := r.Vault.Unwrap(ctx, parent.WrappedKey)
	if err != nil {
		return Taken{}, err
	}
	defer of.Destroy()
	ids, err := of.OpenIdentifiers(parent.ID, parent.Sealed)
	if err != nil {
		return Taken{}, err
	}
	taken, err := r.Take(ctx, []Entry{{
		Submission: request.Submission{
			Tenant: parent.Tenant, Regime: parent.Regime, Right: right, Channel: parent.Channel, Identifiers: ids,
			Parent: parent.ID, Origin: origin, Minor: parent.Case.Minor, Requester: parent.Case.Requester,
		},
		IdempotencyKey: key,
	}}, Name)
	if err != nil {
		return Taken{}, err
	}
	return taken[0], taken[0].Err
}

// State adds a statement of the consumer about a disputed field, which goes
// with the record from then on (11 CCR 7023(f)(3)). The text is encrypted under
// the request's key and never shown by the API.
func (r *Room) State(ctx context.Context, id request.ID, field string, text request.Secret) error {
	if err := request.CheckStatement(field, text); err != nil {
		return err
	}
	req, err := r.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if req.Right() != request.Correct {
		return fmt.Errorf("a statement belongs to a request to correct: %w", ErrNotOffered)
	}
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return err
	}
	defer key.Destroy()
	return r.change(ctx, id, func(s *store.Snapshot) error {
		var have []request.Correction
		if len(s.Request.Statements) > 0 {
			var err error
			if have, err = key.OpenStatements(id, s.Request.Statements); err != nil {
				return err
			}
		}
		kept := []request.Correction{{Field: field, Value: text}}
		for _, h := range have {
			if h.Field != field {
				kept = append(kept, h)
			}
		}
		if len(kept) > request.MaxIdentifiers {
			return request.FieldErrors{{Field: "field", Problem: "there are too many statements", Fix: "join some of them"}}
		}
		s.Request.Statements = key.SealStatements(id, kept)
		s.Request.Case.Stated, s.Changed = true, true
		return nil
	})
}

// Statements returns what the consumer of the given digests wants said about
// disputed fields, for whoever hands their data out.
func (r *Room) Statements(ctx context.Context, digests [][]byte) ([]request.Correction, error) {
	related, err := r.Store.Related(ctx, digests)
	if err != nil {
		return nil, err
	}
	var out []request.Correction
	for _, p := range onceEach(related, "") {
		if !p.Case.Stated {
			continue
		}
		req, err := r.Lookup(ctx, p.ID)
		if err != nil {
			return nil, err
		}
		key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
		if err != nil {
			return nil, err
		}
		said, err := key.OpenStatements(p.ID, req.Statements)
		key.Destroy()
		if err != nil {
			return nil, err
		}
		out = append(out, said...)
	}
	return out, nil
}
