package restspec

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func (c *checker) rules(at place, rules []Rule) []rule {
	var all []rule
	for i, r := range rules {
		compiled := rule{Rule: r}
		for _, s := range r.Status {
			lo, hi, err := statusRange(s)
			if err != nil {
				c.fault(at.with(i, "status"), "%v", err)
			}
			compiled.lo, compiled.hi = append(compiled.lo, lo), append(compiled.hi, hi)
		}
		switch r.Means {
		case "done", "missing", "accepted", "not_yet", "never", "retry":
		default:
			c.fault(at.with(i, "means"), `want "done", "missing", "accepted", "not_yet", "never" or "retry"`)
		}
		if (r.Field == "") != (len(r.In) == 0) {
			c.fault(at.with(i, "field"), "field and in come together")
		}
		switch r.Code {
		case "", sdk.Unavailable, sdk.Denied, sdk.RateLimited, sdk.Configuration, sdk.Rejected, sdk.StillThere, sdk.Ambiguous, sdk.Internal:
		default:
			c.fault(at.with(i, "code"), "%q is not a failure code", r.Code)
		}
		if strings.Contains(r.Say, "{{") {
			c.fault(at.with(i, "say"), "the sentence is fixed: values do not belong in errors")
		}
		all = append(all, compiled)
	}
	return all
}

func statusRange(s string) (lo, hi int, err error) {
	if class, ok := strings.CutSuffix(s, "xx"); ok && len(class) == 1 && class >= "1" && class <= "5" {
		n := int(class[0]-'0') * 100
		return n, n + 99, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 100 || n > 599 {
		return 0, 0, fmt.Errorf("%q is not a status such as 404 or 5xx", s)
	}
	return n, n, nil
}

func (c *checker) call(at place, in Call, known names, limits map[string]bool) *call {
	out := &call{limits: in.Limit, idem: in.Idempotency}
	var target string
	for _, m := range []struct{ method, target string }{
		{"GET", in.Get}, {"POST", in.Post}, {"PUT", in.Put}, {"PATCH", in.Patch}, {"DELETE", in.Delete},
	} {
		if m.target == "" {
			continue
		}
		if out.method != "" {
			c.fault(at, "a request has one method, not %s and %s", out.method, m.method)
		}
		out.method, target = m.method, m.target
	}
	if out.method == "" {
		c.fault(at, "a request needs get, post, put, patch or delete")
		return out
	}
	key := strings.ToLower(out.method)
	out.label = out.method + " " + target
	out.path = c.template(at.with(key), target, known)
	c.target(at.with(key), out.path)
	out.query = c.pairs(at.with("query"), in.Query, known, true)
	out.headers = c.pairs(at.with("headers"), in.Headers, known, false)
	out.form = c.pairs(at.with("form"), in.Form, known, true)
	if in.JSON != nil {
		b, err := parseBody(in.JSON)
		if err != nil {
			c.fault(at.with("json"), "%v", err)
		} else {
			for _, t := range b.templates() {
				c.template(at.with("json"), t.source, known)
			}
			out.json = b
		}
	}
	if in.JSON != nil && in.Form != nil {
		c.fault(at.with("form"), "a request has one body: json or form")
	}
	for _, name := range in.Limit {
		if name == "" || !limits[name] {
			c.fault(at.with("limit"), "no limit is named %q", name)
		}
	}
	out.rules = c.rules(at.with("responses"), in.Responses)
	return out
}

// target checks the fixed parts of a path: the host is never made of values.
func (c *checker) target(at place, t *template) {
	first := ""
	if len(t.parts) > 0 {
		first = t.parts[0].literal
	}
	if strings.HasPrefix(first, "https://") || strings.HasPrefix(first, "http://") {
		u, err := url.Parse(first)
		if err != nil || u.Host == "" || u.User != nil || !strings.HasPrefix(u.Path, "/") {
			c.fault(at, "an absolute address needs its whole host before the first value")
		}
	} else if !strings.HasPrefix(first, "/") || strings.HasPrefix(first, "//") {
		c.fault(at, "want a path that starts with one slash, or an absolute address")
	}
	for _, p := range t.parts {
		if strings.ContainsAny(p.literal, "?#\\") || strings.Contains(p.literal, "/../") {
			c.fault(at, "write parameters under query; the path has no ?, # or ..")
		}
	}
}
