package storetest

import (
	"database/sql"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/schema"
	"github.com/pressly/goose/v3"
)

// Schema is one database in the hands of [RunMigrations].
type Schema struct {
	// Versions are the schema's versions, oldest first; they need not follow
	// each other without gaps. To brings the database to any of them, up or
	// down; 0 is nothing.
	Versions []int64
	To       func(t testing.TB, version int64)
	// Migrate is what an operator runs: to the newest version, or one down.
	Migrate func(t testing.TB, down bool)
	// Exec runs a script, Tables counts the tables that migrations made, and
	// Open opens the store.
	Exec   func(t testing.TB, script string)
	Tables func(t testing.TB) int
	Open   func(t testing.TB) store.Store
}

// Steps are the migrations of a store and their versions.
func Steps(t testing.TB, dialect goose.Dialect, db *sql.DB, files fs.FS) (*goose.Provider, []int64) {
	t.Helper()
	steps, err := schema.Steps(dialect, db, files)
	if err != nil {
		t.Fatal(err)
	}
	var versions []int64
	for _, source := range steps.ListSources() {
		versions = append(versions, source.Version)
	}
	return steps, versions
}

// RunMigrations tests that a schema goes up, down to nothing and up again, and
// that what programs of every version wrote can still be read. written holds
// NNNN.sql for every version that is not one of ownTables: the rows of [Written] as version NNNN wrote them.
// fresh returns an empty database.
func RunMigrations(t *testing.T, written fs.FS, fresh func(t testing.TB) Schema) {
	t.Helper()
	t.Run("up, down and up", func(t *testing.T) { testUpDownUp(t, fresh(t)) })
	t.Run("every step both ways", func(t *testing.T) {
		db := fresh(t)
		before := int64(0)
		for _, v := range db.Versions {
			db.To(t, v)
			db.To(t, before)
			db.To(t, v)
			before = v
		}
		works(t, db)
	})
	for _, v := range fresh(t).Versions {
		if ownTables[v] {
			continue
		}
		t.Run(fmt.Sprintf("read what version %d wrote", v), func(t *testing.T) {
			script, err := fs.ReadFile(written, fmt.Sprintf("%04d.sql", v))
			if err != nil {
				t.Fatalf("%v; store what Written(%d) returns in a database of that version and dump its rows", err, v)
			}
			db := fresh(t)
			db.To(t, v)
			db.Exec(t, string(script))
			db.Migrate(t, false)
			s := db.Open(t)
			CheckWritten(t, s, v)
			news, _ := Written(v)
			for _, n := range news { // and it can still be worked on
				change(t, s, n.Request.ID, everything)
			}
		})
	}
}

// ownTables are the versions that only added tables or indexes, which [Written] does not
// fill: what they wrote of it is what the version before wrote.
var ownTables = map[int64]bool{
	10: true, // the log, the training, the history of changes
	30: true, // the doors of intake
	40: true, // an index
	41: true, // the suppression list
	45: true, // indexes
	55: true, // the lists of the deletion platform
	65: true, // the disclosure ledger
	66: true, // the recipients to be told
	67: true, // what was kept of erased people
	71: true, // notes on recipients, indexes
	80: true, // the assignee, saved filters, counts, indexes
	85: true, // pauses of connectors, indexes
	90: true, // tokens of the API
}

func testUpDownUp(t *testing.T, db Schema) {
	db.Migrate(t, false)
	db.Migrate(t, false) // nothing to do
	works(t, db)
	for range db.Versions {
		db.Migrate(t, true)
	}
	if n := db.Tables(t); n != 0 {
		t.Errorf("%d tables are left at version 0", n)
	}
	db.Migrate(t, false)
	works(t, db)
}

// works tries a store on a schema that must be the newest and empty.
func works(t testing.TB, db Schema) {
	t.Helper()
	s := db.Open(t)
	n := sample(request.Running, 0)
	add(t, s, n)
	change(t, s, n.Request.ID, everything)
	if got := count(t, s); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

const (
	runningID  = request.ID("01985c5e-8c00-7000-8000-000000000001")
	answeredID = request.ID("01985c5e-8c00-7000-8000-000000000002")
	optOutID   = request.ID("01985c5e-8c00-7000-8000-000000000003")
)

// fixed is 32 bytes that are always the same.
func fixed(b byte) []byte {
	out := make([]byte, 32)
	for i := range out {
		out[i] = b
	}
	return out
}

// Written is what a program of the given version is made to have stored: every
// field that the version had. Fields that came later are zero.
func Written(version int64) ([]store.New, map[request.ID][]store.Job) {
	if version < 1 {
		return nil, nil
	}
	base := func(id request.ID, right request.Right, state request.State) store.New {
		n := sampleOf(right, state, 0)
		n.Request.Request = restore(id, right, state)
		n.Request.Commitment = fixed(1)
		n.Records = []store.Record{{
			Digest: fixed(id[len(id)-1]), RequestID: id, Type: "intake", Issuer: "intake", Envelope: []byte(`{"payload":"e30="}`), CreatedAt: start,
		}}
		return n
	}
	running := keyed(base(runningID, request.Delete, request.Running), "key-1", "fingerprint")
	running.Request.Extension = &request.Extension{On: request.Date{Year: 2026, Month: time.March, Day: 9}, Reason: "two systems are slow"}
	running.Request.Kinds = []store.Kind{{Name: "email"}, {Name: "user_id", Round: 1, By: "crm"}}
	running.Request.Round, running.Request.Attention, running.Request.Version = 1, "failed", 4
	running.Request.Plan, running.Request.PlanDigest = []byte(`{"count": 1, "omissions": [{"connector": "adtech"}]}`), fixed(2)
	running.Request.RecordDigests = fixed(3)

	answered := base(answeredID, request.KnowSpecific, request.Closed)
	answered.Request.Ending = &request.Ending{Result: request.ResultPartial, Code: "partial", Reason: "one system was down"}
	answered.Request.WrappedKey, answered.Request.Sealed = nil, nil
	answered.Request.Package = store.Package{Key: "packages/1", Identity: []byte{1, 2}, SHA256: fixed(4), Size: 1 << 40}
	answered.Request.ClosureDigest, answered.Request.ClosedAt = fixed(5), start.Add(time.Hour)
	answered.Records = nil

	done, failed := job(runningID, "crm", request.JobDone), job(runningID, "billing", request.JobFailed)
	done.ID, failed.ID = "01985c5e-8c00-7000-8000-0000000000a1", "01985c5e-8c00-7000-8000-0000000000a2"
	done.PlanDigest, failed.PlanDigest = fixed(2), fixed(2)
	done.Action, done.Discovered, done.Round = request.ActionResolve, true, 1
	done.Outcome, done.Located = []byte(`{"done": {}, "stores": [{"store": "people", "locatedCount": "3"}]}`), []byte(`{"stores": []}`)
	done.SentAt, done.NextAt = start.Add(time.Second), time.Time{}
	failed.After, failed.Kinds = []request.ID{done.ID}, []string{"email", "user_id"}
	failed.Attempt, failed.Code, failed.Message, failed.CapOverride = 3, "unavailable", "the system does not answer", 10
	failed.LocatedEnvelope = []byte("envelope")
	if version >= 20 {
		running.Request.Case = request.Case{
			Portions: []string{"A"}, Cooled: true,
			Holds:    []request.Hold{{ID: "01985c5e-8c00-7000-8000-0000000000b1", Kind: request.LegalHold, Ref: "case 7", Since: start}},
			Children: []request.Child{{ID: "01985c5e-8c00-7000-8000-0000000000c1", Right: request.Delete, Origin: request.FromRetention, At: start.AddDate(7, 0, 0)}},
		}
		running.Request.Corrections, running.Request.Statements = []byte("corrections"), []byte("statements")
		failed.Failures, failed.Purpose = 2, store.PurposeSurvey
	}
	return []store.New{running, answered, base(optOutID, request.OptOutSaleShare, request.Accepted)},
		map[request.ID][]store.Job{runningID: {done, failed}}
}

// CheckWritten checks that s holds what [Written] says.
func CheckWritten(t testing.TB, s store.Store, version int64) {
	t.Helper()
	news, jobs := Written(version)
	records := 1 // of the key
	for _, n := range news {
		got, gotJobs := get(t, s, n.Request.ID)
		same(t, "request", n.Request, got)
		same(t, "jobs", jobs[n.Request.ID], gotJobs)
		records += len(n.Records)
	}
	if n := len(unlogged(t, s)); n != records {
		t.Errorf("%d records, want %d", n, records)
	}
	created, err := s.Create(t.Context(), []store.New{keyed(sample(request.Accepted, 0), "key-1", "fingerprint")})
	ok(t, err)
	if !created[0].Existing || created[0].ID != runningID {
		t.Errorf("the idempotency key is forgotten: %+v", created[0])
	}
	keys, err := s.Keys(t.Context())
	ok(t, err)
	same(t, "keys", map[string]store.Key{"SHA256:key": {Owner: "crm", DER: fixed(6)}}, keys)
	connectors, err := s.Connectors(t.Context())
	ok(t, err)
	same(t, "connectors", []store.Connector{writtenConnector()}, connectors)
}

func writtenConnector() store.Connector {
	return store.Connector{Name: "crm", Manifest: []byte("manifest"), KeyID: "SHA256:key", Key: fixed(6), SeenAt: start, UpdatedAt: start}
}

// Write stores what [Written] says, for dumping.
func Write(t testing.TB, s store.Store, version int64) {
	t.Helper()
	news, jobs := Written(version)
	add(t, s, news...)
	for id, list := range jobs {
		_, err := s.Advance(t.Context(), byID(id), true, func(snaps []*store.Snapshot) error {
			snaps[0].Jobs = append(snaps[0].Jobs, list...)
			return nil
		})
		ok(t, err)
	}
	ok(t, s.PutConnector(t.Context(), writtenConnector()))
	fresh, err := s.PutKey(t.Context(), "SHA256:key", store.Key{Owner: "crm", DER: fixed(6)}, store.Record{
		Digest: fixed(7), Type: "key", Issuer: "coordinator", Envelope: []byte("{}"), CreatedAt: start,
	})
	if err != nil || !fresh {
		t.Fatalf("storing a key: %v, %v", fresh, err)
	}
}
