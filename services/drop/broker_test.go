package drop_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/drop/droptest"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/pgtest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/pgstore"
	"github.com/habeas-data/habeas/services/suppression"
)

// world is a broker with a real database, the platform at its edge, and a
// coordinator that does what it is told.
type world struct {
	*drop.Broker
	platform *droptest.Platform
	db       *sql.DB // for the coordinator and for looking
	people   []drop.Holding
	filed    map[string]string // id of a key
	rights   map[string]request.Right
	early    map[string]bool // filed while the platform waits for answers
	who      map[string][]request.Identifier
	// jobs says how erasures end: a state of a job and its outcome.
	job, outcome, result string
	now                  time.Time
	postgres             bool
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func newVault(t testing.TB) *vault.Vault {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	v, err := vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(key))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newWorld(t testing.TB, db *sql.DB, keys store.Suppressions) *world {
	t.Helper()
	w := &world{
		platform: &droptest.Platform{}, db: db, job: "done", result: "complete",
		filed: map[string]string{}, rights: map[string]request.Right{}, who: map[string][]request.Identifier{}, early: map[string]bool{},
		now: time.Date(2026, 9, 1, 9, 0, 0, 0, time.UTC),
	}
	server := httptest.NewServer(w.platform)
	t.Cleanup(server.Close)
	w.Broker = &drop.Broker{
		Ledger:   &drop.Ledger{DB: db, Keys: &suppression.List{Store: keys, Vault: newVault(t)}},
		Platform: &drop.Platform{URL: server.URL, Key: droptest.Key, Tries: 5, Pause: func(context.Context, time.Duration) bool { return true }},
		Spool:    t.TempDir(), Rows: 3,
		Now:    func() time.Time { w.now = w.now.Add(time.Millisecond); return w.now },
		File:   w.file,
		People: peopleFile(&w.people),
	}
	return w
}

// peopleFile opens a file of people as they are then. Its last line has no end.
func peopleFile(people *[]drop.Holding) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		lines := make([]string, len(*people))
		for i, h := range *people {
			text, err := json.Marshal(h)
			if err != nil {
				return nil, err
			}
			lines[i] = string(text)
		}
		return io.NopCloser(strings.NewReader(strings.Join(lines, "\n"))), nil
	}
}

func lite(t testing.TB) *world {
	s, _ := litetest.Open(t)
	return newWorld(t, s.SQL(), s)
}

func postgres(t testing.TB) *world {
	dsn := pgtest.New(t)
	if err := pgstore.Migrate(t.Context(), dsn, false); err != nil {
		t.Fatal(err)
	}
	s, err := pgstore.Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	db := s.SQL()
	t.Cleanup(func() { _ = db.Close() })
	w := newWorld(t, db, s)
	w.postgres = true
	return w
}

// file is intake: the same key is the same request.
func (w *world) file(ctx context.Context, filings []drop.Filing) ([]string, error) {
	ids := make([]string, len(filings))
	for i, f := range filings {
		if w.filed[f.Key] == "" {
			id := fmt.Sprintf("r%d", len(w.filed)+1)
			var at any = int64(0)
			if w.postgres {
				at = time.Unix(0, 0)
			}
			if _, err := w.db.ExecContext(context.WithoutCancel(ctx), `INSERT INTO request (id, tenant, regime, consumer_right, state, result, reason_code, reason, channel, terms, respond_by, kinds, commitment, idempotency_key, round, attention, created_at, updated_at, version)
				VALUES ($1, '', 'us-ca-ccpa', $2, 'running', '', '', '', 'drop', '{"Due": {"received": "x"}}', $3, '', $4, $5, 0, '', $6, $7, 1)`,
				id, string(f.Right), at, []byte{1}, f.Key, at, at); err != nil {
				return nil, err
			}
			w.filed[f.Key], w.rights[id], w.who[id], w.early[id] = id, f.Right, f.Identifiers, w.platform.Waiting() > 0
		}
		ids[i] = w.filed[f.Key]
	}
	return ids, nil
}

// finish answers every request that runs.
func (w *world) finish(t fataler) {
	t.Helper()
	var at any = int64(0)
	if w.postgres {
		at = time.Unix(0, 0)
	}
	for id, right := range w.rights {
		res, err := w.db.Exec(`UPDATE request SET state = 'closed', result = $2, reason_code = 'x', reason = 'x' WHERE id = $1 AND state = 'running'`, id, w.result)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 || right != request.Delete {
			continue
		}
		outcome := w.outcome
		if outcome == "" {
			outcome = "{}"
		}
		if _, err := w.db.Exec(`INSERT INTO job (id, request_id, connector, connector_version, manifest_digest, key_id, action, round, place, after, kinds, state, attempt, plan_digest, outcome, discovered, code, message, cap_override, updated_at)
			VALUES ($1, $2, 'crm', '', '', '', 'erase', 1, 1, '', '', $3, 1, $4, $5, 0, '', '', 0, $6)`, "j"+id, id, w.job, []byte{1}, outcome, at); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) session(t fataler) drop.Report {
	t.Helper()
	r, err := w.Session(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole runs sessions and the coordinator until nothing is left to do.
func (w *world) whole(t fataler) {
	t.Helper()
	for range 6 {
		if w.session(t).Whole() {
			return
		}
		w.finish(t)
	}
	t.Fatal("the session does not end")
}

func id(n int) string { return fmt.Sprintf("Item%08d", n) }

func mail(n int) string { return fmt.Sprintf("person%d@example.com", n) }

func mailItem(n int, address string) drop.Item {
	return drop.Item{ID: id(n), Hash: drop.HashOf(drop.Email(address)), List: drop.ListEmail}
}

func holder(key string, mails ...string) drop.Holding { return drop.Holding{Key: key, Emails: mails} }

const first = "20260901_4821"

func answers(t *testing.T, w *world, want map[string]drop.Status) {
	t.Helper()
	var lines []string
	for id, s := range want {
		lines = append(lines, fmt.Sprintf("%s %d", id, s))
	}
	slices.Sort(lines)
	if diff := cmp.Diff(strings.Join(lines, "\n"), w.platform.String()); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

// A session from the download to the last answer, on both databases: nobody,
// one person, several, and one who is exempt; and none is told to be deleted
// before that is recorded.
func TestDR_1_SessionAnswersEverything(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *world{"sqlite": lite, "postgres": postgres} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			exempt := holder("c-5", mail(5))
			exempt.Exempt = true
			w.people = []drop.Holding{holder("c-1", mail(1)), holder("c-2", "shared@example.com"), holder("c-3", "shared@example.com"), holder("c-4", mail(4)), exempt}
			w.platform.Give(first, []drop.Item{mailItem(1, mail(1)), mailItem(2, "shared@example.com"), mailItem(3, mail(99)), mailItem(5, mail(5)), mailItem(6, mail(98))}, nil)
			r := w.session(t)
			if r.Open != 3 || r.Batch != first || r.Whole() {
				t.Errorf("before the outcomes: %+v", r)
			}
			answers(t, w, map[string]drop.Status{id(3): drop.NotFound, id(5): drop.Exempted, id(6): drop.NotFound})
			w.finish(t)
			if r := w.session(t); !r.Whole() {
				t.Errorf("after the outcomes: %+v", r)
			}
			answers(t, w, map[string]drop.Status{id(1): drop.Deleted, id(2): drop.OptedOut, id(3): drop.NotFound, id(5): drop.Exempted, id(6): drop.NotFound})
			rights := map[request.Right]int{}
			for _, r := range w.rights {
				rights[r]++
			}
			if diff := cmp.Diff(map[request.Right]int{request.Delete: 1, request.OptOutSaleShare: 2}, rights); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			// A dump of the tables names nobody: neither the platform's hashes nor keys.
			var n int
			if err := w.db.QueryRow(`SELECT count(*) FROM drop_item WHERE length(digest) <> 32 OR id = ''`).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d digests are no digests: %v", n, err)
			}
		})
	}
}

// What matched nobody is found when it arrives later: erased, and told at the
// next session. Who is erased and held again is erased again. A withdrawn item
// is looked for no more.
func TestDR_4_LaterImportIsErasedAndReported(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *world{"sqlite": lite, "postgres": postgres} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			w.people = []drop.Holding{holder("c-1", mail(1))}
			w.platform.Give(first, []drop.Item{mailItem(1, mail(1)), mailItem(2, mail(2)), mailItem(3, mail(3))}, nil)
			w.whole(t)
			answers(t, w, map[string]drop.Status{id(1): drop.Deleted, id(2): drop.NotFound, id(3): drop.NotFound})

			w.people = []drop.Holding{holder("c-1", mail(1)), holder("c-2", mail(2))}
			listed, err := w.Ledger.Listed(t.Context(), []drop.Holding{holder("c-9", mail(9)), holder("c-2", mail(2))})
			if err != nil || !slices.Equal(listed, []bool{false, true}) {
				t.Errorf("before the import: %v, %v", listed, err)
			}
			if r, err := w.Look(t.Context()); err != nil || r.Open != 2 {
				t.Fatalf("a look: %+v, %v", r, err)
			}
			w.finish(t)
			if r, err := w.Look(t.Context()); err != nil || r.Open != 0 || r.Unreported != 1 {
				t.Fatalf("a look after the outcome: %+v, %v", r, err)
			}
			answers(t, w, map[string]drop.Status{id(1): drop.Deleted, id(2): drop.NotFound, id(3): drop.NotFound})
			w.people = nil
			w.platform.Give("20261001_4821", []drop.Item{mailItem(4, mail(4))}, []drop.Item{mailItem(3, mail(3))})
			w.whole(t)
			answers(t, w, map[string]drop.Status{id(1): drop.Deleted, id(2): drop.Deleted, id(3): drop.NotFound, id(4): drop.NotFound})
			if got := w.platform.Given(id(2)); !slices.Equal(got, []drop.Status{drop.NotFound, drop.Deleted}) {
				t.Errorf("the one who came later was answered %v", got)
			}
			if n := len(w.filed); n != 3 {
				t.Errorf("%d requests, want one for c-2 and two for c-1", n)
			}

			w.people = []drop.Holding{holder("c-3", mail(3))}
			if r, err := w.Look(t.Context()); err != nil || r.Open != 0 || !r.Whole() {
				t.Errorf("after the withdrawal: %+v, %v", r, err)
			}
		})
	}
}

// How an erasure ended decides the status, and what was not done is none.
func TestDR_3_StatusFollowsTheOutcome(t *testing.T) {
	for _, c := range []struct {
		result, job, outcome string
		want                 drop.Status // 0: none yet
	}{
		{"complete", "done", "", drop.Deleted},
		{"complete_with_exceptions", "retained", `{"stores": [{"locatedCount": "3", "keptCount": "1"}]}`, drop.Deleted},
		{"complete_with_exceptions", "retained", `{"stores": [{"locatedCount": "3", "keptCount": "3"}]}`, drop.Exempted},
		{"denied", "cancelled", "", drop.Exempted},
		{"partial", "done", "", 0},
		{"cancelled", "cancelled", "", 0},
		{"complete", "no_match", "", 0},
	} {
		t.Run(c.result+" "+c.job, func(t *testing.T) {
			w := lite(t)
			w.result, w.job, w.outcome = c.result, c.job, c.outcome
			w.people = []drop.Holding{holder("c-1", mail(1))}
			w.platform.Give(first, []drop.Item{mailItem(1, mail(1))}, nil)
			w.session(t)
			w.finish(t)
			r := w.session(t)
			if c.want != 0 {
				answers(t, w, map[string]drop.Status{id(1): c.want})
				return
			}
			answers(t, w, nil)
			if r.Undone != 1 || r.Whole() {
				t.Errorf("what was not done: %+v", r)
			}
			// It is asked again, as a new request.
			w.result, w.job = "complete", "done"
			w.whole(t)
			answers(t, w, map[string]drop.Status{id(1): drop.Deleted})
			if len(w.filed) != 2 {
				t.Errorf("%d requests", len(w.filed))
			}
		})
	}
}

// An upload goes wrong in both ways, and one that arrived counts once.
func TestDR_1_UploadsArriveOnce(t *testing.T) {
	for _, fault := range []droptest.Fault{droptest.NotDone, droptest.Lost} {
		w := lite(t)
		w.platform.Give(first, []drop.Item{mailItem(1, mail(1)), mailItem(2, mail(2)), mailItem(3, mail(3)), mailItem(4, mail(4))}, nil)
		left := 2
		w.platform.Fault = func(path string) droptest.Fault {
			if path == "/data/upload" && left > 0 {
				left--
				return fault
			}
			return droptest.None
		}
		for range 2 {
			if _, err := w.Session(t.Context()); !errors.Is(err, drop.ErrUnavailable) {
				t.Fatalf("fault %d: %v", fault, err)
			}
		}
		w.whole(t)
		for n := range 4 {
			if got := w.platform.Given(id(n + 1)); !slices.Equal(got, []drop.Status{drop.NotFound}) {
				t.Errorf("fault %d: item %d was answered %v", fault, n+1, got)
			}
		}
		if s, err := w.Ledger.Standing(t.Context(), standardSet(t), birth(t, "2026-09-02")); err != nil || s.NoticeBy != nil {
			t.Errorf("after a session that worked: %+v, %v", s, err)
		}
	}
}

// A download that was lost on its way is got by hand.
func TestDR_1_LostDownloadIsGotByHand(t *testing.T) {
	w := lite(t)
	items := []drop.Item{mailItem(1, mail(1)), mailItem(2, mail(2))}
	w.platform.Give(first, items, nil)
	faults := []droptest.Fault{droptest.NotReady, droptest.Busy, droptest.Broken, droptest.Lost}
	w.platform.Fault = func(string) droptest.Fault {
		if len(faults) == 0 {
			return droptest.None
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
	if _, err := w.Session(t.Context()); !errors.Is(err, drop.ErrUnavailable) {
		t.Fatal(err)
	}
	if _, err := w.Session(t.Context()); !errors.Is(err, drop.ErrOpenBatch) || !strings.Contains(err.Error(), "--lists") {
		t.Fatal(err)
	}
	s, err := w.Ledger.Standing(t.Context(), standardSet(t), birth(t, "2026-09-10"))
	if err != nil || s.NoticeBy == nil || s.NoticeBy.String() != "2026-10-16" {
		t.Fatalf("a link that fails: %+v, %v", s, err)
	}
	text, err := droptest.Archive(first, items, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "lists.zip")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := w.ByHand(t.Context(), path, dir)
	if err != nil || len(r.Files) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	got, err := os.ReadFile(r.Files[0])
	if want := "Id,Status\n" + id(1) + ",5\n" + id(2) + ",5\n"; err != nil || string(got) != want {
		t.Errorf("by hand: %q, %v", got, err)
	}
	if _, err := w.ByHand(t.Context(), path, dir); err == nil {
		t.Error("the same lists are taken twice")
	}
	if err := w.Uploaded(t.Context(), filepath.Base(r.Files[0])); err != nil {
		t.Fatal(err)
	}
	if err := w.Uploaded(t.Context(), "other.csv"); !errors.Is(err, drop.ErrBatch) {
		t.Error(err)
	}
	if open, err := w.Ledger.OpenBatch(t.Context()); err != nil || open != nil {
		t.Errorf("still open: %+v, %v", open, err)
	}
}

// Wherever a run is broken off, before a statement or after it, and whatever the
// platform does meanwhile, every item ends with one status, and the right one.
func TestDR_3_AnyCrashEndsRight(t *testing.T) {
	if err := flag.Set("rapid.checks", "25"); err != nil { // each is a database and a server
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		s, path := litetest.Open(t)
		w := newWorld(t, s.SQL(), s)
		crash := &crasher{}
		shaky := sql.OpenDB(&shakyConnector{dsn: path, crash: crash})
		defer shaky.Close()
		w.Ledger.DB = shaky
		lost, rough := false, atomic.Bool{}
		w.platform.Fault = func(path string) droptest.Fault {
			if path == "/data/download" { // what is lost there is for a person
				return droptest.None
			}
			if lost = !lost && rough.Load(); lost {
				return droptest.Lost
			}
			return droptest.None
		}
		holders := map[int]int{} // of an address
		var elsewhere []drop.Holding
		for n := range rapid.IntRange(0, 7).Draw(rt, "people") {
			address := rapid.IntRange(1, 6).Draw(rt, "address")
			holders[address]++
			w.people = append(w.people, holder(fmt.Sprintf("c-%d", n), mail(address)))
			if rapid.Bool().Draw(rt, "elsewhere too") { // which makes no second person of them
				elsewhere = append(elsewhere, holder(fmt.Sprintf("c-%d", n), mail(address), mail(100+n)))
			}
		}
		w.People = drop.Together(w.People, peopleFile(&elsewhere))
		want, listed := map[string]drop.Status{}, map[string]string{} // an item that names an address
		var items []drop.Item
		for n := range rapid.IntRange(1, 9).Draw(rt, "items") {
			address := rapid.IntRange(1, 9).Draw(rt, "item")
			items = append(items, mailItem(n, mail(address)))
			listed[mail(address)] = id(n)
			want[id(n)] = drop.Match{People: holders[address]}.StatusOf()
		}
		w.platform.Give(first, items, nil)
		for _, left := range rapid.SliceOfN(rapid.IntRange(0, 45), 0, 5).Draw(rt, "crashes") {
			*crash = crasher{on: true, left: left, after: left%2 == 0}
			rough.Store(true)
			_, _ = w.Session(t.Context()) // it breaks off, or not
			rough.Store(false)
			*crash = crasher{}
			w.finish(rt)
		}
		w.whole(rt)
		for id, status := range want {
			if got := w.platform.Given(id); !slices.Equal(got, []drop.Status{status}) {
				rt.Errorf("%s was answered %v, want %d once", id, got, status)
			}
		}
		if n := w.platform.Waiting(); n != 0 {
			rt.Errorf("%d items wait", n)
		}
		// Whom two sources know is asked for by what both know.
		for _, h := range elsewhere {
			asked := len(listed[h.Emails[0]]) == 0
			for _, ids := range w.who {
				asked = asked || slices.Contains(ids, request.NewIdentifier(request.Email, h.Emails[0])) && slices.Contains(ids, request.NewIdentifier(request.Email, h.Emails[1]))
			}
			if !asked {
				rt.Errorf("%s is on a list and is asked for by what one source knows", h.Key)
			}
		}
		seen := map[string]bool{}
		for id, right := range w.rights {
			who := string(right) + fmt.Sprint(len(w.who[id])) + w.who[id][0].Reveal()
			if right != request.Delete || !w.early[id] {
				continue // a later look erases again who is still in the file
			}
			if seen[who] {
				rt.Errorf("one person is erased by two requests of one session")
			}
			seen[who] = true
		}
	})
}

// A download that waits in the spool while another one is open is not lost: the
// platform gives it once. It is read when the other one is answered.
func TestDR_1_WaitingDownloadIsNotLost(t *testing.T) {
	w := lite(t)
	const second = "20260915_4821"
	lists := func(path, batch string, item drop.Item) string {
		text, err := droptest.Archive(batch, []drop.Item{item}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	later := lists(filepath.Join(w.Spool, second+"_DROP.zip"), second, mailItem(2, mail(2))) // and the process was gone
	if _, err := w.Ledger.Take(t.Context(), lists(filepath.Join(t.TempDir(), "lists.zip"), first, mailItem(1, mail(1))), "hand", w.now); err != nil {
		t.Fatal(err)
	}
	w.platform.Give(first, []drop.Item{mailItem(1, mail(1))}, nil)
	if _, err := w.Platform.Download(t.Context(), t.TempDir()); err != nil { // the platform waits for its answers
		t.Fatal(err)
	}
	w.session(t)
	if _, err := os.Stat(later); err != nil {
		t.Fatalf("the download that waits: %v", err)
	}
	if _, err := w.Session(t.Context()); err != nil && !errors.Is(err, drop.ErrNoneWaits) { // the platform here knows nothing of it
		t.Fatal(err)
	}
	if _, err := os.Stat(later); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the download that was read: %v", err)
	}
	var n int
	if err := w.db.QueryRowContext(t.Context(), `SELECT count(*) FROM drop_item WHERE batch = $1`, second).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d items of it, %v", n, err)
	}
}

// A crash between reading a download and removing it stops no later session, also
// where that download is answered already.
func TestDR_1_LeftoverOfAnAnsweredDownload(t *testing.T) {
	w := lite(t)
	items := []drop.Item{mailItem(1, mail(1))}
	w.platform.Give(first, items, nil)
	w.whole(t)
	text, err := droptest.Archive(first, items, nil)
	if err != nil {
		t.Fatal(err)
	}
	leftover := filepath.Join(w.Spool, first+"_DROP.zip")
	if err := os.WriteFile(leftover, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const second = "20260915_4821"
	w.platform.Give(second, []drop.Item{mailItem(2, mail(2))}, nil)
	w.whole(t)
	if _, err := os.Stat(leftover); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover: %v", err)
	}
	answers(t, w, map[string]drop.Status{id(1): 5, id(2): 5})
}
