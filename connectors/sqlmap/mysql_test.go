package sqlmap

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// kinds has a column of each kind by which rows are looked up.
const kinds = `
CREATE TABLE kinds (
	a INTEGER, b VARCHAR(20), label VARCHAR(60), latin VARCHAR(20) CHARACTER SET latin1, big BIGINT UNSIGNED, at DATETIME, bin BINARY(4), price DECIMAL(10, 2),
	PRIMARY KEY (a, b), INDEX (label), INDEX (latin), INDEX (big), INDEX (at), INDEX (bin), INDEX (price)
)`

// TestMariaDBLooksUpByIndex wants every statement to begin with its values and
// look each of them up, whatever the statistics are.
func TestMariaDBLooksUpByIndex(t *testing.T) {
	db := newMariaDB(t)
	db.exec(t, kinds)
	var rows []string
	for i := range 2000 {
		rows = append(rows, fmt.Sprintf("(%d, '%d', 'Label%d', 'l%d', %d, '2026-01-01', 'abcd', %d)", i, i, i, i, i, i))
	}
	db.exec(t, "INSERT INTO kinds VALUES "+strings.Join(rows, ", ")+";\nANALYZE TABLE kinds")
	d := mysql{}
	s, err := d.load(t.Context(), db.plain, []tableName{{"", "kinds"}})
	if err != nil {
		t.Fatal(err)
	}
	table := s.tables[0]
	explain := func(what, text string, args []any) {
		t.Helper()
		plan, err := query(t.Context(), db.plain, "EXPLAIN "+text, args...)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, r := range plan {
			if alias, access := string(r[2].([]byte)), string(r[3].([]byte)); alias == "t" && access != "ref" && access != "eq_ref" {
				t.Errorf("%s reads the table by %s: %s", what, access, text)
			}
		}
	}
	for name, v := range map[string]value{"a": "7", "label": "Label7", "latin": "l7", "big": "18446744073709551615", "at": "2026-01-01 00:00:00", "bin": "0x61626364", "price": "7.00"} {
		c := table.column(name)
		of := [][]value{{v}, {v}}
		with, args := d.values(of)
		for how, on := range map[string]string{"equals": d.equals("t."+quote(name), c, "u.v1"), "exactly": d.exactly("t."+quote(name), c, "u.v1"), "lowered": d.lowered("t."+quote(name), c, "u.v1")} {
			if how == "lowered" && name != "label" {
				continue
			}
			explain(name+" "+how, with+selectRows(d, table, nil, on)+d.lock(), args)
		}
	}
	keys := [][]value{{"5", "5"}, {"6", "6"}}
	text, args := d.remove(table, keys)
	explain("DELETE", text, args)
	text, args = d.change(table, []assignment{{"label", "NULL"}}, keys)
	explain("UPDATE", text, args)
}

// TestMariaDBComparesIdentifiersExactly has identifiers that the column's
// collation takes for the same, and characters its set does not have.
func TestMariaDBComparesIdentifiersExactly(t *testing.T) {
	db := newMariaDB(t)
	db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, cookie VARCHAR(20), email VARCHAR(40), old VARCHAR(20) CHARACTER SET latin1);
INSERT INTO people VALUES (1, 'aB1', 'Ann@Example.com', 'x?'), (2, 'Ab1', 'änn@example.com', 'é'), (3, 'ab1 ', 'ANN@example.com', 'e')`)
	c := db.connect(t, mapOf("fields:",
		"  - {name: cookie, data_categories: [user.device.cookie_id], fides_meta: {identity: cookie_id}}",
		"  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}",
		"  - {name: old, data_categories: [user.unique_id], fides_meta: {identity: old_id}}"))
	for _, test := range []struct {
		kind sdk.Kind
		v    string
		n    int64
	}{
		{"cookie_id", "aB1", 1}, {"cookie_id", "AB1", 0}, {"cookie_id", "ab1", 0}, {"cookie_id", "ab1 ", 1},
		{"email", "ann@example.com", 2}, {"email", "änn@example.com", 1},
		{"old_id", "x日", 0}, {"old_id", "x?", 1}, {"old_id", "é", 1}, {"old_id", "e", 1},
	} {
		found, err := c.Locate(t.Context(), sdk.NewPerson(sdk.ID(test.kind, test.v)))
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		for _, f := range found {
			n += f.Count
		}
		if n != test.n {
			t.Errorf("%s: found %d, want %d", test.v, n, test.n)
		}
	}
}

func TestMariaDBTablesThatAreUnfit(t *testing.T) {
	db := newMariaDB(t)
	const email = "  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}"
	for table, wrong := range map[string]string{
		"(email TEXT)": "has no primary key and no unique key without NULLs",
		"(id INTEGER PRIMARY KEY, email TEXT) ENGINE = MyISAM":                                                   "has the storage engine MyISAM, which can't take a change back",
		"(id INTEGER PRIMARY KEY, email TEXT) WITH SYSTEM VERSIONING":                                            "what is deleted stays in its history",
		"(id INTEGER PRIMARY KEY, email TEXT, boss INTEGER NOT NULL, FOREIGN KEY (boss) REFERENCES people (id))": "its reference to itself in boss can't be NULL",
	} {
		db.exec(t, "DROP TABLE IF EXISTS people;\nCREATE TABLE people "+table)
		lines := []string{"fields:", email}
		if strings.Contains(table, "boss") {
			lines = append(lines, "  - {name: id}", "  - {name: boss, fides_meta: {references: [{dataset: d, field: people.id}]}}")
		}
		_, err := db.try(t, mapOf(lines...))
		var bad *MapError
		if !errors.As(err, &bad) || bad.Line == 0 || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: error %v, want %q", table, err, wrong)
		}
	}
}

func TestMariaDBValues(t *testing.T) {
	d := mysql{}
	for _, test := range []struct {
		c    *column
		v    value
		fits bool
	}{
		{&column{class: classInt, typ: "SIGNED"}, "9223372036854775807", true}, {&column{class: classInt, typ: "SIGNED"}, "9223372036854775808", false},
		{&column{class: classInt, typ: "UNSIGNED"}, "18446744073709551615", true}, {&column{class: classInt, typ: "UNSIGNED"}, "-1", false},
		{&column{class: classNumber}, "1.50", true}, {&column{class: classNumber}, "1e9", false}, {&column{class: classNumber}, "x", false},
		{&column{class: classUUID}, "00000000-0000-0000-0000-000000000000", true}, {&column{class: classUUID}, "0", false},
		{&column{class: classBytes}, "0x00", true}, {&column{class: classBytes}, "00", false},
		{&column{class: classTime}, "2026-01-01", true}, {&column{class: classTime}, "never", false},
		{&column{}, "a\x00b", false}, {&column{}, "\xff", false}, {&column{}, "日", true},
	} {
		if d.fits(test.v, test.c) != test.fits {
			t.Errorf("%q in %+v: want %t", test.v, *test.c, test.fits)
		}
	}
	db := newMariaDB(t)
	long := strings.Repeat("日本", 3000)
	rows := [][]value{{"", nil}, {"it's", `\`}, {`"`, "日本"}, {long, "\n\t"}, {"0x00", "null"}}
	with, args := d.values(rows)
	read, err := query(t.Context(), db.plain, with+"SELECT i, v1, v2 FROM u ORDER BY i", args...)
	if err != nil {
		t.Fatal(err)
	}
	var got [][]value
	for i, r := range read {
		if r[0] != int64(i) {
			t.Errorf("row %d has number %v", i, r[0])
		}
		got = append(got, []value{d.read(r[1]), d.read(r[2])})
	}
	if !slices.EqualFunc(got, rows, slices.Equal) {
		t.Errorf("read back %q, want %q", got, rows)
	}
}
