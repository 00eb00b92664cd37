package enforcement

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/intake/edge"
	"github.com/habeas-data/habeas/services/request"
)

// person is somebody with a browser that runs no scripts and was never here.
type person struct {
	t *testing.T
	c *company
	h *http.Client
}

func (c *company) person() *person {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return &person{c.t, c, &http.Client{Jar: jar, Transport: c.transport()}}
}

func (c *company) transport() http.RoundTripper {
	tr := &http.Transport{DialContext: c.web.Dial}
	c.t.Cleanup(tr.CloseIdleConnections)
	return tr
}

// seen is a page as it came.
type seen struct {
	code int
	host string // where it came from in the end
	body string
}

func (p *person) do(method, address, kind, body string, header ...string) seen {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := p.h.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return seen{resp.StatusCode, resp.Request.URL.Host, string(text)}
}

func (p *person) get(path string) seen {
	p.t.Helper()
	return p.do(http.MethodGet, "http://"+privacyHost+path, "", "")
}

// send fills a form in and sends it.
func (p *person) send(path string, pairs ...string) seen {
	p.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return p.do(http.MethodPost, "http://"+privacyHost+path, "application/x-www-form-urlencoded", form.Encode())
}

// visitor is how the company's page names who is there.
type visitor struct{ cookie, account string }

// visit is what the company's page tells for a visitor.
func (p *person) visit(v visitor, header ...string) edge.Standing {
	p.t.Helper()
	var ids []map[string]string
	if v.cookie != "" {
		ids = append(ids, map[string]string{"kind": "cookie_id", "value": v.cookie})
	}
	if v.account != "" {
		id := request.NewIdentifier(request.UserID, v.account)
		if strings.Contains(v.account, "@") {
			id = request.NewIdentifier(request.Email, v.account)
		}
		ids = append(ids, map[string]string{"kind": string(id.Kind), "value": v.account, "proof": p.c.edge.Proof(id)})
	}
	body, err := json.Marshal(map[string]any{"identifiers": ids})
	if err != nil {
		p.t.Fatal(err)
	}
	a := p.do(http.MethodPost, "http://"+privacyHost+"/signal", "application/json", string(body), header...)
	var s edge.Standing
	if a.code == http.StatusOK {
		if err := json.Unmarshal([]byte(a.body), &s); err != nil {
			p.t.Fatal(err)
		}
	}
	return s
}

var (
	input  = regexp.MustCompile(`<(?:input|textarea|select)[^>]*>`)
	name   = regexp.MustCompile(` name="([^"]*)"`)
	link   = regexp.MustCompile(`href="(/privacy/[^"#]*)"`)
	hidden = regexp.MustCompile(`type="hidden"`)
)

// fields are what a form asks a person for.
func fields(page string) []string {
	var out []string
	for _, tag := range input.FindAllString(page, -1) {
		if m := name.FindStringSubmatch(tag); m != nil && !hidden.MatchString(tag) {
			out = append(out, m[1])
		}
	}
	return out
}

// clicks counts the links that a person follows from the first page to the form
// of a request.
func (p *person) clicks(form string) (int, error) {
	p.t.Helper()
	known := map[string]int{"/privacy/": 0}
	for queue := []string{"/privacy/"}; len(queue) > 0; queue = queue[1:] {
		page := p.get(queue[0])
		if page.code != http.StatusOK {
			continue
		}
		path, _, _ := strings.Cut(queue[0], "?")
		if path == "/privacy/"+form && strings.Contains(page.body, "<form") {
			return known[queue[0]], nil
		}
		for _, m := range link.FindAllStringSubmatch(page.body, -1) {
			next := strings.ReplaceAll(m[1], "&amp;", "&")
			if _, is := known[next]; !is && len(known) < 100 {
				known[next] = known[queue[0]] + 1
				queue = append(queue, next)
			}
		}
	}
	return 0, fmt.Errorf("no link leads to %s", form)
}
