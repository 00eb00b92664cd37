package coordinator

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nkeys"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
)

// Connector is a connector as planning sees it.
type Connector struct {
	Name, Version, Digest string
	// KeyID is the evidence key that signs its records, SealKey the public
	// curve key that subjects are sealed to.
	KeyID, SealKey string
	Key            ed25519.PublicKey
	Abilities      []request.Action
	Accepts        []string
	Yields         []string
	After          []string
	Tier           int
	Stores         []string
	// About are the stores with what the plan of a right depends on.
	About []StoreInfo
	// Scopes says that it can leave single stores of a person alone.
	Scopes bool
	// Backups is how long its system's backups keep what was erased.
	Backups time.Duration
	Seen    time.Time
	Ready   bool
}

// StoreInfo is what a manifest says of one store.
type StoreInfo struct {
	Name            string
	Letters         []string
	ServiceProvider bool
	Acquired        bool
	// NotSearched is what the consumer is told of a store that is not searched
	// for a request to know; "" for one that is.
	NotSearched string
	// Retains are the bases on which it may keep records.
	Retains []Retention
	// Deidentifies says that erasing leaves its records, as nobody's.
	Deidentifies bool
}

// Can reports whether the connector has the ability.
func (c Connector) Can(a request.Action) bool { return slices.Contains(c.Abilities, a) }

var actions = map[habeasv1.Action]request.Action{
	habeasv1.Action_ACTION_RESOLVE:    request.ActionResolve,
	habeasv1.Action_ACTION_LOCATE:     request.ActionLocate,
	habeasv1.Action_ACTION_EXPORT:     request.ActionExport,
	habeasv1.Action_ACTION_ERASE:      request.ActionErase,
	habeasv1.Action_ACTION_CORRECT:    request.ActionCorrect,
	habeasv1.Action_ACTION_LIMIT:      request.ActionLimit,
	habeasv1.Action_ACTION_OPT_OUT:    request.ActionOptOut,
	habeasv1.Action_ACTION_OPT_IN:     request.ActionOptIn,
	habeasv1.Action_ACTION_LIFT_LIMIT: request.ActionLiftLimit,
}

func wireAction(a request.Action) habeasv1.Action {
	for w, r := range actions {
		if r == a {
			return w
		}
	}
	return habeasv1.Action_ACTION_UNSPECIFIED
}

// parseManifest reads what a connector announced under its name.
func parseManifest(name string, data []byte) (Connector, error) {
	m := &habeasv1.Manifest{}
	if err := proto.Unmarshal(data, m); err != nil {
		return Connector{}, fmt.Errorf("manifest of %s: not a Manifest message", name)
	}
	if m.GetName() != name {
		return Connector{}, fmt.Errorf("manifest of %s: field name names another connector", name)
	}
	if err := wire.CheckName(name); err != nil {
		return Connector{}, fmt.Errorf("manifest: field name: %w", err)
	}
	key, err := wire.ParsePublicDER(m.GetEvidenceKey())
	if err != nil {
		return Connector{}, fmt.Errorf("manifest of %s: field evidence_key: %w", name, err)
	}
	if !nkeys.IsValidPublicCurveKey(m.GetSealKey()) {
		return Connector{}, fmt.Errorf("manifest of %s: field seal_key: want a public curve key (X...)", name)
	}
	if m.GetTier() == habeasv1.Tier_TIER_THIRD_PARTY && strings.TrimSpace(m.GetContract()) == "" {
		return Connector{}, fmt.Errorf("manifest of %s: field contract: a third party needs a contract that can be named (11 CCR 7053); set it in the connector's configuration", name)
	}
	c := Connector{
		Name: name, Version: m.GetVersion(), Digest: m.GetDigest(), KeyID: wire.Fingerprint(key), Key: key,
		SealKey: m.GetSealKey(), Accepts: m.GetAccepts(), Yields: m.GetYields(), After: m.GetAfter(),
		Tier: tierOrder(m.GetTier()), Seen: m.GetBeatTime().AsTime(), Ready: m.GetReady(),
	}
	for _, a := range m.GetAbilities() {
		if known, ok := actions[a]; ok {
			c.Abilities = append(c.Abilities, known)
		}
	}
	c.Scopes, c.Backups = m.GetScopes(), m.GetBackupExpiry().AsDuration()
	for _, s := range m.GetStores() {
		c.Stores = append(c.Stores, s.GetName())
		info := StoreInfo{
			Name: s.GetName(), ServiceProvider: s.GetRole() == habeasv1.Role_ROLE_SERVICE_PROVIDER, Acquired: s.GetSource() == habeasv1.Source_SOURCE_ACQUIRED,
			Deidentifies: s.GetDeidentifies(),
		}
		for _, category := range s.GetCategories() {
			info.Letters = append(info.Letters, category.GetLetter())
		}
		for _, k := range s.GetRetentions() {
			info.Retains = append(info.Retains, Retention{Basis: k.GetBasis(), Ends: k.GetEnds(), Facts: k.GetFacts()})
		}
		if n := s.GetNotSearched(); n != nil {
			if !n.GetNotSearchable() || !n.GetLegalPurposeOnly() || !n.GetNoCommercialUse() || n.GetDescribed() == "" {
				return Connector{}, fmt.Errorf("manifest of %s: store %s: not_searched needs all four conditions of 11 CCR 7024(c)", name, s.GetName())
			}
			info.NotSearched = n.GetDescribed()
		}
		c.About = append(c.About, info)
	}
	return c, nil
}

// tierOrder is the place in a deletion: third parties first, stores that hold
// the identity others are found by last.
func tierOrder(t habeasv1.Tier) int {
	switch t {
	case habeasv1.Tier_TIER_THIRD_PARTY:
		return 1
	case habeasv1.Tier_TIER_IDENTITY_STORE:
		return 3
	default:
		return 2
	}
}

// registry is what is known of the connectors right now.
type registry struct {
	mu     sync.RWMutex
	byName map[string]Connector
}

func (r *registry) put(c Connector) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = make(map[string]Connector)
	}
	r.byName[c.Name] = c
}

func (r *registry) get(name string) (Connector, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	c, ok := r.byName[name]
	return c, ok
}

// all returns the connectors by name.
func (r *registry) all() []Connector {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]Connector, 0, len(r.byName))
	for _, c := range r.byName {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Connector) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
