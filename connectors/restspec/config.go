package restspec

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Config is the "config:" section of a connector that works by a
// specification. Relative paths start at the configuration file.
type Config struct {
	// Spec is the path of the specification.
	Spec string `yaml:"spec"`
	// Base is where the system is; empty means the specification's own address.
	// Only a base written here may be a private address.
	Base string `yaml:"base"`
	// Settings give values to the specification's settings.
	Settings map[string]string `yaml:"settings"`
	// SecretFiles gives a secret's file by the secret's name. Secrets not named
	// here come from the environment (see [sdk.Env.Secret]).
	SecretFiles map[string]string `yaml:"secret_files"`
	// Proxy is an HTTP proxy, or empty.
	Proxy string `yaml:"proxy"`
	// Manifest overrides what the specification declares.
	Manifest ManifestSpec `yaml:"manifest"`
}

// Open is an [sdk.Opener]: it reads the configuration and the specification it
// names, and opens the connector they describe.
func Open(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var c Config
	if err := env.Decode(&c); err != nil {
		return sdk.Manifest{}, nil, err
	}
	if c.Spec == "" {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: config.spec: name the specification's file", env.ConfigFile)
	}
	prog, err := Load(beside(env.ConfigFile, c.Spec))
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	o := Options{
		Name: env.Name, Version: env.Version, Base: c.Base, Settings: c.Settings,
		Dir: env.Dir, Proxy: c.Proxy, Manifest: c.Manifest, Describe: env.Describe,
		Secret: func(name string) (sdk.Secret, error) {
			file, ok := c.SecretFiles[name]
			if !ok {
				return env.Secret(name)
			}
			text, err := os.ReadFile(beside(env.ConfigFile, file))
			if err != nil {
				return "", fmt.Errorf("config.secret_files.%s: %w", name, err)
			}
			return sdk.Secret(strings.TrimRight(string(text), "\r\n")), nil
		},
	}
	return prog.Open(o)
}

func beside(file, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(file), path)
}
