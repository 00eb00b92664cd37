package sqlmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const deidentifiedMap = `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: stays
        habeas: {erase: deidentify, smallest_group: 2}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: guest, data_categories: [user.name]}
          - {name: born, data_categories: [user.demographic.date_of_birth], habeas: {generalise: year}}
          - {name: zip, data_categories: [user.demographic], habeas: {generalise: prefix 3}}
          - {name: age, data_categories: [user.demographic.age_range], habeas: {generalise: step 10}}
          - {name: room}
`

// What identifies a person by itself is destroyed, what does not is made coarser by
// the map's rules, the rows are nobody's any more, everybody else's stay as they
// are, and the manifest says that the store deidentifies.
func TestDeidentified_DE14(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(100));
CREATE TABLE stays (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), guest TEXT, born DATE, zip TEXT, age INTEGER, room INTEGER);
INSERT INTO people VALUES (1, 'a@example.com'), (2, 'b@example.com');
INSERT INTO stays VALUES (1, 1, 'Ann Roe', '1987-03-12', '94110', 39, 7), (2, 1, 'Ann Roe', NULL, '94', NULL, 8), (3, 2, 'Bob Poe', '1990-05-06', '94110', 36, 9),
  (4, NULL, NULL, '1987-01-01', '941', 30, 1), (5, NULL, NULL, '1987-01-01', '941', 30, 2)`)
		c := db.connect(t, deidentifiedMap)
		m, err := c.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Stores {
			if s.Deidentifies != (s.Name == "stays") {
				t.Errorf("%s deidentifies: %v", s.Name, s.Deidentifies)
			}
		}
		before := db.dump(t, "stays")
		erase(t, c, email("a@example.com"))
		left := db.dump(t, "stays")
		if len(left) != 5 || !slices.Equal(left[2:], before[2:]) {
			t.Fatalf("left %q", left)
		}
		if strings.Contains(left[0]+left[1], "Ann") || strings.Contains(left[0], "94110") || strings.Contains(left[0], "03") && strings.Contains(left[0], "12") {
			t.Errorf("a record still tells whose it is: %q", left[:2])
		}
		for _, part := range []string{"1987", " 941 ", " 30 ", " 7]"} {
			if !strings.Contains(left[0], part) {
				t.Errorf("%q is not in %q", part, left[0])
			}
		}
		if strings.Contains(left[1], "94") || !strings.Contains(left[1], " 8]") {
			t.Errorf("a text that is no longer than its prefix stays: %q", left[1])
		}
		want(t, "located", located(t, c, email("a@example.com")), nil)
	})
}

// A map that would leave a record of a deidentified collection tied to a person is
// refused, at the line.
func TestDeidentifyRefuses_DE14(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"a direct identifier made coarser": {"data_categories: [user.name]}", "data_categories: [user.name], habeas: {generalise: prefix 2}}", "has to be destroyed"},
		"a direct identifier that stays":   {"data_categories: [user.name]}", "data_categories: [user.name], habeas: {erase: retain}}", "can't stay"},
		"kept by a strategy":               {"data_categories: [user.name]}", "data_categories: [user.name], fides_meta: {masking_strategy_override: {strategy: preserve}}}", "can't stay"},
		"a reference made coarser":         {"direction: from}]}}", "direction: from}]}, habeas: {generalise: step 10}}", "has to be destroyed"},
		"two rules":                        {"{generalise: year}", "{generalise: year, erase: null}", "can't both"},
		"no rule":                          {"{generalise: year}", "{generalise: century}", "want year, month"},
		"a prefix that is the value":       {"prefix 3", "prefix 5", "want year, month"},
		"a step of one":                    {"step 10", "step 1", "want year, month"},
		"another method":                   {"{erase: deidentify, smallest_group: 2}", "{erase: mask}", "generalise is for"},
		"a group of one":                   {"smallest_group: 2", "smallest_group: 1", "at least 2"},
		"what otherwise":                   {"smallest_group: 2", "otherwise: mask", "delete, null or wait"},
		"a group without deidentifying":    {"- name: people", "- name: people\n        habeas: {otherwise: wait}", "are for erase: deidentify"},
		"what stays inside a document":     {"- {name: room}", "- {name: room, fields: [{name: sex, data_categories: [user.demographic], habeas: {erase: retain}}]}", "inside a document"},
		"further that is finer":            {"{generalise: year}", "{generalise: year, further: [month]}", "not coarser"},
		"further that does not nest":       {"{generalise: step 10}", "{generalise: step 10, further: [step 15]}", "not coarser"},
		"further after nothing":            {"{generalise: prefix 3}", "{generalise: prefix 3, further: [nothing, prefix 1]}", "not coarser"},
		"further than nothing":             {"{name: room}", "{name: room, habeas: {further: [nothing]}}", "say that first"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(deidentifiedMap, c.old, c.new, 1)
			if text == deidentifiedMap {
				t.Fatal("nothing was changed")
			}
			m, err := ParseMap("m.yaml", []byte(text))
			if err == nil {
				_, err = compile(m)
			}
			var wrong *MapError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// Making a value coarser twice is the same as once, and never gives back more than
// the rule says.
func TestGeneralising_DE14(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-1<<40, 1<<40).Draw(t, "number")
		step := rapid.IntRange(leastStep, 1000).Draw(t, "step")
		by, err := parseCoarse(fmt.Sprintf("step %d", step))
		if err != nil {
			t.Fatal(err)
		}
		low, ok := by.value(n).(int64)
		if !ok || low > n || n-low >= int64(step) || low%int64(step) != 0 || by.value(low) != low {
			t.Fatalf("%d by %d is %v", n, step, low)
		}
		text := rapid.String().Draw(t, "text")
		short := coarse{to: "prefix", n: rapid.IntRange(1, longestPrefix).Draw(t, "prefix")}
		switch got := short.value(text).(type) {
		case nil:
			if len([]rune(text)) > short.n {
				t.Fatalf("%q is destroyed", text)
			}
		case string:
			if len([]rune(got)) != short.n || !strings.HasPrefix(string([]rune(text)), got) {
				t.Fatalf("%q became %q", text, got)
			}
		}
		day := fmt.Sprintf("%04d-%02d-%02d", rapid.IntRange(1900, 2026).Draw(t, "year"), rapid.IntRange(1, 12).Draw(t, "month"), rapid.IntRange(1, 28).Draw(t, "day"))
		for to, want := range map[string]string{"year": day[:4] + "-01-01", "month": day[:7] + "-01"} {
			by := coarse{to: to}
			if got := by.value(day); got != want || by.value(got) != want {
				t.Fatalf("%s by %s is %v", day, to, got)
			}
		}
	})
}

// A map that leaves rows says whether they are emptied or masked: a constant tells
// nothing, and what keeps the shape of a value is a mask.
func TestLeftRowsAreSaidApart_DE14(t *testing.T) {
	for name, c := range map[string]struct {
		method, field  string
		empties, masks bool
	}{
		"null":             {"'null'", "", true, false},
		"a constant":       {"'null'", ", fides_meta: {masking_strategy_override: {strategy: string_rewrite, configuration: {rewrite_value: x}}}", true, false},
		"mask":             {"mask", "", false, true},
		"one is masked":    {"'null'", ", habeas: {erase: mask}", false, true},
		"one is scrambled": {"'null'", ", fides_meta: {masking_strategy_override: {strategy: hash}}", false, true},
		"delete":           {"delete", "", false, false},
		"deidentify":       {"deidentify", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ParseMap("m.yaml", []byte(strings.NewReplacer("METHOD", c.method, "MORE", c.field).Replace(`
dataset:
  - fides_key: s
    collections:
      - name: people
        habeas: {erase: METHOD}
        fields:
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
          - {name: note, data_categories: [user.content]MORE}
`)))
			if err != nil {
				t.Fatal(err)
			}
			made, err := New(Config{Name: "test", Version: "1", Database: "sqlite:///nowhere.db", Map: m})
			if err != nil {
				t.Fatal(err)
			}
			defer made.Close() //nolint:errcheck // nothing was opened
			got, err := made.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			if s := got.Stores[0]; s.Empties != c.empties || s.Masks != c.masks || s.Deidentifies != (c.method == "deidentify") {
				t.Errorf("it says %+v", s)
			}
		})
	}
}
