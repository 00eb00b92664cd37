package delivery_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// counter is where packages are handed out: a queue over a real store with one request that waits for its
// package.
type counter struct {
	store *litestore.Store
	vault *vault.Vault
	queue *delivery.Queue
	room  *delivery.Room
	id    request.ID
}

func newCounter(t *testing.T, right request.Right, jobs ...store.Job) *counter {
	t.Helper()
	return newCounterWith(t, right, nil, nil, jobs...)
}

// newCounterWith changes the queue's configuration, and the request before it
// is stored with the key it is under.
func newCounterWith(t *testing.T, right request.Right, configure func(*delivery.QueueConfig), change func(*store.New, vault.DataKey), jobs ...store.Job) *counter {
	t.Helper()
	ctx := t.Context()
	s, _ := litetest.Open(t)
	v, err := vault.New(ctx, filepath.Join(t.TempDir(), "master.key"))
	if err != nil {
		t.Fatal(err)
	}
	bus := wiretest.New(t)
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	d := &counter{store: s, vault: v, id: request.NewID()}
	config := delivery.QueueConfig{Store: s, Vault: v, Conn: bus.Conn, Identity: identity}
	if configure != nil {
		configure(&config)
	}
	if d.queue, err = delivery.NewQueue(config); err != nil {
		t.Fatal(err)
	}
	if d.room, err = delivery.New(delivery.Config{Source: delivery.JetStream(bus.JS), Packages: t.TempDir(), SpoolDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	d.put(t, right, change, jobs)
	return d
}

// put stores a request in state packaging with finished jobs.
func (d *counter) put(t *testing.T, right request.Right, change func(*store.New, vault.DataKey), jobs []store.Job) {
	t.Helper()
	ctx, now := t.Context(), time.Now().UTC()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	terms, err := set.Terms("us-ca-ccpa", now, right, request.Range{Kind: request.RangeAll})
	if err != nil {
		t.Fatal(err)
	}
	r, err := request.New(d.id, request.Submission{Regime: "us-ca-ccpa", Right: right, Channel: "api"}, terms)
	if err != nil {
		t.Fatal(err)
	}
	key, wrapped, err := d.vault.NewDataKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	stored := store.Request{Request: r, WrappedKey: wrapped, Commitment: make([]byte, 32), CreatedAt: now, UpdatedAt: now, RespondBy: now}
	n := store.New{Request: stored}
	if change != nil {
		change(&n, key)
	}
	if _, err := d.store.Create(ctx, []store.New{n}); err != nil {
		t.Fatal(err)
	}
	_, err = d.store.Advance(ctx, store.Selector{IDs: []request.ID{d.id}}, true, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		if err := s.Request.Attest(request.Verified{Method: "test", Level: request.ReasonablyHigh, At: now, By: "test"}); err != nil {
			return err
		}
		for _, to := range []request.State{request.AwaitingVerification, request.Accepted, request.Running, request.Packaging} {
			if err := s.Request.Move(to); err != nil {
				return err
			}
		}
		for _, j := range jobs {
			j.ID, j.RequestID, j.PlanDigest, j.UpdatedAt = request.NewID(), d.id, make([]byte, 32), now
			s.Jobs = append(s.Jobs, j)
		}
		s.Changed = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func job(t *testing.T, connector string, action request.Action, state request.JobState, o *habeasv1.Outcome) store.Job {
	t.Helper()
	text, err := protojson.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return store.Job{Connector: connector, Action: action, State: state, Outcome: text}
}

func done(stores ...*habeasv1.StoreCount) *habeasv1.Outcome {
	return &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}, Stores: stores}
}

func part(object string) *habeasv1.Outcome {
	return &habeasv1.Outcome{
		Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}},
		Parts:  []*habeasv1.ExportPart{{Object: object, Store: "contacts", RecordCount: 1, Size: 10, Sha256: make([]byte, 32)}},
	}
}

func (d *counter) next(t *testing.T) delivery.Order {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	o, err := d.queue.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestQueueOrder(t *testing.T) {
	d := newCounter(t, request.KnowSpecific,
		job(t, "crm", request.ActionResolve, request.JobDone, done()),
		job(t, "crm", request.ActionExport, request.JobDone, part("first/0")),
		job(t, "crm", request.ActionExport, request.JobDone, part("second/0")),
		job(t, "legacy", request.ActionLocate, request.JobNotSupported, done(&habeasv1.StoreCount{Store: "s", LocatedCount: 2})),
	)
	o := d.next(t)
	if o.RequestID != string(d.id) || o.CategoriesOnly || o.Right != "know_specific" || o.Since.IsZero() {
		t.Errorf("order is %+v", o)
	}
	if len(o.Parts) != 1 || o.Parts[0].Object != "second/0" {
		t.Errorf("parts are %+v; the later answer holds all of the earlier one", o.Parts)
	}
	if len(o.Missing) != 1 || o.Missing[0].Connector != "legacy" {
		t.Errorf("missing is %+v, want the system that can't copy", o.Missing)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.queue.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the same order was given out twice: %v", err)
	}
}

// A package that is done ends the request, and the person's zip comes out as
// it went in.
func TestQueueDoneAndDownload_KN8(t *testing.T) {
	located := done(&habeasv1.StoreCount{Store: "contacts", Category: "A", LocatedCount: 3})
	failed := &habeasv1.Outcome{Result: &habeasv1.Outcome_Failed{Failed: &habeasv1.Failed{Code: "unavailable"}}}
	// A failure that a later answer made good is history.
	d := newCounter(t, request.KnowCategories, job(t, "crm", request.ActionLocate, request.JobFailed, failed), job(t, "crm", request.ActionLocate, request.JobDone, located))
	manifest, err := proto.Marshal(&habeasv1.Manifest{Name: "crm"})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.store.PutConnector(t.Context(), store.Connector{Name: "crm", Manifest: manifest, Key: []byte{1}, SeenAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	h := d.room.Handler(d.queue)
	get := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/requests/"+string(d.id)+"/package", nil))
		return w
	}
	if w := get(); w.Code != http.StatusConflict {
		t.Errorf("before: status %d, want 409", w.Code)
	}
	o := d.next(t)
	if !o.CategoriesOnly || len(o.Located) != 1 || o.Located[0].Count != 3 {
		t.Fatalf("order is %+v", o)
	}
	result, err := d.room.Build(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.queue.Done(t.Context(), o.RequestID, result); err != nil {
		t.Fatal(err)
	}
	r, _, err := d.store.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	if r.State() != request.Closing || r.Ending.Result != request.ResultComplete || !bytes.Equal(r.Package.SHA256, result.SHA256[:]) {
		t.Errorf("request is %s, %+v, package %+v", r.State(), r.Ending, r.Package)
	}
	w := get()
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || int64(len(body)) != result.Size || !bytes.HasPrefix(body, []byte("PK")) {
		t.Errorf("after: status %d, %d bytes, want the zip of %d", w.Code, len(body), result.Size)
	}
	if err := d.room.Remove(t.Context(), result.Key); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(r.Package.Identity), "AGE-SECRET-KEY") || strings.Contains(result.Key, "AGE") {
		t.Error("what opens the package is stored or named in clear")
	}
	if w := get(); w.Code != http.StatusGone {
		t.Errorf("after its time: status %d, want 410", w.Code)
	}
}

// A package that was made while the database was away is made again.
func TestQueueHandsOutAgainWhatWasNotStored(t *testing.T) {
	d := newCounter(t, request.KnowSpecific, job(t, "crm", request.ActionExport, request.JobNoMatch, done()))
	o := d.next(t)
	away, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.queue.Done(away, o.RequestID, delivery.Result{Key: "k"}); err == nil {
		t.Fatal("storing with the database away succeeded")
	}
	if again := d.next(t); again.RequestID != o.RequestID {
		t.Errorf("the next order is of %s, want %s", again.RequestID, o.RequestID)
	}
}

// A part that is lost with the bus is exported again, and not for ever.
func TestQueueAsksForALostPartAgain(t *testing.T) {
	d := newCounter(t, request.KnowSpecific, job(t, "crm", request.ActionExport, request.JobDone, part("gone/0")))
	for again := 1; again < 5; again++ {
		o := d.next(t)
		_, err := d.room.Build(t.Context(), o)
		if !errors.Is(err, delivery.ErrPart) {
			t.Fatalf("building gave %v, want that the part is gone", err)
		}
		if err := d.queue.Fail(t.Context(), o.RequestID, err); err != nil {
			t.Fatal(err)
		}
		r, jobs, err := d.store.Get(t.Context(), d.id)
		if err != nil {
			t.Fatal(err)
		}
		last := jobs[len(jobs)-1]
		if r.State() != request.Running || r.Attention != "" || len(jobs) != again+1 || last.Connector != "crm" || last.Action != request.ActionExport || last.State != request.JobPlanned {
			t.Fatalf("request is %s with attention %q and %d jobs, the last %+v", r.State(), r.Attention, len(jobs), last)
		}
		d.answerLast(t)
	}
	o := d.next(t)
	_, err := d.room.Build(t.Context(), o)
	if err := d.queue.Fail(t.Context(), o.RequestID, err); err != nil {
		t.Fatal(err)
	}
	r, _, err := d.store.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	if r.State() != request.Packaging || r.Attention != delivery.AttentionPackage {
		t.Errorf("request is %s with attention %q", r.State(), r.Attention)
	}
}

// answerLast lets the newest job say what the first said.
func (d *counter) answerLast(t *testing.T) {
	t.Helper()
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{d.id}}, true, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		last := len(s.Jobs) - 1
		s.Jobs[last].State, s.Jobs[last].Outcome, s.Changed = request.JobDone, s.Jobs[0].Outcome, true
		s.Touch(last)
		return s.Request.Move(request.Packaging)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestQueueFailAsksForAPerson(t *testing.T) {
	d := newCounter(t, request.KnowSpecific, job(t, "crm", request.ActionExport, request.JobDone, part("gone/0")))
	o := d.next(t)
	if err := d.queue.Fail(t.Context(), o.RequestID, errors.New("the part is gone")); err != nil {
		t.Fatal(err)
	}
	r, _, err := d.store.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	if r.State() != request.Packaging || r.Attention != delivery.AttentionPackage {
		t.Errorf("request is %s with attention %q", r.State(), r.Attention)
	}
	if err := d.queue.Done(t.Context(), o.RequestID, delivery.Result{}); err == nil {
		t.Error("a package that nobody is making was accepted")
	}
}

// download opens the package of the counter's request.
func (d *counter) download(t *testing.T) map[string]string {
	t.Helper()
	body, _, err := d.queue.Download(t.Context(), d.room, d.id, false)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return unzip(t, content)
}

// Requests that wait, for the post or for another try, hide none behind them,
// however many they are.
func TestQueueFindsTheOldestBehindOthers(t *testing.T) {
	d := newCounter(t, request.KnowSpecific, job(t, "crm", request.ActionExport, request.JobDone, part("a")))
	want := []request.ID{d.id}
	for range 4 {
		d.id = request.NewID()
		d.put(t, request.KnowSpecific, nil, []store.Job{job(t, "crm", request.ActionExport, request.JobDone, part("a"))})
		want = append(want, d.id)
	}
	d.queue.ReadPages(2)
	for i, id := range want {
		if o := d.next(t); o.RequestID != string(id) { // and nobody finishes any
			t.Errorf("order %d is of another request than the oldest", i)
		}
	}
}

// A request whose package can't even be begun needs a person as well: it would wait
// for ever otherwise, and nobody would know.
func TestQueueAsksForAPersonWhereNothingCanBeGathered(t *testing.T) {
	j := job(t, "crm", request.ActionExport, request.JobDone, &habeasv1.Outcome{})
	j.Outcome = []byte(`{"parts": [{"object": "a/0", "store": "contacts", "sha256": "AAAA"}]}`)
	d := newCounter(t, request.KnowSpecific, j)
	if _, err := d.queue.Next(t.Context()); err == nil {
		t.Fatal("a digest that is none was taken")
	}
	r, _, err := d.store.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	if r.State() != request.Packaging || r.Attention != delivery.AttentionPackage {
		t.Errorf("request is %s with attention %q", r.State(), r.Attention)
	}
}
