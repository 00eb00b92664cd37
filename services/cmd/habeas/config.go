package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/room"
)

// config is the one configuration file. Every setting can be overridden by an
// environment variable, HABEAS_<SECTION>_<FIELD>.
type config struct {
	// StateDir keeps keys, and in "habeas up" everything else.
	StateDir    string            `yaml:"state_dir"`
	Log         logConfig         `yaml:"log"`
	HTTP        httpConfig        `yaml:"http"`
	NATS        natsConfig        `yaml:"nats"`
	Store       storeConfig       `yaml:"store"`
	Audit       auditConfig       `yaml:"audit"`
	Vault       vaultConfig       `yaml:"vault"`
	Keys        keysConfig        `yaml:"keys"`
	Intake      intakeConfig      `yaml:"intake"`
	Coordinator coordinatorConfig `yaml:"coordinator"`
	Delivery    deliveryConfig    `yaml:"delivery"`
	Console     consoleConfig     `yaml:"console"`
	Effect      effectConfig      `yaml:"effect"`
	Drop        dropConfig        `yaml:"drop"`
	Connectors  []childConfig     `yaml:"connectors"`
}

type consoleConfig struct {
	// Login is the company's own login for staff. Where it is set, the token
	// does not sign anybody in any more.
	Login access.LoginConfig `yaml:"login"`
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn or error
	Format string `yaml:"format"` // json or text
}

type httpConfig struct {
	Addr      string          `yaml:"addr"`
	TokenFile room.SecretFile `yaml:"token_file"`
}

type natsConfig struct {
	URL          string          `yaml:"url"`
	User         string          `yaml:"user"`
	PasswordFile room.SecretFile `yaml:"password_file"`
	CredsFile    string          `yaml:"creds_file"`
	Replicas     int             `yaml:"replicas"`
	// AckWait is how long a reader may be silent before its messages go to
	// another; 0 means 30 s. What a killed process had in hand waits for it.
	AckWait time.Duration `yaml:"ack_wait"`
}

type storeConfig struct {
	// DSN is "postgres://…" or "sqlite:PATH". DSNFile holds one that has a
	// password in it.
	DSN     string          `yaml:"dsn"`
	DSNFile room.SecretFile `yaml:"dsn_file"`
}

func (c storeConfig) dsn() (string, error) {
	if c.DSNFile != "" {
		secret, err := c.DSNFile.Read()
		return secret.Reveal(), err
	}
	return c.DSN, nil
}

type auditConfig struct {
	Store storeConfig `yaml:"store"`
	// StateDir keeps the log's key and last head; it must not be restored
	// together with the database.
	StateDir string `yaml:"state_dir"`
	Origin   string `yaml:"origin"`
	// URL is where other rooms find the audit room, with the path that its log
	// has there. In "habeas up" it is in the same process.
	URL string `yaml:"url"`
	// WitnessPolicy is a file with the witnesses that cosign the log's heads, as
	// C2SP tlog-policy; none when empty.
	WitnessPolicy string `yaml:"witness_policy"`
}

type vaultConfig struct {
	// Key is the path of the master key file, or a URL of a key service.
	Key string `yaml:"key"`
}

type keysConfig struct {
	// Dir holds the rooms' private keys; a room needs only its own.
	Dir string `yaml:"dir"`
	// Public holds the public keys of all rooms.
	Public string `yaml:"public"`
}

type intakeConfig struct {
	Regime     string          `yaml:"regime"`
	PepperFile room.SecretFile `yaml:"pepper_file"`
	// Doors is the file that sets the consumer's doors up: portal,
	// verification, signals, mail. Without it there is none but the API.
	Doors string `yaml:"doors"`
	// Tenant is the company's file: the laws it answers under, and what it
	// decided where they leave a choice; see "habeas regime lint".
	Tenant string `yaml:"tenant"`
	// Approvers is how many different people must agree to lift a connector's
	// cap: 2, or 1 where one person runs it all.
	Approvers int `yaml:"approvers"`
	// PlanApprovers is how many must approve a plan that waits for it; see
	// coordinator.approve.
	PlanApprovers int `yaml:"plan_approvers"`
}

type coordinatorConfig struct {
	Patience time.Duration `yaml:"patience"`
	Lease    time.Duration `yaml:"lease"`
	Retry    time.Duration `yaml:"retry"`
	Attempts int           `yaml:"attempts"`
	// EraseHold is a pause before every erasure in which it can be cancelled; 0
	// is none.
	EraseHold time.Duration `yaml:"erase_hold"`
	// Approve are the rights of which nothing is done before somebody approved the
	// plan.
	Approve []string `yaml:"approve"`
	// ShredAfter is how long after closing what a request was about is
	// destroyed: 0 means 100 days, less than 0 never.
	ShredAfter time.Duration `yaml:"shred_after"`
	// Rechecks are how long after an erasure it is looked again whether what was
	// erased is still gone; an empty list is never.
	Rechecks []time.Duration `yaml:"rechecks"`
}

type deliveryConfig struct {
	Packages string        `yaml:"packages"`
	SpoolDir string        `yaml:"spool_dir"`
	Company  string        `yaml:"company"`
	TTL      time.Duration `yaml:"ttl"`
	// Review says which copies a person looks at before they are handed over:
	// never, texts or always.
	Review string `yaml:"review"`
	// URL is where the console finds the delivery room, for answers that go by
	// mail and copies to be looked at. In "habeas up" it is in the same process.
	URL string `yaml:"url"`
}

// childConfig is a connector that "habeas up" starts.
type childConfig struct {
	Name    string `yaml:"name"`
	Command string `yaml:"command"`
	Config  string `yaml:"config"`
}

func defaults() config {
	return config{
		StateDir: ".state", Log: logConfig{Level: "info", Format: "json"}, HTTP: httpConfig{Addr: "127.0.0.1:8400"},
		NATS: natsConfig{URL: "nats://127.0.0.1:4222", Replicas: 1}, Intake: intakeConfig{Regime: "us-ca-ccpa", Approvers: 2, PlanApprovers: 1},
		Delivery:    deliveryConfig{Review: "never"},
		Drop:        dropConfig{URL: "https://api.drop.privacy.ca.gov"},
		Coordinator: coordinatorConfig{Rechecks: []time.Duration{24 * time.Hour, 30 * 24 * time.Hour, 90 * 24 * time.Hour}},
	}
}

// loadConfig reads the file over the defaults and fills in the places that
// follow from the state directory.
func loadConfig(path string) (config, error) {
	c := defaults()
	if err := room.LoadConfig(path, &c, ownEnv(os.Environ())); err != nil {
		return c, err
	}
	c.place()
	return c, nil
}

// ownEnv leaves out the variables of the command line client and the tests.
func ownEnv(env []string) []string {
	skip := map[string]bool{"HABEAS_SERVER": true, "HABEAS_TOKEN_FILE": true, "HABEAS_TEST_POSTGRES": true, "HABEAS_VECTORS": true}
	var out []string
	for _, kv := range env {
		for i := range kv {
			if kv[i] == '=' {
				if !skip[kv[:i]] {
					out = append(out, kv)
				}
				break
			}
		}
	}
	return out
}

// place gives every unset path its place under the state directory.
func (c *config) place() {
	set := func(field *string, parts ...string) {
		if *field == "" {
			*field = filepath.Join(append([]string{c.StateDir}, parts...)...)
		}
	}
	set(&c.Keys.Dir, "keys")
	set(&c.Keys.Public, "keys", "public")
	if c.Vault.Key == "" {
		c.Vault.Key = filepath.Join(c.Keys.Dir, "master.key")
	}
	set(&c.Audit.StateDir, "log")
	set(&c.Delivery.Packages, "packages")
	set(&c.Delivery.SpoolDir, "spool")
	set(&c.Drop.Spool, "drop")
	if c.Store.DSN == "" && c.Store.DSNFile == "" {
		c.Store.DSN = "sqlite:" + filepath.Join(c.StateDir, "habeas.db")
	}
	if c.Audit.Store.DSN == "" && c.Audit.Store.DSNFile == "" {
		c.Audit.Store.DSN = "sqlite:" + filepath.Join(c.StateDir, "audit.db")
	}
}

// makeDirs makes the folders of a state directory.
func (c *config) makeDirs() error {
	for _, dir := range []string{c.StateDir, c.Keys.Dir, c.Keys.Public, c.Audit.StateDir, c.Delivery.SpoolDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making %s: %w; check that the disk is not full and the folder may be written", dir, err)
		}
	}
	return nil
}
