package keyspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Settings are the "config:" section of a connector of this engine.
type Settings struct {
	// Address is redis://user@host:6379/0, rediss:// for TLS or unix:// for a
	// socket. In a cluster it is one node's; the others are asked for.
	Address string `yaml:"address"`
	// Cluster says that the address is one node of a cluster.
	Cluster bool `yaml:"cluster"`
	// PasswordSecret names the secret that holds the password.
	PasswordSecret string `yaml:"password_secret"`
	// Map is the file of the [Map], relative to the file of the settings.
	Map string `yaml:"map"`
	// Count bounds what one command looks at or removes; zero means 500.
	Count int `yaml:"count"`
	// LongestList is the longest list that elements are removed from; zero
	// means 10,000. Removing from a list's middle takes the server a time that
	// grows with its length.
	LongestList int64 `yaml:"longest_list"`
	// BatchSize, BatchWindow, Cap, BackupExpiry and After are those of
	// [sdk.Manifest].
	BatchSize    int           `yaml:"batch_size"`
	BatchWindow  time.Duration `yaml:"batch_window"`
	Cap          int64         `yaml:"cap"`
	BackupExpiry time.Duration `yaml:"backup_expiry"`
	After        []string      `yaml:"after"`
}

const (
	defaultCount       = 500
	mostCount          = 10_000
	defaultLongestList = 10_000
)

// Open is the [sdk.Opener] of every connector made of this engine and a map.
// It reads the settings and the map and asks the server nothing.
func Open(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var s Settings
	if err := env.Decode(&s); err != nil {
		return sdk.Manifest{}, nil, err
	}
	if err := s.check(); err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: %w", env.ConfigFile, err)
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
	man := m.Manifest()
	man.BatchSize, man.BatchWindow, man.Cap, man.After = s.BatchSize, s.BatchWindow, s.Cap, s.After
	man.BackupExpiry = max(man.BackupExpiry, s.BackupExpiry)
	return man, c, nil
}

func (s Settings) check() error {
	switch {
	case s.Address == "":
		return errors.New("config.address: name the server, as in redis://host:6379/0")
	case s.Map == "":
		return errors.New("config.map: name the file of the map")
	case s.Count < 0 || s.Count > mostCount:
		return fmt.Errorf("config.count: %d: want 1 to %d", s.Count, mostCount)
	case s.LongestList < 0:
		return fmt.Errorf("config.longest_list: %d is less than 0", s.LongestList)
	}
	return nil
}

// A Connector acts on one server or cluster by a map. It connects when it is
// first used, and is safe for concurrent use.
type Connector struct {
	client  redis.UniversalClient
	stores  []*store
	count   int64
	longest int64
}

var (
	_ sdk.Exporter    = (*Connector)(nil)
	_ sdk.BatchEraser = (*Connector)(nil)
	_ sdk.Checker     = (*Connector)(nil)
)

// quiet keeps the client library's own log to itself: it is not ours to judge
// what stands in it.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{log.New(io.Discard, "", 0)}) })

type silence struct{ *log.Logger }

// Printf implements the client library's logger.
func (s silence) Printf(context.Context, string, ...any) {}

// New makes a Connector without connecting. password may be empty; it replaces
// the address's.
func New(m *Map, s Settings, password sdk.Secret) (*Connector, error) {
	stores, err := m.compile()
	if err != nil {
		return nil, err
	}
	quiet()
	c := &Connector{stores: stores, count: int64(s.Count), longest: s.LongestList}
	if c.count == 0 {
		c.count = defaultCount
	}
	if c.longest == 0 {
		c.longest = defaultLongestList
	}
	if c.client, err = connect(s, password); err != nil {
		return nil, err
	}
	return c, nil
}

// errAddress does not repeat the address, which may hold a password.
var errAddress = errors.New("config.address: want redis://user@host:6379/0, rediss://… or unix://…")

func connect(s Settings, password sdk.Secret) (redis.UniversalClient, error) {
	if s.Cluster {
		o, err := redis.ParseClusterURL(s.Address)
		if err != nil {
			return nil, errAddress
		}
		if password != "" {
			o.Password = password.Reveal()
		}
		o.ContextTimeoutEnabled = true
		return redis.NewClusterClient(o), nil
	}
	o, err := redis.ParseURL(s.Address)
	if err != nil {
		return nil, errAddress
	}
	if password != "" {
		o.Password = password.Reveal()
	}
	o.ContextTimeoutEnabled = true
	return redis.NewClient(o), nil
}

// Close gives the connections back.
func (c *Connector) Close() error { return c.client.Close() }

// Check implements [sdk.Checker].
func (c *Connector) Check(ctx context.Context) error { return clean(ctx, c.client.Ping(ctx).Err()) }
