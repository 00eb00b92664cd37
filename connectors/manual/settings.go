package manual

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Settings are the "config:" section of a connector whose work people do.
type Settings struct {
	// Accepts are the kinds of identifiers by which people can find somebody in
	// the system.
	Accepts []string `yaml:"accepts"`
	// Stores are the places to look into: cabinets, tapes, a vendor's archive.
	Stores []StoreSettings `yaml:"stores"`
	// Can says what people can do there besides looking: erase, opt_out,
	// correct, copy. Without it, erase.
	Can []string `yaml:"can"`
	// Instructions say how to go about it. They are shown with every task.
	Instructions string `yaml:"instructions"`
	// Tier is the place in a deletion: own, third_party or identity.
	Tier string `yaml:"tier"`
	// After names connectors whose erasure comes first.
	After []string `yaml:"after"`
	// Contract refers to the agreement with a third party.
	Contract string `yaml:"contract"`
	// Cap is the most records one person may plausibly have.
	Cap int64 `yaml:"cap"`
	// BackupExpiry is how long copies keep what was erased.
	BackupExpiry time.Duration `yaml:"backup_expiry"`
	// Remind is how often a task that nobody does is put on record as waiting;
	// 24h. What people do is taken up at once.
	Remind time.Duration `yaml:"remind"`
	// Keep is how long a task that is done stays with its documents; 17520h, two
	// years (11 CCR 7101). It forgets whom it was about at once.
	Keep time.Duration `yaml:"keep"`
}

// StoreSettings are one place to look into.
type StoreSettings struct {
	// Name is the store's name.
	Name string `yaml:"name"`
	// Categories are what it holds.
	Categories []CategorySettings `yaml:"categories"`
	// Role is the company's role for these records: business or
	// service_provider.
	Role string `yaml:"role"`
}

// CategorySettings are one category of personal information.
type CategorySettings struct {
	// Letter is the statutory category, A to L (Civ. Code 1798.140(v)(1)).
	Letter string `yaml:"letter"`
	// Data is the finer category in dotted words.
	Data string `yaml:"data"`
}

// Bounds and defaults.
const (
	usualRemind = 24 * time.Hour
	leastRemind = time.Minute
	mostRemind  = 30 * 24 * time.Hour
	usualKeep   = 2 * 365 * 24 * time.Hour
)

// abilities are what people can do besides looking.
var abilities = []string{"erase", "opt_out", "correct", "copy"}

var tiers = map[string]sdk.Tier{"": sdk.OwnStore, "own": sdk.OwnStore, "third_party": sdk.ThirdParty, "identity": sdk.IdentityStore}

// check names the first setting that is missing or wrong.
func (s Settings) check() error {
	switch {
	case len(s.Accepts) == 0:
		return errors.New("config.accepts: name the kinds of identifiers people can find somebody by, such as [name, email]")
	case len(s.Stores) == 0:
		return errors.New("config.stores: name at least one place to look into")
	case s.Remind != 0 && (s.Remind < leastRemind || s.Remind > mostRemind):
		return fmt.Errorf("config.remind: %s: want 1m to 720h", s.Remind)
	case s.Keep < 0:
		return fmt.Errorf("config.keep: %s is less than 0", s.Keep)
	}
	if _, ok := tiers[s.Tier]; !ok {
		return fmt.Errorf("config.tier: %q: want own, third_party or identity", s.Tier)
	}
	for i, can := range s.Can {
		if !slices.Contains(abilities, can) {
			return fmt.Errorf("config.can[%d]: %q: want erase, opt_out, correct or copy", i, can)
		}
	}
	seen := make(map[string]bool)
	for i, st := range s.Stores {
		switch {
		case st.Name == "" || seen[st.Name]:
			return fmt.Errorf("config.stores[%d].name: %q: want a name that no other store has", i, st.Name)
		case st.Role != "" && st.Role != string(sdk.Business) && st.Role != string(sdk.ServiceProvider):
			return fmt.Errorf("config.stores[%d].role: %q: want business or service_provider", i, st.Role)
		}
		seen[st.Name] = true
	}
	return nil
}

// manifest is what the connector declares.
func (s Settings) manifest() (sdk.Manifest, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return sdk.Manifest{}, err
	}
	sum := sha256.Sum256(text)
	m := sdk.Manifest{
		After: s.After, Tier: tiers[s.Tier], Cap: s.Cap, BackupExpiry: s.BackupExpiry, Contract: s.Contract, Digest: hex.EncodeToString(sum[:]),
		Notes: []string{"People do the work: what it reports is what they say they saw."},
	}
	for _, k := range s.Accepts {
		m.Accepts = append(m.Accepts, sdk.Kind(k))
	}
	for _, st := range s.Stores {
		store := sdk.Store{Name: st.Name, Role: sdk.Role(cmp.Or(st.Role, string(sdk.Business)))}
		for _, c := range st.Categories {
			store.Categories = append(store.Categories, sdk.Category{Letter: c.Letter, Data: c.Data})
		}
		m.Stores = append(m.Stores, store)
	}
	return m, nil
}

func (s Settings) can(what string) bool {
	if len(s.Can) == 0 {
		return what == "erase"
	}
	return slices.Contains(s.Can, what)
}

func (s Settings) storeNames() []string {
	names := make([]string, len(s.Stores))
	for i, st := range s.Stores {
		names[i] = st.Name
	}
	return names
}
