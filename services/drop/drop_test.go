package drop_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/request"
)

func birth(t *testing.T, text string) request.Date {
	t.Helper()
	d, err := request.ParseDate(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The agency's own examples, and the ones that other implementations agree on.
func TestDR_2_Vectors(t *testing.T) {
	dir := os.Getenv("HABEAS_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(dir, "protocols.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "":
		t.Skip("no protocols.json: set HABEAS_VECTORS to the folder of the test vectors")
	case err != nil:
		t.Fatal(err)
	}
	var file struct {
		Drop struct {
			Cases []struct {
				Input, Kind, Standardized string
				Hash                      drop.Hash `json:"sha256_base64"`
			}
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	single := map[string]func(string) string{
		"email": drop.Email, "phone": drop.Phone, "zip": drop.ZIP, "maid": drop.AdvertisingID, "name": drop.Name,
		"dob": func(s string) string { return drop.Birth(birth(t, s)) },
	}
	seen := make(map[string]int)
	for _, c := range file.Drop.Cases {
		seen[c.Kind]++
		if standard := single[c.Kind]; standard != nil {
			if got := standard(c.Input); got != c.Standardized || drop.HashOf(got) != c.Hash {
				t.Errorf("%s %q: standard form %q, want %q; hash %s, want %s", c.Kind, c.Input, got, c.Standardized, drop.HashOf(got), c.Hash)
			}
			continue
		}
		parts := strings.Split(c.Input, "|")
		p := drop.Person{Names: []drop.FullName{{First: parts[0], Last: parts[1]}}}
		list := drop.ListNameVIN
		if c.Kind == "ndz" {
			list = drop.ListNameBirthZIP
			p.Births, p.ZIPs = []request.Date{birth(t, parts[2])}, []string{parts[3]}
		} else {
			p.VINs = []string{parts[2]}
		}
		if got := p.Hashes()[list]; !slices.Equal(got, []drop.Hash{c.Hash}) {
			t.Errorf("%s: %v, want %s", c.Kind, got, c.Hash)
		}
	}
	for _, kind := range []string{"email", "phone", "zip", "maid", "name", "dob", "ndz", "namevin"} {
		if seen[kind] == 0 {
			t.Errorf("no vector of kind %s", kind)
		}
	}
}

// The three examples of the agency that must hold wherever the tests run.
func TestDR_2_OfficialExamples(t *testing.T) {
	p := drop.Person{
		Emails: []string{" Anna.Smith @Domain.com"}, Phones: []string{"+1(415)555-9317"},
		Names: []drop.FullName{{First: "Danielle", Last: "Johnson"}}, Births: []request.Date{birth(t, "1985-07-04")}, ZIPs: []string{"91790"},
	}
	want := map[drop.List][]drop.Hash{
		drop.ListEmail:        {"KA18MT/ph6IHYjzT9zwETySDQyvSh87YuoSBpOQtkhE="},
		drop.ListPhone:        {"vGM7y5n+hBXRSEAklhHDPCbysyNgYTmXdMcagGUOY8E="},
		drop.ListNameBirthZIP: {"PQOfn1RffEKmqMmNAzDKKaoZCwxWbQZkQzPWmQo9REA="},
	}
	if diff := cmp.Diff(want, p.Hashes()); diff != "" {
		t.Errorf("hashes (-want +got):\n%s", diff)
	}
	for in, want := range map[string]string{"00712345": "71234", "M1B 1A1": "m1b1a", "91790-3771": "91790", "00501-1234": "501", "": ""} {
		if got := drop.ZIP(in); got != want {
			t.Errorf("ZIP %q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"1HGCM82633A004352": "1hgcm82633a004352", " 1hg-cm8 ": "1hgcm8"} {
		if got := drop.VIN(in); got != want {
			t.Errorf("VIN %q: %q, want %q", in, got, want)
		}
	}
}

// Every combination of what is held of a person is hashed, and nothing that has
// a part missing.
func TestDR_2_Combinations(t *testing.T) {
	p := drop.Person{
		Emails: []string{"a@example.com", "b@example.com", " "}, Names: []drop.FullName{{"Ada", "King"}, {"Ada", "Byron"}, {"Ada", "'"}},
		Births: []request.Date{birth(t, "1815-12-10"), {}}, ZIPs: []string{"90001", "90002", "000"}, VINs: []string{"-"}, TelevisionIDs: []string{"AB-12"},
	}
	got := make(map[drop.List]int)
	for list, hashes := range p.Hashes() {
		got[list] = len(hashes)
	}
	want := map[drop.List]int{drop.ListEmail: 2, drop.ListNameBirthZIP: 4, drop.ListTelevision: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("hashes by list (-want +got):\n%s", diff)
	}
}

// Standard forms are their own standard forms, whatever goes in.
func TestStandardFormsAreStable_DR2(t *testing.T) {
	forms := map[string]func(string) string{
		"email": drop.Email, "phone": drop.Phone, "zip": drop.ZIP, "advertising": drop.AdvertisingID, "vin": drop.VIN, "name": drop.Name,
	}
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.RuneFrom([]rune("йё́ΐᾳŁßǅªº№ﬀİıΣς가が'- aZ9ῼ")), 0, 12, -1)).Draw(rt, "value")
		for name, form := range forms {
			once := form(s)
			if twice := form(once); twice != once {
				rt.Fatalf("%s of %q: %q, and of that %q", name, s, once, twice)
			}
		}
	})
}

// What a match comes to: nobody is 5, several people 4, and one person 3, or 2
// where every record is exempt.
func TestDR_3_EveryItemGetsAStatus(t *testing.T) {
	for match, want := range map[drop.Match]drop.Status{
		{People: 0}:               drop.NotFound,
		{People: 0, Exempt: true}: drop.NotFound,
		{People: 1}:               drop.Deleted,
		{People: 1, Exempt: true}: drop.Exempted,
		{People: 3}:               drop.OptedOut,
	} {
		if got := match.StatusOf(); got != want || !got.Valid() {
			t.Errorf("%+v: status %d, want %d", match, got, want)
		}
	}
}

// Exempt records of several people are no reason not to opt them out.
func TestDR_3_SharedWinsOverExempt(t *testing.T) {
	if got := (drop.Match{People: 2, Exempt: true}).StatusOf(); got != drop.OptedOut {
		t.Errorf("status %d", got)
	}
}

func TestRead(t *testing.T) {
	const hash = "KA18MT/ph6IHYjzT9zwETySDQyvSh87YuoSBpOQtkhE="
	for name, c := range map[string]struct {
		list drop.List
		text string
		want int // items; -1 for an error
	}{
		"one":             {drop.ListEmail, "ID,Hash\nA7kP2xQ9Lm4R," + hash + "\n", 1},
		"empty":           {drop.ListPhone, "ID,Hash\n", 0},
		"removed":         {drop.ListRemoved, "ID,Hash,ListType\nA7kP2xQ9Lm4R," + hash + ",Email\n", 1},
		"no header":       {drop.ListEmail, "A7kP2xQ9Lm4R," + hash + "\n", -1},
		"upload's header": {drop.ListEmail, "Id,Status\nA7kP2xQ9Lm4R,5\n", -1},
		"nothing":         {drop.ListEmail, "", -1},
		"short hash":      {drop.ListEmail, "ID,Hash\nA7kP2xQ9Lm4R,KA18MT\n", -1},
		"short ID":        {drop.ListEmail, "ID,Hash\nA7," + hash + "\n", -1},
		"three columns":   {drop.ListEmail, "ID,Hash\nA7kP2xQ9Lm4R," + hash + ",x\n", -1},
		"unknown list":    {drop.ListRemoved, "ID,Hash,ListType\nA7kP2xQ9Lm4R," + hash + ",Removed\n", -1},
	} {
		t.Run(name, func(t *testing.T) {
			var got []drop.Item
			err := drop.Read(c.list, strings.NewReader(c.text), func(i drop.Item) error { got = append(got, i); return nil })
			switch {
			case c.want < 0 && (!errors.Is(err, drop.ErrList) || strings.Contains(err.Error(), "KA18MT")):
				t.Errorf("error %v", err)
			case c.want >= 0 && (err != nil || len(got) != c.want):
				t.Errorf("%d items, %v", len(got), err)
			case c.want > 0 && (got[0].ID != "A7kP2xQ9Lm4R" || got[0].Hash != hash || got[0].List != drop.ListEmail):
				t.Errorf("read %+v", got[0])
			}
		})
	}
	stop := errors.New("stop")
	if err := drop.Read(drop.ListEmail, strings.NewReader("ID,Hash\nA7kP2xQ9Lm4R,"+hash+"\n"), func(drop.Item) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("what take said was lost: %v", err)
	}
}

// A list from outside never panics, and what is read has the shape of an item.
func FuzzRead(f *testing.F) {
	f.Add("ID,Hash\nA7kP2xQ9Lm4R,KA18MT/ph6IHYjzT9zwETySDQyvSh87YuoSBpOQtkhE=\n")
	f.Add("ID,Hash\n\"A")
	f.Fuzz(func(t *testing.T, text string) {
		read := 0
		err := drop.Read(drop.ListEmail, strings.NewReader(text), func(i drop.Item) error {
			if len(i.ID) != 12 || len(i.Hash) != 44 || i.List != drop.ListEmail {
				t.Errorf("read %+v", i)
			}
			read++
			return nil
		})
		if lines := strings.Count(text, "\n"); err == nil && read > lines {
			t.Errorf("%d items of %d lines", read, lines)
		}
	})
}
