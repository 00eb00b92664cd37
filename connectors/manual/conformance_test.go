package manual

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// TestConformance holds the connector to every promise, with somebody at the desk
// who does as the tasks say.
func TestConformance(t *testing.T) {
	sdktest.Run(t, func(t testing.TB) sdktest.System { return newCabinet(t) })
}

// cabinet is a filing cabinet with somebody who works at it.
type cabinet struct {
	c        *Connector
	manifest sdk.Manifest

	mu     sync.Mutex
	sheets []sheet
	outs   map[string]bool
	jobs   int
}

// sheet is one piece of paper.
type sheet struct {
	store, email, text string
	street             string // on some sheets there is one
	kept               bool
	date               time.Time
}

func newCabinet(t testing.TB) *cabinet {
	t.Helper()
	s := archive
	s.Can = abilities
	s.Stores = []StoreSettings{
		{Name: "cabinet", Categories: []CategorySettings{{Letter: "A", Data: "user.contact"}}},
		{Name: "invoices", Categories: []CategorySettings{{Letter: "D", Data: "user.financial"}}},
	}
	m, _, err := New(s, "")
	if err != nil {
		t.Fatal(err)
	}
	_, able, err := New(s, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k := &cabinet{c: able.(allCopying).Connector, manifest: m, outs: map[string]bool{}}
	k.manifest.Name, k.manifest.Version = "cabinet", "1"
	k.c.linger = 30 * time.Second // so that a call ends when the person has answered
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var at sync.WaitGroup
	at.Go(func() { k.work(ctx, t) })
	t.Cleanup(func() {
		stop()
		at.Wait()
		if err := k.c.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// work does the tasks as they come.
func (k *cabinet) work(ctx context.Context, t testing.TB) {
	for {
		changed := k.c.changes()
		a := k.c.AnswerDesk(ctx, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{}}})
		for _, task := range a.GetTasks() {
			if !task.GetAnswered() {
				k.do(ctx, t, task.GetTaskId())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func (k *cabinet) do(ctx context.Context, t testing.TB, id string) {
	a := k.c.AnswerDesk(ctx, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Open{Open: &habeasv1.TaskOpen{TaskId: id}}})
	if len(a.GetTasks()) == 0 {
		return // the work is over
	}
	task := a.GetTasks()[0]
	if task.GetStep() == stepCopy {
		task = k.attach(ctx, t, task, a.GetPerson())
	}
	ch := &habeasv1.TaskChange{TaskId: id, Version: task.GetVersion(), Change: &habeasv1.TaskChange_Result{Result: k.result(task, a.GetPerson(), a.GetCorrections())}}
	a = k.c.AnswerDesk(ctx, &habeasv1.TaskQuestion{Who: "the archivist", Question: &habeasv1.TaskQuestion_Change{Change: ch}})
	if a.GetProblem() != "" && a.GetProblem() != problemMovedOn && ctx.Err() == nil {
		t.Errorf("the archivist is refused: %s %s", a.GetProblem(), a.GetDetail())
	}
}

// attach attaches her sheets, one file for each store, and returns the task as it
// is then.
func (k *cabinet) attach(ctx context.Context, t testing.TB, task *habeasv1.Task, person []*habeasv1.Identifier) *habeasv1.Task {
	for _, store := range task.GetStores() {
		var sheets []map[string]string
		k.mu.Lock()
		for _, s := range k.sheets {
			if s.store == store && slices.ContainsFunc(person, func(i *habeasv1.Identifier) bool { return i.GetValue() == s.email }) {
				sheets = append(sheets, map[string]string{"email": s.email, "text": s.text, "street": s.street})
			}
		}
		k.mu.Unlock()
		if len(sheets) == 0 {
			continue
		}
		text, err := json.Marshal(sheets)
		if err != nil {
			t.Error(err)
			return task
		}
		for _, piece := range pieces(store, typeJSON, 0, text) {
			ch := &habeasv1.TaskChange{TaskId: task.GetTaskId(), Version: task.GetVersion(), Change: &habeasv1.TaskChange_Copy{Copy: piece}}
			a := k.c.AnswerDesk(ctx, &habeasv1.TaskQuestion{Who: "the archivist", Question: &habeasv1.TaskQuestion_Change{Change: ch}})
			if a.GetProblem() != "" {
				if a.GetProblem() != problemMovedOn && ctx.Err() == nil {
					t.Errorf("the archivist's file is refused: %s %s", a.GetProblem(), a.GetDetail())
				}
				return task
			}
			task = a.GetTasks()[0]
		}
	}
	return task
}

// result is what the archivist does and sees.
func (k *cabinet) result(task *habeasv1.Task, person []*habeasv1.Identifier, corrections []*habeasv1.Correction) *habeasv1.TaskResult {
	k.mu.Lock()
	defer k.mu.Unlock()
	about := func(email string) bool {
		return slices.ContainsFunc(person, func(i *habeasv1.Identifier) bool { return i.GetKind() == "email" && i.GetValue() == email })
	}
	switch task.GetStep() {
	case stepOptOut:
		for _, i := range person {
			k.outs[i.GetValue()] = true
		}
		return &habeasv1.TaskResult{InForce: true}
	case stepOptedOut:
		in := len(person) > 0
		for _, i := range person {
			in = in && k.outs[i.GetValue()]
		}
		return &habeasv1.TaskResult{InForce: in}
	case stepFields, stepCorrect:
		return &habeasv1.TaskResult{Fields: k.fields(task.GetStep() == stepCorrect, about, corrections)}
	case stepErase:
		k.sheets = slices.DeleteFunc(k.sheets, func(s sheet) bool {
			return about(s.email) && !s.kept && !slices.Contains(task.GetExcluded(), s.store)
		})
	}
	r := &habeasv1.TaskResult{}
	for _, store := range task.GetStores() {
		c := &habeasv1.TaskCount{Store: store}
		for _, s := range k.sheets {
			if s.store != store || !about(s.email) || task.GetSinceTime().IsValid() && s.date.Before(task.GetSinceTime().AsTime()) {
				continue
			}
			c.Count++
			if s.kept {
				c.Kept++
				c.Basis, c.UntilTime = "ccpa-1798.105(d)(8)", timestamppb.New(time.Now().AddDate(5, 0, 0))
			}
		}
		r.Counts = append(r.Counts, c)
	}
	return r
}

// fields looks at what is disputed, after putting it right where that is asked.
func (k *cabinet) fields(right bool, about func(string) bool, corrections []*habeasv1.Correction) []*habeasv1.TaskField {
	var out []*habeasv1.TaskField
	for _, c := range corrections {
		row := &habeasv1.TaskField{Field: c.GetField()}
		for i := range k.sheets {
			s := &k.sheets[i]
			if c.GetField() != "street" || s.street == "" || !about(s.email) {
				continue
			}
			if right {
				s.street = c.GetValue()
			}
			row.HeldCount++
			if s.street != c.GetValue() {
				row.WrongCount++
			}
		}
		out = append(out, row)
	}
	return out
}

// Open implements [sdktest.System].
func (k *cabinet) Open(testing.TB) (sdk.Manifest, sdk.Connector) { return k.manifest, asked{k} }

// Plant implements [sdktest.System].
func (k *cabinet) Plant(_ testing.TB, n int) sdktest.Planted {
	k.mu.Lock()
	defer k.mu.Unlock()
	email, name, number := fmt.Sprintf("person%d@example.com", n), fmt.Sprintf("Jane Doe the %dth", n), fmt.Sprintf("invoice-%d", 4000+n)
	day := time.Now().AddDate(0, -1, 0)
	k.sheets = append(k.sheets,
		sheet{store: "cabinet", email: email, text: name + " wrote to us", street: fmt.Sprintf("%d Main Street", n), date: day},
		sheet{store: "cabinet", email: email, text: "we answered " + name, date: day},
		sheet{store: "invoices", email: email, text: number, kept: true, date: day},
	)
	return sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.Email, email)), Traces: []string{email, name, number}, Stores: map[string]int64{"cabinet": 2, "invoices": 1},
		Kept: map[string]int64{"invoices": 1}, KeptTraces: []string{email, number},
		Corrections: []sdk.Correction{{Field: "street", Value: sdk.Secret(fmt.Sprintf("%d Righted Avenue", n))}},
	}
}

// Dump implements [sdktest.System].
func (k *cabinet) Dump(testing.TB) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, s := range k.sheets {
		out = append(out, strings.Join([]string{s.store, s.email, s.text, s.street}, " | "))
	}
	return out
}

// asked is the connector as the runtime calls it: each call belongs to a job.
type asked struct{ k *cabinet }

func (a asked) job(ctx context.Context, action string) context.Context {
	a.k.mu.Lock()
	defer a.k.mu.Unlock()
	a.k.jobs++
	return sdk.WithJobInfo(ctx, sdk.JobInfo{JobID: fmt.Sprintf("job-%d", a.k.jobs), Action: action, Attempt: 1})
}

func (a asked) connector() allCopying {
	return allCopying{all{a.k.c, eraser{a.k.c}, optOuter{a.k.c}, corrector{a.k.c}}, exporter{a.k.c}}
}

func (a asked) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	return a.connector().Export(a.job(ctx, "export"), p, w)
}

func (a asked) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	return a.connector().Locate(a.job(ctx, "locate"), p)
}

func (a asked) Erase(ctx context.Context, p sdk.Person) error {
	return a.connector().Erase(a.job(ctx, "erase"), p)
}

func (a asked) Correct(ctx context.Context, p sdk.Person, corrections []sdk.Correction) error {
	return a.connector().Correct(a.job(ctx, "correct"), p, corrections)
}

func (a asked) Corrected(ctx context.Context, p sdk.Person, corrections []sdk.Correction) (held, wrong int64, err error) {
	return a.connector().Corrected(a.job(ctx, "correct"), p, corrections)
}

func (a asked) OptOut(ctx context.Context, p sdk.Person) error {
	return a.connector().OptOut(a.job(ctx, "opt_out"), p)
}

func (a asked) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	return a.connector().OptedOut(a.job(ctx, "opt_out"), p)
}
