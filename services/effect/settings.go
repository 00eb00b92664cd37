package effect

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
)

// Settings say what to visit.
type Settings struct {
	// Name is what the test is called in its records.
	Name string `yaml:"name"`
	// Pages are visited in this order. They stand for what is on the site: the
	// first page, a product, an article, a search.
	Pages []string `yaml:"pages"`
	// Own are the company's own hosts beside those of the pages; "*.example.com"
	// stands for every host under it. A host under a company's own name that
	// another company answers for is not to be listed.
	Own []string `yaml:"own"`
	// Providers may be contacted after an opt-out too.
	Providers []Provider `yaml:"service_providers"`
	// OptOuts are the ways to opt out beside the signal.
	OptOuts []OptOut `yaml:"opt_outs"`
	// Expect are hosts that a visitor who did not opt out contacts. When one is
	// not contacted the test sees too little, and says so.
	Expect []string `yaml:"expect"`
	// Quiet is how long nothing may go over the wire before a page counts as
	// done; 0 means 2 s. Tags that wait longer are not seen.
	Quiet time.Duration `yaml:"quiet"`
	// Longest is the most time for one page or step; 0 means 30 s.
	Longest time.Duration `yaml:"longest"`

	digest []byte
}

// Provider is a service provider: a company that may be contacted after an
// opt-out, because its contract binds it to this company's purposes (11 CCR
// 7051).
type Provider struct {
	Host     string `yaml:"host"`
	Contract string `yaml:"contract"`
	Purpose  string `yaml:"purpose"`
}

// OptOut is one way to opt out, as a person does it in the browser.
type OptOut struct {
	Name  string `yaml:"name"`
	URL   string `yaml:"url"`
	Steps []Step `yaml:"steps"`
}

// Step is one thing that a person does or waits for; exactly one of Click, Fill
// and Await is set, to a CSS selector.
type Step struct {
	Click string `yaml:"click"`
	Fill  string `yaml:"fill"`
	With  string `yaml:"with"` // what Fill fills in
	Await string `yaml:"await"`
}

const (
	defaultQuiet   = 2 * time.Second
	defaultLongest = 30 * time.Second
)

// Load reads settings from a YAML file. Its errors name the file and what to
// change.
func Load(path string) (Settings, error) {
	var s Settings
	content, err := os.ReadFile(path) //nolint:gosec // the path is the operator's
	if err != nil {
		return s, fmt.Errorf("reading what to visit: %w", err)
	}
	if err := room.LoadConfig(path, &s, nil); err != nil {
		return s, err
	}
	sum := sha256.Sum256(content)
	s.digest = sum[:]
	if err := s.check(); err != nil {
		return s, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// check says what is wrong with the settings, all at once, and fills in what
// was left out.
func (s *Settings) check() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Name == "" {
		say("name is missing: what the test is called in its records")
	}
	if len(s.Pages) == 0 {
		say("pages is empty: list the addresses to visit")
	}
	for i, p := range s.Pages {
		if _, err := hostOf(p); err != nil {
			say("pages[%d]: %w", i, err)
		}
	}
	for i, p := range s.Providers {
		if p.Host == "" || p.Contract == "" || p.Purpose == "" {
			say("service_providers[%d]: host, contract and purpose are all needed: without a contract it is a third party (11 CCR 7050(e))", i)
		}
	}
	for i, o := range s.OptOuts {
		if o.Name == "" || o.Name == wayNone || o.Name == wayGPC || slices.IndexFunc(s.OptOuts, func(other OptOut) bool { return other.Name == o.Name }) != i {
			say("opt_outs[%d]: give it a name of its own, not %q or %q", i, wayNone, wayGPC)
		}
		if _, err := hostOf(o.URL); err != nil {
			say("opt_outs[%d].url: %w", i, err)
		}
		if len(o.Steps) == 0 {
			say("opt_outs[%d]: steps is empty: list what a person clicks", i)
		}
		for j, step := range o.Steps {
			if err := step.check(); err != nil {
				say("opt_outs[%d].steps[%d]: %w", i, j, err)
			}
		}
	}
	if s.Quiet < 0 || s.Longest < 0 {
		say("quiet and longest: want a time such as 2s")
	}
	if s.Quiet == 0 {
		s.Quiet = defaultQuiet
	}
	if s.Longest == 0 {
		s.Longest = defaultLongest
	}
	return errors.Join(errs...)
}

func (s Step) check() error {
	set := 0
	for _, selector := range []string{s.Click, s.Fill, s.Await} {
		if selector != "" {
			set++
		}
	}
	if set != 1 || s.With != "" && s.Fill == "" {
		return errors.New("want one of click, fill (and with) and await, with a CSS selector")
	}
	return nil
}

// String says the step as its file does, without what is filled in.
func (s Step) String() string {
	switch {
	case s.Click != "":
		return "click " + s.Click
	case s.Fill != "":
		return "fill " + s.Fill
	default:
		return "await " + s.Await
	}
}

func hostOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return "", errors.New("want an address such as https://www.example.com/")
	}
	return u.Hostname(), nil
}

// own reports whether a host is the company's.
func (s *Settings) own(host string) bool {
	if slices.ContainsFunc(s.Pages, func(p string) bool { h, err := hostOf(p); return err == nil && strings.EqualFold(h, host) }) {
		return true
	}
	return slices.ContainsFunc(s.Own, func(pattern string) bool { return matches(pattern, host) })
}

// provides reports whether a host is a service provider's.
func (s *Settings) provides(host string) bool {
	return slices.ContainsFunc(s.Providers, func(p Provider) bool { return matches(p.Host, host) })
}

func matches(pattern, host string) bool {
	pattern, host = strings.ToLower(pattern), strings.ToLower(host)
	if under, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(under, ".") {
		return strings.HasSuffix(host, under)
	}
	return pattern == host
}
