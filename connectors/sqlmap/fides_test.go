package sqlmap

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// vectors opens a file of the shared vectors: from HABEAS_VECTORS, or from
// beside the repository.
func vectors(t testing.TB, name string) []byte {
	t.Helper()
	dir := cmp.Or(os.Getenv("HABEAS_VECTORS"), filepath.Join("..", "..", "..", "shared", "vectors"))
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("vectors are needed in CI; set HABEAS_VECTORS: %v", err)
		}
		t.Skipf("no vectors: %v", err)
	}
	return data
}

type fidesVectors struct {
	Source     string
	Traversal  []fidesTraversal
	AccessRows []fidesAccess `json:"access_rows"`
	Erasure    []fidesErasure
	Masking    []fidesMasking
	Defects    []struct {
		ID, What, Setup, Fides, Correct string
	} `json:"known_fides_defects_do_not_copy"`
}

type fidesTraversal struct {
	Name, Source, Note string
	Identity           map[string]string
	Incoming           map[string]map[string][]string
	VisitsReference    []string `json:"visits_reference"` // an order that is random there
	Terminal           []string
	Skipped            map[string]string
	Error, Message     string
	Errors             []string
}

type fidesAccess struct {
	Dataset, Seed string
	Identity      map[string]string
	Rows          map[string][]map[string]any
}

type fidesErasure struct {
	Policy struct {
		Action, Strategy string
		Targets          []string
	}
	Identity      map[string]string
	PerCollection map[string]struct {
		Found, Masked int
		Targeted      []string
		Errors        []string
	} `json:"per_collection"`
	TablesAfter map[string][]map[string]any `json:"tables_after"`
}

type fidesMasking struct{ Strategy, Algorithm, Key, Salt, In, Out, Rule string }

// loadVectors reads the vectors strictly: what is not known here is not tested.
func loadVectors(t testing.TB) fidesVectors {
	t.Helper()
	var v fidesVectors
	d := json.NewDecoder(bytes.NewReader(vectors(t, "fides.json")))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFidesCasesAreAllHere fails when the vectors have a case that no test
// below looks at, or have lost one.
func TestFidesCasesAreAllHere(t *testing.T) {
	v := loadVectors(t)
	var got []string
	for _, c := range v.Traversal {
		got = append(got, "traversal "+c.Name)
	}
	for _, c := range v.AccessRows {
		got = append(got, "access "+c.Identity["email"])
	}
	for _, c := range v.Erasure {
		got = append(got, "erasure "+c.Policy.Strategy+" "+strings.Join(c.Policy.Targets, " "))
	}
	for _, c := range v.Masking {
		got = append(got, "masking "+c.Strategy)
	}
	for _, c := range v.Defects {
		got = append(got, "defect "+c.ID)
	}
	want(t, "cases", got, []string{
		// TestFidesTraversal
		"traversal pg-email", "traversal pg-external_id-only", "traversal directly_reachable:email", "traversal multiple_identities:email",
		"traversal optional_identities:email", "traversal unreachable_collection:user_id", "traversal pg skip login", "traversal tree_1",
		"traversal circular A->B->C->A", "traversal self reference", "traversal dangling ref",
		// TestFidesAccessRows
		"access customer-1@example.com", "access employee-2@example.com", "access admin-account@example.com", "access nobody@example.com",
		// TestFidesErasure
		"erasure null_rewrite user.name", "erasure null_rewrite user.contact",
		// TestFidesMasking
		"masking hash", "masking hmac",
		// TestFidesDefects
		"defect D1", "defect D2", "defect D3", "defect D4", "defect D5", "defect D6", "defect D7", "defect D8", "defect D9",
	})
}

// fidesMaps are the datasets of cases that are no files but passages of the
// peer's tests.
var fidesMaps = map[string]string{
	"tree_1": `
dataset:
  - fides_key: s1
    collections:
      - name: t1
        fields:
          - {name: f1}
          - {name: f2, fides_meta: {identity: email}}
          - {name: f3, fides_meta: {references: [{dataset: s1, field: t2.f1, direction: to}]}}
      - name: t2
        fields: [{name: f1, fides_meta: {references: [{dataset: s1, field: t3.f3, direction: to}]}}]
      - name: t3
        fields: [{name: f3}]
`,
	"circular A->B->C->A": `
dataset:
  - fides_key: dr_1
    collections:
      - name: ds_1
        fields:
          - {name: f1, fides_meta: {references: [{dataset: dr_2, field: ds_2.f1, direction: to}]}}
          - {name: f2, fides_meta: {identity: email}}
          - {name: f3}
  - fides_key: dr_2
    collections:
      - name: ds_2
        fields: [{name: f1}, {name: f2, fides_meta: {references: [{dataset: dr_3, field: ds_3.f2, direction: to}]}}]
  - fides_key: dr_3
    collections:
      - name: ds_3
        fields: [{name: f2}, {name: f3, fides_meta: {references: [{dataset: dr_1, field: ds_1.f3, direction: to}]}}]
`,
	"self reference": `
dataset:
  - fides_key: d
    collections:
      - name: c
        fields:
          - {name: id, fides_meta: {identity: email}}
          - {name: f1, fides_meta: {references: [{dataset: d, field: c.f2}]}}
          - {name: f2}
`,
	"dangling ref": `
dataset:
  - fides_key: d
    collections:
      - name: c
        fields:
          - {name: id, fides_meta: {identity: email}}
          - {name: f1, fides_meta: {references: [{dataset: nope, field: x.y, direction: to}]}}
`,
}

// fidesText is the dataset a traversal case is about.
func fidesText(t *testing.T, v fidesTraversal) string {
	t.Helper()
	if text, ok := fidesMaps[v.Name]; ok {
		return text
	}
	if v.Name == "pg skip login" {
		return strings.Replace(string(vectors(t, peerDataset)), "- name: login\n", "- name: login\n        fides_meta: {skip_processing: true}\n", 1)
	}
	return string(vectors(t, "fides/"+filepath.Base(v.Source)))
}

const peerDataset = "fides/postgres_example_test_dataset.yml"

func peerDatabase(t *testing.T) *testDB {
	t.Helper()
	db := newPostgres(t)
	if _, err := db.plain.ExecContext(t.Context(), string(vectors(t, "fides/postgres_sample.sql"))); err != nil {
		t.Fatal(err)
	}
	return db
}

func fidesPerson(identity map[string]string) sdk.Person {
	person := sdk.NewPerson()
	for k, value := range identity {
		person = person.With(sdk.ID(sdk.Kind(k), value))
	}
	return person
}

// rowText writes the values of a row as PostgreSQL writes them.
func rowText(row map[string]any) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(row)) {
		v := row[name]
		if n, ok := v.(float64); ok {
			v = int64(n)
		}
		s := fmt.Sprint(v)
		if stamp, err := time.Parse("2006-01-02T15:04:05", s); err == nil {
			s = stamp.Format(time.DateTime)
		}
		parts = append(parts, name+"="+s)
	}
	return strings.Join(parts, " ")
}

// TestFidesAccessRows compares the rows our walk reaches with those the peer
// reads, value by value.
func TestFidesAccessRows(t *testing.T) {
	v := loadVectors(t)
	db := peerDatabase(t)
	c := db.connect(t, string(vectors(t, peerDataset)))
	p, err := c.bound(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, access := range v.AccessRows {
		person := fidesPerson(access.Identity)
		reaches, err := newWalk(p, c.db, person.Kinds(), false).run(t.Context(), []sdk.Person{person})
		if err != nil {
			t.Fatal(err)
		}
		reached := map[string][]*row{}
		for _, v := range reaches[0].order {
			reached[v.row.c.spec.Name] = append(reached[v.row.c.spec.Name], v.row)
		}
		for name, rows := range access.Rows {
			var wanted []string
			for _, r := range rows {
				wanted = append(wanted, rowText(r))
			}
			slices.Sort(wanted)
			if len(rows) != len(reached[name]) {
				t.Errorf("%v: collection %s: reached %d rows, want %d", access.Identity, name, len(reached[name]), len(rows))
				continue
			}
			if len(rows) > 0 {
				want(t, name, readRows(t, p, c.db, reached[name], slices.Sorted(maps.Keys(rows[0]))), wanted)
			}
		}
	}
}

// readRows reads columns of rows as text, sorted.
func readRows(t *testing.T, p *plan, q querier, rows []*row, names []string) (lines []string) {
	t.Helper()
	c := rows[0].c
	var columns []*column
	for _, name := range names {
		columns = append(columns, c.table.column(name))
	}
	with, args := p.d.values(keysOf(rows))
	err := each(t.Context(), q, with+selectRows(p.d, c.table, columns, sameKey(p.d, c.table)), args, func(read []any) error {
		var parts []string
		for i, v := range read[1+c.table.width():] {
			parts = append(parts, fmt.Sprint(names[i], "=", v))
		}
		lines = append(lines, strings.Join(parts, " "))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// targeting makes of the peer's dataset and a policy that empties the columns
// of one category a map that says the same: every row stays, and all but those
// columns are needed.
func targeting(t *testing.T, text, target string) *Map {
	t.Helper()
	m, err := readMap("dataset.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Datasets[0].Collections {
		c := &m.Datasets[0].Collections[i]
		r := Retention{Basis: "test", Period: Period{Years: 1000}, From: c.Fields[0].Name}
		for _, f := range c.Fields {
			if !slices.ContainsFunc(f.DataCategories, func(data string) bool { return within(data, target) }) {
				if len(r.Needs) == 0 {
					r.From = f.Name
				}
				r.Needs = append(r.Needs, f.Name)
			}
		}
		c.Habeas.Retain = []Retention{r}
		for j := range c.Fields {
			// The peer's overrides are not what these cases are about.
			if meta := c.Fields[j].FidesMeta; meta != nil {
				meta.Masking = nil
			}
		}
	}
	return m
}

// TestFidesErasure empties the columns of one category, and wants the tables
// that the peer leaves, save what it should not have touched.
func TestFidesErasure(t *testing.T) {
	text := string(vectors(t, peerDataset))
	for _, v := range loadVectors(t).Erasure {
		t.Run(v.Policy.Targets[0], func(t *testing.T) {
			db := peerDatabase(t)
			before := tables(t, db, v.TablesAfter)
			m := targeting(t, text, v.Policy.Targets[0])
			after := map[string][]string{}
			for name, rows := range v.TablesAfter {
				for _, r := range rows {
					after[name] = append(after[name], rowText(r))
				}
				slices.Sort(after[name])
			}
			if v.Policy.Targets[0] == "user.contact" {
				// The peer fails in the middle: the address of a visit is its key.
				_, err := db.tryMap(t, m)
				if err == nil || !strings.Contains(err.Error(), "collection visit: field email is part of the primary key and can't be emptied") {
					t.Fatalf("got error %v, want a refusal at plan time", err)
				}
				m = targeting(t, strings.Replace(text, "- name: visit\n", "- name: visit\n        fides_meta: {skip_processing: true}\n", 1), v.Policy.Targets[0])
				// Addresses and service requests are other people's too.
				after["address"], after["service_request"] = before["address"], before["service_request"]
			}
			c := db.with(t, m)
			person := fidesPerson(v.Identity)
			p, err := c.bound(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			reaches, err := p.look(t.Context(), c.db, []sdk.Person{person}, false)
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]int{}
			for _, visit := range reaches[0].order {
				found[visit.row.c.spec.Name]++
			}
			for name, counts := range v.PerCollection {
				if found[name] != counts.Found && p.byName("postgres_example_test_dataset:"+name) != nil {
					t.Errorf("collection %s: found %d, want %d", name, found[name], counts.Found)
				}
				for _, f := range counts.Targeted {
					own := p.byName("postgres_example_test_dataset:" + name)
					if own != nil && !slices.ContainsFunc(own.field(f).categories, func(data string) bool { return within(data, v.Policy.Targets[0]) }) {
						t.Errorf("field %s.%s is not targeted", name, f)
					}
				}
			}
			erase(t, c, person)
			for name := range v.TablesAfter {
				want(t, name, tables(t, db, v.TablesAfter)[name], after[name])
			}
		})
	}
}

// tables reads whole tables in the way of rowText.
func tables(t *testing.T, db *testDB, like map[string][]map[string]any) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, rows := range like {
		names := slices.Sorted(maps.Keys(rows[0]))
		var exprs []string
		for _, column := range names {
			exprs = append(exprs, quote(column)+"::text")
		}
		read, err := query(t.Context(), db.plain, "SELECT "+strings.Join(exprs, ", ")+" FROM "+quote(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range read {
			var parts []string
			for i, v := range r {
				parts = append(parts, fmt.Sprint(names[i], "=", v))
			}
			all[name] = append(all[name], strings.Join(parts, " "))
		}
		slices.Sort(all[name])
	}
	return all
}

// TestFidesMasking checks that we know what the peer's keyed strategies give,
// and that ours give something else each time: a value that a kept key leads
// back to is not erased.
func TestFidesMasking(t *testing.T) {
	for _, v := range loadVectors(t).Masking {
		h := sha256.New()
		if v.Strategy == "hmac" {
			h = hmac.New(sha256.New, []byte(v.Key))
		}
		h.Write([]byte(v.In + v.Salt))
		if theirs := hex.EncodeToString(h.Sum(nil)); theirs != v.Out {
			t.Errorf("%s gives %s, want %s", v.Strategy, theirs, v.Out)
		}
		f := &field{col: &column{class: classText}, meta: FieldMeta{Masking: &MaskingOverride{Strategy: v.Strategy}}}
		mask := overridden(f)
		one, other := mask.make(v.In).(string), mask.make(v.In).(string)
		if len(one) != len(v.Out) || one == other || one == v.Out {
			t.Errorf("%s: %s and %s: want two values of the same shape that nothing ties to the old one", v.Strategy, one, other)
		}
	}
}
