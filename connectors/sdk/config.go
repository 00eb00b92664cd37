package sdk

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/goccy/go-yaml/ast"
)

// config is a connector's file. Durations and other choices that hardly
// anybody needs are not in it on purpose.
type config struct {
	Name    string     `yaml:"name"`
	Version string     `yaml:"version"`
	Kind    string     `yaml:"kind"`
	NATS    natsConfig `yaml:"nats"`
	// StateDir holds the connector's keys and journal.
	StateDir string `yaml:"state_dir"`
	// HTTP is the address of health and metrics; empty means no listener.
	HTTP string `yaml:"http"`
	// Cap overrides the manifest's cap; 0 leaves it.
	Cap int64 `yaml:"cap"`
	// CoordinatorKey is the only public curve key jobs may be sealed by.
	CoordinatorKey string `yaml:"coordinator_key"`
	// IntakeKey is the only public curve key that may ask whether what a
	// person says of herself agrees with what the system holds.
	IntakeKey string `yaml:"intake_key"`
	// DeskKey is the only public curve key that may ask about the tasks of a
	// connector whose work is done by people, and change them.
	DeskKey string `yaml:"desk_key"`
	// ListKey is the only public curve key that may ask whom the system holds.
	ListKey string   `yaml:"list_key"`
	Section ast.Node `yaml:"config"`
}

type natsConfig struct {
	URL          string `yaml:"url"`
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	NkeySeedFile string `yaml:"nkey_seed_file"`
	Creds        string `yaml:"creds"`
}

const defaultStateDir = "state"

// loadConfig reads the file, which may be empty when the environment says
// everything, and lets the environment override it.
func loadConfig(file string) (config, error) {
	var c config
	if file != "" {
		text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
		if err != nil {
			return config{}, fmt.Errorf("reading the configuration: %w", err)
		}
		node, err := parseYAML(file, text, os.LookupEnv)
		if err != nil {
			return config{}, err
		}
		if node != nil {
			if err := decodeYAML(file, node, &c); err != nil {
				return config{}, err
			}
		}
	}
	for name, field := range map[string]*string{
		"HABEAS_NATS_URL":           &c.NATS.URL,
		"HABEAS_NATS_USER":          &c.NATS.User,
		"HABEAS_NATS_PASSWORD_FILE": &c.NATS.PasswordFile,
		"HABEAS_STATE_DIR":          &c.StateDir,
		"HABEAS_HTTP_ADDR":          &c.HTTP,
		"HABEAS_COORDINATOR_KEY":    &c.CoordinatorKey,
		"HABEAS_INTAKE_KEY":         &c.IntakeKey,
		"HABEAS_DESK_KEY":           &c.DeskKey,
		"HABEAS_LIST_KEY":           &c.ListKey,
	} {
		if value, set := os.LookupEnv(name); set {
			*field = value
		}
	}
	if c.StateDir == "" {
		c.StateDir = defaultStateDir
	}
	if c.Cap < 0 {
		return config{}, fmt.Errorf("reading %s: cap: %d: want 0 or more records", file, c.Cap)
	}
	return c, nil
}

// checkServe names what is missing to serve, beyond what describing needs.
func (c config) checkServe(file string) error {
	if c.NATS.URL == "" {
		return fmt.Errorf("reading %s: nats.url is missing: set it, or HABEAS_NATS_URL", orNone(file))
	}
	ways := 0
	for _, way := range []string{c.NATS.PasswordFile, c.NATS.NkeySeedFile, c.NATS.Creds} {
		if way != "" {
			ways++
		}
	}
	if ways > 1 {
		return fmt.Errorf("reading %s: nats: want one of password_file, nkey_seed_file and creds", orNone(file))
	}
	if c.NATS.PasswordFile != "" && c.NATS.User == "" {
		return errors.New("nats.password_file is set and nats.user is not")
	}
	return nil
}

func orNone(file string) string {
	if file == "" {
		return "the environment (no --config given)"
	}
	return file
}

// buildVersion is the version the program was built at.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			revision = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-modified"
		}
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if revision != "" {
		return revision + dirty
	}
	return "devel"
}
