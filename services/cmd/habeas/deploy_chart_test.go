package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/habeas-data/habeas/services/internal/room"
)

// object is what TestChart looks at in a Kubernetes object.
type object struct {
	Kind       string
	Metadata   struct{ Name string }
	Data       map[string]string
	BinaryData map[string]string `yaml:"binaryData"`
	Spec       struct {
		Replicas int
		Template struct{ Spec podSpec }
	}
}

type podSpec struct {
	AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	SecurityContext              struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	Containers []struct {
		Args            []string
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		VolumeMounts   []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			SubPath   string `yaml:"subPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		Secret    struct {
			SecretName string `yaml:"secretName"`
		}
		PersistentVolumeClaim struct {
			ClaimName string `yaml:"claimName"`
		} `yaml:"persistentVolumeClaim"`
	}
}

type probe struct {
	HTTPGet struct{ Path string } `yaml:"httpGet"`
}

func readObjects(t *testing.T, file string) map[string]object {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out, dec := map[string]object{}, yaml.NewDecoder(bytes.NewReader(text))
	for {
		var o object
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if o.Kind != "" {
			out[o.Kind+"/"+o.Metadata.Name] = o
		}
	}
}

// TestChart holds the rendered chart and secrets against each other and the
// program. scripts/check-deploy.sh runs it: it needs helm.
func TestChart(t *testing.T) {
	chart, secrets := os.Getenv("RENDERED_CHART"), os.Getenv("RENDERED_SECRETS")
	if chart == "" {
		t.Skip("needs a rendered chart: run scripts/check-deploy.sh")
	}
	objects, given := readObjects(t, chart), readObjects(t, secrets)
	pods := 0
	for name, o := range objects {
		if o.Kind != "Deployment" && o.Kind != "Job" {
			continue
		}
		pods++
		pod := o.Spec.Template.Spec
		checkRestricted(t, name, pod)
		for _, v := range pod.Volumes {
			if want := v.ConfigMap.Name; want != "" && objects["ConfigMap/"+want].Kind == "" && given["ConfigMap/"+want].Kind == "" {
				t.Errorf("%s: no ConfigMap %s", name, want)
			}
			if want := v.Secret.SecretName; want != "" && given["Secret/"+want].Kind == "" {
				t.Errorf("%s: no Secret %s", name, want)
			}
			if want := v.PersistentVolumeClaim.ClaimName; want != "" && objects["PersistentVolumeClaim/"+want].Kind == "" {
				t.Errorf("%s: no PersistentVolumeClaim %s", name, want)
			}
		}
		for _, c := range pod.Containers {
			for _, m := range c.VolumeMounts {
				if m.Name == "public" && m.SubPath != "" && given["ConfigMap/habeas-public"].BinaryData[m.SubPath] == "" {
					t.Errorf("%s: no public key %s", name, m.SubPath)
				}
			}
			if o.Kind == "Deployment" && (c.LivenessProbe.HTTPGet.Path != "/healthz" || c.ReadinessProbe.HTTPGet.Path != "/readyz") {
				t.Errorf("%s: probes %+v, %+v", name, c.LivenessProbe, c.ReadinessProbe)
			}
			if !strings.Contains(name, "connector-") {
				checkRoomFiles(t, objects, given, c.Args[0])
			}
		}
	}
	if pods != 7 {
		t.Errorf("%d workloads, want five rooms, the migration and a connector", pods)
	}
}

func checkRestricted(t *testing.T, name string, pod podSpec) {
	t.Helper()
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || !pod.SecurityContext.RunAsNonRoot ||
		pod.SecurityContext.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("%s is not restricted: %+v", name, pod.SecurityContext)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("%s is not restricted: %+v", name, s)
		}
	}
}

// checkRoomFiles loads a room's rendered configuration and looks for each file
// that it names among the room's secrets.
func checkRoomFiles(t *testing.T, objects, given map[string]object, name string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name+".yaml")
	if err := os.WriteFile(file, []byte(objects["ConfigMap/habeas-"+name].Data[name+".yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	beside := objects["ConfigMap/habeas-"+name].Data
	for _, path := range []string{c.Intake.Tenant, c.Intake.Doors, c.Audit.WitnessPolicy} {
		if laid, ok := strings.CutPrefix(path, "/etc/habeas/"); path != "" && (!ok || beside[laid] == "") {
			t.Errorf("%s is not given %s", name, path)
		}
	}
	if told := slices.Contains([]string{"intake", "coordinator", "delivery", "console"}, name); told != (c.Intake.Tenant != "") {
		t.Errorf("%s has the company's file at %q", name, c.Intake.Tenant)
	}
	if witnessed := name == "audit"; witnessed != (c.Audit.WitnessPolicy != "") {
		t.Errorf("%s has the policy of witnesses at %q", name, c.Audit.WitnessPolicy)
	}
	want := []string{c.Vault.Key}
	for _, f := range []room.SecretFile{c.HTTP.TokenFile, c.NATS.PasswordFile, c.Store.DSNFile, c.Audit.Store.DSNFile} {
		want = append(want, string(f))
	}
	for _, path := range want {
		if secret, ok := strings.CutPrefix(path, "/run/habeas/secrets/"); ok && given["Secret/habeas-"+name].Data[secret] == "" {
			t.Errorf("%s is not given %s", name, secret)
		}
	}
	if name != "migrate" && c.NATS.User != name {
		t.Errorf("%s is user %s of the bus", name, c.NATS.User)
	}
}
