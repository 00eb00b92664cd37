package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// effects is what a run did, in a form that does not depend on how it went:
// by person and store, how many records were erased and kept, and copied.
type effects map[string]int64

// effectsOf sums over all jobs of every request. Two jobs of one connector may
// share the work; what one reports the other must not report again. What is
// kept is seen by each, so that the last counts.
func effectsOf(wishes []*wish, views []view) effects {
	e := effects{}
	for i, w := range wishes {
		who := w.right + " " + w.person["email"][0]
		for _, j := range views[i].Jobs {
			for _, s := range j.Stores {
				key := fmt.Sprintf("%s: %s %s/%s ", who, j.Action, j.Connector, s.Store)
				switch j.Action {
				case "erase":
					e[key+"erased"] += s.Located - s.Kept - s.Remaining
					e[key+"remaining"] = s.Remaining
					e[key+"kept"] = s.Kept
				case "export":
					e[key+"exported"] = s.Exported
				}
			}
		}
	}
	maps.DeleteFunc(e, func(_ string, n int64) bool { return n == 0 })
	return e
}

// reference is what an undisturbed run leaves.
type reference struct {
	effects effects
	before  map[string]dump
	after   map[string]dump
	results map[string]string // of requests, by key
	stores  map[string]map[string]int
}

// settle takes out of a dumped line what differs from one run to another: when
// something was done, and the names that were made up for it.
func settle(line string) string {
	for _, r := range unsettled {
		line = r.pattern.ReplaceAllString(line, r.with)
	}
	return line
}

type replacement struct {
	pattern *regexp.Regexp
	with    string
}

var unsettled = []replacement{
	{regexp.MustCompile(`\b(opted_out_at|withdrawn_at|recorded_at|opt_out_id|digest)="[^"]*"`), `$1="…"`},
}

// protocol are the partner's notes of the calls it got. A call whose answer was
// lost is made again, which changes them and nothing else.
var protocol = regexp.MustCompile(`^(requests|callbacks) `)

// check holds a finished run against the reference, or makes one of it when
// there is none.
func (s *site) check(t *testing.T, wishes []*wish, views []view, before map[string]dump, want *reference) *reference {
	t.Helper()
	got := &reference{effects: effectsOf(wishes, views), before: before, after: s.dumps(t), results: map[string]string{}, stores: map[string]map[string]int{}}
	for i, w := range wishes {
		got.results[w.key] = views[i].Result
		if w.right == "know_specific" {
			got.stores[w.key] = s.download(t, w.id)
		}
	}
	s.checkErased(t, wishes, views, got)
	s.checkEvidence(t, wishes)
	s.checkLog(t)
	if want != nil {
		compare(t, "effects", want.effects, got.effects)
		compare(t, "results", want.results, got.results)
		for _, system := range systems {
			compare(t, "what "+system+" holds", want.after[system], got.after[system])
		}
		for key, stores := range want.stores {
			compare(t, "the package of "+key, stores, got.stores[key])
		}
	}
	return got
}

// compare reports what differs, a few of it.
func compare[V comparable](t *testing.T, what string, want, got map[string]V) {
	t.Helper()
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if have, ok := got[key]; !ok || have != want[key] {
			lines = append(lines, fmt.Sprintf("  want %v, have %v: %.300s", want[key], have, key))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			lines = append(lines, fmt.Sprintf("  want nothing, have %v: %.300s", got[key], key))
		}
	}
	if len(lines) > 0 {
		t.Errorf("%s differ from the undisturbed run's in %d places:\n%s", what, len(lines), strings.Join(lines[:min(12, len(lines))], "\n"))
	}
}

// checkErased looks into the systems another way than through the connectors:
// somebody who was erased is named in no record but those that are kept, and
// the records of others are as they were.
func (s *site) checkErased(t *testing.T, wishes []*wish, views []view, got *reference) {
	t.Helper()
	var wished []string
	for i, w := range wishes {
		wished = append(wished, w.person.all()...)
		if w.right == "delete" {
			checkGone(t, w, &views[i], got.after)
		}
	}
	for _, system := range systems {
		for line, n := range got.before[system] {
			if namesSomebody.MatchString(line) && !mentions(line, wished) && got.after[system][line] != n {
				t.Errorf("%s: a record of somebody else was touched, there were %d and are %d: %.200s", system, n, got.after[system][line], line)
			}
		}
	}
}

func checkGone(t *testing.T, w *wish, v *view, after map[string]dump) {
	t.Helper()
	located, kept := map[string]int64{}, map[string]bool{}
	for _, j := range v.Jobs {
		if j.Action == "erase" {
			for _, s := range j.Stores {
				located[j.Connector] += s.Located
				kept[j.Connector+" "+s.Store] = s.Kept > 0
			}
		}
	}
	ids := w.person.identifying()
	for _, system := range connectors {
		if slices.Contains(w.person["systems"], system) && located[system] == 0 {
			t.Errorf("%s: %s says that it had nothing on somebody it knew", w.key, system)
		}
		for line := range after[system] {
			if mentions(line, ids) && !kept[system+" "+storeOf(line)] {
				t.Errorf("%s: %s still names somebody who was erased: %.200s", w.key, system, line)
			}
		}
	}
}

// storeOf is the store a dumped line is of: the table's name at its beginning,
// or the kind of a CRM's record.
func storeOf(line string) string {
	if rest, ok := strings.CutPrefix(line, `{"kind":"`); ok {
		line = strings.Replace(rest, `"`, " ", 1)
	}
	store, _, _ := strings.Cut(line, " ")
	return store
}

// namesSomebody matches identifiers of the demo company's people.
var namesSomebody = regexp.MustCompile(`@example\.|\bcus_[0-9a-f]{8}|\busr_[0-9a-f]{12}|\b(dev|ck)-[0-9a-f]{16}`)

// checkEvidence exports and verifies the evidence of every request with the
// real programs, trusting the public keys alone.
func (s *site) checkEvidence(t *testing.T, wishes []*wish) {
	t.Helper()
	habeas, root := filepath.Join(s.bin, "habeas"), t.TempDir()
	for _, w := range wishes {
		dir := filepath.Join(root, w.id)
		export := exec.CommandContext(t.Context(), habeas, "evidence", "export", "--server", s.api, "--token-file", s.tokens,
			"--log", s.log, "--request", w.id, "--out", dir)
		export.Env = cleanEnv()
		if out, err := export.CombinedOutput(); err != nil {
			t.Errorf("exporting the evidence of %s: %v: %s", w.key, err, out)
			continue
		}
		out, err := exec.CommandContext(t.Context(), habeas, "verify", dir, "--key", s.keys, "--json").CombinedOutput()
		if err != nil {
			t.Errorf("verifying the evidence of %s: %v: %s", w.key, err, out)
			continue
		}
		var report struct {
			Requests []struct {
				Right       string
				Closed      bool
				IntakeLeaf  int64 `json:"intake_leaf"`
				ClosureLeaf int64 `json:"closure_leaf"`
			}
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Errorf("the report on %s: %v: %s", w.key, err, out)
			continue
		}
		if len(report.Requests) != 1 || !report.Requests[0].Closed || report.Requests[0].Right != w.right || report.Requests[0].ClosureLeaf <= report.Requests[0].IntakeLeaf {
			t.Errorf("the evidence of %s does not say that it ended: %s", w.key, out)
		}
		closures := 0
		for _, typ := range s.types(t, w.id) {
			if typ == "closure" {
				closures++
			}
		}
		if closures != 1 {
			t.Errorf("%s has %d closures in the log, want 1", w.key, closures)
		}
	}
}

// types lists the types of a request's records in the order of their leaves.
func (s *site) types(t *testing.T, id string) []string {
	t.Helper()
	var text []byte
	if err := s.call(t.Context(), http.MethodGet, s.log+"/v1/records?request="+id, "", nil, &text); err != nil {
		t.Fatal(err)
	}
	var types []string
	for line := range strings.Lines(string(text)) {
		var l struct {
			Record *struct{ Type string }
			Error  string
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Error != "" {
			t.Fatalf("records of %s: %v %s", id, err, l.Error)
		}
		if l.Record != nil {
			types = append(types, l.Record.Type)
		}
	}
	return types
}

// checkLog reads every leaf's entry, makes the tree of them and holds it
// against the signed root.
func (s *site) checkLog(t *testing.T) {
	t.Helper()
	checkpoint := string(s.fetch(t, "/checkpoint"))
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + strings.Join(strings.SplitAfter(checkpoint, "\n")[1:3], "")))
	if err != nil {
		t.Fatalf("the checkpoint: %v:\n%s", err, checkpoint)
	}
	if tree.N == 0 {
		t.Error("the log is empty")
	}
	hashes, seen := memoryTree{}, map[string]int64{}
	for first := int64(0); first < tree.N; first += 256 {
		width := min(256, tree.N-first)
		bundle := s.fetch(t, entriesPath(first/256, width))
		for n := first; n < first+width; n++ {
			if len(bundle) < 2 || len(bundle) < 2+int(bundle[0])<<8+int(bundle[1]) {
				t.Fatalf("leaf %d of %d is missing", n, tree.N)
			}
			size := int(bundle[0])<<8 + int(bundle[1])
			entry := bundle[2 : 2+size]
			bundle = bundle[2+size:]
			if before, twice := seen[string(entry)]; twice {
				t.Errorf("leaf %d is leaf %d again", n, before)
			}
			seen[string(entry)] = n
			stored, err := tlog.StoredHashes(n, entry, hashes)
			if err != nil {
				t.Fatalf("leaf %d: %v", n, err)
			}
			hashes.add(n, stored)
		}
		if len(bundle) > 0 {
			t.Errorf("%d bytes after the entries from leaf %d on", len(bundle), first)
		}
	}
	if root, err := tlog.TreeHash(tree.N, hashes); err != nil || root != tree.Hash {
		t.Errorf("%d leaves give root %v, signed is %v: %v", tree.N, root, tree.Hash, err)
	}
}

func (s *site) fetch(t *testing.T, path string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.log+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v: %s", path, resp.Status, err, text)
	}
	return text
}

// entriesPath spells the path of a bundle (C2SP tlog-tiles).
func entriesPath(n, width int64) string {
	path := fmt.Sprintf("/tile/entries/%03d", n) // fewer than 256,000 leaves
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	return path
}

// memoryTree holds a tree's hashes by their storage index.
type memoryTree map[int64]tlog.Hash

func (m memoryTree) add(leaf int64, hashes []tlog.Hash) {
	at := tlog.StoredHashIndex(0, leaf)
	for i, h := range hashes {
		m[at+int64(i)] = h
	}
}

// ReadHashes implements [tlog.HashReader].
func (m memoryTree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		h, ok := m[at]
		if !ok {
			return nil, fmt.Errorf("hash %d is missing", at)
		}
		out[i] = h
	}
	return out, nil
}
