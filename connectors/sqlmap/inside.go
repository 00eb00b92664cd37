package sqlmap

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	engine "modernc.org/sqlite"
)

// literal makes an SQL string of s.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// jsonPath writes a way from a column's content as $."a"."b", with a [*] behind
// the names the function says.
func jsonPath(way []node, each func(i int) bool) string {
	var b strings.Builder
	b.WriteString("$")
	for i, n := range way {
		if i > 0 {
			name, err := json.Marshal(n.name)
			if err != nil {
				panic(err) // strings can always be marshalled
			}
			b.WriteString("." + string(name))
		}
		if each(i) {
			b.WriteString("[*]")
		}
	}
	return b.String()
}

// PostgreSQL looks through arrays by itself in the lax mode of its paths.
func laxPath(c *column) string {
	return literal("lax " + jsonPath(c.way, func(i int) bool { return i == len(c.way)-1 }))
}

func (postgres) leaves(expr string, c *column) string {
	return "jsonb_path_query_array((" + expr + ")::jsonb, " + laxPath(c) + ")::text"
}

func (postgres) holds(expr string, c *column, of string, lower bool) string {
	value := "e.x #>> '{}'"
	if lower {
		value = "lower(" + value + ")"
	}
	return "EXISTS (SELECT FROM jsonb_path_query((" + expr + ")::jsonb, " + laxPath(c) + ") AS e (x) WHERE " + value + " = " + of + ")"
}

// SQLite has no paths with wildcards, so it is given a function for them.
func sqlitePath(c *column) string {
	names := []string{}
	for _, n := range c.way[1:] {
		names = append(names, n.name)
	}
	text, err := json.Marshal(names)
	if err != nil {
		panic(err) // strings can always be marshalled
	}
	return literal(string(text))
}

// withLeaves registers habeas_leaves(document, names): the scalars at the end
// of the names, through arrays wherever they are, as a JSON array.
var withLeaves = sync.OnceValue(func() error {
	return engine.RegisterDeterministicScalarFunction("habeas_leaves", 2, func(_ *engine.FunctionContext, args []driver.Value) (driver.Value, error) {
		var names []string
		if err := json.Unmarshal([]byte(text(args[1])), &names); err != nil {
			return nil, fmt.Errorf("reading names: %w", err)
		}
		found := []any{}
		read, err := decode(text(args[0]))
		if err != nil {
			return "[]", nil //nolint:nilerr // a text that is no document holds nothing
		}
		way := []node{{}}
		for _, n := range names {
			way = append(way, node{name: n})
		}
		replaced(read, way[1:], func(v any) any {
			found = append(found, v)
			return v
		})
		out, err := json.Marshal(found)
		return string(out), err
	})
})

func (sqlite) leaves(expr string, c *column) string {
	return "habeas_leaves(" + expr + ", " + sqlitePath(c) + ")"
}

func (d sqlite) holds(expr string, c *column, of string, lower bool) string {
	value := "e.value"
	if lower {
		value = "lower(e.value)"
	}
	return "EXISTS (SELECT 1 FROM json_each(" + d.leaves(expr, c) + ") AS e WHERE " + value + " = " + of + ")"
}

// extract reads all that the paths of a way lead to, as one array. MySQL looks
// into an array only where the path says so, and documents are not always as
// the map says: where it has an array there may be a single value.
func (mysql) extract(expr string, c *column) string {
	var arrays []int
	for i, n := range c.way {
		if n.array {
			arrays = append(arrays, i)
		}
	}
	var paths []string
	for variant := range 1 << len(arrays) {
		path := jsonPath(c.way, func(i int) bool {
			n := slices.Index(arrays, i)
			return n >= 0 && variant>>n&1 == 0
		})
		paths = append(paths, literal(path))
	}
	return "JSON_EXTRACT(" + expr + ", " + strings.Join(paths, ", ") + ")"
}

func (d mysql) leaves(expr string, c *column) string {
	return "CAST(" + d.extract(expr, c) + " AS CHAR)"
}

func (d mysql) holds(expr string, c *column, of string, lower bool) string {
	at := d.extract(expr, c)
	if lower {
		at = "LOWER(" + at + ")"
	}
	number := "CASE WHEN " + of + " REGEXP '^-?(0|[1-9][0-9]*)$' THEN JSON_CONTAINS(" + at + ", " + of + ") ELSE FALSE END"
	return "(JSON_CONTAINS(" + at + ", JSON_QUOTE(" + of + ")) OR " + number + ")"
}

func (postgres) typed() bool { return false }

func (sqlite) typed() bool { return true }

func (mysql) typed() bool { return false }
