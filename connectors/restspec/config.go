package restspec

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/restspec/catalogue"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Config is the "config:" section of a connector that works by a
// specification. Relative paths start at the configuration file.
type Config struct {
	// Spec is the path of the specification.
	Spec string `yaml:"spec"`
	// Catalogue names a specification of the catalogue instead.
	Catalogue string `yaml:"catalogue"`
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
	// Listen is where the system's callbacks are taken, such as ":8090".
	Listen string `yaml:"listen"`
	// Manifest overrides what the specification declares.
	Manifest ManifestSpec `yaml:"manifest"`
}

// Open is an [sdk.Opener]: it reads the configuration and the specification it
// names, and opens the connector they describe.
func Open(ctx context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	return OpenCatalogue("")(ctx, env)
}

// OpenCatalogue is [Open] for a named entry of the catalogue. The configuration
// may then leave out which; another name in it is an error.
func OpenCatalogue(name string) sdk.Opener {
	return func(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
		var c Config
		if err := env.Decode(&c); err != nil {
			return sdk.Manifest{}, nil, err
		}
		if name != "" && (c.Spec != "" || c.Catalogue != "" && c.Catalogue != name) {
			return sdk.Manifest{}, nil, fmt.Errorf("reading %s: config: it names another specification than %s", env.ConfigFile, name)
		}
		if name != "" {
			c.Catalogue = name
		}
		prog, err := c.load(env.ConfigFile)
		if err != nil {
			return sdk.Manifest{}, nil, err
		}
		return prog.Open(c.options(env))
	}
}

// load reads the specification that the configuration names.
func (c Config) load(file string) (*Program, error) {
	switch {
	case (c.Spec == "") == (c.Catalogue == ""):
		return nil, fmt.Errorf("reading %s: config: want one of spec (a specification's file) and catalogue (a name)", file)
	case c.Spec != "":
		return Load(declared.Beside(file, c.Spec))
	}
	return FromCatalogue(c.Catalogue)
}

// FromCatalogue is [Load] for an entry of the catalogue.
func FromCatalogue(name string) (*Program, error) {
	src, err := catalogue.Read(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".yaml", src)
}

func (c Config) options(env sdk.Env) Options {
	return Options{
		Name: env.Name, Version: env.Version, Base: c.Base, Settings: c.Settings,
		Dir: env.Dir, Listen: c.Listen, Preview: env.Preview, Proxy: c.Proxy, Manifest: c.Manifest, Describe: env.Describe,
		Secret: func(name string) (sdk.Secret, error) {
			file, ok := c.SecretFiles[name]
			if !ok {
				return env.Secret(name)
			}
			text, err := os.ReadFile(declared.Beside(env.ConfigFile, file))
			if err != nil {
				return "", fmt.Errorf("config.secret_files.%s: %w", name, err)
			}
			return sdk.Secret(strings.TrimRight(string(text), "\r\n")), nil
		},
	}
}
