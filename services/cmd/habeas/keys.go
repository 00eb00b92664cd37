package main

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/internal/vault"
)

// roomNames are the rooms that sign records.
var roomNames = []string{"audit", "coordinator", "intake"}

// signer loads or makes the named room's evidence key, publishes its public
// half, and returns a signer.
func (c *config) signer(name, instance string) (*wire.Signer, error) {
	key, err := room.EvidenceKey(c.Keys.Dir, name)
	if err != nil {
		return nil, err
	}
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("evidence key of %s is no Ed25519 key", name)
	}
	path := filepath.Join(c.Keys.Public, name+".evidence.pub")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: wire.PublicDER(public)})
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // a public key is for everybody
			return nil, fmt.Errorf("publishing the key of %s: %w", name, err)
		}
	}
	return wire.NewSigner(key, name, instance, version(), "")
}

// roomKeys reads the public evidence keys of all rooms.
func (c *config) roomKeys() (map[string]ed25519.PublicKey, error) {
	keys := make(map[string]ed25519.PublicKey, len(roomNames))
	for _, name := range roomNames {
		path := filepath.Join(c.Keys.Public, name+".evidence.pub")
		text, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
		if err != nil {
			return nil, fmt.Errorf("reading the public key of %s: %w; run \"habeas keys\" where the private keys are", name, err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			return nil, fmt.Errorf("reading %s: want a PEM public key", path)
		}
		if keys[name], err = wire.ParsePublicDER(block.Bytes); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return keys, nil
}

// exportIdentity loads or makes the identity to which connectors encrypt
// export parts. Its recipient is published beside the public keys.
func (c *config) exportIdentity() (*age.X25519Identity, error) {
	text, err := room.KeyFile(filepath.Join(c.Keys.Dir, "delivery.age.key"), func() ([]byte, error) {
		id, err := age.GenerateX25519Identity()
		if err != nil {
			return nil, err
		}
		return []byte(id.String() + "\n"), nil
	})
	if err != nil {
		return nil, fmt.Errorf("export identity: %w", err)
	}
	id, err := age.ParseX25519Identity(trimLine(text))
	if err != nil {
		return nil, errors.New("export identity: delivery.age.key: want one line that starts with AGE-SECRET-KEY-1")
	}
	path := filepath.Join(c.Keys.Public, "delivery.age.pub")
	if err := os.WriteFile(path, []byte(id.Recipient().String()+"\n"), 0o644); err != nil { //nolint:gosec // a public key is for everybody
		return nil, fmt.Errorf("publishing the export recipient: %w", err)
	}
	return id, nil
}

// exportRecipient reads what exportIdentity published.
func (c *config) exportRecipient() (string, error) {
	text, err := os.ReadFile(filepath.Join(c.Keys.Public, "delivery.age.pub"))
	if err != nil {
		return "", fmt.Errorf("reading the export recipient: %w; run \"habeas keys\" where the private keys are", err)
	}
	return trimLine(text), nil
}

func trimLine(text []byte) string {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return string(text)
}

// makeKeys makes every key that is missing.
func (c *config) makeKeys() error {
	if err := c.makeDirs(); err != nil {
		return err
	}
	for _, name := range roomNames {
		if _, err := c.signer(name, "keys"); err != nil {
			return err
		}
	}
	for _, name := range []string{"coordinator", "intake", "console", listerName} {
		if _, err := c.sealKey(name); err != nil {
			return err
		}
	}
	if _, err := c.exportIdentity(); err != nil {
		return err
	}
	if _, err := c.pepper(); err != nil {
		return err
	}
	master, err := vault.New(context.Background(), c.Vault.Key)
	if err != nil {
		return err
	}
	return master.Close()
}

// sealKey loads or makes a seal key and publishes its public half.
func (c *config) sealKey(name string) (wire.SealKey, error) {
	seal, err := room.SealKey(c.Keys.Dir, name)
	if err != nil {
		return seal, err
	}
	path := filepath.Join(c.Keys.Public, name+".seal.pub")
	if err := os.WriteFile(path, []byte(seal.Public()+"\n"), 0o644); err != nil { //nolint:gosec // a public key is for everybody
		return seal, fmt.Errorf("publishing the seal key of %s: %w", name, err)
	}
	return seal, nil
}

// requireMasterKey refuses to start a room without the master key that the
// others have: one made silently here would open nothing of theirs.
func (c *config) requireMasterKey(need needs) error {
	if need == busOnly || strings.Contains(c.Vault.Key, "://") {
		return nil
	}
	if _, err := os.Stat(c.Vault.Key); err != nil {
		return fmt.Errorf("reading the master key: %w; vault.key must name the one key that all rooms share: make it once with \"habeas keys\"", err)
	}
	return nil
}

func keysCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "keys", Short: "Make the rooms' keys where they are missing, and publish their public halves", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			if err := c.makeKeys(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "private keys in %s, public keys in %s\n", c.Keys.Dir, c.Keys.Public)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	return cmd
}
