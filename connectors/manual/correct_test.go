package manual

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

const rightStreet = "12 planted Avenue"

// stand is an answer about the one disputed field.
func stand(held, wrong int64) *habeasv1.TaskResult {
	return &habeasv1.TaskResult{Fields: []*habeasv1.TaskField{{Field: "street", HeldCount: held, WrongCount: wrong}}}
}

// A correction by people: looked, looked at the field, put right, looked again;
// through restarts between any two steps; what is still wrong is asked for anew,
// and in the end the right value is on no disk.
func TestCorrectionByPeople_CO1(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "correct", 1)
	street := []sdk.Correction{{Field: "street", Value: rightStreet}}
	corrected := func() (held, wrong int64, err error) { return r.all.(sdk.CorrectionReader).Corrected(ctx, ann, street) }
	correct := func() error { return r.all.(sdk.Corrector).Correct(ctx, ann, street) }
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.says(there(3, 0, 1))
	r.restart()
	if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 2 {
		t.Fatalf("located %v, %v", found, err)
	}
	_, _, err = corrected()
	r.waits(err)
	r.restart()
	a := r.open()
	if a.GetTasks()[0].GetStep() != stepFields || len(a.GetCorrections()) != 1 || a.GetCorrections()[0].GetValue() != rightStreet {
		t.Fatalf("the task asks to %s, with %d corrections", a.GetTasks()[0].GetStep(), len(a.GetCorrections()))
	}
	list := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{}}})
	if len(list.GetCorrections()) != 0 || len(list.GetTasks()) != 1 || list.GetTasks()[0].GetFields()[0].GetField() != "street" {
		t.Errorf("the list tells %d corrections", len(list.GetCorrections()))
	}
	for name, bad := range map[string]*habeasv1.TaskResult{
		"nothing": {}, "counts of stores": there(1, 0, 0), "more wrong than there": stand(1, 2), "less than nothing": stand(-1, -1),
		"another field": {Fields: []*habeasv1.TaskField{{Field: "fax", HeldCount: 1}}},
	} {
		if a := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: bad}}); a.GetProblem() != problemInvalid || a.GetDetail() == "" {
			t.Errorf("%s is taken: %q", name, a.GetProblem())
		}
	}
	r.says(stand(2, 2))
	if held, wrong, err := corrected(); err != nil || held != 2 || wrong != 2 {
		t.Fatalf("held %d, wrong %d, %v", held, wrong, err)
	}
	r.waits(correct())
	r.restart()
	r.says(stand(2, 1))
	if err := correct(); err != nil {
		t.Fatal(err)
	}
	if held, wrong, err := corrected(); err != nil || held != 2 || wrong != 1 {
		t.Errorf("after half of it: held %d, wrong %d, %v", held, wrong, err)
	}
	r.waits(correct())
	r.says(stand(2, 0))
	r.restart()
	for range 2 { // the answer may be lost
		if err := correct(); err != nil {
			t.Fatal(err)
		}
		if held, wrong, err := corrected(); err != nil || held != 2 || wrong != 0 {
			t.Errorf("in the end: held %d, wrong %d, %v", held, wrong, err)
		}
		if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 2 {
			t.Errorf("in the end, located %v, %v", found, err)
		}
	}
	a = r.open()
	if !a.GetTasks()[0].GetDone() || len(a.GetPerson()) != 0 || len(a.GetCorrections()) != 0 {
		t.Error("a task that is done still knows whom it was about")
	}
	if err := r.c.folder.exclusively(t.Context(), func() error {
		plain, err := r.c.folder.get(jobID + taskEnd)
		if bytes.Contains(plain, []byte("planted")) {
			t.Error("the file of a task that is done still has a value")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// While a correction waits, its value can't be read off the disk.
func TestRightValuesAreSealed_CO1(t *testing.T) {
	r := newRig(t)
	_, _, err := r.all.(sdk.CorrectionReader).Corrected(job(t.Context(), "correct", 1), ann, []sdk.Correction{{Field: "street", Value: rightStreet}})
	r.waits(err)
	files, err := filepath.Glob(filepath.Join(r.dir, "*"+taskEnd))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	if text, err := os.ReadFile(files[0]); err != nil || bytes.Contains(text, []byte("planted")) {
		t.Errorf("the value can be read: %v", err)
	}
}

// A field that no record has ends the task without anybody correcting; one that
// is right already does, too.
func TestNothingToPutRight_CO1(t *testing.T) {
	for held := range int64(2) {
		r := newRig(t)
		ctx := job(t.Context(), "correct", 1)
		street := []sdk.Correction{{Field: "street", Value: rightStreet}}
		_, _, err := r.all.(sdk.CorrectionReader).Corrected(ctx, ann, street)
		r.waits(err)
		r.says(stand(held, 0))
		if got, wrong, err := r.all.(sdk.CorrectionReader).Corrected(ctx, ann, street); err != nil || got != held || wrong != 0 {
			t.Errorf("held %d, wrong %d, %v", got, wrong, err)
		}
		if err := r.all.(sdk.Corrector).Correct(ctx, ann, street); err != nil {
			t.Error(err)
		}
		if !r.open().GetTasks()[0].GetDone() {
			t.Error("the task is still open")
		}
	}
}

// When the disputed field is one people are found by, the right value is no news
// for which everybody would have to look anew.
func TestRightIdentifierIsNoNews_CO1(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "correct", 1)
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.says(there(1, 0, 0))
	const right = "Right.Planted@example.com"
	after := ann.With(sdk.ID(sdk.Email, right), sdk.ID(sdk.Email, "right.planted@example.com"))
	_, _, err = r.all.(sdk.CorrectionReader).Corrected(ctx, after, []sdk.Correction{{Field: "email", Value: right}})
	r.waits(err)
	if a := r.open(); a.GetTasks()[0].GetStep() != stepFields || len(a.GetPerson()) != 1 {
		t.Errorf("the task asks to %s about %d identifiers", a.GetTasks()[0].GetStep(), len(a.GetPerson()))
	}
}

// Every mix of abilities is what the manifest says, and no more.
func TestAbilitiesAreThoseOfTheSettings(t *testing.T) {
	for mix := 1; mix < 1<<len(abilities); mix++ {
		s := archive
		s.Can = nil
		for i, ability := range abilities {
			if mix&(1<<i) != 0 {
				s.Can = append(s.Can, ability)
			}
		}
		m, c, err := New(s, "")
		if err != nil {
			t.Fatal(err)
		}
		_, erases := c.(sdk.Eraser)
		_, optsOut := c.(sdk.OptOuter)
		_, corrects := c.(sdk.CorrectionReader)
		_, copies := c.(sdk.Exporter)
		_, desked := c.(sdk.Desked)
		for ability, has := range map[string]bool{"erase": erases, "opt_out": optsOut, "correct": corrects, "copy": copies} {
			if has != slices.Contains(s.Can, ability) {
				t.Errorf("%v: %s is %v", s.Can, ability, has)
			}
		}
		if !desked || m.Digest == "" {
			t.Errorf("%v: no desk", s.Can)
		}
	}
}

// A whole correction over the bus: done is what people saw last, what was located
// is on record before, and no record has the value.
func TestCorrectionOverTheBus_CO1(t *testing.T) {
	o := newOffice(t)
	if !slices.Contains(o.manifest.GetAbilities(), habeasv1.Action_ACTION_CORRECT) {
		t.Fatalf("the manifest says %v", o.manifest.GetAbilities())
	}
	street := &habeasv1.Correction{Field: "street", Value: rightStreet}
	send := func(attempt int32) *habeasv1.Outcome {
		return o.sendTo(habeasv1.Action_ACTION_CORRECT, attempt, street).GetOutcome()
	}
	answer := func(r *habeasv1.TaskResult) {
		o.says(func(c *habeasv1.TaskChange) { c.Change = &habeasv1.TaskChange_Result{Result: r} })
	}
	attempt := int32(0)
	for _, result := range []*habeasv1.TaskResult{there(3, 0, 0), stand(2, 2), stand(2, 1)} {
		attempt++
		if got := send(attempt); got.GetDeferred() == nil {
			t.Fatalf("attempt %d was answered %v", attempt, got)
		}
		answer(result)
	}
	located := slices.ContainsFunc(o.records(), func(r *wire.Record) bool { return r.Type == wire.RecordLocated })
	if !located {
		t.Error("what was located is not on record before the correction")
	}
	if got := send(4); got.GetFailed().GetCode() != string(sdk.StillThere) || got.GetFailed().GetPermanent() {
		t.Fatalf("half a correction was answered %v", got)
	}
	if got := send(5); got.GetDeferred() == nil {
		t.Fatalf("asked again it was answered %v", got)
	}
	answer(stand(2, 0))
	got := send(6)
	if got.GetDone() == nil || got.GetStores()[0].GetLocatedCount() != 3 {
		t.Fatalf("answered %v", got)
	}
}
