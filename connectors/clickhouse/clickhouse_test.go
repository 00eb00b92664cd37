package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func person(kind sdk.Kind, value string) sdk.Person { return sdk.NewPerson(sdk.ID(kind, value)) }

const visitsMap = `
stores:
  - {name: visits, table: DB.visits, identifiers: {user_id: user}, categories: {"*": {letter: F}}, time: at}
  - {name: orders, table: DB.orders, identifiers: {user_id: user}, categories: {"*": {letter: D}}}
`

// visits is a database with a number of rows of each of ten people.
func visits(t testing.TB, rows int) *database {
	t.Helper()
	d := newDatabase(t)
	for _, table := range []string{"visits", "orders"} {
		d.run(t, "CREATE TABLE DB."+table+" (at DateTime, user String, n UInt64) ENGINE = MergeTree PARTITION BY n % 3 ORDER BY n")
		d.run(t, fmt.Sprintf("INSERT INTO DB.%s SELECT toDateTime(1700000000 + number), concat('usr_', toString(number %% 10)), number FROM numbers(%d)", table, rows))
	}
	return d
}

// until calls f until it says that the work is finished.
func until(t testing.TB, f func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		err := f()
		if err == nil {
			return
		}
		after, notYet := sdk.AsNotYet(err)
		if !notYet || time.Now().After(end) {
			t.Fatal(err)
		}
		<-time.After(min(after, 100*time.Millisecond))
	}
}

func (d *database) number(t testing.TB, text string) int64 {
	t.Helper()
	got, err := query[struct {
		N int64 `json:"n"`
	}](t.Context(), d.server, strings.ReplaceAll(text, "DB.", d.name+"."), nil, nil)
	if err != nil || len(got) != 1 {
		t.Fatalf("%.80s: %v, %v", text, got, err)
	}
	return got[0].N
}

func (d *database) sent(t testing.TB) int64 {
	t.Helper()
	return d.number(t, "SELECT count() AS n FROM system.mutations WHERE database = '"+d.name+"' AND table != 'erasing'")
}

// TestARunIsFollowedAcrossACrash holds the rewriting up, lets the process that
// began it be forgotten, and has another finish it.
func TestARunIsFollowedAcrossACrash(t *testing.T) {
	d := visits(t, 1000)
	for _, table := range []string{"visits", "orders"} {
		d.run(t, "SYSTEM STOP MERGES DB."+table)
	}
	ada := person(sdk.UserID, "usr_7")
	for range 3 { // each a new process
		err := d.connector(t, visitsMap).Erase(t.Context(), ada)
		if _, notYet := sdk.AsNotYet(err); !notYet {
			t.Fatalf("while nothing is rewritten: %v", err)
		}
	}
	if n := d.sent(t); n != 2 {
		t.Errorf("%d mutations, want one for each table", n)
	}
	if n := d.number(t, "SELECT count() AS n FROM DB.erasing"); n != 1 {
		t.Errorf("%d identifiers are kept for the run, want 1", n)
	}
	found, err := d.connector(t, visitsMap).Locate(t.Context(), ada)
	if err != nil || len(found) != 2 {
		t.Errorf("nothing is rewritten and located is %v, %v", found, err)
	}
	hasty := d.connector(t, visitsMap, func(s *Settings) { s.Patience = time.Nanosecond })
	for end := time.Now().Add(20 * time.Second); ; {
		err := hasty.Erase(t.Context(), ada)
		if _, notYet := sdk.AsNotYet(err); !notYet {
			if err == nil || !strings.Contains(err.Error(), "is not finished after 1ns") {
				t.Errorf("when patience is over: %v", err)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal("patience does not end")
		}
		<-time.After(100 * time.Millisecond)
	}
	for _, table := range []string{"visits", "orders"} {
		d.run(t, "SYSTEM START MERGES DB."+table)
	}
	c := d.connector(t, visitsMap)
	until(t, func() error { return c.Erase(t.Context(), ada) })
	if n := d.sent(t); n != 2 {
		t.Errorf("%d mutations in the end, want 2", n)
	}
	if n := d.number(t, "SELECT count() AS n FROM DB.erasing"); n != 0 {
		t.Errorf("%d identifiers are left", n)
	}
	if n := d.number(t, "SELECT count() AS n FROM DB.visits"); n != 900 {
		t.Errorf("%d visits are left, want 900", n)
	}
	if found, err := c.Locate(t.Context(), ada); err != nil || found != nil {
		t.Errorf("located %v, %v", found, err)
	}
}

// TestACrashBetweenTwoMutations begins a run by hand and sends one of two.
func TestACrashBetweenTwoMutations(t *testing.T) {
	for _, sent := range []int{0, 1} {
		t.Run(fmt.Sprint(sent, " sent"), func(t *testing.T) {
			d := visits(t, 100)
			ada := person(sdk.UserID, "usr_7")
			c := d.connector(t, visitsMap)
			l, err := c.bound(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := c.makeKeys(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, err := c.begin(t.Context(), l, []sdk.Person{ada}, c.kinds())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range l.stores[:sent] {
				if err := c.mutate(t.Context(), l, r, s); err != nil {
					t.Fatal(err)
				}
			}
			again := d.connector(t, visitsMap)
			until(t, func() error { return again.Erase(t.Context(), ada) })
			if n := d.number(t, "SELECT count() AS n FROM DB.visits WHERE user = 'usr_7'") + d.number(t, "SELECT count() AS n FROM DB.orders WHERE user = 'usr_7'"); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			if n := d.sent(t); n != 2 {
				t.Errorf("%d mutations, want 2", n)
			}
			if n := d.number(t, "SELECT count() AS n FROM DB.erasing"); n != 0 {
				t.Errorf("%d identifiers are left", n)
			}
		})
	}
}

// TestManyPeopleInOneMutation erases seven people for what one costs.
func TestManyPeopleInOneMutation(t *testing.T) {
	d := visits(t, 1000)
	var people []sdk.Person
	for i := range 7 {
		people = append(people, person(sdk.UserID, fmt.Sprint("usr_", i)))
	}
	people = append(people, person(sdk.UserID, "nobody"))
	c := d.connector(t, visitsMap)
	first := c.EraseBatch(t.Context(), people)
	if first == nil || first[7] != nil {
		t.Errorf("of somebody unknown: %v", first)
	}
	until(t, func() error {
		for _, err := range c.EraseBatch(t.Context(), people) {
			if err != nil {
				return err
			}
		}
		return nil
	})
	if n := d.sent(t); n != 2 {
		t.Errorf("%d mutations for seven people and two tables, want 2", n)
	}
	if n := d.number(t, "SELECT count() AS n FROM DB.visits"); n != 300 {
		t.Errorf("%d visits are left, want 300", n)
	}
}

// TestTheServerKeepsNoIdentifier reads what the server has written down of the
// work: its mutations and its log of queries.
func TestTheServerKeepsNoIdentifier(t *testing.T) {
	d := visits(t, 100)
	const secret = `ida\'s	"secret" {id}`
	d.run(t, `INSERT INTO DB.visits VALUES (1, unhex('`+fmt.Sprintf("%x", secret)+`'), 1)`)
	ida := person(sdk.UserID, secret)
	c := d.connector(t, visitsMap)
	var out collector
	if err := c.Export(t.Context(), ida, &out); err != nil || len(out) != 1 {
		t.Fatalf("%d records, %v", len(out), err)
	}
	until(t, func() error { return c.Erase(t.Context(), ida) })
	if found, err := c.Locate(t.Context(), ida); err != nil || found != nil {
		t.Fatalf("located %v, %v", found, err)
	}
	logged := fmt.Sprintf("SELECT count() AS n FROM system.query_log WHERE position(query, '%s.erasing DROP') > 0 AND position(query, 'query_log') = 0", d.name)
	for end := time.Now().Add(20 * time.Second); d.number(t, logged) == 0; {
		if time.Now().After(end) {
			t.Fatal("the server's log does not show the end of the run")
		}
		<-time.After(50 * time.Millisecond)
	}
	for _, where := range []string{
		"FROM system.query_log WHERE position(query, 'system.query_log') = 0 AND position(query, 'secret') > 0",
		"FROM system.mutations WHERE position(command, 'secret') > 0",
	} {
		if n := d.number(t, "SELECT count() AS n "+where); n != 0 {
			t.Errorf("%d rows %s", n, where)
		}
	}
}

// TestAbandonedRunsEnd leaves a run of long ago, and one that has just begun.
func TestAbandonedRunsEnd(t *testing.T) {
	d := visits(t, 10)
	c := d.connector(t, visitsMap)
	if err := c.makeKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.run(t, "INSERT INTO DB.erasing VALUES ('old', 'user_id', 'somebody', now() - 7200), ('new', 'user_id', 'else', now())")
	until(t, func() error { return c.Erase(t.Context(), person(sdk.UserID, "usr_1")) })
	if diff := cmp.Diff([]string{"map[run:new]"}, d.lines(t, "SELECT DISTINCT run FROM DB.erasing")); diff != "" {
		t.Errorf("runs that are left (-want +got):\n%s", diff)
	}
}

// TestSinceLeavesOldRowsOut asks for people with different windows at once.
func TestSinceLeavesOldRowsOut(t *testing.T) {
	d := visits(t, 100)
	c := d.connector(t, visitsMap)
	found, err := c.LocateBatch(t.Context(), []sdk.Person{
		person(sdk.UserID, "usr_1"), person(sdk.UserID, "usr_1").WithSince(time.Unix(1700000000+50, 0)), person(sdk.UserID, "usr_2"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprint(f[0].Count, " ", f[1].Count))
	}
	if diff := cmp.Diff([]string{"10 10", "5 10", "10 10"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhatDoesNotFit are maps that the live tables contradict.
func TestWhatDoesNotFit(t *testing.T) {
	d := visits(t, 10)
	d.run(t, "CREATE TABLE DB.log (user String) ENGINE = Log")
	for name, test := range map[string]struct{ text, want string }{
		"no table":   {`{name: a, table: DB.gone, identifiers: {user_id: user}, categories: {"*": {letter: F}}}`, ":3: stores[0].table: there is no table"},
		"no merge":   {`{name: a, table: DB.log, identifiers: {user_id: user}, categories: {"*": {letter: F}}}`, "is a Log, whose rows can't be rewritten"},
		"no column":  {`{name: a, table: DB.visits, identifiers: {user_id: uid}, categories: {"*": {letter: F}}}`, "stores[0].identifiers: user_id: table"},
		"no id type": {`{name: a, table: DB.visits, identifiers: {user_id: at}, categories: {"*": {letter: F}}}`, "column at is a DateTime: want String, an integer or UUID"},
		"no time":    {`{name: a, table: DB.visits, identifiers: {user_id: user}, categories: {"*": {letter: F}}, time: n}`, `stores[0].time: column n is "UInt64": want a Date or DateTime`},
		"no letter":  {`{name: a, table: DB.visits, identifiers: {user_id: user}, type: n, categories: {"0": {letter: F}}}`, "a row's n is of a type without a category"},
	} {
		t.Run(name, func(t *testing.T) {
			c := d.connector(t, "stores:\n\n  - "+test.text+"\n")
			_, err := c.Locate(t.Context(), person(sdk.UserID, "usr_1"))
			if err == nil || !strings.Contains(err.Error(), test.want) || !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Configuration {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// collector keeps an export.
type collector []sdk.Record

func (c *collector) Write(_ context.Context, r sdk.Record) error {
	*c = append(*c, r)
	return nil
}

func TestExportShowsColumnsInOrder(t *testing.T) {
	d := newDatabase(t)
	d.run(t, "CREATE TABLE DB.visits (at DateTime, user String, big UInt64, f Float64, tags Array(String), none Nullable(Int8), licence String) ENGINE = MergeTree ORDER BY user")
	d.run(t, "INSERT INTO DB.visits VALUES ('2026-01-02 03:04:05', 'ada', 18446744073709551615, 1.5, ['x'], NULL, 'D1234')")
	c := d.connector(t, `stores: [{name: visits, table: DB.visits, identifiers: {user_id: user}, categories: {"*": {letter: F}}, withhold: [{column: licence, as: driver's licence number}]}]`)
	var out collector
	if err := c.Export(t.Context(), person(sdk.UserID, "ada"), &out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range out[0].Fields {
		if raw, ok := f.Value.(json.RawMessage); ok {
			f.Value = "raw " + string(raw)
		}
		got = append(got, fmt.Sprintf("%s %v", f.Name, f.Value))
	}
	want := []string{"at 2026-01-02 03:04:05", "user ada", "big raw 18446744073709551615", "f raw 1.5", `tags raw ["x"]`, "none <nil>", "licence driver's licence number"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestAnswersThatAreErrors plays what a server says when it fails, with
// somebody's address in it.
func TestAnswersThatAreErrors(t *testing.T) {
	const leak = "ada@example.com"
	for name, test := range map[string]struct {
		status    int
		body      string
		code      sdk.FailureCode
		permanent bool
	}{
		"before the answer":      {500, "Code: 241, e.displayText() = DB::Exception: limit, while reading " + leak, sdk.Unavailable, false},
		"a password":             {403, "Code: 516. DB::Exception: " + leak, sdk.Denied, true},
		"a column":               {404, "Code: 47. DB::Exception: Unknown identifier " + leak, sdk.Configuration, true},
		"after some rows":        {200, `{"habeas_keys":["x"],"habeas_type":"","habeas_count":1}` + "\nCode: 241, e.displayText() = " + leak, sdk.Unavailable, false},
		"as a row":               {200, `{"exception":"Code: 241. ` + leak + `"}`, sdk.Unavailable, false},
		"cut off":                {200, `{"habeas_keys":["x"],"habeas_type":"","habeas_count":`, sdk.Unavailable, false},
		"a gateway's":            {502, "<html>" + leak, sdk.Unavailable, false},
		"something else's":       {401, "who are you, " + leak, sdk.Denied, true},
		"too many simultaneous":  {503, "Code: 202. DB::Exception", sdk.Unavailable, false},
		"a row that is no group": {200, `[]`, sdk.Unavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			}))
			defer fake.Close()
			m, err := ParseMap("m.yaml", []byte(strings.ReplaceAll(visitsMap, "DB.", "d.")))
			if err != nil {
				t.Fatal(err)
			}
			c, err := New(m, Settings{Address: fake.URL}, "")
			if err != nil {
				t.Fatal(err)
			}
			_, err = query[group](t.Context(), c.servers[0], "SELECT", nil, sought{{0, leak}})
			if err == nil || strings.Contains(err.Error(), leak) {
				t.Fatalf("got %v", err)
			}
			if sdk.CodeOf(err) != test.code || sdk.IsPermanent(err) != test.permanent {
				t.Errorf("%v: code %s, permanent %v", err, sdk.CodeOf(err), sdk.IsPermanent(err))
			}
		})
	}
}

// TestReplicas sums up what several servers say of one run.
func TestReplicas(t *testing.T) {
	r := &run{id: "abc"}
	s := &store{spec: &StoreMap{Name: "visits", Table: "d.visits"}, replicated: true}
	row := func(done int, reason string) mutationRow {
		return mutationRow{Table: "d.visits", Command: "DELETE WHERE run = 'abc'", Done: done, Left: int64(3 * (1 - done)), Reason: reason}
	}
	other := mutationRow{Table: "d.visits", Command: "DELETE WHERE run = 'xyz'"}
	for name, test := range map[string]struct {
		all  states
		want state
		sent bool
	}{
		"nobody knows of it":   {states{{other}, {}}, state{done: true}, false},
		"one is behind":        {states{{row(1, "")}, {other}}, state{}, true},
		"one is at it":         {states{{row(1, "")}, {row(0, "")}}, state{left: 3}, true},
		"all are through":      {states{{row(1, ""), other}, {row(1, "")}}, state{done: true}, true},
		"one fails":            {states{{row(1, "")}, {row(0, "Code: 243. DB::Exception: no room for ada@example.com")}}, state{left: 3, reason: "243"}, true},
		"one failed, healed":   {states{{row(1, "")}, {row(1, "Code: 243. DB::Exception")}}, state{done: true}, true},
		"twice, one is at it":  {states{{row(1, ""), row(0, "")}, {row(1, "")}}, state{left: 3}, true},
		"fails without a code": {states{{row(0, "no words")}, {row(1, "")}}, state{left: 3, reason: "unknown"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, sent := test.all.of(r, s, 2)
			if sent != test.sent || sent && got != test.want {
				t.Errorf("got %+v, %v, want %+v, %v", got, sent, test.want, test.sent)
			}
		})
	}
}

func TestFaultsNameFileLineAndField(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown key": {"stores:\n  - name: a\n    tabel: x\n", `m.yaml:3: unknown field "tabel"`},
		"no stores":   {"normalise: {}\n", "m.yaml:1: stores: name at least one store"},
		"no database": {"stores:\n  - name: a\n    table: x\n    identifiers: {user_id: u}\n    categories: {\"*\": {letter: A}}\n", `m.yaml:3: stores[0].table: "x": want database.table`},
		"a quote":     {"stores:\n  - name: a\n    table: d.x\n    identifiers: {user_id: \"u'--\"}\n    categories: {\"*\": {letter: A}}\n", `m.yaml:4: stores[0].identifiers: user_id: "u'--" is no name of a column`},
		"two stores":  {"stores:\n  - {name: a, table: d.x, identifiers: {user_id: u}, categories: {\"*\": {letter: A}}}\n  - {name: b, table: d.x, identifiers: {user_id: u}, categories: {\"*\": {letter: A}}}\n", "m.yaml:3: stores[1].table: d.x is in two stores"},
		"no letter":   {"stores:\n  - name: a\n    table: d.x\n    identifiers: {user_id: u}\n    categories: {\"*\": {letter: Q}}\n", `m.yaml:5: stores[0].categories: *: letter "Q": want A to L`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseMap("m.yaml", []byte(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestColumnsThatHoldIdentifiers(t *testing.T) {
	for typ, values := range map[string]map[string]bool{
		"String":                           {"x": true, "18446744073709551616": true},
		"LowCardinality(Nullable(String))": {"x": true},
		"UInt64":                           {"18446744073709551615": true, "18446744073709551616": false, "007": false, "-1": false, "x": false},
		"Int8":                             {"-1": true, "0": true, "9223372036854775808": false},
		"UUID":                             {"6F9619FF-8B86-D011-B42D-00C04FC964FF": true, "6F9619FF": false},
	} {
		c, ok := columnOf("u", typ, sdk.UserID, false)
		if !ok {
			t.Errorf("%s is refused", typ)
			continue
		}
		for v, want := range values {
			if c.fits(v) != want {
				t.Errorf("%s can hold a value: %v, want %v", typ, !want, want)
			}
		}
	}
	for _, typ := range []string{"Float64", "Array(String)", "FixedString(3)", "Nullable(Date)"} {
		if _, ok := columnOf("u", typ, sdk.UserID, false); ok {
			t.Errorf("%s is accepted", typ)
		}
	}
}
