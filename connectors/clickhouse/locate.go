package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// condition is where a row is somebody's whose identifiers go with the
// question.
func (s *store) condition() string {
	var ways []string
	for i := range s.columns {
		ways = append(ways, s.in(i))
	}
	return "(" + strings.Join(ways, " OR ") + ")"
}

// in is where column i has one of the values that go with the question.
func (s *store) in(i int) string {
	col := s.columns[i]
	return fmt.Sprintf("%s IN (SELECT %s FROM %s WHERE c = %d)", col.match, fmt.Sprintf(col.cast, "value"), external, i)
}

// since is where a row is not older than a look-back window; "" for no window.
// A day is taken whole, in whatever time zone the server thinks.
func (s *store) since(t time.Time) string {
	if t.IsZero() || s.spec.Time == "" {
		return ""
	}
	if s.date {
		t = t.AddDate(0, 0, -1)
	}
	return fmt.Sprintf(" AND toDateTime(%s) >= toDateTime(%d)", s.spec.Time, min(max(t.Unix(), 0), 1<<32-1))
}

// value is what a column would hold of a person's identifier; false when its
// type can't hold it.
func (c *Connector) value(col column, value string) (string, bool) {
	value = c.m.Normalise.Value(col.kind, value)
	if col.fold {
		value = strings.ToLower(value)
	}
	return value, value != "" && col.fits(value)
}

// seek is what a question about people carries, and who has each value of each
// column.
func (c *Connector) seek(s *store, people []sdk.Person) (sought, []map[string][]int) {
	var look sought
	who := make([]map[string][]int, len(s.columns))
	for i, col := range s.columns {
		who[i] = map[string][]int{}
		for n, p := range people {
			for _, v := range p.Values(col.kind) {
				v, ok := c.value(col, v)
				if !ok || slices.Contains(who[i][v], n) {
					continue
				}
				if who[i][v] == nil {
					look = append(look, soughtValue{column: i, value: v})
				}
				who[i][v] = append(who[i][v], n)
			}
		}
	}
	return look, who
}

// masked are the settings under which rows hidden by a lightweight delete are
// seen: they are still there.
func (l *live) masked() settings {
	if l.settings[maskSetting] {
		return settings{maskSetting: "0"}
	}
	return nil
}

// Locate implements [sdk.Connector].
func (c *Connector) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	found, err := c.LocateBatch(ctx, []sdk.Person{p})
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// LocateBatch implements [sdk.BatchLocator]: one query for each table and each
// look-back window, whatever the number of people.
func (c *Connector) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	results := make([][]sdk.Found, len(people))
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := c.bound(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range l.stores {
		counts, err := c.count(ctx, l, s, people)
		if err != nil {
			return nil, c.outgrown(err)
		}
		for i, of := range counts {
			for _, letter := range sortedKeys(of) {
				results[i] = append(results[i], sdk.Found{Store: s.spec.Name, Category: letter, Count: of[letter]})
			}
		}
	}
	return results, nil
}

func sortedKeys(m map[string]int64) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// group is a number of rows that are the same people's and of one type.
type group struct {
	Keys  []string `json:"habeas_keys"`
	Type  string   `json:"habeas_type"`
	Count int64    `json:"habeas_count"`
}

// count counts each person's rows in one table, by letter.
func (c *Connector) count(ctx context.Context, l *live, s *store, people []sdk.Person) ([]map[string]int64, error) {
	counts := make([]map[string]int64, len(people))
	windows := map[int64][]int{}
	for i, p := range people {
		since := p.Since()
		if s.spec.Time == "" || since.IsZero() {
			since = time.Unix(0, 0)
		}
		windows[since.Unix()] = append(windows[since.Unix()], i)
	}
	for _, at := range windows {
		some := make([]sdk.Person, len(at))
		for n, i := range at {
			some[n] = people[i]
		}
		look, who := c.seek(s, some)
		if len(look) == 0 {
			continue
		}
		groups, err := query[group](ctx, c.servers[0], s.countQuery(some[0].Since()), l.masked(), look)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			letter, err := c.letter(s, g.Type)
			if err != nil {
				return nil, err
			}
			for _, n := range owners(g.Keys, who) {
				i := at[n]
				if counts[i] == nil {
					counts[i] = map[string]int64{}
				}
				counts[i][letter] += g.Count
			}
		}
	}
	return counts, nil
}

// countQuery groups rows by which of the values sought they have. An alias hides
// a column of the same name, so ours are none that a table has.
func (s *store) countQuery(since time.Time) string {
	var keys []string
	for i, col := range s.columns {
		keys = append(keys, fmt.Sprintf("if(%s, %s, '')", s.in(i), col.text))
	}
	typ := "''"
	if s.spec.Type != "" {
		typ = "toString(" + s.spec.Type + ")"
	}
	return fmt.Sprintf("SELECT [%s] AS habeas_keys, %s AS habeas_type, count() AS habeas_count FROM %s WHERE %s%s GROUP BY habeas_keys, habeas_type",
		strings.Join(keys, ", "), typ, s.spec.Table, s.condition(), s.since(since))
}

// owners are the people who have any of a row's values.
func owners(keys []string, who []map[string][]int) []int {
	var people []int
	for i, k := range keys {
		if k == "" || i >= len(who) {
			continue
		}
		for _, n := range who[i][k] {
			if !slices.Contains(people, n) {
				people = append(people, n)
			}
		}
	}
	return people
}

// letter is the category of a type of row. A store of one category leaves it to
// the manifest.
func (c *Connector) letter(s *store, typ string) (string, error) {
	if s.spec.Type == "" {
		return "", nil
	}
	for _, name := range []string{typ, "*"} {
		if of, ok := s.spec.Categories[name]; ok {
			return of.Letter, nil
		}
	}
	i := slices.IndexFunc(c.m.Stores, func(spec StoreMap) bool { return spec.Name == s.spec.Name })
	return "", c.misfit(i, "categories", `a row's %s is of a type without a category: add it, or "*"`, s.spec.Type)
}
