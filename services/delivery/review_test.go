package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// What somebody found in a copy is masked wherever it stands by itself, and nowhere
// else; a field they want left out is, and the person is told why.
func TestMaskedWords_KN10(t *testing.T) {
	f := newFixture(t)
	f.order.Masked = []string{"Rosa", "rosa delgado", "José Peña"}
	f.order.Withholdings = []delivery.Withholding{{Connector: "crm", Store: "notes", Field: "gossip", What: "something about another person", Reason: "theirs", Basis: "Civ. Code 1798.145(k)"}}
	f.part("crm", "notes", fields{
		"body", "ROSA  Delgado called; Rosario and Rosa-lind did not. (rosa) Ask Jose\u0301 Pen\u0303a.",
		"tags", map[string]any{"rosa": []string{"Rosa Delgado's dog", "primrosa"}},
		"gossip", "they say much", "n", 7,
	})
	const name = "[another person's name]"
	p := f.build()
	got := p.data(t).Stores[0].Records[0].Fields
	for field, want := range map[string]string{
		"body": `"` + name + ` called; Rosario and ` + name + `-lind did not. (` + name + `) Ask ` + name + `."`,
		"tags": `{"` + name + `":["` + name + `'s dog","primrosa"]}`,
		"n":    "7",
	} {
		if d := cmp.Diff(want, string(got[field])); d != "" {
			t.Errorf("%s: %s", field, d)
		}
	}
	if !strings.Contains(string(got["gossip"]), "something about another person") {
		t.Errorf("gossip is %s", got["gossip"])
	}
	for file, text := range p.files {
		for _, leak := range []string{"Delgado", "ROSA", "they say", "Peña", "Pen\u0303a"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s has %q", file, leak)
			}
		}
	}
}

// Fields with texts are found, whatever the texts are in, and no field is named by
// what could be somebody's.
func TestTextsAreFound_KN10(t *testing.T) {
	f := newFixture(t)
	f.order.FindTexts = true
	f.order.Own = []request.Identifier{request.NewIdentifier(request.UserID, "mallory")}
	f.part("crm", "notes",
		fields{"body", "She said that Rosa was there.", "name", "Ann Lee", "state", "waiting long", "plan", "Gold", "when", "2026-02-01 10:00:00 UTC"},
		fields{"body", "Another text of four words or more", "history", []any{map[string]string{"text": "Moved in with her sister"}}},
		fields{"ノート", "彼女は昨日ローサと一緒に店に来ました", "mallory note", "a text of hers again", "joe@example.com", "and one more text here"},
	)
	p := f.build()
	var got []string
	for _, at := range p.result.Texts {
		got = append(got, at.String()+strings.Repeat("+", int(at.Count)))
	}
	if want := []string{"crm/notes/body++", "crm/notes/history+", "crm/notes/…+++"}; !slices.Equal(got, want) {
		t.Errorf("texts are found in %v, want %v", got, want)
	}
	f.order.FindTexts = false
	if p := f.build(); len(p.result.Texts) != 0 {
		t.Errorf("nobody asked, and texts are found in %v", p.result.Texts)
	}
}

var texts = []request.TextField{{FieldPlace: request.FieldPlace{Connector: "crm", Store: "notes", Field: "body"}, Count: 3}}

// reviewed is a counter whose request's copy is made and waits for a look.
func reviewed(t *testing.T, mode delivery.ReviewMode) *counter {
	t.Helper()
	d := newCounterWith(t, request.KnowSpecific, func(c *delivery.QueueConfig) { c.Review = mode }, nil, job(t, "crm", request.ActionExport, request.JobDone, part("a")))
	o := d.next(t)
	if !o.FindTexts {
		t.Error("nobody looks for texts")
	}
	if err := d.queue.Done(t.Context(), o.RequestID, delivery.Result{Key: "made", Records: 1, Texts: texts, ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *counter) state(t *testing.T) store.Request {
	t.Helper()
	r, _, err := d.store.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// KN-10: a copy with texts is handed to nobody before somebody has looked at it, and is
// not made twice.
func TestCopyWaitsForALook_KN10(t *testing.T) {
	d := reviewed(t, delivery.ReviewTexts)
	r := d.state(t)
	if r.State() != request.Packaging || r.Attention != store.AttentionReview || !r.WaitsForReview() || r.Ending != nil {
		t.Fatalf("the request is %s with attention %q", r.State(), r.Attention)
	}
	if d := cmp.Diff(texts, r.Case.Review.Texts); d != "" || r.Case.Review.Until.IsZero() {
		t.Errorf("%+v %s", r.Case.Review, d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := d.queue.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it was handed out again: %v", err)
	}
	if _, _, err := d.queue.Download(t.Context(), d.room, d.id, false); !errors.Is(err, request.ErrReview) {
		t.Errorf("it can be downloaded: %v", err)
	}
	w := httptest.NewRecorder()
	d.room.Handler(d.queue).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/requests/"+string(d.id)+"/package", nil))
	if w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "until somebody has looked at it") {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if err := d.queue.Posted(t.Context(), d.id, request.Mailed{}); !errors.Is(err, delivery.ErrNotForMail) {
		t.Errorf("it counts as mailed: %v", err)
	}
}

// A request that is denied or stopped while its copy waits, for a look or for the post,
// hands nothing over any more.
func TestStoppedCopyIsNobodys_KN10(t *testing.T) {
	for name, c := range map[string]struct {
		ending request.Ending
		change func(*store.Request)
	}{
		"cancelled before the look": {request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "they wrote again"}, nil},
		"denied before the look":    {request.Ending{Result: request.ResultDenied, Code: "unverified_know_specific", Reason: "somebody else asked"}, nil},
		"cancelled before the post": {request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "they wrote again"}, func(r *store.Request) { r.Case.Review.Approved = time.Now() }},
	} {
		d := reviewed(t, delivery.ReviewTexts)
		_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{d.id}}, true, func(snaps []*store.Snapshot) error {
			s := snaps[0]
			if s.Changed = true; c.change != nil {
				c.change(&s.Request)
			}
			return s.Request.Close(c.ending)
		})
		if err != nil {
			t.Fatal(err)
		}
		if r := d.state(t); r.HandsOver() {
			t.Errorf("%s: it is to be handed over", name)
		}
		for _, path := range []string{"/package", "/package/review"} {
			w := httptest.NewRecorder()
			d.room.Handler(d.queue).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/requests/"+string(d.id)+path, nil))
			if w.Code != http.StatusConflict {
				t.Errorf("%s: %s answers %d", name, path, w.Code)
			}
		}
	}
}

// Which copies wait is the company's to say.
func TestReviewModes_KN10(t *testing.T) {
	for _, c := range []struct {
		mode   delivery.ReviewMode
		result delivery.Result
		waits  bool
	}{
		{"", delivery.Result{Records: 1, Texts: texts}, false},
		{delivery.ReviewNever, delivery.Result{Records: 1, Texts: texts}, false},
		{delivery.ReviewTexts, delivery.Result{Records: 1}, false},
		{delivery.ReviewTexts, delivery.Result{Records: 1, Texts: texts}, true},
		{delivery.ReviewAlways, delivery.Result{Records: 1}, true},
		{delivery.ReviewAlways, delivery.Result{}, false},
	} {
		d := newCounterWith(t, request.KnowSpecific, func(q *delivery.QueueConfig) { q.Review = c.mode }, nil, job(t, "crm", request.ActionExport, request.JobDone, part("a")))
		o := d.next(t)
		c.result.Key = "made"
		if err := d.queue.Done(t.Context(), o.RequestID, c.result); err != nil {
			t.Fatal(err)
		}
		if r := d.state(t); r.WaitsForReview() != c.waits || (r.State() == request.Packaging) != c.waits {
			t.Errorf("%q with %+v: the request is %s", c.mode, c.result, r.State())
		}
	}
	if delivery.ReviewMode("sometimes").Valid() || !delivery.ReviewMode("").Valid() {
		t.Error("the modes are others")
	}
}

// What is to be masked reaches the next copy, which waits again; and a copy that was
// begun before does not count, however late it is done.
func TestCopyIsMadeAgain_KN10(t *testing.T) {
	d := reviewed(t, delivery.ReviewTexts)
	key, err := d.vault.Unwrap(t.Context(), d.state(t).WrappedKey)
	if err != nil {
		t.Fatal(err)
	}
	again := func(words ...string) {
		t.Helper()
		plain, err := json.Marshal(words)
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{d.id}}, true, func(snaps []*store.Snapshot) error {
			s := snaps[0]
			s.Request.Package, s.Request.Attention, s.Changed = store.Package{}, "", true
			v := s.Request.Case.Review
			v.Masked, v.LeftOut, v.Round = key.Seal(plain, store.ReviewAAD(d.id)), []request.FieldPlace{texts[0].FieldPlace}, v.Round+1
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	again("Rosa")
	o := d.next(t)
	if !slices.Equal(o.Masked, []string{"Rosa"}) || len(o.Withholdings) != 1 || o.Withholdings[0].Field != "body" || o.Withholdings[0].Basis != "Civ. Code 1798.145(k)" {
		t.Errorf("the order masks %v and leaves out %+v", o.Masked, o.Withholdings)
	}
	again("Rosa", "Carl") // while the copy for the first is on its way
	if err := d.queue.Done(t.Context(), o.RequestID, delivery.Result{Key: "late", Records: 1}); err != nil {
		t.Fatal(err)
	}
	if r := d.state(t); r.Package.Key != "" || r.WaitsForReview() {
		t.Errorf("a copy without the last word is there: %q", r.Package.Key)
	}
	o = d.next(t)
	if !slices.Equal(o.Masked, []string{"Rosa", "Carl"}) {
		t.Errorf("the order masks %v", o.Masked)
	}
	if err := d.queue.Done(t.Context(), o.RequestID, delivery.Result{Key: "right", Records: 1}); err != nil {
		t.Fatal(err)
	}
	if r := d.state(t); r.Package.Key != "right" || !r.WaitsForReview() || r.Case.Review.Round != 2 {
		t.Errorf("%q waits: %t, %+v", r.Package.Key, r.WaitsForReview(), r.Case.Review)
	}
}
