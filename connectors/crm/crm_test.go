package main

import (
	"context"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

const specFile = "../../deploy/demo/crm.spec.yaml"

// system is the demo CRM with the people that are planted in it.
type system struct {
	crm  *demo.CRM
	url  string
	dir  string
	from int // Plant(n) plants the demo company's person from+n
}

func newSystem(t testing.TB, from int, o demo.CRMOptions) *system {
	t.Helper()
	crm, err := demo.OpenCRM(0, o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(crm)
	t.Cleanup(srv.Close)
	return &system{crm: crm, url: srv.URL, dir: t.TempDir(), from: from}
}

func (s *system) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	prog, err := restspec.Load(specFile)
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := prog.Open(restspec.Options{
		Name: "crm", Base: s.url, Dir: s.dir,
		Secret: func(string) (sdk.Secret, error) { return demo.CRMKey, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, c
}

func (s *system) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	p := demo.PersonAt(s.from + n)
	planted := sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.Email, p.Email), sdk.ID(sdk.Phone, p.Phone)),
		Traces: []string{demo.CRMContact(p.N), p.Email, p.Phone, p.CustomerID, p.UserID},
		Stores: map[string]int64{}, Kept: map[string]int64{},
		Yields: []sdk.Identifier{sdk.ID(sdk.CustomerID, p.CustomerID), sdk.ID(sdk.UserID, p.UserID)},
	}
	records := demo.CRMRecords(p)
	if p.N == demo.Namesake || p.N == demo.OtherNamesake {
		records = append(records, shared(p))
	}
	for _, r := range records {
		planted.Stores[r.Kind]++
		kept := demo.CRMOpenContract(p.N) &&
			(r.Kind == "contacts" || r.Fields["stage"] == "open" || r.Fields["type"] == "signed contract")
		if kept {
			planted.Kept[r.Kind]++
		}
		for _, name := range []string{"text", "subject", "title", "number", "signature", "url", "social"} {
			v, _ := r.Fields[name].(string)
			if len(v) < 8 || name == "title" && r.Kind == "contacts" || r.ID == "act_household_visit" {
				continue
			}
			planted.Traces = append(planted.Traces, v)
			if kept && r.Kind != "contacts" {
				planted.KeptTraces = append(planted.KeptTraces, v)
			}
		}
		if kept {
			planted.KeptTraces = append(planted.KeptTraces, demo.CRMContact(p.N), p.Email, p.Phone, p.CustomerID)
		}
	}
	if err := s.crm.Add(records...); err != nil {
		t.Fatal(err)
	}
	return planted
}

// shared is the household visit as it stands once p was planted: it belongs to
// p and, when she is there already, to the other one.
func shared(p demo.Person) demo.CRMRecord {
	r := demo.CRMVisit()
	if p.N == demo.OtherNamesake { // planted first
		r.Contacts = []string{demo.CRMContact(p.N)}
	}
	return r
}

func (s *system) Dump(testing.TB) []string { return s.crm.Dump() }

func TestConformance(t *testing.T) {
	sdktest.Run(t, func(t testing.TB) sdktest.System {
		return newSystem(t, 9, demo.CRMOptions{Delay: 30 * time.Millisecond, PageSize: 2})
	})
}

// TestConformanceKept is about a person with an open contract, who shares a
// name, a landline and a visit with the neighbour.
func TestConformanceKept(t *testing.T) {
	sdktest.Run(t, func(t testing.TB) sdktest.System {
		return newSystem(t, demo.Namesake-1, demo.CRMOptions{Delay: 5 * time.Millisecond})
	})
}

func TestConformanceSlowAndLimited(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the limits of a slow system")
	}
	sys := newSystem(t, 9, demo.CRMOptions{Delay: 20 * time.Millisecond, Rate: 20, Burst: 15})
	her := sys.Plant(t, 1)
	_, c := sys.Open(t)
	found, err := c.Locate(t.Context(), her.Person)
	if err != nil || len(found) != len(her.Stores) {
		t.Fatalf("located %d stores of %d: %v", len(found), len(her.Stores), err)
	}
	if err := c.(sdk.Eraser).Erase(t.Context(), her.Person); err != nil {
		t.Fatal(err)
	}
	if left := sys.Dump(t); len(left) != 1 { // the finished deletion, which names nobody
		t.Errorf("%d records left, want the deletion alone", len(left))
	}
}

// TestConfiguration opens the connector as the program does.
func TestConfiguration(t *testing.T) {
	t.Setenv("HABEAS_DEMO_CRM", "http://127.0.0.1:1")
	key, err := os.ReadFile("../../deploy/demo/crm.key")
	if err != nil || string(key) != demo.CRMKey+"\n" {
		t.Fatalf("deploy/demo/crm.key is not the demo CRM's key: %v", err)
	}
	dir, err := filepath.Abs("../../deploy/demo")
	if err != nil {
		t.Fatal(err)
	}
	section := "spec: " + filepath.Join(dir, "crm.spec.yaml") + "\nbase: ${HABEAS_DEMO_CRM}\nsecret_files: {HABEAS_CRM_KEY: " + filepath.Join(dir, "crm.key") + "}\n"
	env, err := sdk.NewEnv("crm", t.TempDir(), section)
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := restspec.Open(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil || m.Tier != sdk.IdentityStore {
		t.Errorf("manifest: %v, tier %v", err, m.Tier)
	}
	if _, ok := c.(sdk.Resumer); !ok {
		t.Error("the CRM connector opts nobody out and in again")
	}
}

// TestFaults breaks single requests of an erasure, before and after they took
// effect, and wants the erasure to end well and nobody else to notice.
func TestFaults(t *testing.T) {
	for _, method := range []string{"GET", "DELETE", "PATCH"} {
		for name, fault := range map[string]demo.CRMFault{
			"refused": demo.CRMRefuse, "broken": demo.CRMBreak, "lost": demo.CRMLose,
			"truncated": demo.CRMTruncate, "failed_after": demo.CRMFailAfter, "hangs": demo.CRMHang,
		} {
			t.Run(method+"_"+name, func(t *testing.T) {
				sys := newSystem(t, demo.Namesake-1, demo.CRMOptions{})
				neighbour := sys.Plant(t, 2)
				her := sys.Plant(t, 1)
				_, c := sys.Open(t)
				sys.crm.Fail(method, demo.CRMWell, fault, demo.CRMWell, fault)
				eraseUntilDone(t, c.(sdk.Eraser), her.Person)
				wantLocated(t, c, her.Person, her.Kept)
				wantLocated(t, c, neighbour.Person, neighbour.Stores)
			})
		}
	}
}

func eraseUntilDone(t *testing.T, e sdk.Eraser, p sdk.Person) {
	t.Helper()
	ctx := sdk.WithJobInfo(t.Context(), sdk.JobInfo{JobID: t.Name()})
	var err error
	for range 8 {
		attempt, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		err = e.Erase(attempt, p)
		cancel()
		if err == nil {
			return
		}
		if sdk.IsPermanent(err) {
			break
		}
	}
	t.Fatal(err)
}

func wantLocated(t *testing.T, c sdk.Connector, p sdk.Person, want map[string]int64) {
	t.Helper()
	found, err := c.Locate(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, f := range found {
		got[f.Store] += f.Count
	}
	if !maps.Equal(got, want) {
		t.Errorf("located %v, want %v", got, want)
	}
}

// TestSharedPhone asks by the landline of a household: with her address it
// finds her alone, without it nobody can tell.
func TestSharedPhone(t *testing.T) {
	sys := newSystem(t, demo.Namesake-1, demo.CRMOptions{})
	sys.Plant(t, 2)
	her := sys.Plant(t, 1)
	_, c := sys.Open(t)
	landline := sdk.ID(sdk.Phone, demo.CRMHomePhone)
	wantLocated(t, c, her.Person.Only(sdk.Email).With(landline), her.Stores)
	_, err := c.Locate(t.Context(), sdk.NewPerson(landline))
	if sdk.CodeOf(err) != sdk.Ambiguous || !sdk.IsPermanent(err) {
		t.Errorf("by the landline alone: %v", err)
	}
}
