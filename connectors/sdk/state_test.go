package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// telling is a book that tells of its quotas and of drift.
type telling struct {
	*book
	drift func() ([]string, error)
}

func (telling) Quotas(context.Context) ([]sdk.Quota, error) {
	return []sdk.Quota{{Name: "erasures", Counts: "people", Limit: 100, Used: 40, Per: 24 * time.Hour}}, nil
}

func (t telling) Drift(context.Context) ([]string, error) { return t.drift() }

// heard reads what the connector last announced.
func (r *rig) heard() *habeasv1.Manifest {
	r.t.Helper()
	m := &habeasv1.Manifest{}
	kv, err := r.js.KeyValue(r.t.Context(), wire.BucketConnectors)
	if err != nil {
		r.t.Fatal(err)
	}
	entry, err := kv.Get(r.t.Context(), bookManifest().Name)
	if err != nil {
		return m // not yet
	}
	if err := proto.Unmarshal(entry.Value(), m); err != nil {
		r.t.Fatal(err)
	}
	return m
}

// What an operator wants to know of the moment goes out with the signs of life.
func TestSignsOfLifeTellOfTheMoment(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 2)
	state := ""
	r := newRig(t, telling{book: b, drift: func() ([]string, error) {
		return []string{"people.nick looks like a name", "b", "c", "d", "e", "f"}, nil
	}},
		func(c *sdk.ServeConfig) { c.Beat, state = 20*time.Millisecond, c.StateDir })
	r.start()
	if o := r.do(r.erase("j1", "ann@example.com")); o.GetDone() == nil {
		t.Fatalf("answered %v", o)
	}
	if o := r.do(r.erase("j2", "nobody@example.com")); o.GetNoMatch() == nil {
		t.Fatalf("answered %v", o)
	}
	b.onErase = func(context.Context) error { return sdk.Permanent(sdk.WithCode(sdk.Denied, errors.New("not allowed"))) }
	b.put("bob@example.com", "contacts", 1)
	r.do(r.erase("j3", "bob@example.com"))
	r.wait("the counts are told", func() bool { return r.heard().GetActivity().GetOutcomes()["failed"] == 1 })
	m := r.heard()
	if a := m.GetActivity(); a.GetOutcomes()["done"] != 1 || a.GetOutcomes()["no_match"] != 1 || a.GetFailures()["denied"] != 1 || a.GetWindow().AsDuration() > time.Hour {
		t.Errorf("activity %v", a)
	}
	if q := m.GetQuotas(); len(q) != 1 || q[0].GetUsed() != 40 || q[0].GetLimit() != 100 || q[0].GetPer().AsDuration() != 24*time.Hour || q[0].GetPausedUntil() != nil {
		t.Errorf("quotas %v", q)
	}
	r.wait("drift is told", func() bool { return r.heard().GetDrift() != nil })
	if d := r.heard().GetDrift(); d.GetFindings() != 6 || len(d.GetExamples()) != 5 || d.GetFailed() != "" {
		t.Errorf("drift %v", d)
	}
	if m.GetConformance() != nil {
		t.Error("a test is told of that nobody made")
	}
	text, err := json.Marshal(sdk.Conformance{Time: time.Now(), Kept: 22, Skipped: 2, Version: "1", ManifestDigest: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(state, "conformance.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	r.wait("the test is told of", func() bool { return r.heard().GetConformance().GetKept() == 22 })
	if err := os.WriteFile(filepath.Join(state, "conformance.json"), []byte("not JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.wait("a report that can't be read is left out", func() bool { return r.heard().GetConformance() == nil && r.heard().GetReady() })
	r.wantNoTrace("ann@example.com", "bob@example.com")
}

// A comparison that fails says so, and that it panics ends nothing.
func TestDriftThatFails(t *testing.T) {
	calls := 0
	r := newRig(t, telling{book: newBook(), drift: func() ([]string, error) {
		if calls++; calls == 1 {
			panic("a defect")
		}
		return nil, errors.New("the schema can't be read")
	}}, func(c *sdk.ServeConfig) { c.Beat, c.DriftEvery = 20*time.Millisecond, 40*time.Millisecond })
	r.start()
	r.wait("the failure is told", func() bool { return strings.Contains(r.heard().GetDrift().GetFailed(), "the schema can't be read") })
	if d := r.heard().GetDrift(); d.GetFindings() != 0 || len(d.GetExamples()) != 0 {
		t.Errorf("drift %v", d)
	}
}
