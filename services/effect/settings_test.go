package effect_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/effect"
)

// What is wrong with the file is said with the place and what to change.
func TestLoad_OO8(t *testing.T) {
	t.Parallel()
	const good = "name: shop\npages: [https://shop.example/]\n"
	for name, c := range map[string]struct{ text, want string }{
		"good":         {good, ""},
		"all":          {good + "own: ['*.shop.example']\nservice_providers: [{host: f.example, contract: SP-1, purpose: fonts}]\nopt_outs: [{name: form, url: https://shop.example/o, steps: [{fill: '#a', with: b}, {click: '#c'}, {await: '#d'}]}]\nexpect: [t.example]\nquiet: 1s\nlongest: 20s\n", ""},
		"no name":      {"pages: [https://shop.example/]\n", "name is missing"},
		"no pages":     {"name: shop\n", "pages is empty"},
		"no address":   {"name: shop\npages: [shop.example]\n", "pages[0]: want an address such as https://"},
		"no contract":  {good + "service_providers: [{host: f.example, purpose: fonts}]\n", "without a contract it is a third party"},
		"no steps":     {good + "opt_outs: [{name: form, url: https://shop.example/o}]\n", "opt_outs[0]: steps is empty"},
		"two in one":   {good + "opt_outs: [{name: form, url: https://shop.example/o, steps: [{click: a, await: b}]}]\n", "opt_outs[0].steps[0]: want one of click"},
		"signal twice": {good + "opt_outs: [{name: gpc, url: https://shop.example/o, steps: [{click: a}]}]\n", "a name of its own"},
		"unknown":      {good + "page: x\n", "effect.yaml:3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "effect.yaml")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := effect.Load(file)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
