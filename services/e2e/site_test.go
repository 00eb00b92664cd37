package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// site is where a deployment is reached.
type site struct {
	bin      string // the programs
	api      string // intake
	log      string // audit's public face
	packages string // delivery
	token    string
	tokens   string // the file with the token
	keys     string // the rooms' public keys
	company  string // the demo company's folder
}

// view is what the API says of a request, as far as the tests look.
type view struct {
	ID        string
	Right     string
	State     string
	Result    string
	Attention string
	Waiting   []string
	Package   *struct{ Size int64 }
	Jobs      []struct {
		ID, Connector, Action, State, Code, Message string
		Attempt                                     int
		Stores                                      []struct {
			Store                              string
			Located, Remaining, Kept, Exported int64
		}
	}
}

// settled counts the steps behind it: jobs that ended, and itself.
func (v *view) settled() int {
	n := 0
	for _, j := range v.Jobs {
		switch j.State {
		case "planned", "sent", "deferred":
		default:
			n++
		}
	}
	if v.State == "closed" {
		n++
	}
	return n
}

func (s *site) call(ctx context.Context, method, url, key string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 500:
		return fmt.Errorf("%s %s: %s: %s", method, url, resp.Status, text)
	case resp.StatusCode >= 300:
		return &refusal{fmt.Sprintf("%s %s: %s: %s", method, url, resp.Status, text)}
	}
	if raw, ok := answer.(*[]byte); ok {
		*raw = text
		return nil
	}
	return json.Unmarshal(text, answer)
}

// refusal is an answer that asking again does not change.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// wish is a request a person makes.
type wish struct {
	person identifiers
	right  string
	kinds  []string // of the identifiers that are given
	key    string
	recent bool   // a request to know goes back twelve months, and not to the beginning
	id     string // once it is taken
}

// submit makes the request. Whatever fails is tried again with the same key,
// as a client would: the answer may have been lost.
func (s *site) submit(t testing.TB, w *wish) {
	t.Helper()
	eventually(t, time.Minute, "submitting "+w.key, func() error {
		err := s.submitOnce(t.Context(), w)
		if _, refused := errors.AsType[*refusal](err); refused {
			t.Fatal(err)
		}
		return err
	})
}

func (s *site) submitOnce(ctx context.Context, w *wish) error {
	var ids []map[string]string
	for _, kind := range w.kinds {
		for _, value := range w.person[kind][:1] {
			ids = append(ids, map[string]string{"kind": kind, "value": value})
		}
	}
	body := map[string]any{"right": w.right, "identifiers": ids, "channel": "web"}
	if w.right != "opt_out_sale_share" {
		body["verification"] = map[string]string{"method": "account_login", "level": "reasonably_high"}
	}
	if strings.HasPrefix(w.right, "know_") && !w.recent {
		body["everything"] = true
	}
	var v view
	err := s.call(ctx, http.MethodPost, s.api+"/v1/requests", w.key, body, &v)
	w.id = v.ID
	return err
}

// get shows a request.
func (s *site) get(ctx context.Context, id string) (view, error) {
	var v view
	err := s.call(ctx, http.MethodGet, s.api+"/v1/requests/"+id, "", nil, &v)
	return v, err
}

// list shows all requests.
func (s *site) list(ctx context.Context) ([]view, error) {
	var page struct {
		Requests []view
		Next     string
	}
	if err := s.call(ctx, http.MethodGet, s.api+"/v1/requests?limit=500", "", nil, &page); err != nil {
		return nil, err
	}
	if page.Next != "" {
		return nil, errors.New("more requests than a page holds")
	}
	return page.Requests, nil
}

// steps counts what has been done for all requests.
func (s *site) steps(ctx context.Context) (int, error) {
	all, err := s.list(ctx)
	n := 0
	for i := range all {
		n += all[i].settled()
	}
	return n, err
}

// ready waits until the four connectors are known and their systems answer.
func (s *site) ready(t testing.TB) {
	t.Helper()
	eventually(t, time.Minute, "connectors", func() error {
		var list struct {
			Connectors []struct {
				Name      string
				Up, Ready bool
			}
		}
		if err := s.call(t.Context(), http.MethodGet, s.api+"/v1/connectors", "", nil, &list); err != nil {
			return err
		}
		up := 0
		for _, c := range list.Connectors {
			if c.Up && c.Ready {
				up++
			}
		}
		if up < len(connectors) {
			return fmt.Errorf("%d of %d are up", up, len(connectors))
		}
		return nil
	})
}

// closed waits until every wish is a closed request, and returns them in the
// order of the wishes.
func (s *site) closed(t testing.TB, within time.Duration, wishes []*wish) []view {
	t.Helper()
	byID := map[string]view{}
	eventually(t, within, "closing every request", func() error {
		all, err := s.list(t.Context())
		if err != nil {
			return err
		}
		clear(byID)
		var open []string
		for _, v := range all {
			byID[v.ID] = v
			if v.State != "closed" {
				text := fmt.Sprintf("%s %s is %s", v.Right, v.ID, v.State)
				if v.Attention != "" {
					text += ", a person must look: " + v.Attention
				}
				for _, j := range v.Jobs {
					text += fmt.Sprintf("; %s %s %s attempt %d %s", j.Connector, j.Action, j.State, j.Attempt, j.Message)
				}
				open = append(open, text)
			}
		}
		if len(open) > 0 {
			return fmt.Errorf("%d are open:\n%s", len(open), strings.Join(open, "\n"))
		}
		return nil
	})
	if len(byID) != len(wishes) {
		t.Errorf("%d requests came of %d submissions", len(byID), len(wishes))
	}
	var out []view
	for _, w := range wishes {
		v, ok := byID[w.id]
		if !ok {
			t.Errorf("request %s (%s) is gone", w.id, w.right)
		}
		out = append(out, v)
	}
	return out
}

// pack takes the package of a request.
func (s *site) pack(t testing.TB, id string) *zip.Reader {
	t.Helper()
	var text []byte
	eventually(t, 30*time.Second, "downloading a package", func() error {
		return s.call(t.Context(), http.MethodGet, s.packages+"/v1/requests/"+id+"/package", "", nil, &text)
	})
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatalf("package of %s: %v", id, err)
	}
	return z
}

// download takes the package of a copy request and returns its records by
// store.
func (s *site) download(t testing.TB, id string) map[string]int {
	t.Helper()
	records := map[string]int{}
	for _, f := range s.pack(t, id).File {
		name, csv := strings.CutPrefix(f.Name, "csv/")
		if !csv {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatalf("package of %s: %v", id, err)
		}
		content, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			t.Fatalf("package of %s: %s: %v", id, f.Name, err)
		}
		records[name] = bytes.Count(content, []byte("\n"))
	}
	return records
}

// identifiers are what is known of a person, by kind; also "name" and
// "systems".
type identifiers map[string][]string

// all returns everything that says who the person is.
func (p identifiers) all() []string { return append(p.identifying(), p["name"]...) }

// identifying returns what is nobody else's.
func (p identifiers) identifying() []string {
	var out []string
	for kind, values := range p {
		if kind != "systems" && kind != "name" {
			out = append(out, values...)
		}
	}
	slices.Sort(out)
	return out
}

// people asks the demo company who its people are, those with a story and
// count ordinary ones.
func people(t testing.TB, bin string, first, count int) map[string]identifiers {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "habeas-demo"), "people", "--first", fmt.Sprint(first), "--count", fmt.Sprint(count))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("asking for the company's people: %v", err)
	}
	var cast map[string]identifiers
	if err := json.Unmarshal(out, &cast); err != nil {
		t.Fatal(err)
	}
	return cast
}

var (
	connectors = []string{"billing", "crm", "analytics", "adtech"}
	systems    = append([]string{"partner"}, connectors...)
)

// dump is everything a system holds, a line for each record, and how often.
type dump map[string]int

func (s *site) dump(t testing.TB, system string) dump {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(s.bin, "habeas-demo"), "dump", "--dir", s.company, "--system", system).Output()
	if err != nil {
		t.Fatalf("dumping %s: %v", system, err)
	}
	d := dump{}
	for line := range strings.Lines(string(out)) {
		if system == "partner" && protocol.MatchString(line) {
			continue
		}
		d[settle(strings.TrimSuffix(line, "\n"))]++
	}
	return d
}

func (s *site) dumps(t testing.TB) map[string]dump {
	t.Helper()
	out := map[string]dump{}
	for _, system := range systems {
		out[system] = s.dump(t, system)
	}
	return out
}

// mentions reports whether the line has one of the words.
func mentions(line string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(line, w) })
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
