package console

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// asking is what a system would be asked if a request that has no plan yet were
// planned now.
type asking struct{ Connector, What string }

// foresee says what the first plan will ask of whom, as far as the identifiers
// in hand go: what is resolved on the way may bring in others.
func (r *Room) foresee(ctx context.Context, of *store.Request) ([]asking, error) {
	switch of.State() {
	case request.Received, request.AwaitingVerification, request.Accepted, request.Held:
	default:
		return nil, nil
	}
	connectors, err := r.config.Store.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	var out []asking
	for _, c := range connectors {
		m := &habeasv1.Manifest{}
		if proto.Unmarshal(c.Manifest, m) == nil {
			out = append(out, asking{c.Name, askingOf(of, m)})
		}
	}
	return out, nil
}

func askingOf(of *store.Request, m *habeasv1.Manifest) string {
	var kinds []string
	for _, k := range of.Kinds {
		if slices.Contains(m.GetAccepts(), k.Name) && !slices.Contains(kinds, k.Name) {
			kinds = append(kinds, k.Name)
		}
	}
	if len(kinds) == 0 {
		return "not asked, unless another finds " + strings.Join(m.GetAccepts(), " or ")
	}
	by := " by " + strings.Join(kinds, ", ")
	can := func(a request.Action) bool {
		return slices.ContainsFunc(m.GetAbilities(), func(b habeasv1.Action) bool {
			return strings.TrimPrefix(b.String(), "ACTION_") == strings.ToUpper(string(a))
		})
	}
	switch want := of.Right().Action(); {
	case can(want):
		return strings.ToLower(label(actionLabels, want)) + by
	case can(request.ActionLocate) && !want.Chooses():
		return "look" + by + ": it has no ability for more"
	default:
		return "not asked: it has no ability for this right"
	}
}
