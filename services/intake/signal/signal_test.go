package signal

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectors are the signals of protocols.json.
type vectors struct {
	USP []struct {
		S                      string
		Valid, Optout, Applies *bool
	} `json:"usp"`
	GPC []struct {
		Values []string
		GPC    bool
	} `json:"gpc_header"`
	Headers []struct {
		S   string
		IDs []int
	} `json:"gpp_headers"`
	Sections struct {
		Cases []struct {
			S, Section string
			Fields     USSection
		}
		Legacy []string `json:"legacy_v2_with_v1_layout"`
	} `json:"gpp_sections"`
}

// loadVectors reads protocols.json from the folder HABEAS_VECTORS or, where it
// is not set, from shared/vectors beside the repository. Without either the test
// is skipped, but not in CI.
func loadVectors(t *testing.T) vectors {
	t.Helper()
	dir := os.Getenv("HABEAS_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "vectors")
	}
	content, err := os.ReadFile(filepath.Join(dir, "protocols.json"))
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skip("no protocols.json: set HABEAS_VECTORS to the folder of the test vectors")
	}
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.USP) == 0 || len(v.GPC) == 0 || len(v.Headers) == 0 || len(v.Sections.Cases) == 0 || len(v.Sections.Legacy) == 0 {
		t.Fatal("protocols.json lacks a kind of signal")
	}
	return v
}

func TestVectors(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.USP {
		got, err := ParseUSPrivacy(c.S)
		if (err == nil) != *c.Valid {
			t.Errorf("US Privacy %s: %v", c.S, err)
		}
		if c.Optout != nil && got.OptOut != *c.Optout || c.Applies != nil && got.Applies != *c.Applies {
			t.Errorf("US Privacy %s is read as %+v", c.S, got)
		}
	}
	for _, c := range v.GPC {
		if got := GPC(http.Header{"Sec-Gpc": c.Values}); got != c.GPC {
			t.Errorf("GPC %q: %v", c.Values, got)
		}
	}
	for _, c := range v.Headers {
		got, err := parseHeader(c.S)
		if err != nil || !cmp.Equal(got, c.IDs) {
			t.Errorf("GPP header %s: %v, %v; want %v", c.S, got, err, c.IDs)
		}
	}
	for _, c := range v.Sections.Cases {
		parse := map[string]func(string) (*USSection, error){"usca": ParseUSCA, "usnat": ParseUSNat}[c.Section]
		got, err := parse(c.S)
		if err != nil {
			t.Errorf("%s %s: %v", c.Section, c.S, err)
			continue
		}
		if diff := cmp.Diff(&c.Fields, got); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", c.Section, c.S, diff)
		}
	}
	for _, s := range v.Sections.Legacy {
		got, err := ParseUSNat(s)
		if err != nil || got.Version != 2 || len(got.SensitiveDataProcessing) != 16 || len(got.KnownChildSensitiveDataConsents) != 3 || got.OptOut() {
			t.Errorf("usnat %s: %+v, %v", s, got, err)
		}
	}
}

func TestParseGPP(t *testing.T) {
	for _, c := range []struct {
		name, s  string
		sections []int
		out      bool
	}{
		{"California, nothing chosen", "DBABBg~BAAAAABA.QA", []int{8}, false},
		{"California, opted out", "DBABBg~BVWSSSVY.YA", []int{8}, true},
		{"national, sale not opted out", "DBABLA~BVQqAAAAAgA.QA", []int{7}, false},
		{"a US Privacy string inside", "DBABTA~1YYN", []int{6}, true},
		{"a section that is not read", "DBABM~anything!", []int{2}, false},
	} {
		got, err := ParseGPP(c.s)
		if err != nil || !cmp.Equal(got.Sections, c.sections) || got.OptOut() != c.out {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "no section follows": "DBABBg", "one too many": "DBABBg~BAAAAABA.QA~BAAAAABA.QA", "another type": "AAAA",
		"cut off": "DBABBg~BA", "unknown version": "DBABBg~DAAAAABA", "not base64url": "DBABBg~BAAA/ABA", "an empty subsection": "DBABBg~BAAAAABA.",
		"a million sections": "DB" + "_________",
	} {
		if got, err := ParseGPP(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v; want an error", name, got, err)
		}
	}
}

func TestUSPrivacyRefusesHalfStrings(t *testing.T) {
	for _, s := range []string{"", "1", "1YN", "1YNNN", "1Y-N", "1XYN", "-YNN"} {
		if _, err := ParseUSPrivacy(s); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if got, err := ParseUSPrivacy("1yyn"); err != nil || !got.OptOut {
		t.Errorf("lower case: %+v, %v", got, err)
	}
}

func FuzzParseGPP(f *testing.F) {
	for _, s := range []string{"DBABBg~BVWSSSVY.YA", "DBABLA~CAAAAAAAAABA.QA", "DBACNY~x~1YNN", "DBABjw~a~b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := ParseGPP(s)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || g.OptOut() {
				t.Errorf("%v, %+v", err, g)
			}
			return
		}
		if len(g.Sections) > maxSections {
			t.Errorf("%d sections", len(g.Sections))
		}
	})
}
