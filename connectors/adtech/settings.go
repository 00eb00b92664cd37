package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// settings are the connector's own part of its configuration file. README.md
// describes each.
type settings struct {
	Database struct {
		Driver string `yaml:"driver"` // sqlite or postgres
		DSN    string `yaml:"dsn"`    // a file, or a PostgreSQL connection string
		// DSNSecret names the secret that holds the connection string instead.
		DSNSecret string `yaml:"dsn_secret"`
	} `yaml:"database"`
	OptOutKeyFile string `yaml:"opt_out_key_file"`
	// SensitiveAudiences are the audiences that are made from sensitive personal
	// information; without any the connector limits no use of it.
	SensitiveAudiences []string         `yaml:"sensitive_audiences"`
	Callback           callbackSettings `yaml:"callback"`
	Partners           []partnerSetting `yaml:"partners"`
	Poll               struct {
		Min      time.Duration `yaml:"min"`
		Max      time.Duration `yaml:"max"`
		Patience time.Duration `yaml:"patience"`
		MaxWait  time.Duration `yaml:"max_wait"`
	} `yaml:"poll"`
	Cap          int64         `yaml:"cap"`
	After        []string      `yaml:"after"`
	BackupExpiry time.Duration `yaml:"backup_expiry"`
}

type callbackSettings struct {
	Listen string `yaml:"listen"` // host:port; empty takes no callbacks
	URL    string `yaml:"url"`    // how partners reach it; empty on this machine only
}

type partnerSetting struct {
	Name             string   `yaml:"name"`
	BaseURL          string   `yaml:"base_url"`
	Domain           string   `yaml:"domain"`
	CertificateHosts []string `yaml:"certificate_hosts"`
	RootsFile        string   `yaml:"roots_file"`
	Legacy           bool     `yaml:"legacy"`
	Regulation       string   `yaml:"regulation"`
	Identities       []string `yaml:"identities"`
	Extension        []string `yaml:"extension"`
	OnErase          string   `yaml:"on_erase"` // erasure (default), none
	OptOut           string   `yaml:"opt_out"`  // suppress, erasure, none; no default
	Contract         string   `yaml:"contract"`
	Auth             struct {
		Kind   string `yaml:"kind"` // basic or bearer; empty sends none
		User   string `yaml:"user"`
		Secret string `yaml:"secret"` // the name of the secret, not its value
	} `yaml:"auth"`
}

// beside takes relative paths as being relative to the configuration file.
func (s *settings) beside(dir string) {
	paths := []*string{&s.OptOutKeyFile}
	if s.Database.Driver == "sqlite" {
		paths = append(paths, &s.Database.DSN)
	}
	for i := range s.Partners {
		paths = append(paths, &s.Partners[i].RootsFile)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

// check says which field is wrong and how to put it right.
func (s *settings) check() error {
	if s.Database.Driver != "sqlite" && s.Database.Driver != "postgres" {
		return fmt.Errorf("database.driver is %q: use sqlite or postgres", s.Database.Driver)
	}
	if (s.Database.DSN == "") == (s.Database.DSNSecret == "") {
		return errors.New("database: set one of dsn and dsn_secret")
	}
	if s.OptOutKeyFile == "" {
		return errors.New("opt_out_key_file is missing: name a file with at least 32 random characters that never change")
	}
	if slices.Contains(s.SensitiveAudiences, "") {
		return errors.New("sensitive_audiences: one has no name")
	}
	for i, p := range s.Partners {
		if err := p.check(); err != nil {
			return fmt.Errorf("partners[%d] (%s): %w", i, p.Name, err)
		}
	}
	return nil
}

func (p partnerSetting) check() error {
	for _, word := range p.Identities {
		if identities[word] == nil {
			return fmt.Errorf("identities: %q is none of email, email_sha256, user_id, device_id", word)
		}
	}
	for _, word := range p.Extension {
		if word != string(sdk.CookieID) && word != string(sdk.DeviceID) {
			return fmt.Errorf("extension: %q is none of cookie_id, device_id", word)
		}
	}
	if p.Domain == "" {
		return errors.New("domain is missing: the domain the partner signs for")
	}
	if strings.TrimSpace(p.Contract) == "" {
		return errors.New("contract is missing: name the agreement with the partner (11 CCR 7053); without one it may not get anything")
	}
	if len(p.Identities)+len(p.Extension) == 0 {
		return errors.New("identities and extension are both empty: by what does the partner know people?")
	}
	if !slices.Contains([]string{"", "erasure", "none"}, p.OnErase) {
		return fmt.Errorf("on_erase is %q: use erasure or none", p.OnErase)
	}
	if !slices.Contains([]string{"suppress", "erasure", "none"}, p.OptOut) {
		return fmt.Errorf("opt_out is %q: use suppress, erasure or none", p.OptOut)
	}
	if !slices.Contains([]string{"", "ccpa", "gdpr"}, p.Regulation) {
		return fmt.Errorf("regulation is %q: use ccpa or gdpr", p.Regulation)
	}
	if !slices.Contains([]string{"", "basic", "bearer"}, p.Auth.Kind) || (p.Auth.Kind == "") != (p.Auth.Secret == "") {
		return errors.New("auth: kind is basic or bearer, together with the name of a secret")
	}
	return nil
}

// partner is the setting as the connector acts by it.
func (p partnerSetting) partner() partner {
	kind := map[string]opendsr.RequestType{"": opendsr.Erasure, "erasure": opendsr.Erasure, "suppress": opendsr.Suppress, "none": ""}
	regulation := p.Regulation
	if regulation == "" {
		regulation = "ccpa"
	}
	return partner{
		name: p.Name, domain: strings.ToLower(p.Domain), regulation: regulation, identities: p.Identities,
		extension: p.Extension, onErase: kind[p.OnErase], onOptOut: kind[p.OptOut],
	}
}

// processor is the setting as the OpenDSR client needs it.
func (p partnerSetting) processor(secret func(string) (sdk.Secret, error)) (opendsr.Processor, error) {
	processor := opendsr.Processor{
		Name: p.Name, BaseURL: p.BaseURL, Domain: p.Domain, CertificateHosts: p.CertificateHosts, Legacy: p.Legacy,
	}
	if p.RootsFile != "" {
		data, err := os.ReadFile(p.RootsFile)
		if err != nil {
			return processor, fmt.Errorf("roots_file: %w", err)
		}
		processor.Roots = x509.NewCertPool()
		if !processor.Roots.AppendCertsFromPEM(data) {
			return processor, fmt.Errorf("roots_file %s holds no PEM certificate", p.RootsFile)
		}
	}
	if p.Auth.Kind == "" {
		return processor, nil
	}
	credential, err := secret(p.Auth.Secret)
	if err != nil {
		return processor, fmt.Errorf("auth.secret: %w", err)
	}
	processor.Authorize = func(r *http.Request) {
		if p.Auth.Kind == "basic" {
			r.SetBasicAuth(p.Auth.User, credential.Reveal())
			return
		}
		r.Header.Set("Authorization", "Bearer "+credential.Reveal())
	}
	return processor, nil
}

// optOutKey reads the key of the list of opt-outs.
func (s *settings) optOutKey() ([]byte, error) {
	data, err := os.ReadFile(s.OptOutKeyFile)
	if err != nil {
		return nil, fmt.Errorf("opt_out_key_file: %w", err)
	}
	key := []byte(strings.TrimSpace(string(data)))
	if len(key) < 32 {
		return nil, fmt.Errorf("opt_out_key_file %s: it needs at least 32 characters", s.OptOutKeyFile)
	}
	return key, nil
}

// manifest declares the connector. Its digest covers what decides who is told
// what; an address may change without changing the plan.
func (s *settings) manifest(name, version string) (sdk.Manifest, error) {
	var contracts []string
	type acts struct {
		Name, Domain, OnErase, OptOut string
		Identities, Extension         []string
	}
	var plan []acts
	for _, p := range s.Partners {
		plan = append(plan, acts{p.Name, p.Domain, p.OnErase, p.OptOut, p.Identities, p.Extension})
		if p.Contract != "" {
			contracts = append(contracts, p.Contract)
		}
	}
	raw, err := json.Marshal(plan)
	if err != nil {
		return sdk.Manifest{}, fmt.Errorf("digesting the settings: %w", err)
	}
	sum := sha256.Sum256(raw)
	return sdk.Manifest{
		Name: name, Version: version,
		Accepts: []sdk.Kind{sdk.CookieID, sdk.Email, sdk.UserID},
		Yields:  []sdk.Kind{sdk.DeviceID, sdk.CookieID},
		Stores: []sdk.Store{
			{Name: storeProfiles, Categories: []sdk.Category{
				{Letter: "A", Data: "user.unique_id.pseudonymous"}, {Letter: "A", Data: "user.contact.email"}, {Letter: "G", Data: "user.location"},
			}},
			{Name: storeIdentifiers, Categories: []sdk.Category{
				{Letter: "A", Data: "user.device.cookie_id"}, {Letter: "A", Data: "user.device.device_id"}, {Letter: "F", Data: "user.telemetry"},
			}},
			{Name: storeLinks, Categories: []sdk.Category{{Letter: "F", Data: "user.behavior"}}},
			{Name: storeInferences, Categories: []sdk.Category{{Letter: "K", Data: "user.inference"}}},
			{Name: storeAudiences, Categories: []sdk.Category{{Letter: "K", Data: "user.demographic.profile"}}},
		},
		After: s.After, Tier: sdk.IdentityStore, Cap: s.Cap, BackupExpiry: s.BackupExpiry,
		Contract: strings.Join(contracts, "; "), Digest: hex.EncodeToString(sum[:]),
	}, nil
}
