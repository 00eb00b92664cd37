package sqlmap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// settings are the "config:" section of a connector of this engine.
type settings struct {
	// Database is the address of the database.
	Database string `yaml:"database"`
	// PasswordSecret names the secret that holds the password, when the
	// address has none.
	PasswordSecret string `yaml:"password_secret"`
	// Map is the data map's file, relative to the configuration's folder.
	Map string `yaml:"map"`
	// Neighbours are the data maps of other connectors whose datasets refer to
	// this one's or are referred to.
	Neighbours []string `yaml:"neighbours"`
}

// reachable is how long opening waits for the database before it leaves the
// check to the first job.
const reachable = 5 * time.Second

// Open is the [sdk.Opener] of every SQL database with a data map. A map that
// does not fit the database is an error; a database that does not answer is
// not, since it may come up later.
func Open(ctx context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var s settings
	if err := env.Decode(&s); err != nil {
		return sdk.Manifest{}, nil, err
	}
	if s.Database == "" || s.Map == "" {
		return sdk.Manifest{}, nil, fmt.Errorf("%s: config needs database and map", env.ConfigFile)
	}
	var others []*Map
	for _, file := range s.Neighbours {
		other, err := LoadNeighbour(declared.Beside(env.ConfigFile, file))
		if err != nil {
			return sdk.Manifest{}, nil, err
		}
		others = append(others, other)
	}
	m, err := LoadMap(declared.Beside(env.ConfigFile, s.Map), others...)
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	address, err := withPassword(env, s)
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	c, err := New(Config{Name: env.Name, Version: env.Version, Database: address, Map: m})
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	manifest, err := c.Manifest()
	if err != nil || env.Describe {
		return manifest, c.Able(), errors.Join(err, closeIf(err, c))
	}
	check, cancel := context.WithTimeout(ctx, reachable)
	defer cancel()
	var wrong *MapError
	switch err := c.Check(check); {
	case errors.As(err, &wrong):
		return sdk.Manifest{}, nil, errors.Join(err, c.Close())
	case err != nil && env.Logger != nil:
		env.Logger.Warn("database is not there yet; the data map is checked at the first job", slog.Any("error", err))
	}
	return manifest, c.Able(), nil
}

func closeIf(err error, c *Connector) error {
	if err == nil {
		return nil
	}
	return c.Close()
}

// withPassword puts a secret into the address of a server.
func withPassword(env sdk.Env, s settings) (string, error) {
	if s.PasswordSecret == "" {
		return s.Database, nil
	}
	password, err := env.Secret(s.PasswordSecret)
	if err != nil {
		return "", err
	}
	u, err := parseAddress(s.Database)
	if err != nil {
		return "", err
	}
	if u.User == nil {
		return "", fmt.Errorf("%s: config.password_secret: the database address must be that of a server, such as postgres://user@host/name", env.ConfigFile)
	}
	return setPassword(u, password), nil
}
