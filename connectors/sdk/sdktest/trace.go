package sdktest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// haystack is text to search for traces of a person. Case never matters.
type haystack struct{ lower, exact string }

// newHaystack joins records; no trace reaches over their ends.
func newHaystack(records ...string) haystack {
	all := strings.Join(records, "\n\x00\n")
	return haystack{lower: strings.ToLower(all), exact: all}
}

// needle is one trace in all the forms it is looked for in.
type needle struct{ lower, exact []string }

func newNeedle(trace string) needle {
	return needle{lower: lowerForms(trace), exact: base64Forms(trace)}
}

func newNeedles(traces []string) []needle {
	needles := make([]needle, len(traces))
	for i, trace := range traces {
		needles[i] = newNeedle(trace)
	}
	return needles
}

// holds reports whether the trace is there, as it is or in a common encoding.
func (h haystack) holds(n needle) bool {
	return slices.ContainsFunc(n.lower, func(form string) bool { return strings.Contains(h.lower, form) }) ||
		slices.ContainsFunc(n.exact, func(form string) bool { return strings.Contains(h.exact, form) })
}

func (h haystack) holdsAny(needles []needle) bool { return slices.ContainsFunc(needles, h.holds) }

// shortest trace that is searched for in encodings; a shorter one would be
// found by chance.
const shortestEncoded = 6

// lowerForms are the forms compared without regard to case: the value itself,
// escaped for a URL, HTML or JSON, in hex, and its unkeyed digests, which name
// an address as well as the address does.
func lowerForms(trace string) []string {
	lower := strings.ToLower(trace)
	if lower == "" {
		return nil
	}
	forms := []string{lower}
	if len(lower) < shortestEncoded {
		return forms
	}
	forms = append(forms, strings.ToLower(url.QueryEscape(lower)), strings.ToLower(url.PathEscape(lower)), strings.ToLower(html.EscapeString(lower)))
	for _, s := range []string{trace, lower} {
		forms = append(forms, hex.EncodeToString([]byte(s)))
		quoted, err := json.Marshal(s)
		if err == nil { // always, for a string
			forms = append(forms, strings.ToLower(strings.Trim(string(quoted), `"`)))
		}
		m, s1, s256 := md5.Sum([]byte(s)), sha1.Sum([]byte(s)), sha256.Sum256([]byte(s))
		forms = append(forms, hex.EncodeToString(m[:]), hex.EncodeToString(s1[:]), hex.EncodeToString(s256[:]))
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// base64Forms are the parts of the trace's base64 that do not depend on its
// neighbours, for each of the three places it may start at.
func base64Forms(trace string) []string {
	if len(trace) < shortestEncoded+2 {
		return nil
	}
	var forms []string
	for shift := range 3 {
		raw := append(make([]byte, shift), trace...)
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(raw)
			from, to := (shift*8+5)/6, len(raw)*8/6
			forms = append(forms, text[from:to])
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// heard collects what the connector says, and knows what it must not say.
type heard struct {
	mu      sync.Mutex
	logs    strings.Builder
	errors  []string
	secrets []string
}

// Write takes log lines.
func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logs.Write(p)
}

// error takes an error and hands it back.
func (h *heard) error(err error) error {
	if err != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.errors = append(h.errors, err.Error())
	}
	return err
}

// shortestSecret keeps values that would be found in any text by chance out of
// the search.
const shortestSecret = 5

// know adds the people's identifiers and traces to what must not be said.
func (h *heard) know(people ...Planted) {
	h.mu.Lock()
	defer h.mu.Unlock()
	add := func(s string) {
		if len(s) >= shortestSecret && !slices.Contains(h.secrets, s) {
			h.secrets = append(h.secrets, s)
		}
	}
	for _, p := range people {
		for _, id := range p.Person.Identifiers() {
			add(id.Value.Reveal())
		}
		for _, id := range p.Yields {
			add(id.Value.Reveal())
		}
		for _, trace := range p.Traces {
			add(trace)
		}
	}
}

// leaks returns how many errors and log lines hold a secret.
func (h *heard) leaks() (inErrors, inLogs int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	secrets := newNeedles(h.secrets)
	count := func(texts []string) (n int) {
		for _, text := range texts {
			if newHaystack(text).holdsAny(secrets) {
				n++
			}
		}
		return n
	}
	return count(h.errors), count(strings.Split(h.logs.String(), "\n"))
}
