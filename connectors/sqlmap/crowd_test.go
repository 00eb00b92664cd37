package sqlmap

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const crowdMap = `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
      - name: stays
        habeas: {erase: deidentify, smallest_group: GROUP, otherwise: OTHERWISE}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: person_id, fides_meta: {references: [{dataset: s, field: people.id, direction: from}]}}
          - {name: guest, data_categories: [user.name]}
          - {name: born, data_categories: [user.demographic.date_of_birth], habeas: {generalise: month, further: [year, nothing]}}
          - {name: zip, data_categories: [user.demographic], habeas: {generalise: prefix 3, further: [prefix 1]}}
          - {name: age, data_categories: [user.demographic.age_range], habeas: {generalise: step 10, further: [step 20]}}
`

const crowdTables = `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(100));
CREATE TABLE stays (id INTEGER PRIMARY KEY, person_id INTEGER REFERENCES people (id), guest VARCHAR(40), born DATE, zip VARCHAR(10), age INTEGER)`

func crowdOf(k int, otherwise Method) string {
	return strings.NewReplacer("GROUP", fmt.Sprint(k), "OTHERWISE", string(otherwise)).Replace(crowdMap)
}

func mail(n int) sdk.Identifier {
	return sdk.ID(sdk.Email, fmt.Sprintf("p%d@example.com", n))
}

// stay is a row that a test put in, and whose it was.
type stay struct{ id, person int }

// house is a database of people who stay, and what a run of erasures must leave.
type house struct {
	db    *testDB
	k     int
	stays []stay
}

// put draws people and their rows, few values to a column so that some share.
func (h *house) put(t *testing.T, rt *rapid.T) (people int) {
	people = rapid.IntRange(1, 8).Draw(rt, "people")
	id := 0
	for n := 1; n <= people; n++ {
		h.db.exec(t, fmt.Sprintf("INSERT INTO people VALUES (%d, 'p%d@example.com')", n, n))
		for range rapid.IntRange(1, 3).Draw(rt, "rows") {
			id++
			h.stays = append(h.stays, stay{id, n})
			born := rapid.SampledFrom([]string{"NULL", "'1987-03-12'", "'1987-03-20'", "'1987-07-01'", "'1990-05-06'"}).Draw(rt, "born")
			zip := rapid.SampledFrom([]string{"NULL", "'94110'", "'94111'", "'95014'"}).Draw(rt, "zip")
			age := rapid.SampledFrom([]string{"NULL", "31", "39", "44"}).Draw(rt, "age")
			h.db.exec(t, fmt.Sprintf("INSERT INTO stays VALUES (%d, %d, 'Guest %d', %s, %s, %s)", id, n, n, born, zip, age))
		}
	}
	return people
}

// count is the one number that a query gives.
func (db *testDB) count(t testing.TB, text string) int {
	t.Helper()
	rows, err := query(t.Context(), db.plain, text)
	if err != nil || len(rows) != 1 {
		t.Fatalf("%s: %v", text, err)
	}
	return int(rows[0][0].(int64))
}

// groups reads what is left in the rows that are nobody's, by group.
func (h *house) groups(t *testing.T) map[string][]int {
	out := map[string][]int{}
	rows, err := query(t.Context(), h.db.plain, "SELECT id, born, zip, age FROM stays WHERE person_id IS NULL")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		key := fmt.Sprint(row[1:])
		out[key] = append(out[key], int(row[0].(int64)))
	}
	return out
}

// check holds the groups against the rule: none has less than k rows, nor rows of
// less than k people.
func (h *house) check(t *testing.T, rt *rapid.T) {
	for left, ids := range h.groups(t) {
		if left == "[<nil> <nil> <nil>]" {
			continue // nothing is left
		}
		people := map[int]bool{}
		for _, id := range ids {
			i := slices.IndexFunc(h.stays, func(s stay) bool { return s.id == id })
			people[h.stays[i].person] = true
		}
		if len(ids) < h.k || len(people) < h.k {
			rt.Fatalf("%d rows of %d people share %s, want %d", len(ids), len(people), left, h.k)
		}
	}
}

// Whatever is erased in whatever company, what is left in a row that is nobody's is
// shared by as many people as the map asks for, or by nobody; and of each person the
// rows that are removed and those that stay come to all that were found.
func TestSmallestGroup_DE14(t *testing.T) {
	db := newSQLite(t)
	db.exec(t, crowdTables)
	connectors := map[string]*Connector{}
	rapid.Check(t, func(rt *rapid.T) {
		h := &house{db: db, k: rapid.IntRange(2, 4).Draw(rt, "k")}
		db.exec(t, "DELETE FROM stays;\nDELETE FROM people")
		otherwise := rapid.SampledFrom([]Method{Delete, Null, Wait}).Draw(rt, "otherwise")
		text := crowdOf(h.k, otherwise)
		if connectors[text] == nil {
			connectors[text] = db.connect(t, text)
		}
		c := connectors[text]
		people := h.put(t, rt)
		order := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for n := 1; n <= people; n++ {
				if !yield(n) {
					return
				}
			}
		})).Draw(rt, "order")
		ctx := sdk.WithJobInfo(t.Context(), sdk.JobInfo{Due: now.Add(30 * 24 * time.Hour)})
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(rt, "together")
			h.erase(ctx, t, rt, c, order[:n], otherwise == Wait)
			order = order[n:]
			h.check(t, rt)
		}
	})
}

// erase erases people in one batch and adds up what became of their rows.
func (h *house) erase(ctx context.Context, t *testing.T, rt *rapid.T, c *Connector, who []int, mayWait bool) {
	group, told := make([]sdk.Person, len(who)), make([]func() map[string]int64, len(who))
	for i, n := range who {
		group[i], told[i] = sdk.NewPerson(mail(n)).CountRemoved()
	}
	// Members of a batch have each their own day.
	info := sdk.JobInfoFrom(ctx)
	info.Members = slices.Repeat([]sdk.JobInfo{{Due: info.Due}}, len(who))
	errs := c.EraseBatch(sdk.WithJobInfo(ctx, info), group)
	for i, n := range who {
		had, left := 0, 0
		for _, s := range h.stays {
			if s.person == n {
				had++
				left += h.db.count(t, fmt.Sprintf("SELECT count(*) FROM stays WHERE id = %d AND person_id IS NULL", s.id))
			}
		}
		waits := false
		if errs != nil && errs[i] != nil {
			if _, waits = sdk.AsNotYet(errs[i]); !waits || !mayWait {
				rt.Fatal(errs[i])
			}
		}
		removed := told[i]()
		switch {
		case waits && (left > 0 || len(removed) > 0 || len(located(t, c, sdk.NewPerson(mail(n)))) == 0):
			rt.Fatalf("person %d waits: %d rows are nobody's and %v were removed", n, left, removed)
		case !waits && removed["stays"]+int64(left) != int64(had):
			rt.Fatalf("person %d had %d rows: %d stay, %d are said to be removed", n, had, left, removed["stays"])
		}
	}
}

// Enough people who are erased together keep what they share; one who is erased
// alone is removed, joins those that are there, or is held back, as the map says.
func TestTooFewShare_DE14(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, crowdTables)
		for n := 1; n <= 6; n++ {
			db.exec(t, fmt.Sprintf("INSERT INTO people VALUES (%d, 'p%d@example.com')", n, n))
		}
		db.exec(t, `INSERT INTO stays VALUES
  (1, 1, 'A', '1987-03-01', '94110', 31), (2, 2, 'B', '1987-03-02', '94111', 32), (3, 3, 'C', '1987-03-03', '94112', 33),
  (4, 4, 'D', '1987-03-04', '94113', 34), (5, 5, 'E', '1990-01-01', '10001', 71), (6, 6, 'F', '1987-08-01', '95014', 22)`)
		c := db.connect(t, crowdOf(3, Delete))
		if errs := c.EraseBatch(t.Context(), []sdk.Person{sdk.NewPerson(mail(1)), sdk.NewPerson(mail(2)), sdk.NewPerson(mail(3))}); errs != nil {
			t.Fatal(errs)
		}
		if n := db.count(t, "SELECT count(*) FROM stays WHERE person_id IS NULL AND zip = '941' AND age = 30"); n != 3 {
			t.Fatalf("%d of three who share stay: %q", n, db.dump(t, "stays"))
		}
		four, told := sdk.NewPerson(mail(4)).CountRemoved()
		erase(t, c, four)
		if n := db.count(t, "SELECT count(*) FROM stays WHERE person_id IS NULL AND zip = '941' AND age = 30"); n != 4 || len(told()) != 0 {
			t.Errorf("%d share after one has joined, and %v were removed", n, told())
		}
		due := now.Add(20 * 24 * time.Hour)
		waits := db.connect(t, crowdOf(3, Wait))
		err := waits.Erase(sdk.WithJobInfo(t.Context(), sdk.JobInfo{Due: due}), sdk.NewPerson(mail(5)))
		if _, ok := sdk.AsNotYet(err); !ok || db.count(t, "SELECT count(*) FROM stays WHERE id = 5 AND guest = 'E'") != 1 {
			t.Errorf("nobody shares, and the erasure did not wait: %v", err)
		}
		five, told := sdk.NewPerson(mail(5)).CountRemoved()
		waits.config.Now = func() time.Time { return due.Add(-waitEnds) }
		if err := waits.Erase(sdk.WithJobInfo(t.Context(), sdk.JobInfo{Due: due}), five); err != nil {
			t.Fatal(err)
		}
		if n := db.count(t, "SELECT count(*) FROM stays WHERE id = 5"); n != 0 || !maps.Equal(told(), map[string]int64{"stays": 1}) {
			t.Errorf("the answer is due, %d rows stay and %v were removed", n, told())
		}
		empties := db.connect(t, crowdOf(3, Null))
		six, told := sdk.NewPerson(mail(6)).CountRemoved()
		erase(t, empties, six)
		if n := db.count(t, "SELECT count(*) FROM stays WHERE id = 6 AND person_id IS NULL AND born IS NULL AND zip IS NULL AND age IS NULL"); n != 1 || len(told()) != 0 {
			t.Errorf("a row that nobody shares: %q, and %v were removed", db.dump(t, "stays"), told())
		}
	})
}

// A row that other tables refer to can't be removed: what is left in it is emptied,
// and a map that would leave something of it all the same is refused.
func TestTooFewShareAndBound_DE14(t *testing.T) {
	db := newSQLite(t)
	db.exec(t, crowdTables+`;
CREATE TABLE cleanings (id INTEGER PRIMARY KEY, stay_id INTEGER REFERENCES stays (id));
INSERT INTO people VALUES (1, 'p1@example.com');
INSERT INTO stays VALUES (1, 1, 'A', '1987-03-01', '94110', 31);
INSERT INTO cleanings VALUES (1, 1)`)
	c := db.connect(t, crowdOf(3, Delete))
	one, told := sdk.NewPerson(mail(1)).CountRemoved()
	erase(t, c, one)
	if n := db.count(t, "SELECT count(*) FROM stays WHERE person_id IS NULL AND born IS NULL AND zip IS NULL AND age IS NULL"); n != 1 || len(told()) != 0 {
		t.Errorf("left %q, and %v were removed", db.dump(t, "stays"), told())
	}
	stays := strings.Replace(crowdOf(3, Delete), "{generalise: step 10, further: [step 20]}", "{erase: retain}", 1)
	_, err := db.try(t, stays)
	if err == nil || !strings.Contains(err.Error(), "can't be removed") || !strings.Contains(err.Error(), "age") {
		t.Errorf("a column that stays in rows that can't go: %v", err)
	}
}
