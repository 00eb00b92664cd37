package manual

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

const (
	jobID   = "01985c5e-8c00-7000-8000-0000000000a1"
	planted = "ann.planted@example.com"
)

var archive = Settings{
	Accepts: []string{"email", "name"}, Can: []string{"erase", "opt_out", "correct"}, Instructions: "Ask the archive for the box.",
	Stores: []StoreSettings{{Name: "cabinet", Categories: []CategorySettings{{Letter: "A"}}}, {Name: "tapes"}},
}

// rig is a connector and somebody at its desk.
type rig struct {
	t   *testing.T
	dir string
	c   *Connector
	all sdk.Connector
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir()}
	r.restart()
	return r
}

// restart opens the connector anew on what it left on the disk.
func (r *rig) restart() {
	r.t.Helper()
	if r.c != nil {
		if err := r.c.Close(); err != nil {
			r.t.Fatal(err)
		}
	}
	_, c, err := New(archive, r.dir)
	if err != nil {
		r.t.Fatal(err)
	}
	r.all, r.c = c, c.(all).Connector
	r.t.Cleanup(func() { _ = r.c.Close() }) // again after a restart
}

func job(ctx context.Context, action string, attempt int) context.Context {
	return sdk.WithJobInfo(ctx, sdk.JobInfo{JobID: jobID, RequestID: "r1", Right: "delete", Action: action, Attempt: attempt, Due: time.Now().AddDate(0, 0, 45)})
}

var ann = sdk.NewPerson(sdk.ID(sdk.Email, planted))

func (r *rig) ask(q *habeasv1.TaskQuestion) *habeasv1.TaskAnswer {
	r.t.Helper()
	q.Who = "staff"
	return r.c.AnswerDesk(r.t.Context(), q)
}

// open returns the one task there is.
func (r *rig) open() *habeasv1.TaskAnswer {
	r.t.Helper()
	a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Open{Open: &habeasv1.TaskOpen{TaskId: jobID}}})
	if a.GetProblem() != "" {
		r.t.Fatalf("opening the task: %s %s", a.GetProblem(), a.GetDetail())
	}
	return a
}

func (r *rig) change(ch *habeasv1.TaskChange) *habeasv1.TaskAnswer {
	r.t.Helper()
	if ch.TaskId = jobID; ch.Version == 0 {
		ch.Version = r.open().GetTasks()[0].GetVersion()
	}
	return r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Change{Change: ch}})
}

func (r *rig) says(result *habeasv1.TaskResult) {
	r.t.Helper()
	if a := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: result}}); a.GetProblem() != "" {
		r.t.Fatalf("answering: %s %s", a.GetProblem(), a.GetDetail())
	}
}

func there(cabinet, kept, tapes int64) *habeasv1.TaskResult {
	c := &habeasv1.TaskCount{Store: "cabinet", Count: cabinet, Kept: kept}
	if kept > 0 {
		c.Basis, c.UntilTime = "ccpa-1798.105(d)(8)", timestamppb.New(time.Date(2033, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return &habeasv1.TaskResult{Counts: []*habeasv1.TaskCount{c, {Store: "tapes", Count: tapes}}}
}

func (r *rig) waits(err error) {
	r.t.Helper()
	if after, notYet := sdk.AsNotYet(err); !notYet || after != usualRemind {
		r.t.Fatalf("want people to be waited for, got %v", err)
	}
}

// An erasure by people: looked, erased, looked again; through restarts between
// any two steps; and in the end nobody is named on the disk.
func TestErasureByPeople(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "erase", 1)
	erase := func() error { return r.all.(sdk.Eraser).Erase(ctx, ann) }
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	_, err = r.c.Locate(ctx, ann) // delivered again: one task
	r.waits(err)
	r.restart()
	a := r.open()
	if task := a.GetTasks()[0]; task.GetStep() != "look" || task.GetInstructions() == "" || len(task.GetStores()) != 2 || task.GetDueTime() == nil {
		t.Errorf("the task is %v", task)
	}
	if p := a.GetPerson(); len(p) != 1 || p[0].GetValue() != planted {
		t.Errorf("it is about %d identifiers", len(p))
	}
	r.says(there(3, 1, 2))
	r.restart()
	found, err := r.c.Locate(ctx, ann)
	if err != nil || len(found) != 3 || found[0].Count != 2 || found[1].Count != 1 || found[1].Keep.Basis != "ccpa-1798.105(d)(8)" || found[2].Count != 2 {
		t.Fatalf("located %v, %v", found, err)
	}
	r.waits(erase())
	if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 3 {
		t.Errorf("before anybody erased, located %v, %v", found, err)
	}
	if step := r.open().GetTasks()[0].GetStep(); step != "erase" {
		t.Errorf("now it asks to %s", step)
	}
	// Something is left that may go: the runtime is told once, then people are
	// asked again.
	r.says(there(2, 1, 0))
	if err := erase(); err != nil {
		t.Fatal(err)
	}
	if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 2 || found[0].Count != 1 {
		t.Errorf("after half of it, located %v, %v", found, err)
	}
	r.waits(erase())
	r.restart()
	r.says(there(1, 1, 0))
	for range 2 { // the answer may be lost
		if err := erase(); err != nil {
			t.Fatal(err)
		}
		if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 1 || found[0].Keep == nil {
			t.Errorf("in the end, located %v, %v", found, err)
		}
	}
	a = r.open()
	if !a.GetTasks()[0].GetDone() || len(a.GetPerson()) != 0 {
		t.Error("a task that is done still knows whom it was about")
	}
	if a := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: there(0, 0, 0)}}); a.GetProblem() != problemMovedOn {
		t.Errorf("changing what is done: %q", a.GetProblem())
	}
}

func TestNothingFoundEndsTheTask(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "erase", 1)
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.says(there(0, 0, 0))
	if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 0 {
		t.Errorf("located %v, %v", found, err)
	}
	if !r.open().GetTasks()[0].GetDone() {
		t.Error("the task is still open")
	}
}

// What is only kept needs no second task.
func TestOnlyKeptNeedsNoErasure(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "erase", 1)
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.says(there(2, 2, 0))
	if err := r.all.(sdk.Eraser).Erase(ctx, ann); err != nil {
		t.Error(err)
	}
	if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 1 || found[0].Keep == nil {
		t.Errorf("located %v, %v", found, err)
	}
}

// Stores that the job leaves alone are none of the erasure's business.
func TestExcludedStoresStay(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "erase", 1)
	p := ann.Without("tapes")
	_, err := r.c.Locate(ctx, p)
	r.waits(err)
	if x := r.open().GetTasks()[0].GetExcluded(); len(x) != 1 || x[0] != "tapes" {
		t.Errorf("excluded are %v", x)
	}
	r.says(there(0, 0, 4))
	if err := r.all.(sdk.Eraser).Erase(ctx, p); err != nil {
		t.Error(err)
	}
}

// What can't be done fails for a person to look at, with the words; trying again
// asks again.
func TestImpossible(t *testing.T) {
	r := newRig(t)
	_, err := r.c.Locate(job(t.Context(), "erase", 1), ann)
	r.waits(err)
	r.says(&habeasv1.TaskResult{Impossible: "the archive has burnt down"})
	for _, attempt := range []int{2, 2} { // taken up by the second attempt, delivered twice
		_, err = r.c.Locate(job(t.Context(), "erase", attempt), ann)
		if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Rejected || !strings.Contains(err.Error(), "burnt down") {
			t.Fatalf("got %v", err)
		}
	}
	_, err = r.c.Locate(job(t.Context(), "erase", 3), ann)
	r.waits(err)
	r.says(there(0, 0, 0))
	if _, err := r.c.Locate(job(t.Context(), "erase", 4), ann); err != nil {
		t.Error(err)
	}
}

// Identifiers that turn up later are looked for too.
func TestNewIdentifiersAreLookedFor(t *testing.T) {
	r := newRig(t)
	_, err := r.c.Locate(job(t.Context(), "erase", 1), ann)
	r.waits(err)
	r.says(there(0, 0, 0))
	more := ann.With(sdk.ID(sdk.Name, "Ann Planted"))
	_, err = r.c.Locate(job(t.Context(), "erase", 2), more)
	r.waits(err)
	if a := r.open(); len(a.GetPerson()) != 2 || a.GetTasks()[0].GetStep() != "look" || a.GetTasks()[0].GetAnswered() {
		t.Errorf("the task is %v about %d identifiers", a.GetTasks()[0], len(a.GetPerson()))
	}
}

func TestOptOutByPeople(t *testing.T) {
	r := newRig(t)
	ctx, o := job(t.Context(), "opt_out", 1), r.all.(sdk.OptOuter)
	r.waits(o.OptOut(ctx, ann))
	if a := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: &habeasv1.TaskResult{}}}); a.GetProblem() != problemInvalid {
		t.Errorf("an opt-out that is not in force is taken: %q", a.GetProblem())
	}
	r.says(&habeasv1.TaskResult{InForce: true})
	if err := o.OptOut(ctx, ann); err != nil {
		t.Error(err)
	}
	if in, err := o.OptedOut(ctx, ann); err != nil || !in {
		t.Errorf("in force: %v, %v", in, err)
	}
}

func TestProofs(t *testing.T) {
	r := newRig(t)
	_, err := r.c.Locate(job(t.Context(), "erase", 1), ann)
	r.waits(err)
	attach := func(p *habeasv1.TaskProof) *habeasv1.TaskAnswer {
		return r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Attach{Attach: p}})
	}
	content := []byte("%PDF about " + planted)
	if a := attach(&habeasv1.TaskProof{MediaType: "application/pdf", Content: content}); a.GetProblem() != "" || len(a.GetTasks()[0].GetProofs()) != 1 {
		t.Fatalf("attaching: %v", a)
	}
	sums := r.c.Proofs(t.Context(), jobID)
	r.restart()
	a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Proof{Proof: &habeasv1.TaskProofOpen{TaskId: jobID, Sha256: sums[0]}}})
	if string(a.GetProof().GetContent()) != string(content) || len(sums) != 1 {
		t.Errorf("the document came back as %d bytes, %q", len(a.GetProof().GetContent()), a.GetProblem())
	}
	for name, p := range map[string]*habeasv1.TaskProof{
		"again": {MediaType: "application/pdf", Content: content}, "a web page": {MediaType: "text/html", Content: []byte("<p>")}, "nothing": {MediaType: "text/plain"},
		"altered": {MediaType: "text/plain", Content: []byte("x"), Sha256: sums[0]}, "too large": {MediaType: "text/plain", Content: make([]byte, wire.MaxProof+1)},
	} {
		if a := attach(p); a.GetProblem() != problemInvalid || a.GetDetail() == "" {
			t.Errorf("%s is taken: %q", name, a.GetProblem())
		}
	}
	if a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Proof{Proof: &habeasv1.TaskProofOpen{TaskId: jobID, Sha256: []byte("x")}}}); a.GetProblem() != problemNotFound {
		t.Errorf("an unknown document: %q", a.GetProblem())
	}
}

func TestDeskRefuses(t *testing.T) {
	r := newRig(t)
	_, err := r.c.Locate(job(t.Context(), "erase", 1), ann)
	r.waits(err)
	result := func(counts ...*habeasv1.TaskCount) *habeasv1.TaskChange {
		return &habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: &habeasv1.TaskResult{Counts: counts}}}
	}
	tapes := &habeasv1.TaskCount{Store: "tapes"}
	for name, c := range map[string]struct {
		change *habeasv1.TaskChange
		want   string
	}{
		"a store nobody looked into": {result(tapes), problemInvalid},
		"an unknown store":           {result(tapes, &habeasv1.TaskCount{Store: "attic"}), problemInvalid},
		"less than nothing":          {result(tapes, &habeasv1.TaskCount{Store: "cabinet", Count: -1}), problemInvalid},
		"more kept than there":       {result(tapes, &habeasv1.TaskCount{Store: "cabinet", Count: 1, Kept: 2, Basis: "shared-record"}), problemInvalid},
		"kept without a basis":       {result(tapes, &habeasv1.TaskCount{Store: "cabinet", Count: 1, Kept: 1}), problemInvalid},
		"kept for a made up basis":   {result(tapes, &habeasv1.TaskCount{Store: "cabinet", Count: 1, Kept: 1, Basis: "because"}), problemInvalid},
		"no change":                  {&habeasv1.TaskChange{}, problemInvalid},
		"an old version":             {&habeasv1.TaskChange{Version: 99, Change: &habeasv1.TaskChange_Assign{Assign: "bob"}}, problemMovedOn},
		"two lines":                  {&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: &habeasv1.TaskResult{Impossible: "a\nb"}}}, problemInvalid},
	} {
		if a := r.change(c.change); a.GetProblem() != c.want || a.GetDetail() == "" || strings.Contains(a.GetDetail(), planted) {
			t.Errorf("%s: %q %q", name, a.GetProblem(), a.GetDetail())
		}
	}
	for _, id := range []string{"", "nobody", "../tasks", "a/b"} {
		if a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Open{Open: &habeasv1.TaskOpen{TaskId: id}}}); a.GetProblem() != problemNotFound {
			t.Errorf("task %q: %q", id, a.GetProblem())
		}
	}
	if a := r.ask(&habeasv1.TaskQuestion{}); a.GetProblem() != problemInvalid {
		t.Errorf("no question: %q", a.GetProblem())
	}
	// Of two at the desk who saw the same, one is first.
	version := r.open().GetTasks()[0].GetVersion()
	for i, want := range []string{"", problemMovedOn} {
		c := &habeasv1.TaskChange{Version: version, Change: &habeasv1.TaskChange_Assign{Assign: []string{"ann", "bob"}[i]}}
		if a := r.change(c); a.GetProblem() != want {
			t.Errorf("%d: %q", i, a.GetProblem())
		}
	}
	if who := r.open().GetTasks()[0].GetAssignee(); who != "ann" {
		t.Errorf("assigned to %q", who)
	}
}

// Nobody asks people anything without a job, and a call that was cut off asks
// nobody.
func TestNoJobNoTask(t *testing.T) {
	r := newRig(t)
	if _, err := r.c.Locate(t.Context(), ann); !sdk.IsPermanent(err) {
		t.Errorf("without a job: %v", err)
	}
	cut, cancel := context.WithCancel(job(t.Context(), "locate", 1))
	cancel()
	if _, err := r.c.Locate(cut, ann); !errors.Is(err, context.Canceled) {
		t.Errorf("cut off: %v", err)
	}
	a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{Done: true}}})
	if len(a.GetTasks()) != 0 {
		t.Errorf("there are %d tasks", len(a.GetTasks()))
	}
}
