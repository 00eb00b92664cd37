package sqlmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// world is a random schema with random rows: a table of people, tables of
// their rows hanging on each other, and places that several may share.
type world struct {
	tables []worldTable
	rows   map[string][]worldRow
}

type worldTable struct {
	name   string
	parent int // index of the table its rows hang on; -1 is people
	tree   bool
	place  bool
	text   bool // keys are text
	fk     bool
	wide   bool // the key has two parts
}

type worldRow struct {
	key    string // as an SQL literal
	second int    // second part of the key
	person int
	sql    string
	place  int
}

const worldPlaces = 4

func drawWorld(t *rapid.T) *world {
	w := &world{rows: map[string][]worldRow{}}
	for i := range rapid.IntRange(1, 4).Draw(t, "tables") {
		flag := func(name string) bool { return rapid.Bool().Draw(t, fmt.Sprint(name, i)) }
		w.tables = append(w.tables, worldTable{
			name: fmt.Sprint("t", i), parent: rapid.IntRange(-1, i-1).Draw(t, "parent"),
			tree: flag("tree"), place: flag("place"), text: flag("text"), fk: flag("fk"), wide: flag("wide"),
		})
	}
	for _, table := range w.tables {
		w.drawRows(t, table)
	}
	return w
}

const worldPeople = 4

func (w *world) drawRows(t *rapid.T, table worldTable) {
	for n := range rapid.IntRange(0, 12).Draw(t, "rows") {
		r := worldRow{key: fmt.Sprint(n), second: n % 3, person: rapid.IntRange(0, worldPeople-1).Draw(t, "person"), place: -1}
		if table.text {
			r.key = []string{"''", "'0'", "'it''s'", "'%'", "'NULL'"}[n%5]
			if n >= 5 {
				r.key = fmt.Sprintf("'k%d'", n)
			}
		}
		parent := fmt.Sprint(r.person)
		if table.parent >= 0 {
			candidates := slices.DeleteFunc(slices.Clone(w.rows[w.tables[table.parent].name]), func(p worldRow) bool { return p.person != r.person })
			if len(candidates) == 0 {
				continue
			}
			parent = rapid.SampledFrom(candidates).Draw(t, "on").key
		}
		above := "NULL"
		if table.tree {
			candidates := slices.DeleteFunc(slices.Clone(w.rows[table.name]), func(p worldRow) bool { return p.person != r.person })
			if len(candidates) > 0 && rapid.Bool().Draw(t, "below") {
				above, parent = rapid.SampledFrom(candidates).Draw(t, "above").key, "NULL"
			}
		}
		place := "NULL"
		if table.place && rapid.Bool().Draw(t, "placed") {
			r.place = rapid.IntRange(0, worldPlaces-1).Draw(t, "place")
			place = fmt.Sprint(r.place)
		}
		r.sql = fmt.Sprintf("INSERT INTO %s VALUES (%s, %d, %s, %s, %s, 'of person %d')", table.name, r.key, r.second, parent, above, place, r.person)
		w.rows[table.name] = append(w.rows[table.name], r)
	}
}

func (w *world) parentName(t worldTable) string {
	if t.parent < 0 {
		return "people"
	}
	return w.tables[t.parent].name
}

func (w *world) schema() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT);\nCREATE TABLE places (id INTEGER PRIMARY KEY, street TEXT);\n")
	for _, t := range w.tables {
		typ, parentType := "INTEGER", "INTEGER"
		if t.text {
			typ = "VARCHAR(40)"
		}
		if t.parent >= 0 && w.tables[t.parent].text {
			parentType = "VARCHAR(40)"
		}
		refer := func(table string) string {
			if !t.fk {
				return ""
			}
			return " REFERENCES " + table + " (id)"
		}
		key, table := " UNIQUE", ", PRIMARY KEY (id, second)"
		if !t.wide {
			key, table = " PRIMARY KEY", ""
		}
		fmt.Fprintf(&b, "CREATE TABLE %s (id %s NOT NULL%s, second INTEGER NOT NULL, on_id %s%s, above_id %s%s, place_id INTEGER%s, body TEXT%s);\n",
			t.name, typ, key, parentType, refer(w.parentName(t)), typ, refer(t.name), refer("places"), table)
	}
	for p := range worldPeople {
		fmt.Fprintf(&b, "INSERT INTO people VALUES (%d, 'p%d@example.com');\n", p, p)
	}
	for p := range worldPlaces {
		fmt.Fprintf(&b, "INSERT INTO places VALUES (%d, 'street %d');\n", p, p)
	}
	for _, t := range w.tables {
		for _, r := range w.rows[t.name] {
			b.WriteString(r.sql + ";\n")
		}
	}
	return b.String()
}

func (w *world) dataMap() string {
	var b strings.Builder
	b.WriteString(`
dataset:
  - fides_key: w
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: places
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: street, data_categories: [user.contact.address.street]}
`)
	for _, t := range w.tables {
		fmt.Fprintf(&b, `
      - name: %s
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: on_id, fides_meta: {references: [{dataset: w, field: %s.id, direction: from}]}}
          - {name: above_id, fides_meta: {references: [{dataset: w, field: %s.id, direction: from}]}}
          - {name: place_id, fides_meta: {references: [{dataset: w, field: places.id, direction: to}]}}
          - {name: body, data_categories: [user.content]}
`, t.name, w.parentName(t), t.name)
	}
	return b.String()
}

// goes reports whether a place goes with the people: nobody else uses it.
func (w *world) goes(place int, people []int) bool {
	used := false
	for _, rows := range w.rows {
		for _, r := range rows {
			if r.place == place {
				if !slices.Contains(people, r.person) {
					return false
				}
				used = true
			}
		}
	}
	return used
}

// TestErasureOfAnyoneAnywhere erases one or several people from a random
// database and wants exactly their rows gone, everybody else's untouched, and
// no reference broken.
func TestErasureOfAnyoneAnywhere(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { property(t, newSQLite) })
	for name, open := range map[string]func(testing.TB) *testDB{"postgres": newPostgres, "mariadb": newMariaDB} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				t.Skip("many schemas on a server take a while")
			}
			property(t, open)
		})
	}
}

func property(t *testing.T, open func(testing.TB) *testDB) {
	tables := []string{"people", "places"}
	db := open(t)
	rapid.Check(t, func(rt *rapid.T) {
		for i := len(tables) - 1; i >= 2; i-- {
			db.exec(t, "DROP TABLE IF EXISTS "+tables[i])
		}
		db.exec(t, "DROP TABLE IF EXISTS people;\nDROP TABLE IF EXISTS places")
		w := drawWorld(rt)
		tables = tables[:2]
		for _, table := range w.tables {
			tables = append(tables, table.name)
		}
		db.exec(t, w.schema())
		people := rapid.SliceOfNDistinct(rapid.IntRange(0, worldPeople-1), 1, 2, rapid.ID).Draw(rt, "erased")
		wanted := slices.DeleteFunc(db.dump(t, tables...), func(line string) bool {
			var place int
			if n, err := fmt.Sscanf(line, "places[%d", &place); err == nil && n == 1 {
				return w.goes(place, people)
			}
			return slices.ContainsFunc(people, func(person int) bool {
				return strings.HasPrefix(line, fmt.Sprintf("people[%d ", person)) || strings.HasSuffix(line, fmt.Sprintf(" of person %d]", person))
			})
		})
		m, err := ParseMap("world.yaml", []byte(w.dataMap()))
		if err != nil {
			rt.Fatal(err)
		}
		c, err := New(Config{Name: "test", Version: "1", Database: db.address, Map: m})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				rt.Error(err)
			}
		}()
		var who []sdk.Person
		for _, person := range people {
			who = append(who, email(fmt.Sprintf("p%d@example.com", person)))
		}
		if len(who) == 1 {
			err = c.Erase(t.Context(), who[0])
		} else {
			err = errors.Join(c.EraseBatch(t.Context(), who)...)
		}
		if err != nil {
			rt.Fatal(err)
		}
		got := db.dump(t, tables...)
		if !slices.Equal(got, wanted) {
			rt.Fatalf("left:\n%s\nwant:\n%s\nin\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"), w.schema())
		}
		found, err := c.LocateBatch(t.Context(), who)
		if err != nil || len(slices.Concat(found...)) != 0 {
			rt.Fatalf("located %v, %v afterwards", found, err)
		}
	})
}
