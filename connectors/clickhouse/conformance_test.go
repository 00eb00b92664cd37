package clickhouse

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

const eventsMap = `
stores:
  - name: events
    table: DB.events
    identifiers: {user_id: user, email: mail, device_id: device}
    type: type
    categories: {view: {letter: F, data: user.behavior}, "*": {letter: G, data: user.location}}
    time: at
    withhold: [{column: licence, as: driver's licence number}]
  - {name: accounts, table: DB.accounts, identifiers: {customer_id: id, user_id: user, device_id: devices}, categories: {"*": {letter: A, data: user.name}}, time: day}
  - {name: clients, table: DB.clients, identifiers: {user_id: user}, role: business, categories: {"*": {letter: D}}}
`

var eventsSchema = []string{
	"CREATE TABLE DB.events (at DateTime, user String, mail Nullable(String), device UUID, type String, text String, licence String, n Float64, tags Array(String)) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (user, at)",
	"CREATE TABLE DB.accounts (day Date, id UInt64, user Nullable(String), devices String, name String) ENGINE = MergeTree PARTITION BY toYYYYMM(day) ORDER BY id",
	"CREATE TABLE DB.clients (user String, note String, version UInt32) ENGINE = MergeTree ORDER BY user",
}

func TestConformance(t *testing.T) {
	start(t)
	sdktest.Run(t, func(t testing.TB) sdktest.System {
		d := newDatabase(t)
		for _, s := range eventsSchema {
			d.run(t, s)
		}
		return &warehouse{d: d}
	})
}

type warehouse struct{ d *database }

var _ sdktest.Breaker = (*warehouse)(nil)

func (w *warehouse) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	c := w.d.connector(t, eventsMap)
	man := c.Manifest()
	man.Name, man.Version = "warehouse", "test"
	return man, c
}

// Dump shows every table of the database, that of identifiers too: nothing may
// be left there.
func (w *warehouse) Dump(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, table := range []string{"events", "accounts", "clients"} {
		for _, line := range w.d.lines(t, "SELECT * FROM DB."+table) {
			all = append(all, table+" "+line)
		}
	}
	if exists := w.d.lines(t, "SELECT name FROM system.tables WHERE name = 'erasing' AND database = '"+w.d.name+"'"); len(exists) > 0 {
		all = append(all, w.d.lines(t, "SELECT * FROM DB.erasing")...)
	}
	slices.Sort(all)
	return all
}

func (w *warehouse) Break(t testing.TB) {
	t.Helper()
	w.d.line.cut()
}

// Plant writes one part after another, in several partitions.
func (w *warehouse) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	user, mail, id := fmt.Sprintf("usr_%04d", n), fmt.Sprintf("person%d@example.com", n), uint64(1)<<63+uint64(n)
	device := fmt.Sprintf("%08x-1111-4222-8333-%012x", 0xa1b2c300+n, 0x5e5e5e000000+n)
	phrase := func(what string) string { return fmt.Sprintf("%s of number %d only", what, n) }
	now := time.Now().UTC()
	day := func(months int) string { return now.AddDate(0, -months, 0).Format("2006-01-02 15:04:05") }
	none := "00000000-0000-0000-0000-000000000000"
	for i := range 3 {
		w.d.run(t, fmt.Sprintf("INSERT INTO DB.events VALUES ('%s', '%s', NULL, '%s', 'view', '%s', 'DL-%05d-X', 1.5, ['a','b']), ('%s', '', 'Person%d@Example.com', '%s', 'place', '%s', '', 2, [])",
			day(i), user, none, phrase(fmt.Sprint("view", i)), n, day(i), n, none, phrase(fmt.Sprint("place", i))))
	}
	w.d.run(t, fmt.Sprintf("INSERT INTO DB.events VALUES ('%s', '', NULL, '%s', 'view', '%s', '', 0, []), ('%s', 'nobody', NULL, '%s', 'view', 'left alone', '', 0, [])", day(0), device, phrase("device"), day(0), none))
	w.d.run(t, fmt.Sprintf("INSERT INTO DB.accounts VALUES ('%s', %d, NULL, '%s', '%s'), ('%s', 77, '%s', 'x', '%s'), ('%s', 77, NULL, 'x', 'nobody')", day(0)[:10], id, device, phrase("name"), day(0)[:10], user, phrase("second"), day(0)[:10]))
	w.d.run(t, fmt.Sprintf("INSERT INTO DB.clients VALUES ('%s', '%s', 1)", user, phrase("old note")))
	w.d.run(t, fmt.Sprintf("INSERT INTO DB.clients VALUES ('%s', '%s', 2)", user, phrase("new note")))
	traces := []string{user, mail, device, fmt.Sprint(id)}
	for _, what := range []string{"view0", "view2", "place0", "place2", "device", "name", "second", "old note", "new note"} {
		traces = append(traces, phrase(what))
	}
	return sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.UserID, user), sdk.ID(sdk.Email, mail), sdk.ID(sdk.DeviceID, device), sdk.ID(sdk.CustomerID, fmt.Sprint(id))),
		Traces: traces, Stores: map[string]int64{"events": 7, "accounts": 2, "clients": 2},
	}
}
