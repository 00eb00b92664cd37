package sdk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"google.golang.org/protobuf/types/known/durationpb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// abilities reads off the connector's type what it can be asked for. A
// [Corrector] counts only when what it did can be read back.
func abilities(c Connector) []habeasv1.Action {
	actions := []habeasv1.Action{habeasv1.Action_ACTION_LOCATE}
	add := func(has bool, a habeasv1.Action) {
		if has {
			actions = append(actions, a)
		}
	}
	_, resolver := c.(Resolver)
	_, exporter := c.(Exporter)
	_, eraser := c.(Eraser)
	_, optOuter := c.(OptOuter)
	add(resolver, habeasv1.Action_ACTION_RESOLVE)
	add(exporter, habeasv1.Action_ACTION_EXPORT)
	add(eraser, habeasv1.Action_ACTION_ERASE)
	_, limiter := c.(Limiter)
	add(optOuter, habeasv1.Action_ACTION_OPT_OUT)
	add(corrects(c), habeasv1.Action_ACTION_CORRECT)
	add(limiter, habeasv1.Action_ACTION_LIMIT)
	_, resumer := c.(Resumer)
	add(resumer, habeasv1.Action_ACTION_OPT_IN)
	_, lifter := c.(LimitLifter)
	add(lifter, habeasv1.Action_ACTION_LIFT_LIMIT)
	return actions
}

// corrects reports whether c can correct and what it corrected can be read back.
func corrects(c Connector) bool {
	_, corrector := c.(Corrector)
	_, reader := c.(CorrectionReader)
	_, exporter := c.(Exporter)
	return corrector && (reader || exporter)
}

// scopes reports whether c can leave single stores alone.
func scopes(c Connector) bool {
	s, ok := c.(Scoped)
	return ok && s.Scopes()
}

// ManifestDigest is the digest plans are bound to: of everything the manifest
// says, the connector's own digest of its map among it, and of its abilities.
func ManifestDigest(m Manifest, c Connector) string {
	text, err := json.Marshal(struct {
		Manifest  Manifest
		Abilities []habeasv1.Action
	}{m, abilities(c)})
	if err != nil {
		panic(err) // strings and numbers can always be marshalled
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// manifestMessage is the manifest as it is published, without what belongs to
// the running instance.
func manifestMessage(m Manifest, c Connector) *habeasv1.Manifest {
	p := &habeasv1.Manifest{
		Name: m.Name, Version: m.Version, Digest: ManifestDigest(m, c), Abilities: abilities(c),
		Accepts: kindStrings(m.Accepts), Yields: kindStrings(m.Yields), After: m.After,
		Tier:      map[Tier]habeasv1.Tier{ThirdParty: habeasv1.Tier_TIER_THIRD_PARTY, OwnStore: habeasv1.Tier_TIER_OWN_STORE, IdentityStore: habeasv1.Tier_TIER_IDENTITY_STORE}[m.Tier],
		Settle:    durationpb.New(m.Settle),
		BatchSize: int32(min(m.BatchSize, maxBatch)), BatchWindow: durationpb.New(m.BatchWindow), //nolint:gosec // bounded by maxBatch
		Scopes: scopes(c), Cap: m.Cap, BackupExpiry: durationpb.New(m.BackupExpiry), Contract: m.Contract,
		Facts: m.Facts, Notes: m.Notes,
	}
	_, p.Desk = c.(Desked)
	p.Lists = lists(c)
	for _, s := range m.Stores {
		store := &habeasv1.Store{Name: s.Name, Role: habeasv1.Role_ROLE_BUSINESS, Deidentifies: s.Deidentifies, Empties: s.Empties, Masks: s.Masks}
		if s.Role == ServiceProvider {
			store.Role = habeasv1.Role_ROLE_SERVICE_PROVIDER
		}
		store.Source = map[Source]habeasv1.Source{FromConsumer: habeasv1.Source_SOURCE_CONSUMER, Acquired: habeasv1.Source_SOURCE_ACQUIRED}[s.Source]
		if n := s.NotSearched; n != nil {
			store.NotSearched = &habeasv1.NotSearched{
				NotSearchable: n.NotSearchable, LegalPurposeOnly: n.LegalPurposeOnly, NoCommercialUse: n.NoCommercialUse, Described: n.Described,
			}
		}
		for _, k := range s.Retains {
			store.Retentions = append(store.Retentions, &habeasv1.Retention{Basis: k.Basis, Ends: k.Ends, Facts: k.Facts.named()})
		}
		for _, category := range s.Categories {
			store.Categories = append(store.Categories, &habeasv1.Category{Letter: category.Letter, Data: category.Data})
		}
		p.Stores = append(p.Stores, store)
	}
	return p
}

func kindStrings(kinds []Kind) []string {
	var s []string
	for _, k := range kinds {
		s = append(s, string(k))
	}
	return s
}
