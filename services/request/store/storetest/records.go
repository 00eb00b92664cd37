package storetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// RecordStore is a store that keeps what has to be shown, too.
type RecordStore interface {
	store.Store
	store.Records
}

// RunRecords tests the part of a store that the log, the numbers, the training
// and the history of changes use. open returns an empty store that is closed
// when its t ends.
func RunRecords(t *testing.T, open func(t testing.TB) RecordStore) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, RecordStore)
	}{
		{"RE-4 numbers of a year", testTally},
		{"RE-1 log of requests", testLog},
		{"RE-1 log pages", testLogPages},
		{"RE-1 a field is missing", testLogFields},
		{"RE-1 forget", testForget},
		{"RE-2 who looked", testAccess},
		{"RE-5 training", testTraining},
		{"RE-8 versions", testVersions},
		{"RE-8 versions at once", testVersionsAtOnce},
		{"OO-8 records of no request", testRecordsOfNoRequest},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// history is a request with a history: what was asked, when it came in the
// regime's zone, how it ended and when.
type history struct {
	right    request.Right
	received string // local date
	closed   string // RFC 3339; "" for open
	result   request.Result
	code     string
	origin   request.Origin
	parent   request.ID
	tenant   string
	channel  request.Channel // web when empty
}

func (p history) store(t testing.TB, s store.Store) request.ID {
	t.Helper()
	day, err := request.ParseDate(p.received)
	ok(t, err)
	id := request.NewID()
	r := request.Request{ID: id, Tenant: p.tenant, Regime: "us-ca-ccpa", Channel: request.ChannelWeb, Terms: terms(p.right)}
	if p.channel != "" {
		r.Channel = p.channel
	}
	r.Terms.Received = day.Start(time.UTC).Add(20 * time.Hour)
	r.Terms.Due.Received = day
	r.Case = request.Case{Origin: p.origin, Parent: p.parent}
	state, created := request.Running, r.Terms.Received
	var closed time.Time
	if p.closed != "" {
		closed, err = time.Parse(time.RFC3339, p.closed)
		ok(t, err)
		state = request.Closed
		r.Ending = &request.Ending{Result: p.result, Code: p.code}
		if p.code != "" {
			r.Ending.Reason = "told to the person"
		}
	}
	var v request.Verification
	if p.right.Verifiable() {
		v = verified
	}
	restored, err := request.Restore(r, p.right, state, v)
	ok(t, err)
	n := store.New{Request: store.Request{
		Request: restored, RespondBy: start, Commitment: digest(), Kinds: []store.Kind{{Name: "email"}},
		CreatedAt: created, UpdatedAt: created, ClosedAt: closed, Version: 1,
	}}
	add(t, s, n)
	return id
}

func year(y int) store.LogQuery {
	return store.LogQuery{From: request.Date{Year: y, Month: 1, Day: 1}, To: request.Date{Year: y, Month: 12, Day: 31}}
}

// The numbers of one year, with its edges, its fallbacks and what is no
// request of a consumer.
func testTally(t *testing.T, s RecordStore) {
	const done, partial, denied, kept = request.ResultComplete, request.ResultPartial, request.ResultDenied, request.ResultCompleteWithExceptions
	for _, p := range []history{
		{right: request.Delete, received: "2025-12-31", closed: "2026-01-05T20:00:00Z", result: done}, // the year before
		{right: request.Delete, received: "2026-01-01", closed: "2026-01-11T20:00:00Z", result: done},
		{right: request.OptOutSaleShare, received: "2026-01-01", closed: "2026-01-01T21:00:00Z", result: done, channel: request.ChannelProbe}, // nobody's
		{right: request.Delete, received: "2026-01-01", closed: "2026-01-11T20:00:01Z", result: done},
		{right: request.Delete, received: "2026-03-01", closed: "2026-03-11T20:00:00Z", result: kept, code: "D8"},
		{right: request.Delete, received: "2026-03-01", closed: "2026-03-02T07:30:00Z", result: done}, // still 1 March there
		{right: request.Delete, received: "2026-12-31", closed: "2027-02-14T20:00:00Z", result: denied, code: "unverified"},
		{right: request.Delete, received: "2026-06-01", closed: "2026-06-03T20:00:00Z", result: denied, code: "exempt"},
		{right: request.Delete, received: "2026-06-01", closed: "2026-06-03T20:00:00Z", result: request.ResultCancelled, code: "withdrawn"},
		{right: request.Delete, received: "2026-06-01"}, // open
		{right: request.Delete, received: "2026-06-01", closed: "2026-06-02T20:00:00Z", result: done, origin: request.FromRetention},
		{right: request.Delete, received: "2027-01-01"}, // the year after
		{right: request.KnowSpecific, received: "2026-05-01", closed: "2026-05-21T20:00:00Z", result: partial, code: "partial"},
		{right: request.OptOutSaleShare, received: "2026-05-01", closed: "2026-05-01T21:00:00Z", result: done},
		{right: request.OptOutSaleShare, received: "2026-05-01", closed: "2026-05-01T21:00:00Z", result: done, origin: request.FromOffer},
		{right: request.LimitSPI, received: "2026-05-01", closed: "2026-05-04T21:00:00Z", result: done, tenant: "other"},
	} {
		p.store(t, s)
	}
	// Specific pieces that could not be verified, answered as categories.
	parent := history{right: request.KnowSpecific, received: "2026-07-01", closed: "2026-07-10T20:00:00Z", result: denied, code: "unverified"}.store(t, s)
	history{right: request.KnowCategories, received: "2026-07-01", closed: "2026-07-15T20:00:00Z", result: done, origin: request.FromFallback, parent: parent}.store(t, s)
	// And one whose fallback failed too.
	parent = history{right: request.KnowSpecific, received: "2026-07-01", closed: "2026-07-10T20:00:00Z", result: denied, code: "unverified"}.store(t, s)
	history{right: request.KnowCategories, received: "2026-07-01", closed: "2026-07-10T20:00:00Z", result: denied, code: "unverified", origin: request.FromFallback, parent: parent}.store(t, s)

	got, err := s.Tally(t.Context(), year(2026))
	ok(t, err)
	want := []store.Tally{
		tally(request.Delete, "", "", -1, 1),
		tally(request.Delete, request.ResultCancelled, "withdrawn", 2, 1),
		tally(request.Delete, done, "", 0, 1),
		tally(request.Delete, done, "", 10, 2),
		tally(request.Delete, kept, "D8", 10, 1),
		tally(request.Delete, denied, "exempt", 2, 1),
		tally(request.Delete, denied, "unverified", 45, 1),
		tally(request.KnowSpecific, denied, "unverified", 9, 1),
		tally(request.KnowSpecific, partial, "partial", 20, 1),
		tally(request.KnowSpecific, partial, "unverified", 14, 1),
		tally(request.LimitSPI, done, "", 3, 1),
		tally(request.OptOutSaleShare, done, "", 0, 2),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	q := year(2026)
	q.Tenant = "other"
	if got, err = s.Tally(t.Context(), q); err != nil || len(got) != 1 {
		t.Errorf("of one tenant: %v, %v", got, err)
	}
	q.Regime = "us-va"
	if got, err = s.Tally(t.Context(), q); err != nil || len(got) != 0 {
		t.Errorf("of another law: %v, %v", got, err)
	}
}

func tally(right request.Right, result request.Result, code string, days int, n int64) store.Tally {
	return store.Tally{Right: right, Result: result, Code: code, Days: days, N: n}
}

func testLog(t *testing.T, s RecordStore) {
	denied := history{right: request.Delete, received: "2026-12-31", closed: "2027-02-15T07:59:59Z", result: request.ResultDenied, code: "unverified"}.store(t, s)
	open := history{right: request.KnowSpecific, received: "2026-12-31"}.store(t, s)
	history{right: request.KnowSpecific, received: "2027-01-01"}.store(t, s)
	got, err := s.Log(t.Context(), year(2026), store.Cursor{}, 0)
	ok(t, err)
	day := request.Date{Year: 2026, Month: 12, Day: 31}
	at := day.Start(time.UTC).Add(20 * time.Hour)
	want := []store.LogEntry{
		{
			ID: denied, Regime: "us-ca-ccpa", Received: day, Nature: request.Delete, Manner: request.ChannelWeb,
			Responded: request.Date{Year: 2027, Month: 2, Day: 14}, // it is still the 14th there
			Response:  request.ResultDenied, Basis: "unverified", BasisWords: "told to the person", CreatedAt: at,
		},
		{ID: open, Regime: "us-ca-ccpa", Received: day, Nature: request.KnowSpecific, Manner: request.ChannelWeb, CreatedAt: at},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func testLogPages(t *testing.T, s RecordStore) {
	var want []request.ID
	for range 7 {
		want = append(want, history{right: request.Delete, received: "2026-06-01"}.store(t, s))
	}
	var got []request.ID
	var after store.Cursor
	for {
		page, err := s.Log(t.Context(), year(2026), after, 3)
		ok(t, err)
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			got = append(got, e.ID)
		}
		last := page[len(page)-1]
		after = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

// A request without the manner in which it was made is not stored.
func testLogFields(t *testing.T, s RecordStore) {
	n := sample(request.Running, 0)
	n.Request.Channel = ""
	if _, err := s.Create(t.Context(), []store.New{n}); err == nil {
		t.Error("a request without its manner was stored")
	}
	if got := count(t, s); got != 0 {
		t.Errorf("%d are stored", got)
	}
}

func testForget(t *testing.T, s RecordStore) {
	old := history{right: request.Delete, received: "2024-01-01", closed: "2024-02-01T20:00:00Z", result: request.ResultComplete}.store(t, s)
	change(t, s, old, withJobs(job(old, "crm", request.JobDone)))
	waits := history{right: request.Delete, received: "2024-01-01", closed: "2024-02-01T20:00:00Z", result: request.ResultCompleteWithExceptions, code: "D8"}.store(t, s)
	change(t, s, waits, func(snap *store.Snapshot) {
		snap.Changed = true
		snap.Request.Case.Children = []request.Child{{ID: request.NewID(), Right: request.Delete, Origin: request.FromRetention, At: start.AddDate(7, 0, 0)}}
	})
	open := history{right: request.Delete, received: "2024-01-01"}.store(t, s)
	recent := history{right: request.Delete, received: "2026-01-01", closed: "2026-02-01T20:00:00Z", result: request.ResultComplete}.store(t, s)
	before := time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)
	n, err := s.Forget(t.Context(), before, 100)
	ok(t, err)
	if n != 1 {
		t.Errorf("%d were deleted, want 1", n)
	}
	if _, _, err := s.Get(t.Context(), old); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the old one: %v", err)
	}
	for _, id := range []request.ID{waits, open, recent} {
		if _, _, err := s.Get(t.Context(), id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if n, err = s.Forget(t.Context(), before, 100); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
}

func testAccess(t *testing.T, s RecordStore) {
	want := []store.Access{
		{At: start, Who: "ana", Role: "auditor", Purpose: "compliance", Allowed: true},
		{At: start.Add(time.Second), Who: "max", Role: "marketing", Purpose: "campaign"},
	}
	for _, a := range want {
		ok(t, s.PutAccess(t.Context(), a))
	}
	got, err := s.Accesses(t.Context(), start, 10)
	ok(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("accesses (-want +got):\n%s", diff)
	}
	if got, err = s.Accesses(t.Context(), start.Add(time.Second), 10); err != nil || len(got) != 1 {
		t.Errorf("since then: %v, %v", got, err)
	}
}

func testTraining(t *testing.T, s RecordStore) {
	if _, err := s.LastTraining(t.Context(), "ana"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("nobody trained her: %v", err)
	}
	old := store.Training{Who: "ana", Course: "ccpa", On: request.Date{Year: 2025, Month: 3, Day: 1}}
	last := store.Training{Who: "ana", Course: "ccpa", On: request.Date{Year: 2026, Month: 3, Day: 1}}
	for _, tr := range []store.Training{last, old, last, {Who: "max", Course: "ccpa", On: request.Date{Year: 2026, Month: 4, Day: 1}}} {
		ok(t, s.PutTraining(t.Context(), tr))
	}
	got, err := s.LastTraining(t.Context(), "ana")
	ok(t, err)
	if got != last {
		t.Errorf("last training %+v, want %+v", got, last)
	}
}

func version(name, text string, at time.Time) store.Version {
	sum := sha256.Sum256([]byte(text))
	return store.Version{Kind: "form", Name: name, Version: "1", Digest: sum[:], Content: []byte(text), At: at, By: "release"}
}

func testVersions(t *testing.T, s RecordStore) {
	one, two := version("delete", "old", start), version("delete", "new", start.Add(time.Hour))
	back, other := version("delete", "old", start.Add(2*time.Hour)), version("know", "old", start.Add(time.Minute))
	record := func() store.Record {
		return store.Record{Digest: digest(), Type: "version", Issuer: "intake", Envelope: []byte("{}"), CreatedAt: start}
	}
	for _, c := range []struct {
		v     store.Version
		fresh bool
	}{{one, true}, {version("delete", "old", start.Add(time.Second)), false}, {two, true}, {back, true}, {other, true}} {
		fresh, err := s.PutVersion(t.Context(), c.v, []store.Record{record()})
		ok(t, err)
		if fresh != c.fresh {
			t.Errorf("%s %q at %s: fresh %v", c.v.Name, c.v.Content, c.v.At, fresh)
		}
	}
	for at, want := range map[time.Duration][]store.Version{
		-time.Second: nil, 0: {one}, 30 * time.Minute: {one, other}, time.Hour: {two, other}, 3 * time.Hour: {back, other},
	} {
		got, err := s.VersionsAt(t.Context(), start.Add(at))
		ok(t, err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", at, diff)
		}
	}
	if n := len(unlogged(t, s)); n != 4 {
		t.Errorf("%d records, want one for each fresh version", n)
	}
}

// Records of no request wait for the log like those of requests: all or none.
func testRecordsOfNoRequest(t *testing.T, s RecordStore) {
	one := store.Record{Digest: digest(), Type: "effect", Issuer: "intake", Envelope: []byte("{}"), CreatedAt: start}
	two := store.Record{Digest: digest(), Type: "effect", Issuer: "intake", Envelope: []byte("{}"), CreatedAt: start}
	ok(t, s.PutRecords(t.Context(), []store.Record{one}))
	if err := s.PutRecords(t.Context(), []store.Record{two, one}); err == nil {
		t.Error("a record that is there already is taken for a new one")
	}
	if n := len(unlogged(t, s)); n != 1 {
		t.Errorf("%d records wait for the log, want the first alone", n)
	}
	ok(t, s.PutRecords(t.Context(), nil))
}

// Rooms that start together say a change once.
func testVersionsAtOnce(t *testing.T, s RecordStore) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for i := range 8 {
		wait.Go(func() {
			fresh, err := s.PutVersion(t.Context(), version("delete", "same", start.Add(time.Duration(i)*time.Second)), nil)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(fmt.Errorf("at once: %w", err))
			}
			if fresh {
				n++
			}
		})
	}
	wait.Wait()
	if n != 1 {
		t.Errorf("%d say that it is new", n)
	}
}
