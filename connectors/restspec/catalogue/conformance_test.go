package catalogue_test

import (
	"net/http/httptest"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// conforming is a vendor's fake as a system of the conformance suite.
type conforming struct {
	vendor   vendortest.Vendor
	name     string
	url, dir string
	settings map[string]string
}

func (s *conforming) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	prog, err := restspec.FromCatalogue(s.name)
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := prog.Open(restspec.Options{
		Name: s.name, Version: "1", Base: s.url, Dir: s.dir, Settings: s.settings, Unlimited: true,
		Secret: func(name string) (sdk.Secret, error) { return sdk.Secret(vendortest.SecretValue(name)), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, c
}

func (s *conforming) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	p := s.vendor.Plant(n)
	return sdktest.Planted{Person: p.Person, Traces: p.Traces, Stores: p.Stores, Kept: p.Kept, KeptTraces: p.KeptTraces}
}

func (s *conforming) Dump(testing.TB) []string { return s.vendor.Dump() }

// TestConformance puts entries whose vendors answer at once through the suite
// that every connector has to pass.
func TestConformance(t *testing.T) {
	for _, name := range []string{"intercom", "mailchimp", "hubspot"} {
		t.Run(name, func(t *testing.T) {
			sdktest.Run(t, func(t testing.TB) sdktest.System {
				s := &conforming{vendor: entries[name].New(), name: name, dir: t.TempDir(), settings: entries[name].Settings}
				srv := httptest.NewServer(s.vendor)
				t.Cleanup(srv.Close)
				s.url = srv.URL
				return s
			})
		})
	}
}
