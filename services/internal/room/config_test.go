package room_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/internal/room"
)

type settings struct {
	Listen string `yaml:"listen"`
	NATS   struct {
		URL          string          `yaml:"url"`
		PasswordFile room.SecretFile `yaml:"password_file"`
		Replicas     int             `yaml:"replicas"`
	} `yaml:"nats"`
	Delivery struct {
		TTL    time.Duration `yaml:"ttl"`
		Rooms  []string      `yaml:"rooms"`
		Strict bool          `yaml:"strict"`
	} `yaml:"delivery"`
}

func defaults() settings {
	s := settings{Listen: "127.0.0.1:8080"}
	s.NATS.Replicas = 1
	s.Delivery.TTL = time.Hour
	return s
}

func writeFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "habeas.yaml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadConfig(t *testing.T) {
	path := writeFile(t, "nats:\n  url: nats://one\n  password_file: /run/secrets/nats\ndelivery:\n  ttl: 36h\n")
	have := defaults()
	err := room.LoadConfig(path, &have, []string{
		"HOME=/root", "HABEAS_TEST_POSTGRES=x", "HABEAS_NATS_REPLICAS=3", "HABEAS_DELIVERY_ROOMS=a, b",
		"HABEAS_DELIVERY_STRICT=true", "HABEAS_LISTEN=:9", "HABEAS_NATS_URL=nats://two=2",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Listen, want.NATS.URL, want.NATS.PasswordFile, want.NATS.Replicas = ":9", "nats://two=2", "/run/secrets/nats", 3
	want.Delivery.TTL, want.Delivery.Rooms, want.Delivery.Strict = 36*time.Hour, []string{"a", "b"}, true
	if d := cmp.Diff(want, have); d != "" {
		t.Error(d)
	}
}

func TestLoadConfigWithoutFile(t *testing.T) {
	for name, path := range map[string]string{"none": "", "empty": writeFile(t, ""), "comments": writeFile(t, "# nothing yet\n"), "empty section": writeFile(t, "nats:\ndelivery:\n  ttl:\n")} {
		have := defaults()
		if err := room.LoadConfig(path, &have, nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(defaults(), have); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestLoadConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name, yaml, env string
		want            []string
	}{
		{"unknown field", "nats:\n  url: x\n  ulr: sesame\n", "", []string{"habeas.yaml:3", "nats.ulr", "unknown field"}},
		{"wrong type", "nats:\n  replicas: sesame\n", "", []string{"habeas.yaml:2", "nats.replicas"}},
		{"twice", "listen: a\nlisten: sesame\n", "", []string{"habeas.yaml:2", "listen"}},
		{"syntax", "nats:\n  url: [sesame\n", "", []string{"habeas.yaml:"}},
		{"duration", "delivery:\n  ttl: sesame\n", "", []string{"habeas.yaml:2: delivery.ttl: "}},
		{"two documents", "listen: a\n---\nlisten: sesame\n", "", []string{"one YAML document"}},
		{"env unknown", "", "HABEAS_NATS_ULR=sesame", []string{"HABEAS_NATS_ULR", "no such setting"}},
		{"env type", "", "HABEAS_NATS_REPLICAS=sesame", []string{"HABEAS_NATS_REPLICAS", "int"}},
		{"env duration", "", "HABEAS_DELIVERY_TTL=sesame", []string{"HABEAS_DELIVERY_TTL", "duration"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			have := defaults()
			err := room.LoadConfig(writeFile(t, c.yaml), &have, []string{c.env})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if c.name != "duration" && strings.Contains(err.Error(), "sesame") {
				t.Errorf("error %q repeats the value", err)
			}
		})
	}
	if err := room.LoadConfig("/nowhere/habeas.yaml", &settings{}, nil); err == nil || !strings.Contains(err.Error(), "/nowhere/habeas.yaml") {
		t.Errorf("missing file: %v", err)
	}
}
