package restspec

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// matches reports whether r speaks of this status and, when body is asked for,
// of this body.
func (r *rule) matches(status int, body func() any) bool {
	if len(r.lo) > 0 {
		in := false
		for i := range r.lo {
			in = in || r.lo[i] <= status && status <= r.hi[i]
		}
		if !in {
			return false
		}
	}
	if r.Field == "" {
		return true
	}
	for _, v := range all(body(), r.Field) {
		if slices.Contains(r.In, v) {
			return true
		}
	}
	return false
}

// rulesFor are the rules that speak of c, the nearest first.
func (cl *client) rulesFor(c *call) []*rule {
	var rules []*rule
	for i := range c.rules {
		rules = append(rules, &c.rules[i])
	}
	for i := range cl.prog.rules {
		rules = append(rules, &cl.prog.rules[i])
	}
	return rules
}

// classify says what an answer means. A 2xx answer whose rules look into the
// body is judged again when the body has been read ([client.bodyRules]).
func (cl *client) classify(c *call, resp *http.Response, u *url.URL) (*answer, error) {
	a := &answer{status: resp.StatusCode, header: resp.Header, url: u}
	good := resp.StatusCode/100 == 2
	var parsed any
	read := false
	body := func() any {
		if !read {
			read = true
			raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
			if err == nil {
				parsed, _ = decodeValue(raw) // not JSON: no field has any value
			}
		}
		return parsed
	}
	for _, r := range cl.rulesFor(c) {
		if good && r.Field != "" {
			continue
		}
		if r.matches(resp.StatusCode, body) {
			a.rule = r
			break
		}
	}
	if good && (a.rule == nil || a.rule.Means == "done" || a.rule.Means == "accepted") {
		a.body, a.means = resp.Body, "done"
		if a.rule != nil {
			a.means = a.rule.Means
		}
		return a, nil
	}
	defer func() { _ = resp.Body.Close() }() // nothing more is wanted of it
	return cl.verdict(c, a)
}

// verdict turns a rule, or the absence of one, into an answer or an error.
func (cl *client) verdict(c *call, a *answer) (*answer, error) {
	after, err := retryAfter(a.header, time.Now())
	asked := err == nil
	if a.rule == nil {
		return cl.byStatus(c, a, after, asked)
	}
	r := a.rule
	say := errors.New(r.Say)
	if r.Say == "" {
		say = fmt.Errorf("status %d", a.status)
	}
	switch r.Means {
	case "done", "missing", "accepted":
		a.means = r.Means
		return a, nil
	case "not_yet":
		if !asked {
			after = time.Duration(r.After)
		}
		return nil, sdk.NotYet(max(after, time.Second), coded(r.Code, "", say))
	case "never":
		return nil, sdk.Permanent(coded(r.Code, sdk.Rejected, say))
	default:
		return nil, &retryable{err: coded(r.Code, sdk.Unavailable, say), after: after}
	}
}

func coded(code, otherwise sdk.FailureCode, err error) error {
	if code == "" {
		code = otherwise
	}
	if code == "" {
		return err
	}
	return sdk.WithCode(code, err)
}

// byStatus is what a status means when no rule says otherwise. A 404 is "gone"
// only for a deletion: anywhere else it may as well be a wrong address, and
// must not pass for "nobody here".
func (cl *client) byStatus(c *call, a *answer, after time.Duration, asked bool) (*answer, error) {
	said := fmt.Errorf("status %d", a.status)
	switch {
	case c.method == http.MethodDelete && (a.status == http.StatusNotFound || a.status == http.StatusGone):
		a.means = "missing"
		return a, nil
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		return nil, sdk.Permanent(sdk.WithCode(sdk.Denied, fmt.Errorf("status %d; check the credentials and what they allow", a.status)))
	case a.status == http.StatusTooManyRequests:
		if !asked {
			after = time.Second
		}
		return nil, &retryable{err: sdk.WithCode(sdk.RateLimited, said), after: max(after, time.Millisecond), refused: true}
	case a.status >= 500 || a.status == http.StatusRequestTimeout || a.status == http.StatusTooEarly:
		return nil, &retryable{
			err: sdk.WithCode(sdk.Unavailable, said), after: after,
			refused: asked && a.status == http.StatusServiceUnavailable,
		}
	case a.status == http.StatusNotFound || a.status/100 == 3:
		return nil, sdk.Permanent(sdk.WithCode(sdk.Configuration, fmt.Errorf("status %d; check the base address and the path", a.status)))
	default:
		return nil, sdk.Permanent(sdk.WithCode(sdk.Rejected, said))
	}
}

// bodyFields are the fields that rules about a good answer look at.
func (cl *client) bodyFields(c *call) []string {
	var fields []string
	for _, r := range cl.rulesFor(c) {
		if r.Field != "" {
			fields = append(fields, r.Field)
		}
	}
	return fields
}

// bodyRules judges a good answer by what its body said.
func (cl *client) bodyRules(c *call, a *answer, body any) error {
	for _, r := range cl.rulesFor(c) {
		if r.Field == "" || !r.matches(a.status, func() any { return body }) {
			continue
		}
		a.rule = r
		_, err := cl.verdict(c, a)
		if err != nil {
			return fmt.Errorf("%s: %w", c.label, err)
		}
		return nil
	}
	return nil
}
