package vendortest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// facts: an entry says where its knowledge comes from and what to look out for.
func facts(t *testing.T, r *Rig) {
	f := r.Program.Facts()
	if f.Source == "" || f.Checked == "" || len(f.Sources) == 0 || len(f.Pitfalls) == 0 || r.Program.Description() == "" {
		t.Error("the header lacks a description, or facts with source, checked, sources and pitfalls")
	}
	if r.Manifest.Facts != f.Source || len(r.Manifest.Notes) == 0 {
		t.Error("the manifest does not pass them on")
	}
}

func locates(t *testing.T, r *Rig) {
	if diff := cmp.Diff(r.Her.Stores, r.Locate(r.Her.Person)); diff != "" {
		t.Errorf("located (-want +got):\n%s", diff)
	}
	found, err := r.Connector.Locate(r.InJob(), r.Her.Person)
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int64{}
	for _, f := range found {
		if f.Keep != nil {
			kept[f.Store] += f.Count
		}
	}
	want := r.Her.Kept
	if want == nil {
		want = map[string]int64{}
	}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if n := len(r.Asked(r.Entry.Acts...)); n > 0 {
		t.Errorf("locating sent %d requests that change something", n)
	}
}

// unknown: a person of another company is nobody here. Where nobody can be
// searched for she is assumed, and erasing her hurts nobody.
func unknown(t *testing.T, r *Rig) {
	stranger := r.Entry.New().Plant(numberStranger)
	before := r.Dump()
	found := r.Locate(stranger.Person)
	if !r.Entry.Blind && len(found) > 0 {
		t.Errorf("a stranger was found: %v", found)
	}
	r.Erase(stranger.Person)
	if !r.Entry.Blind {
		if asked := r.Asked(r.Entry.Acts...); len(asked) > 0 {
			t.Errorf("erasing a stranger sent %d requests that change something", len(asked))
		}
	}
	if diff := cmp.Diff(before, r.Dump()); diff != "" {
		t.Errorf("erasing a stranger changed (-before +after):\n%s", diff)
	}
}

func erases(_ *testing.T, r *Rig) {
	r.Erase(r.Her.Person)
	r.gone()
}

// gone checks that she is and that nobody else is.
func (r *Rig) gone() {
	r.t.Helper()
	r.settle()
	if left := r.Left(r.Her); len(left) > 0 {
		r.t.Errorf("the vendor still holds %q", left)
	}
	dump := r.Dump()
	for _, line := range r.Bare {
		if !slices.Contains(dump, line) {
			r.t.Errorf("somebody else's record is gone or changed: %s", line)
		}
	}
	want := map[string]int64{}
	if len(r.Her.Kept) > 0 {
		return // what is kept may be found no more once its owner is gone
	}
	if diff := cmp.Diff(want, r.Locate(r.Her.Person)); diff != "" {
		r.t.Errorf("located after erasing (-want +got):\n%s", diff)
	}
}

// settle lets a vendor that works without a word come to its end.
func (r *Rig) settle() {
	if r.Entry.Settles {
		r.Vendor.Finish()
	}
}

func erasesTwice(_ *testing.T, r *Rig) {
	r.Erase(r.Her.Person)
	r.settle()
	r.Erase(r.Her.Person)
	r.gone()
}

// erasesMany erases a batch, each in her own job, and wants fewer requests than
// people where the entry takes many at once.
func erasesMany(t *testing.T, r *Rig) {
	all := []Planted{r.Her}
	info := sdk.JobInfo{JobID: "batch", Members: []sdk.JobInfo{r.info("job-1")}}
	for n := range 4 {
		all = append(all, r.Vendor.Plant(numberMore+n))
		info.Members = append(info.Members, r.info(fmt.Sprintf("job-%d", n+2)))
	}
	people := make([]sdk.Person, len(all))
	for i, p := range all {
		people[i] = p.Person
	}
	ctx := sdk.WithJobInfo(t.Context(), info)
	found, err := r.Eraser().LocateBatch(ctx, people)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range all {
		if diff := cmp.Diff(p.Stores, counts(found[i])); diff != "" {
			t.Errorf("person %d located (-want +got):\n%s", i, diff)
		}
	}
	for round := 0; ; round++ {
		later := time.Duration(0)
		for i, err := range r.Eraser().EraseBatch(ctx, people) {
			after, notYet := sdk.AsNotYet(err)
			if err != nil && !notYet || round > 60 {
				t.Fatalf("person %d: %v", i, err)
			}
			later = max(later, after)
		}
		if later == 0 {
			break
		}
		if round > 0 {
			r.Vendor.Finish()
		}
		r.Advance(later + time.Second)
	}
	r.settle()
	for i, p := range all {
		if left := r.Left(p); len(left) > 0 {
			t.Errorf("of person %d the vendor still holds %q", i, left)
		}
	}
	if sent := len(r.Asked(r.Entry.Acts...)); r.Manifest.BatchSize >= len(people) && sent >= len(people) {
		t.Errorf("%d requests for %d people: that is no batch", sent, len(people))
	}
}

// slow: work that takes its time is deferred, found again after a restart, and
// not started a second time.
func slow(t *testing.T, r *Rig) {
	if !r.Entry.Slow {
		t.Skip("its deletions are done when they are answered")
	}
	err := r.Eraser().Erase(r.InJob(), r.Her.Person)
	if after, notYet := sdk.AsNotYet(err); !notYet || after <= 0 {
		t.Fatalf("accepted work is not deferred: %s", errCode(err))
	}
	started := len(r.Asked(r.Entry.Acts...))
	for range 3 {
		r.Reopen()
		r.Advance(time.Minute)
		err := r.Eraser().Erase(r.InJob(), r.Her.Person)
		if _, notYet := sdk.AsNotYet(err); !notYet {
			t.Fatalf("unfinished work is not deferred: %s", errCode(err))
		}
	}
	if n := len(r.Asked(r.Entry.Acts...)); n != started {
		t.Errorf("%d requests were made to start the work, %d on the first attempt", n, started)
	}
	if len(r.Locate(r.Her.Person)) == 0 {
		t.Error("what is not erased yet is not located any more")
	}
	r.Erase(r.Her.Person)
	r.gone()
}

func tooManySeconds(_ *testing.T, r *Rig) { r.tooMany(false) }
func tooManyDate(_ *testing.T, r *Rig)    { r.tooMany(true) }

// tooMany: the first request is refused for an hour. The job comes back then,
// and not before.
func (r *Rig) tooMany(date bool) {
	r.t.Helper()
	r.Inject(TooMany(time.Hour, date))
	err := r.Eraser().Erase(r.InJob(), r.Her.Person)
	after, notYet := sdk.AsNotYet(err)
	if !notYet || sdk.CodeOf(err) != sdk.RateLimited || after < 59*time.Minute || after > 61*time.Minute {
		r.t.Fatalf("refused for an hour, it comes back in %s: %s", after, errCode(err))
	}
	r.Quiet(err)
	sent := len(r.Asked())
	if err := r.Eraser().Erase(r.InJob(), r.Her.Person); len(r.Asked()) != sent {
		r.t.Errorf("it asked again in the hour: %s", errCode(err))
	}
}

func tooManyErasing(_ *testing.T, r *Rig) {
	r.Inject(On(TooMany(0, false), r.Entry.Acts...), On(TooMany(0, false), r.Entry.Acts...))
	r.Erase(r.Her.Person)
	r.gone()
}

func serverErrors(_ *testing.T, r *Rig) {
	r.Inject(Answer(http.StatusInternalServerError), On(Answer(http.StatusBadGateway), r.Entry.Acts...),
		On(Answer(http.StatusServiceUnavailable), r.Entry.Acts...))
	r.Erase(r.Her.Person)
	r.gone()
}

// answerLost: it happened, and nobody was told.
func answerLost(_ *testing.T, r *Rig) {
	r.Inject(On(Lost, r.Entry.Acts...))
	r.Erase(r.Her.Person)
	r.gone()
}

// partialPages: each answer of a search is cut in the middle, in its turn. That
// is never "nobody", and never fewer.
func partialPages(t *testing.T, r *Rig) {
	if r.Entry.Blind {
		t.Skip("nothing is read")
	}
	r.Locate(r.Her.Person)
	pages := len(r.Asked())
	for page := range pages {
		faults := make([]Fault, 0, page+1)
		for range page {
			faults = append(faults, pass)
		}
		r.Inject(append(faults, Cut)...)
		found, err := r.Connector.Locate(r.InJob(), r.Her.Person)
		r.Quiet(err)
		if err == nil {
			if diff := cmp.Diff(r.Her.Stores, counts(found)); diff != "" {
				t.Errorf("with answer %d cut it found (-want +got):\n%s", page+1, diff)
			}
			continue
		}
		if sdk.IsPermanent(err) && sdk.CodeOf(err) != sdk.Denied {
			t.Errorf("with answer %d cut it gave up: %v", page+1, err)
		}
	}
}

// pass lets a request through and is used up.
func pass(w http.ResponseWriter, req *http.Request, vendor http.Handler) bool {
	vendor.ServeHTTP(w, req)
	return true
}

func refused(t *testing.T, r *Rig) {
	for range 3 { // a token may be fetched, refused and fetched again
		r.Inject(Answer(http.StatusUnauthorized))
	}
	err := r.Eraser().Erase(r.InJob(), r.Her.Person)
	if sdk.CodeOf(err) != sdk.Denied || !sdk.IsPermanent(err) {
		t.Errorf("refused credentials: %s", errCode(err))
	}
	r.Quiet(err)
	if left := r.Left(r.Her); len(left) != len(r.Her.Traces)-len(r.Her.KeptTraces) {
		t.Error("something was erased with refused credentials")
	}
}

type writer struct {
	text   strings.Builder
	stores map[string]int64
}

func (w *writer) Write(_ context.Context, rec sdk.Record) error {
	w.stores[rec.Store]++
	fmt.Fprintf(&w.text, "%v\n", rec.Fields)
	return nil
}

func exports(t *testing.T, r *Rig) {
	x, ok := r.Connector.(sdk.Exporter)
	if !ok {
		t.Skip("the entry does not copy")
	}
	w := &writer{stores: map[string]int64{}}
	if err := x.Export(r.InJob(), r.Her.Person, w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Her.Stores, w.stores); diff != "" {
		t.Errorf("exported (-located +exported):\n%s", diff)
	}
	for _, o := range r.others {
		for _, id := range o.Person.Identifiers() {
			if strings.Contains(w.text.String(), id.Value.Reveal()) {
				t.Errorf("the copy shows somebody else's %s", id.Kind)
			}
		}
	}
}

func optsOut(t *testing.T, r *Rig) {
	o, ok := r.Connector.(sdk.OptOuter)
	if !ok {
		t.Skip("the entry does not opt out")
	}
	if in, err := o.OptedOut(r.InJob(), r.Her.Person); err != nil || in {
		t.Fatalf("before: in force %t, %v", in, err)
	}
	r.do(func(ctx context.Context) error { return o.OptOut(ctx, r.Her.Person) })
	if in, err := o.OptedOut(r.InJob(), r.Her.Person); err != nil || !in {
		t.Errorf("after: in force %t, %v", in, err)
	}
	dump := r.Dump()
	for _, line := range r.Bare {
		if !slices.Contains(dump, line) {
			t.Errorf("somebody else's record is gone or changed: %s", line)
		}
	}
}

// corrects: each field the entry can put right is in the vendor afterwards, at
// her records only.
func corrects(t *testing.T, r *Rig) {
	if _, ok := r.Connector.(sdk.Corrector); !ok {
		t.Skip("the entry does not correct")
	}
	for i, field := range r.Program.Corrects() {
		value := fmt.Sprintf("Right-%d", i)
		r := newRig(t, r.name, r.Entry)
		c := r.Connector.(sdk.Corrector)
		r.do(func(ctx context.Context) error {
			return c.Correct(ctx, r.Her.Person, []sdk.Correction{{Field: field, Value: sdk.Secret(value)}})
		})
		if !strings.Contains(strings.Join(r.Vendor.Dump(), "\n"), value) {
			t.Errorf("%s was corrected and the vendor does not have it", field)
		}
		reader, ok := r.Connector.(sdk.CorrectionReader)
		if !ok {
			t.Fatal("corrections cannot be read back")
		}
		right, wrong := []sdk.Correction{{Field: field, Value: sdk.Secret(value)}}, []sdk.Correction{{Field: field, Value: "another"}}
		if held, bad, err := reader.Corrected(r.InJob(), r.Her.Person, right); err != nil || held == 0 || bad != 0 {
			t.Errorf("%s is read back as %d held, %d wrong, %v", field, held, bad, err)
		}
		if held, bad, err := reader.Corrected(r.InJob(), r.Her.Person, wrong); err != nil || bad != held {
			t.Errorf("another %s is read back as %d held, %d wrong, %v", field, held, bad, err)
		}
		dump := r.Dump()
		for _, line := range r.Bare {
			if !slices.Contains(dump, line) {
				t.Errorf("somebody else's record is gone or changed: %s", line)
			}
		}
	}
}
