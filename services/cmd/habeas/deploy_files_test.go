package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/internal/room"
)

// composeFile is what the tests look at in deploy/compose.yaml.
type composeFile struct {
	Services map[string]composeService
	Networks map[string]any
	Volumes  map[string]any
	Configs  map[string]struct{ File string }
	Secrets  map[string]struct{ File string }
}

type composeService struct {
	User     string
	ReadOnly bool `yaml:"read_only"`
	Command  []string
	Volumes  []string
	Configs  []struct{ Source, Target string }
	Secrets  []string
	Networks []string
	Build    struct {
		Dockerfile string
		Args       struct {
			Program string `yaml:"PROGRAM"`
			Package string `yaml:"PACKAGE"`
		}
	}
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var c composeFile
	// What is merged in from an x- section may be said again.
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	return c
}

// composeSecrets gives the secrets of a service by name, and where each is in
// the folder of secrets.
func composeSecrets(t *testing.T, service string) map[string]string {
	t.Helper()
	c, out := readCompose(t), map[string]string{}
	for _, name := range c.Services[service].Secrets {
		out[name] = strings.TrimPrefix(c.Secrets[name].File, "./secrets/")
	}
	return out
}

// compose.yaml names only files, secrets, networks and volumes that there are.
func TestComposeNamesWhatExists(t *testing.T) {
	c, secrets := readCompose(t), deploySecrets(t)
	exists := func(file string) {
		t.Helper()
		where := filepath.Join(deployFolder, file)
		if rest, ok := strings.CutPrefix(file, "./secrets"); ok {
			where = filepath.Join(secrets, rest)
		}
		if _, err := os.Stat(where); err != nil {
			t.Error(err)
		}
	}
	for name, config := range c.Configs {
		exists(config.File)
		if name == "doors" || name == "company" || name == "witnesses" {
			continue // files of their own kinds: TestDeployedDoors and TestRegimeLint_VE14_OO7 read the first two
		}
		if _, err := loadConfig(filepath.Join(deployFolder, config.File)); err != nil {
			t.Errorf("configuration of %s: %v", name, err)
		}
	}
	for _, secret := range c.Secrets {
		exists(secret.File)
	}
	for name, s := range c.Services {
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				exists(source)
			} else if _, ok := c.Volumes[source]; !ok {
				t.Errorf("%s: no volume %s", name, source)
			}
		}
		for _, config := range s.Configs {
			if _, ok := c.Configs[config.Source]; !ok {
				t.Errorf("%s: no config %s", name, config.Source)
			}
		}
		for _, secret := range s.Secrets {
			if _, ok := c.Secrets[secret]; !ok {
				t.Errorf("%s: no secret %s", name, secret)
			}
		}
		for _, network := range s.Networks {
			if _, ok := c.Networks[network]; !ok {
				t.Errorf("%s: no network %s", name, network)
			}
		}
		if s.Build.Dockerfile == "" {
			continue
		}
		if !s.ReadOnly && name != "demo" || s.User == "" {
			t.Errorf("%s: want a read-only disk and a user", name)
		}
		if s.Build.Args.Package != "" {
			if _, err := os.Stat(filepath.Join(deployFolder, "..", s.Build.Args.Package)); err != nil {
				t.Error(err)
			}
		} else if !slices.ContainsFunc(append(roomCommands(), migrateCommand(), keysCommand()), hasName(s.Command[0])) {
			t.Errorf("%s: habeas has no command %s", name, s.Command[0])
		}
	}
}

// A room's configuration names only secrets that it is given, and no two rooms
// but by design have one in common.
func TestComposeGivesEachRoomItsOwn(t *testing.T) {
	shared := []string{"ca.crt", "api.token", "pg-rooms.dsn", "master.key", "intake.evidence.key", "intake.pepper.key"} // the console acts as intake
	owner := map[string]string{}
	for name := range readCompose(t).Services {
		given := composeSecrets(t, name)
		for secret := range given {
			if before, taken := owner[secret]; taken && !slices.Contains(shared, secret) {
				t.Errorf("%s and %s both have %s", before, name, secret)
			}
			owner[secret] = name
		}
		if name == "audit" && (given["pg-rooms.dsn"] != "" || given["intake.evidence.key"] != "" || given["master.key"] != "") {
			t.Error("audit has secrets of the other rooms")
		}
		c, err := loadConfig(filepath.Join(deployFolder, "config", name+".yaml"))
		if err != nil {
			continue // no room of ours
		}
		for _, file := range []room.SecretFile{c.HTTP.TokenFile, c.NATS.PasswordFile, c.Store.DSNFile, c.Audit.Store.DSNFile} {
			if secret := strings.TrimPrefix(string(file), "/run/secrets/"); secret != "" && given[secret] == "" {
				t.Errorf("%s is not given %s", name, secret)
			}
		}
	}
}

func hasName(name string) func(*cobra.Command) bool {
	return func(c *cobra.Command) bool { return c.Name() == name }
}
