package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
)

// companyFile has a service provider that is written to, a third party that is
// called, one of which only the ledger knows, and one that can't be told.
const companyFile = `
tenant: example
name: Example Inc.
regimes: [us-ca-ccpa]
sells_or_shares: true
vendors:
  - {name: Mailer Inc., id: mailer, role: service_provider, contract: DPA-1, tell: {email: privacy@mailer.example, identifiers: [email]},
     gets: [{from: crm, categories: [A, B], purpose: newsletters, as: business_purpose, since: 2024-01-01}]}
  - {name: Ad Network, id: adnet, role: third_party, contract: TPA-1, tell: {webhook: HOOK, identifiers: [email]},
     gets: [{from: crm, categories: [A], purpose: advertising, as: sold, since: 2024-01-01}]}
  - {name: List Buyer, id: buyer, role: third_party, contract: TPA-2, tell: {webhook: HOOK, identifiers: [email]}}
  - {name: Market Studies, id: studies, role: third_party, contract: TPA-3,
     tell: {cannot: {why: impossible, explanation: They got the answers without any name or address by which they or we could find them again.}},
     gets: [{from: crm, categories: [A, B], purpose: studies, as: sold, since: 2024-01-01}]}
`

const doorsFile = `
url: https://privacy.example.com
brand: {company: Example Inc., email: privacy@example.com}
signals: {origins: [https://www.example.com]}
mail: {addr: "MAIL", from: privacy@example.com, plain: true}
`

// calledBack is what recipients' own systems were called with.
type calledBack struct {
	mu   sync.Mutex
	urls map[string]string // by the reference
	raw  bytes.Buffer
}

func (c *calledBack) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw.Write(body)
	var n struct{ Reference, URL string }
	if json.Unmarshal(body, &n) == nil {
		c.urls[n.Reference] = n.URL
	}
}

func (c *calledBack) links() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range c.urls {
		out = append(out, u)
	}
	return out
}

// A deletion tells everybody who has the data, by what the company's file and
// the ledger say, across a crash; it is done once they acknowledge, the person
// gets the explanation of who can't be told, and nothing that went out names
// anybody.
func TestRecipientsAreTold_DE3_DE4(t *testing.T) {
	t.Parallel()
	server, hook := mailtest.New(t), &calledBack{urls: map[string]string{}}
	site := httptest.NewServer(hook)
	t.Cleanup(site.Close)
	dir := folder(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	company := write("company.yaml", strings.ReplaceAll(companyFile, "HOOK", site.URL))
	doors := write("doors.yaml", strings.ReplaceAll(doorsFile, "MAIL", server.Addr))
	m := newMachineIn(t, filepath.Join(dir, "state"), "HABEAS_INTAKE_TENANT="+company, "HABEAS_INTAKE_DOORS="+doors)
	m.ready(t)
	person := people(t, m.bin, 100, 5)["leaver"]
	config := write("habeas.yaml", fmt.Sprintf("state_dir: %s\nintake: {tenant: %s}\n", m.state, company))
	sale := write("sales.jsonl", fmt.Sprintf(`{"id":"s-1","at":"2026-01-15T10:00:00Z","recipient":"buyer","from":"crm","categories":["A"],"as":"sold","identifiers":[{"kind":"email","value":%q}]}`+"\n", person["email"][0]))
	habeas := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), filepath.Join(m.bin, "habeas"), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("habeas %v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := habeas("disclosure", "import", sale, "--config", config); !strings.Contains(out, "1 disclosures read, 1 rows added") {
		t.Error(out)
	}
	if err := os.Remove(sale); err != nil {
		t.Fatal(err)
	}

	w := &wish{person: person, right: "delete", kinds: []string{"email"}, key: "leaver"}
	m.submit(t, w)
	links := func() []string {
		out := hook.links()
		for _, l := range server.Letters() {
			if strings.Contains(l.To, "mailer.example") {
				_, rest, _ := strings.Cut(l.Text, "https://privacy.example.com/recipients/")
				link, _, _ := strings.Cut(rest, "\n")
				out = append(out, "https://privacy.example.com/recipients/"+link)
			}
		}
		return out
	}
	told := func() error {
		if n := len(links()); n < 3 {
			return fmt.Errorf("%d recipients were told, want 3", n)
		}
		return nil
	}
	eventually(t, 4*time.Minute, "telling recipients", told)
	m.up.kill(t) // as kill -9 does; what it was about to write is decided already
	m.start(t)
	if v, err := m.get(t.Context(), w.id); err != nil || v.State != "running" {
		t.Errorf("the request is %s: %v", v.State, err)
	}
	call := func(link, act string) string {
		t.Helper()
		var text string
		eventually(t, time.Minute, act, func() error {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, m.api+strings.TrimPrefix(link, "https://privacy.example.com")+act, nil)
			if err != nil {
				return err
			}
			req.Header.Set("Accept", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if text = string(body); err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
			}
			return err
		})
		return text
	}
	done := map[string]bool{}
	for _, link := range links() {
		if done[link] {
			continue // the mail may have gone out twice
		}
		done[link] = true
		if text := call(link, "/show"); !strings.Contains(text, person["email"][0]) || strings.Contains(text, person["user_id"][0]) {
			t.Errorf("a recipient sees %s", text)
		}
		call(link, "/acknowledge")
	}
	if len(done) != 3 {
		t.Errorf("%d notices, want 3", len(done))
	}
	views := m.closed(t, 4*time.Minute, []*wish{w})
	if views[0].Result != "complete_with_exceptions" {
		t.Errorf("the result is %s", views[0].Result)
	}
	m.checkEvidence(t, []*wish{w})

	var list struct {
		Notices []struct{ Recipient, State, Explanation string }
	}
	if err := json.Unmarshal([]byte(habeas("disclosure", "notices", "--request", w.id, "--json", "--server", m.api, "--token-file", m.tokens)), &list); err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for _, n := range list.Notices {
		states[n.Recipient] = n.State
	}
	compare(t, "recipients", map[string]string{"mailer": "acknowledged", "adnet": "acknowledged", "buyer": "acknowledged", "studies": "excused"}, states)

	// The answer to the person says so; the messages to recipients name nobody.
	eventually(t, time.Minute, "the answer", func() error {
		for _, l := range server.Letters() {
			if strings.Contains(l.To, person["email"][0]) && strings.Contains(l.Text, "without any name or address by which") && strings.Contains(l.Text, "3 companies that had received") {
				return nil
			}
		}
		return fmt.Errorf("not among %d letters", len(server.Letters()))
	})
	for _, value := range person.all() {
		for _, l := range server.Letters() {
			if strings.Contains(l.To, "mailer.example") && strings.Contains(l.Subject+l.Text, value) {
				t.Error("a letter to a recipient names the person")
			}
		}
		if strings.Contains(hook.raw.String(), value) {
			t.Error("a call to a recipient names the person")
		}
	}
	m.checkSecrecy(t, []*wish{w})
}
