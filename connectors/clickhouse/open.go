package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Settings are the "config:" section of a connector of this engine.
type Settings struct {
	// Address is the server's HTTP interface, such as http://events:8123.
	Address string `yaml:"address"`
	// Replicas are the addresses of the other servers that hold replicas of the
	// tables, all of them.
	Replicas []string `yaml:"replicas"`
	// User is the name to ask as; empty means the server's default user.
	User string `yaml:"user"`
	// PasswordSecret names the secret that holds the password.
	PasswordSecret string `yaml:"password_secret"`
	// Map is the file of the [Map], relative to the file of the settings.
	Map string `yaml:"map"`
	// Keys is the table that holds identifiers while people are being erased.
	Keys KeysSettings `yaml:"keys"`
	// Patience is how long a mutation may take before somebody should look;
	// zero means 24 hours.
	Patience time.Duration `yaml:"patience"`
	// BatchSize, BatchWindow, Cap, BackupExpiry and After are those of
	// [sdk.Manifest].
	BatchSize    int           `yaml:"batch_size"`
	BatchWindow  time.Duration `yaml:"batch_window"`
	Cap          int64         `yaml:"cap"`
	BackupExpiry time.Duration `yaml:"backup_expiry"`
	After        []string      `yaml:"after"`
}

// KeysSettings are about the table of identifiers.
type KeysSettings struct {
	// Table is its name, with its database; the database must exist. The
	// default is "habeas.erasing".
	Table string `yaml:"table"`
	// Engine is the table's engine; the default is MergeTree. Where tables are
	// replicated it must be ReplicatedMergeTree with its path and replica.
	Engine string `yaml:"engine"`
}

const (
	defaultKeys     = "habeas.erasing"
	defaultPatience = 24 * time.Hour
	// replacedParts is how long a server keeps parts that were replaced, eight
	// minutes unless it is told otherwise, and its rounding.
	replacedParts = 10 * time.Minute
)

// Open is the [sdk.Opener] of every connector made of this engine and a map.
// It reads the settings and the map and asks the server nothing.
func Open(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var s Settings
	if err := env.Decode(&s); err != nil {
		return sdk.Manifest{}, nil, err
	}
	if s.Map == "" {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: config.map: name the file of the map", env.ConfigFile)
	}
	m, err := ReadMap(declared.Beside(env.ConfigFile, s.Map))
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	var password sdk.Secret
	if s.PasswordSecret != "" {
		if password, err = env.Secret(s.PasswordSecret); err != nil {
			return sdk.Manifest{}, nil, err
		}
	}
	c, err := New(m, s, password)
	if err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: %w", env.ConfigFile, err)
	}
	return c.Manifest(), c, nil
}

// A Connector acts on one server, or one shard with its replicas, by a map. It
// connects when it is first used, and is safe for concurrent use.
type Connector struct {
	m        *Map
	set      Settings
	servers  []*server
	patience time.Duration
	pause    time.Duration // before a mutation is asked after

	mu   sync.Mutex
	live *live

	// starting keeps two calls from beginning two runs for one person.
	starting sync.Mutex
}

var (
	_ sdk.Exporter    = (*Connector)(nil)
	_ sdk.BatchEraser = (*Connector)(nil)
	_ sdk.Checker     = (*Connector)(nil)
)

// New makes a Connector without connecting.
func New(m *Map, s Settings, password sdk.Secret) (*Connector, error) {
	if s.Keys.Table == "" {
		s.Keys.Table = defaultKeys
	}
	if s.Keys.Engine == "" {
		s.Keys.Engine = "MergeTree"
	}
	if !tableForm.MatchString(s.Keys.Table) {
		return nil, fmt.Errorf("config.keys.table: %q: want database.table", s.Keys.Table)
	}
	if s.Patience < 0 {
		return nil, errors.New("config.patience is less than 0")
	}
	c := &Connector{m: m, set: s, patience: s.Patience, pause: 500 * time.Millisecond}
	if c.patience == 0 {
		c.patience = defaultPatience
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, Proxy: http.ProxyFromEnvironment}}
	for i, address := range append([]string{s.Address}, s.Replicas...) {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			field := "config.address"
			if i > 0 {
				field = fmt.Sprintf("config.replicas[%d]", i-1)
			}
			return nil, fmt.Errorf("%s: want http://host:8123 or https://host:8443, with user and password_secret apart", field)
		}
		c.servers = append(c.servers, &server{address: u, user: s.User, password: password, client: client})
	}
	return c, nil
}

// Manifest is the map's, with the settings filled in. Backups are never said to
// end before the server has removed the parts that a mutation replaced.
func (c *Connector) Manifest() sdk.Manifest {
	man := c.m.Manifest()
	man.BatchSize, man.BatchWindow, man.Cap, man.After = c.set.BatchSize, c.set.BatchWindow, c.set.Cap, c.set.After
	man.BackupExpiry = max(c.set.BackupExpiry, replacedParts)
	return man
}

// Close gives the connections back.
func (c *Connector) Close() error {
	c.servers[0].client.CloseIdleConnections()
	return nil
}

// Check implements [sdk.Checker].
func (c *Connector) Check(ctx context.Context) error {
	_, err := query[struct{}](ctx, c.servers[0], "SELECT 1 AS one", nil, nil)
	return err
}

// bound returns what is known of the server, asking it when need be.
func (c *Connector) bound(ctx context.Context) (*live, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.live != nil {
		return c.live, nil
	}
	l, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	c.live = l
	return l, nil
}

// outgrown drops what was known when the server says that it is so no more.
func (c *Connector) outgrown(err error) error {
	if sdk.CodeOf(err) == sdk.Configuration {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.live = nil
	}
	return err
}
