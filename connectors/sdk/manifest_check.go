package sdk

import (
	"fmt"
	"regexp"
)

var (
	validName   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	validKind   = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
	validDigest = regexp.MustCompile(`^([0-9a-f]{64})?$`)
)

// Validate returns an error that names the first field of the manifest that is
// wrong. The runtime refuses to serve such a manifest.
func (m Manifest) Validate() error {
	if !validName.MatchString(m.Name) {
		return fmt.Errorf("manifest: Name %q: want 1 to 40 lower-case letters, digits and hyphens, starting with a letter", m.Name)
	}
	if m.Version == "" {
		return fmt.Errorf("manifest of %s: Version is empty", m.Name)
	}
	if len(m.Accepts) == 0 {
		return fmt.Errorf("manifest of %s: Accepts is empty: by which identifiers can the system find a person?", m.Name)
	}
	for field, kinds := range map[string][]Kind{"Accepts": m.Accepts, "Yields": m.Yields} {
		for _, k := range kinds {
			if !validKind.MatchString(string(k)) {
				return fmt.Errorf("manifest of %s: %s: kind %q: want lower-case words joined by underscores", m.Name, field, string(k))
			}
		}
	}
	if err := m.validateStores(); err != nil {
		return err
	}
	for _, name := range m.After {
		if !validName.MatchString(name) || name == m.Name {
			return fmt.Errorf("manifest of %s: After: %q: want the names of other connectors", m.Name, name)
		}
	}
	if m.Tier < ThirdParty || m.Tier > IdentityStore {
		return fmt.Errorf("manifest of %s: Tier %d: want ThirdParty, OwnStore or IdentityStore", m.Name, m.Tier)
	}
	if m.Settle < 0 || m.BatchSize < 0 || m.BatchWindow < 0 || m.Cap < 0 || m.BackupExpiry < 0 {
		return fmt.Errorf("manifest of %s: Settle, BatchSize, BatchWindow, Cap and BackupExpiry can't be negative", m.Name)
	}
	if !validDigest.MatchString(m.Digest) {
		return fmt.Errorf("manifest of %s: Digest: want 64 lower-case hex digits or nothing", m.Name)
	}
	return nil
}

func (m Manifest) validateStores() error {
	if len(m.Stores) == 0 {
		return fmt.Errorf("manifest of %s: Stores is empty", m.Name)
	}
	seen := map[string]bool{}
	for i, s := range m.Stores {
		if s.Name == "" || seen[s.Name] {
			return fmt.Errorf("manifest of %s: Stores[%d].Name %q is empty or used twice", m.Name, i, s.Name)
		}
		seen[s.Name] = true
		if s.Role != "" && s.Role != Business && s.Role != ServiceProvider {
			return fmt.Errorf("manifest of %s: store %s: Role %q: want %s or %s", m.Name, s.Name, s.Role, Business, ServiceProvider)
		}
		if s.Source != "" && s.Source != FromConsumer && s.Source != Acquired {
			return fmt.Errorf("manifest of %s: store %s: Source %q: want %s or %s", m.Name, s.Name, s.Source, FromConsumer, Acquired)
		}
		if n := s.NotSearched; n != nil && (!n.NotSearchable || !n.LegalPurposeOnly || !n.NoCommercialUse || n.Described == "") {
			return fmt.Errorf("manifest of %s: store %s: NotSearched: all of NotSearchable, LegalPurposeOnly, NoCommercialUse and Described must hold (11 CCR 7024(c)); else the store is searched", m.Name, s.Name)
		}
		if err := checkTreatment(s); err != nil {
			return fmt.Errorf("manifest of %s: %w", m.Name, err)
		}
		for _, k := range s.Retains {
			if k.Basis == "" {
				return fmt.Errorf("manifest of %s: store %s: Retains: a basis is empty; name the exception, such as ccpa-1798.105(d)(8)", m.Name, s.Name)
			}
		}
		for _, c := range s.Categories {
			if len(c.Letter) != 1 || c.Letter < "A" || c.Letter > "L" {
				return fmt.Errorf("manifest of %s: store %s: category letter %q: want A to L (Civ. Code 1798.140(v)(1))", m.Name, s.Name, c.Letter)
			}
		}
	}
	return nil
}
