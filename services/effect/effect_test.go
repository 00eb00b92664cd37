package effect_test

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/effect"
)

// test visits a site that lets visitors alone as obey says.
func test(t *testing.T, obey func(*http.Request) bool, change ...func(*effect.Settings)) *habeasv1.EffectRecord {
	t.Helper()
	w := newWeb(t, all(trackers(), map[string]http.Handler{"shop.example": shop(obey)}))
	s := effect.Settings{
		Name: "shop", Pages: []string{"http://shop.example/?from=test", "http://shop.example/product"},
		Providers: []effect.Provider{{Host: "fonts.example", Contract: "SP-1", Purpose: "fonts"}},
		OptOuts: []effect.OptOut{{Name: "banner", URL: "http://shop.example/choices", Steps: []effect.Step{
			{Click: "#reject"}, {Await: "#saved"},
		}}},
		Expect: []string{"bidder.example"},
		Quiet:  800 * time.Millisecond, Longest: 60 * time.Second,
	}
	for _, f := range change {
		f(&s)
	}
	rec, err := effect.Tester{Dial: w.Dial}.Test(t.Context(), s)
	if errors.Is(err, effect.ErrNoBrowser) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// everybody is whom a page with tags calls, by every road there is.
var everybody = []string{"beacon.example", "bidder.example", "frames.example", "pixel.example", "sealed.example", "tags.example", "worker.example"}

func results(rec *habeasv1.EffectRecord) map[string]string {
	out := map[string]string{"": rec.GetResult()}
	for _, v := range rec.GetVisits() {
		out[v.GetWay()] = v.GetResult()
	}
	return out
}

// OO-8: on a site that honours the signal and the banner, who opts out meets
// nobody but the company and its service provider, and who doesn't meets all.
func TestHonestSite_OO8(t *testing.T) {
	t.Parallel()
	rec := test(t, func(r *http.Request) bool { return signalled(r) || chose(r) })
	want := map[string]string{"": effect.Effective, "none": effect.Effective, "gpc": effect.Effective, "banner": effect.Effective}
	if diff := cmp.Diff(want, results(rec)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	for _, v := range rec.GetVisits() {
		for _, p := range v.GetPages() {
			var hosts []string
			if v.GetWay() == "none" {
				hosts = everybody
			}
			if diff := cmp.Diff(hosts, p.GetHosts()); diff != "" {
				t.Errorf("%s, %s: contacted (-want +got):\n%s", v.GetWay(), p.GetUrl(), diff)
			}
			if !slices.Equal(p.GetExcused(), []string{"fonts.example"}) {
				t.Errorf("%s, %s: service providers %v", v.GetWay(), p.GetUrl(), p.GetExcused())
			}
		}
	}
	if err := effect.Verdict(rec); err != nil {
		t.Error(err)
	}
}

// OO-8: whoever says "saved" and goes on calling advertisers is found out, by
// the way that has no effect and the hosts that were called.
func TestDishonestSites_OO8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		obey func(*http.Request) bool
		want map[string]string
	}{
		{"ignores the signal", chose, map[string]string{"": effect.NoEffect, "none": effect.Effective, "gpc": effect.NoEffect, "banner": effect.Effective}},
		{"banner does nothing", signalled, map[string]string{"": effect.NoEffect, "none": effect.Effective, "gpc": effect.Effective, "banner": effect.NoEffect}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rec := test(t, c.obey)
			if diff := cmp.Diff(c.want, results(rec)); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
			for _, v := range rec.GetVisits() {
				if v.GetResult() == effect.NoEffect && !slices.Equal(v.GetPages()[1].GetHosts(), everybody) {
					t.Errorf("%s: contacted %v", v.GetWay(), v.GetPages()[1].GetHosts())
				}
			}
			if err := effect.Verdict(rec); err == nil {
				t.Error("there is nothing to complain about")
			}
		})
	}
}

// OO-8: a test that sees nothing says so and is no success: a page that is
// gone, a button that is not there, a tag that should have been seen.
func TestNothingSeenIsNoSuccess_OO8(t *testing.T) {
	t.Parallel()
	rec := test(t, func(r *http.Request) bool { return signalled(r) || chose(r) }, func(s *effect.Settings) {
		s.Pages = []string{"http://shop.example/gone?user=somebody"}
		s.OptOuts[0].Steps = []effect.Step{{Click: "#no-such-button"}}
		s.Longest = 15 * time.Second
	})
	want := map[string]string{"": effect.NotTested, "none": effect.NotTested, "gpc": effect.NotTested, "banner": effect.NotTested}
	if diff := cmp.Diff(want, results(rec)); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	problems := []string{
		"http://shop.example/gone: it answers with status 404; bidder.example is not contacted by who did not opt out either, so the test shows nothing",
		"http://shop.example/gone: it answers with status 404",
		"step 1 (click #no-such-button): nothing after 15s",
	}
	for i, v := range rec.GetVisits() {
		if v.GetProblem() != problems[i] {
			t.Errorf("%s: %q, want %q", v.GetWay(), v.GetProblem(), problems[i])
		}
	}
	if text := rec.String(); strings.Contains(text, "somebody") {
		t.Errorf("what may be somebody's is in the record: %s", text)
	}
}
