package sqlmap

import (
	"errors"
	"strings"
	"testing"
)

// mapOf puts one people collection, given as YAML lines, into a map.
func mapOf(lines ...string) string {
	return "dataset:\n  - fides_key: d\n    collections:\n      - name: people\n        " + strings.Join(lines, "\n        ")
}

func TestMapErrorsNamePlaceAndField(t *testing.T) {
	const id = "  - {name: id, data_categories: [user.unique_id], fides_meta: {identity: user_id}}"
	for name, test := range map[string]struct{ text, want string }{
		"no dataset":         {"dataset: []", "m.yaml: no dataset"},
		"unknown key":        {mapOf("fields:", "  - {name: id, colour: red}"), `m.yaml:6: unknown field "colour"`},
		"wrong type":         {mapOf("fields:", "  - {name: [id]}"), "m.yaml:6:"},
		"bad yaml":           {"dataset: [", "m.yaml:1:"},
		"bad period":         {mapOf("habeas: {retain: [{basis: x, from: id, period: seven}]}", "fields:", id), `period "seven": want a number and a unit`},
		"field twice":        {mapOf("fields:", id, "  - {name: id}"), "m.yaml:7: field id is there twice"},
		"name identity":      {mapOf("fields:", "  - {name: n, fides_meta: {identity: name}}"), "m.yaml:6: field n: a name is never enough"},
		"unknown owner":      {mapOf("habeas: {owner: [id, boss]}", "fields:", id), "m.yaml:5: owner boss of collection people"},
		"unknown time":       {mapOf("habeas:", "  time: at", "fields:", id), "m.yaml:6: collection people has no field at"},
		"empty method":       {mapOf("habeas:", "  erase:", "fields:", id), "erase must be delete"},
		"unknown method":     {mapOf("habeas: {erase: burn}", "fields:", id), "erase must be delete"},
		"retain without why": {mapOf("habeas: {erase: retain}", "fields:", id), "asks for a rule under retain"},
		"no basis":           {mapOf("habeas: {retain: [{period: 1 year, from: id}]}", "fields:", id), "retention without basis"},
		"unknown strategy":   {mapOf("fields:", "  - {name: id, fides_meta: {identity: a, masking_strategy_override: {strategy: rot13}}}"), `masking strategy "rot13" is not known`},
		"dangling reference": {mapOf("fields:", "  - {name: id, fides_meta: {references: [{dataset: d, field: gone.id, direction: to}]}}"), "m.yaml:6: referenced object d:gone does not exist"},
		"bad direction":      {mapOf("fields:", "  - {name: id, fides_meta: {identity: a, references: [{dataset: d, field: people.b, direction: up}]}}", "  - {name: b}"), "direction must be to or from"},
		"unreachable":        {mapOf("fields:", "  - {name: id, data_categories: [user.name]}"), "m.yaml:4: some nodes were not reachable: d:people"},
		"erase_after":        {mapOf("fides_meta: {erase_after: [d.gone]}", "fields:", id), "there is no collection d.gone"},
		"document identity":  {mapOf("fields:", id, "  - {name: doc, fides_meta: {identity: email}, fields: [{name: e}]}"), "m.yaml:7: field doc: a whole document can't be an identity"},
		"nested twice":       {mapOf("fields:", id, "  - {name: doc, fields: [{name: e}, {name: e}]}"), "m.yaml:7: field doc.e is there twice"},
		"unknown data_type":  {mapOf("fields:", "  - {name: a, fides_meta: {identity: email, data_type: text}}"), `data_type "text" is not known`},
		"inner masking":      {mapOf("fields:", id, "  - {name: doc, fields: [{name: e, fides_meta: {masking_strategy_override: {strategy: hash}}}]}"), "a masking strategy is for columns"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseMap("m.yaml", []byte(test.text))
			var wrong *MapError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %v, want %q", err, test.want)
			}
		})
	}
}

func TestCircleInOrder(t *testing.T) {
	text := `
dataset:
  - fides_key: d
    collections:
      - name: a
        fides_meta: {erase_after: [d.b]}
        fields: [{name: id, fides_meta: {identity: user_id}}]
      - name: b
        fides_meta: {erase_after: [d.a]}
        fields: [{name: id, fides_meta: {identity: user_id}}]
`
	if _, err := ParseMap("m.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), "erase_after make a circle") {
		t.Errorf("got error %v", err)
	}
}

func TestOpenErrorsNamePlaceAndFix(t *testing.T) {
	const schema = `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(100) NOT NULL, name TEXT, code CHAR(3) NOT NULL UNIQUE, kind TEXT NOT NULL CHECK (kind IN ('a', 'b')));
CREATE TABLE logs (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id) ON DELETE CASCADE);
CREATE TABLE dates (id INTEGER PRIMARY KEY, email TEXT, doc JSON);
CREATE TABLE loose (id INTEGER PRIMARY KEY, email TEXT, kind TEXT NOT NULL CHECK (kind IN ('a', 'b')), code CHAR(3) NOT NULL UNIQUE)`
	const email = "  - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}"
	loose := func(lines ...string) string {
		return strings.Replace(mapOf(append([]string{"habeas: {erase: deidentify}", "fields:", email}, lines...)...), "people", "loose", 1)
	}
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, schema)
		for name, test := range map[string]struct{ text, want string }{
			"missing table":   {strings.Replace(mapOf("fields:", email), "people", "persons", 1), "test.map.yaml:4: collection persons: the database has no table of this name"},
			"missing column":  {mapOf("fields:", email, "  - {name: phone}"), "test.map.yaml:7: collection people: table people has no column phone; it has code, email, id, kind, name"},
			"no key":          {mapOf("fields:", "  - {name: name, fides_meta: {primary_key: true, identity: a}}"), "does not keep the primary_key name unique"},
			"cascade":         {mapOf("fields:", email), "rows of table logs refer to it by a foreign key, and deleting would take them along"},
			"check":           {loose("  - {name: kind, data_categories: [user.account]}"), "test.map.yaml:8: collection loose: field kind is under "},
			"unique":          {loose("  - {name: code, data_categories: [user.account]}"), "can't be NULL and is unique"},
			"null not null":   {loose("  - {name: code, data_categories: [user.account], habeas: {erase: null}}"), "collection loose: field code has erase: null, and the database does not allow NULL"},
			"tied by key":     {strings.Replace(mapOf("habeas: {erase: deidentify}", "fields:", "  - {name: id, data_categories: [user.unique_id], fides_meta: {identity: user_id}}"), "people", "loose", 1), "leaves its rows tied to the person by field id"},
			"null_rewrite":    {loose("  - {name: code, data_categories: [user.account], fides_meta: {masking_strategy_override: {strategy: null_rewrite}}}"), "strategy null_rewrite, and the database does not allow NULL"},
			"read only":       {loose("  - {name: kind, data_categories: [user.account], fides_meta: {read_only: true}}"), "test.map.yaml:8: collection loose: field kind is read_only and would stay as it is under erase: deidentify"},
			"preserved":       {loose("  - {name: kind, data_categories: [user.account], fides_meta: {masking_strategy_override: {strategy: preserve}}}"), "has the strategy preserve and would stay"},
			"said to stay":    {loose("  - {name: kind, data_categories: [user.account], fides_meta: {read_only: true}, habeas: {erase: retain}}"), ""},
			"personal key":    {strings.Replace(mapOf("habeas: {retain: [{basis: b, period: 1 year, from: code}]}", "fields:", "  - {name: id, data_categories: [user.contact], fides_meta: {identity: user_id}}", "  - {name: code}"), "people", "loose", 1), "collection loose: field id is part of the primary key and can't be emptied in rows that are kept"},
			"no date":         {strings.Replace(mapOf("habeas: {time: doc}", "fields:", email, "  - {name: doc}"), "people", "dates", 1), "test.map.yaml:5: collection dates: field doc is of type"},
			"override passes": {loose("  - {name: kind, data_categories: [user.account], fides_meta: {masking_strategy_override: {strategy: string_rewrite, configuration: {rewrite_value: a}}}}"), ""},
		} {
			t.Run(name, func(t *testing.T) {
				_, err := db.try(t, test.text)
				if test.want == "" && err == nil {
					return
				}
				var wrong *MapError
				if !errors.As(err, &wrong) || !strings.Contains(err.Error(), test.want) || test.want == "" {
					t.Errorf("got error %v, want %q", err, test.want)
				}
			})
		}
	})
}

func TestWithinMatchesBySegment(t *testing.T) {
	if within("user.device.cookie_id", "user.device.cookie") || !within("user.device.cookie.x", "user.device.cookie") || !within("user", "user") {
		t.Error("categories must match by dotted segment")
	}
}

func FuzzParseMap(f *testing.F) {
	f.Add(shopMap)
	f.Add(sharedMap("owner: any"))
	f.Add(mapOf("habeas: {retain: [{with: id}]}", "fields: [{name: id, fields: [{name: x}]}]"))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMap("m.yaml", []byte(text))
		if (m == nil) == (err == nil) {
			t.Error("want a map or an error")
		}
	})
}
