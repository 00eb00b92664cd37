package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/browsertest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

const taskID = "01985c5e-8c00-7000-8000-0000000000a1"

// archivist is a connector whose work people do, as far as the desk sees it: one
// task, kept in memory.
type archivist struct {
	mu      sync.Mutex
	task    *habeasv1.Task
	proof   []byte
	pieces  int // of files, but for the last of each
	changes []string
	// refuse is the problem of every change, with its detail.
	refuse, detail string
	silent         bool
}

// newArchivist puts one on the bus, with its request in the database.
func newArchivist(t testing.TB, d *desk) *archivist {
	t.Helper()
	seal, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	if d.room.config.Seal, err = wire.NewSealKey(); err != nil {
		t.Fatal(err)
	}
	id := d.add(t, made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -12), jobs: []store.Job{
		{Connector: "archive", Action: request.ActionErase, State: request.JobDeferred, Attempt: 1, Code: "accepted", NextAt: now.Add(20 * time.Hour)},
	}})
	r, _, err := d.store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	a := &archivist{task: &habeasv1.Task{
		TaskId: taskID, RequestId: string(id), Right: "delete", Step: "look", Version: 3, CreateTime: timestamppb.New(now.Add(-time.Hour)),
		DueTime: timestamppb.New(r.RespondBy), Stores: []string{"cabinet", "tapes"}, Instructions: "Ask the archive for the box.\nWear gloves.",
	}}
	d.connect(t, append(sites(), announced("archive", []string{"email", "name"}, nil, func(m *habeasv1.Manifest) { m.Desk, m.SealKey = true, seal.Public() }))...)
	desk := d.room.config.Seal.Public()
	sub, err := d.bus.Conn.Subscribe(wire.TaskSubject("archive"), func(m *nats.Msg) {
		call, err := wire.ParseTaskCall(m.Data, "archive")
		if err != nil || call.GetSealerKey() != desk {
			t.Errorf("a call that is none: %v", err)
			return
		}
		q, err := seal.OpenQuestion(call.GetSealedQuestion(), call.GetSealerKey(), call.GetCallId())
		if err != nil {
			t.Error(err)
			return
		}
		answer := a.answer(q)
		if answer == nil {
			return
		}
		answer.CallId = q.GetCallId()
		sealed, err := seal.SealAnswer(answer, call.GetSealerKey())
		if err != nil {
			t.Error(err)
			return
		}
		body, err := proto.Marshal(&habeasv1.TaskReply{CallId: q.GetCallId(), Connector: "archive", SealedAnswer: sealed})
		if err == nil {
			err = m.Respond(body)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() }) // the bus may be gone
	return a
}

func (a *archivist) answer(q *habeasv1.TaskQuestion) *habeasv1.TaskAnswer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.silent {
		return nil
	}
	out := &habeasv1.TaskAnswer{Tasks: []*habeasv1.Task{proto.CloneOf(a.task)}}
	switch asked := q.GetQuestion().(type) {
	case *habeasv1.TaskQuestion_List:
		if a.task.GetDone() && !asked.List.GetDone() {
			out.Tasks = nil
		}
	case *habeasv1.TaskQuestion_Open:
		if asked.Open.GetTaskId() != taskID {
			return &habeasv1.TaskAnswer{Problem: "not_found"}
		}
		out.Person = []*habeasv1.Identifier{{Kind: "email", Value: planted}}
		for _, f := range a.task.GetFields() {
			if !a.task.GetDone() {
				out.Corrections = append(out.Corrections, &habeasv1.Correction{Field: f.GetField(), Value: rightStreet})
			}
		}
	case *habeasv1.TaskQuestion_Proof:
		out.Proof = &habeasv1.TaskProof{MediaType: "application/pdf", Content: a.proof}
	case *habeasv1.TaskQuestion_Change:
		ch := asked.Change
		switch {
		case a.refuse != "":
			return &habeasv1.TaskAnswer{Problem: a.refuse, Detail: a.detail}
		case ch.GetVersion() != a.task.GetVersion():
			return &habeasv1.TaskAnswer{Problem: "moved_on"}
		}
		if piece := ch.GetCopy(); piece != nil && piece.GetOffset()+int64(len(piece.GetContent())) < piece.GetSize() {
			a.pieces++
			break
		}
		a.note(q.GetWho(), ch)
		a.task.Version++
		out.Tasks = []*habeasv1.Task{proto.CloneOf(a.task)}
	}
	return out
}

func (a *archivist) note(who string, ch *habeasv1.TaskChange) {
	switch what := ch.GetChange().(type) {
	case *habeasv1.TaskChange_Assign:
		a.task.Assignee = what.Assign
		a.changes = append(a.changes, fmt.Sprintf("%s assigns %s", who, what.Assign))
	case *habeasv1.TaskChange_Attach:
		a.proof = what.Attach.GetContent()
		sum := sha256.Sum256(a.proof)
		a.task.Proofs = append(a.task.Proofs, &habeasv1.TaskProof{Sha256: sum[:], MediaType: what.Attach.GetMediaType(), Size: int64(len(a.proof))})
		a.changes = append(a.changes, fmt.Sprintf("%s attaches %s", who, what.Attach.GetMediaType()))
	case *habeasv1.TaskChange_Copy:
		f := proto.CloneOf(what.Copy)
		f.Content = nil
		a.task.Files = append(a.task.Files, f)
		a.changes = append(a.changes, fmt.Sprintf("%s copies %s, %d of %s, %d bytes", who, f.GetMediaType(), f.GetRecordCount(), f.GetStore(), f.GetSize()))
	case *habeasv1.TaskChange_Uncopy:
		a.task.Files = slices.DeleteFunc(a.task.Files, func(f *habeasv1.TaskFile) bool { return bytes.Equal(f.GetSha256(), what.Uncopy) })
		a.changes = append(a.changes, who+" takes out")
	case *habeasv1.TaskChange_Result:
		a.task.Answered = true
		text := fmt.Sprintf("%s answers %q %v", who, what.Result.GetImpossible(), what.Result.GetInForce())
		for _, c := range what.Result.GetCounts() {
			text += fmt.Sprintf("; %s %d, %d kept %s", c.GetStore(), c.GetCount(), c.GetKept(), c.GetBasis())
			if c.GetUntilTime().IsValid() {
				text += " until " + c.GetUntilTime().AsTime().Format(time.DateOnly)
			}
		}
		for _, f := range what.Result.GetFields() {
			text += fmt.Sprintf("; %s %d, %d wrong", f.GetField(), f.GetHeldCount(), f.GetWrongCount())
		}
		a.changes = append(a.changes, text)
	}
}

const rightStreet = "12 Righted Avenue"

// corrects makes the task one of putting a street right.
func (a *archivist) corrects(step string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.task.Right, a.task.Step, a.task.Answered = "correct", step, false
	a.task.Fields = []*habeasv1.TaskField{{Field: "street", HeldCount: 3, WrongCount: 2}}
}

// What is to be put right is shown to whoever does the task, on record, and not in
// the list; how the field stands goes back by numbers alone.
func TestTaskOfCorrection_CO1(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	a.corrects("correct")
	list := d.fetch(t, "/tasks")
	list.decent(t, true)
	list.says(t, "Correct, then look again")
	if strings.Contains(list.body, rightStreet) {
		t.Error("the list tells the right value")
	}
	base := "/tasks/archive/" + taskID
	page := d.fetch(t, base)
	page.says(t, "What is to be put right", "street "+rightStreet, "2 of 3 wrong when last seen", "Records that have it", "With another value")
	if views := d.views(t); views != "console admin console: task "+taskID+" of archive true" {
		t.Errorf("on record is %s", views)
	}
	for want, form := range map[string]url.Values{
		"Say how many records have street":   {"version": {"3"}, "field-0": {"street"}, "held-0": {""}, "wrong-0": {"0"}},
		"Say in how many records street has": {"version": {"3"}, "field-0": {"street"}, "held-0": {"3"}, "wrong-0": {"some"}},
	} {
		got := d.post(t, base+"/answer", form)
		got.says(t, want)
		if got.status != http.StatusUnprocessableEntity {
			t.Errorf("status %d", got.status)
		}
	}
	if back := d.post(t, base+"/answer", url.Values{"version": {"3"}, "field-0": {"street"}, "held-0": {"3"}, "wrong-0": {"0"}}); back.path != "/tasks" {
		t.Errorf("led to %s with %d", back.path, back.status)
	}
	d.retried(t, fmt.Sprintf("retry %s %q 0", a.task.GetRequestId(), "archive"))
	if got := a.did(); got != `console answers "" false; street 3, 0 wrong` {
		t.Errorf("did %s", got)
	}
	a.mu.Lock()
	a.task.Done = true
	a.mu.Unlock()
	if done := d.fetch(t, base); strings.Contains(done.body, rightStreet) {
		t.Error("a task that is done tells the right value")
	}
}

func (a *archivist) did() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.changes, " | ")
}

// retried waits until what was answered is taken up.
func (d *desk) retried(t testing.TB, want string) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		d.act.mu.Lock()
		did := strings.Join(d.act.calls, "; ")
		d.act.mu.Unlock()
		if did == want {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 60 s the actor did %s, want %s", did, want)
		}
	}
}

var counted2 = url.Values{
	"version": {"3"}, "store-0": {"cabinet"}, "count-0": {"5"}, "kept-0": {"2"}, "basis-0": {"ccpa-1798.105(d)(8)"}, "until-0": {"2033-01-01"},
	"store-1": {"tapes"}, "count-1": {"0"}, "kept-1": {""}, "basis-1": {""}, "until-1": {""},
}

// A task is listed without whom it is about, opened on record, and answered; what
// was answered is taken up at once.
func TestTasks(t *testing.T) {
	d := newDesk(t)
	d.fetch(t, "/tasks").says(t, "No connector of this company is one whose work people do")
	a := newArchivist(t, d)
	list := d.fetch(t, "/tasks")
	list.decent(t, true)
	// Its last day ends at seven the next morning, UTC.
	if due := a.task.GetDueTime().AsTime(); due.Format(time.DateTime) != "2026-07-19 07:00:00" {
		t.Fatalf("it is due at %s", due)
	}
	list.says(t, "archive: Deletion "+taskID+" Look nobody yet 2026-07-18 33 days left")
	if views := d.views(t); views != "" {
		t.Errorf("the list is on record as %s", views)
	}
	page := d.fetch(t, "/tasks/archive/"+taskID)
	page.says(t, planted, "Ask the archive for the box.", "Wear gloves.", "That you looked is on record", "cabinet", "tapes")
	if views := d.views(t); views != "console admin console: task "+taskID+" of archive true" {
		t.Errorf("on record is %s", views)
	}
	if back := d.post(t, "/tasks/archive/"+taskID+"/answer", counted2); back.path != "/tasks" {
		t.Errorf("led to %s with %d", back.path, back.status)
	}
	d.retried(t, fmt.Sprintf("retry %s %q 0", a.task.GetRequestId(), "archive"))
	if got := a.did(); got != `console answers "" false; cabinet 5, 2 kept ccpa-1798.105(d)(8) until 2033-01-01; tapes 0, 0 kept ` {
		t.Errorf("did %s", got)
	}
	d.fetch(t, "/tasks").says(t, "Answered")
	d.fetch(t, "/tasks/archive/"+taskID).says(t, "The connector takes it up now")
}

// When a task is due stands with its request, which may have been extended since the
// system was told; without it, the instant is said that the system was told.
func TestTaskIsDueWithItsRequest(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	extended := request.Date{Year: 2026, Month: time.September, Day: 1}
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{request.ID(a.task.GetRequestId())}}, false, func(snaps []*store.Snapshot) error {
		snaps[0].Changed = true
		return snaps[0].Request.Extend(request.DateOf(now, time.UTC), "many systems")
	})
	if err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/tasks").says(t, extended.String())
	d.fetch(t, "/tasks/archive/"+taskID).says(t, extended.String())
	d.room.config.Store = forgetful{d.store}
	d.fetch(t, "/tasks").says(t, "19 Jul 2026, 07:00 UTC")
}

// forgetful is a store that can't say which requests there are.
type forgetful struct{ store.Store }

func (forgetful) Several(context.Context, []request.ID) ([]store.Request, error) {
	return nil, errors.New("lost the database of " + planted)
}

// views are the views of tasks on record.
func (d *desk) views(t testing.TB) string {
	t.Helper()
	list, err := d.store.Accesses(t.Context(), now.Add(-time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, v := range list {
		if strings.Contains(v.Purpose, "task") {
			out = append(out, fmt.Sprintf("%s %s %s %v", v.Who, v.Role, v.Purpose, v.Allowed))
		}
	}
	return strings.Join(out, "; ")
}

func TestTaskIsAssignedAndCantBeDone(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	base := "/tasks/archive/" + taskID
	d.post(t, base+"/assign", url.Values{"version": {"3"}, "who": {" ben "}}).says(t, "Done by ben")
	if page := d.post(t, base+"/assign", url.Values{"version": {"3"}, "who": {"eve"}}); page.status != http.StatusConflict {
		t.Errorf("a change of what was seen long ago: status %d", page.status)
	}
	page := d.post(t, base+"/answer", url.Values{"version": {"4"}, "impossible": {"1"}, "why": {" "}})
	page.says(t, "Say why it can't be done.")
	for name, form := range map[string]url.Values{
		"tapes":  {"version": {"4"}, "store-0": {"cabinet"}, "count-0": {"1"}, "store-1": {"tapes"}, "count-1": {""}},
		"number": {"version": {"4"}, "store-0": {"cabinet"}, "count-0": {"1"}, "kept-0": {"x"}},
		"date":   {"version": {"4"}, "store-0": {"cabinet"}, "count-0": {"1"}, "kept-0": {"1"}, "until-0": {"soon"}},
		"counts": {"version": {"4"}},
	} {
		page := d.post(t, base+"/answer", form)
		if page.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", name, page.status)
		}
		page.says(t, name)
	}
	a.mu.Lock()
	a.refuse, a.detail = "invalid", "counts of cabinet: say why records are kept"
	a.mu.Unlock()
	d.post(t, base+"/answer", url.Values{"version": {"4"}, "store-0": {"cabinet"}, "count-0": {"7"}}).says(t, "Counts of cabinet: say why records are kept. Nothing was changed.")
	a.mu.Lock()
	a.refuse = ""
	a.mu.Unlock()
	d.post(t, base+"/answer", url.Values{"version": {"4"}, "impossible": {"1"}, "why": {"the archive has burnt down"}})
	if got := a.did(); got != `console assigns ben | console answers "the archive has burnt down" false` {
		t.Errorf("did %s", got)
	}
	if page := d.post(t, base+"/assign", url.Values{"version": {"x"}}); page.status != http.StatusBadRequest {
		t.Errorf("no version: status %d", page.status)
	}
}

func (d *desk) attach(t testing.TB, path, mediaType string, content []byte) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if err := form.WriteField("version", "3"); err != nil {
		t.Fatal(err)
	}
	h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="document"; filename="x"`}, "Content-Type": {mediaType}}
	part, err := form.CreatePart(h)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.server.URL+path, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer{status: res.StatusCode, path: res.Request.URL.Path}
}

func TestProofsAreAttachedAndGivenOut(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	base := "/tasks/archive/" + taskID
	if got := d.attach(t, base+"/attach", "text/html", []byte("<script>")); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a web page: status %d", got.status)
	}
	if got := d.attach(t, base+"/attach", "application/pdf", nil); got.status != http.StatusUnprocessableEntity {
		t.Errorf("nothing: status %d", got.status)
	}
	if got := d.attach(t, base+"/attach", "application/pdf", make([]byte, wire.MaxProof+200_000)); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: status %d", got.status)
	}
	largest := bytes.Repeat([]byte("%PDF "), wire.MaxProof/5)
	if got := d.attach(t, base+"/attach", "application/pdf", largest); got.status != http.StatusOK || got.path != base {
		t.Fatalf("led to %s with %d", got.path, got.status)
	}
	if got := a.did(); got != "console attaches application/pdf" {
		t.Errorf("did %s", got)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(largest))
	d.fetch(t, base).says(t, "application/pdf", sum)
	proof := d.fetch(t, base+"/proof/"+sum)
	if proof.body != string(largest) || !strings.HasPrefix(proof.header.Get("Content-Disposition"), "attachment;") || proof.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d bytes with %v", len(proof.body), proof.header)
	}
	if got := d.fetch(t, base+"/proof/zz"); got.status != http.StatusNotFound {
		t.Errorf("status %d", got.status)
	}
	if views := strings.Count(d.views(t), "of archive true"); views < 3 {
		t.Errorf("%d views are on record", views)
	}
}

// Whom a task is about is for those who do tasks; whoever else tries is on record
// too.
func TestTasksAreForWhoDoesThem(t *testing.T) {
	d := newDesk(t)
	newArchivist(t, d)
	for _, c := range []struct {
		role access.Role
		may  bool
	}{{access.Viewer, false}, {access.Auditor, false}, {access.Approver, false}, {access.Operator, true}, {access.Admin, true}} {
		client := d.as(t, "ana", c.role)
		list := d.do(t, client, http.MethodGet, "/tasks", nil, nil)
		list.decent(t, true)
		if strings.Contains(list.body, planted) || strings.Contains(list.body, `href="/tasks/archive/`) != c.may {
			t.Errorf("%s: the list is wrong for them", c.role)
		}
		page := d.do(t, client, http.MethodGet, "/tasks/archive/"+taskID, nil, nil)
		if (page.status == http.StatusOK) != c.may || strings.Contains(page.body, planted) != c.may {
			t.Errorf("%s: status %d", c.role, page.status)
		}
		for _, action := range []string{"/assign", "/answer", "/attach", "/copy", "/uncopy"} {
			if got := d.do(t, client, http.MethodPost, "/tasks/archive/"+taskID+action, url.Values{"version": {"1"}}, nil); (got.status == http.StatusForbidden) == c.may {
				t.Errorf("%s, %s: status %d", c.role, action, got.status)
			}
		}
	}
	if views := d.views(t); !strings.Contains(views, "ana viewer console: task "+taskID+" of archive false") {
		t.Errorf("on record is %s", views)
	}
	for _, path := range []string{"/tasks/archive/nonsense", "/tasks/crm/" + taskID, "/tasks/nobody/" + taskID, "/tasks/archive/" + string(request.NewID())} {
		if got := d.fetch(t, path); got.status != http.StatusNotFound {
			t.Errorf("%s: status %d", path, got.status)
		}
	}
}

// A desk that does not answer is named, and the rest is shown.
func TestTasksOfWhoIsAway(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	d.connect(t, announced("cellar", []string{"email"}, nil, func(m *habeasv1.Manifest) { m.Desk, m.SealKey = true, d.room.config.Seal.Public() }))
	list := d.fetch(t, "/tasks")
	list.decent(t, true)
	list.says(t, "cellar does not answer", "archive: Deletion")
	a.mu.Lock()
	a.silent = true
	a.mu.Unlock()
	d.room.deskPatience = 50 * time.Millisecond
	if got := d.fetch(t, "/tasks/archive/"+taskID); got.status != http.StatusServiceUnavailable {
		t.Errorf("status %d", got.status)
	}
	d.room.config.Seal = wire.SealKey{}
	d.fetch(t, "/tasks").says(t, "The console has no seal key")
	if got := d.fetch(t, "/tasks/archive/"+taskID); got.status != http.StatusServiceUnavailable {
		t.Errorf("status %d", got.status)
	}
}

// Tasks as people see and do them.
func TestTaskLooks(t *testing.T) {
	d := newDesk(t)
	a := newArchivist(t, d)
	b := browsertest.New(t)
	enter(b, d)
	looks(b, "tasks", d.server.URL+"/tasks")
	page := d.server.URL + "/tasks/archive/" + taskID
	a.copies()
	looks(b, "task-copy", page)
	attachesCopy(t, b)
	a.corrects("correct")
	looks(b, "task-correct", page)
	a.mu.Lock()
	a.task.Right, a.task.Step, a.task.Fields, a.changes = "delete", "look", nil, nil
	a.mu.Unlock()
	looks(b, "task", page)
	file := filepath.Join(t.TempDir(), "photo.png")
	if err := os.WriteFile(file, []byte("\x89PNG\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Run(chromedp.SetUploadFiles("#document", []string{file}), chromedp.Click("#attach"))
	b.Wait(`document.querySelector("#proofs + ul")?.textContent.includes("image/png")`)
	b.Run(chromedp.Click("#assign"))
	b.Wait(`[...document.querySelectorAll(".facts dd")].some(d => d.textContent === "console")`)
	b.Run(
		chromedp.SendKeys("#count-0", "4"), chromedp.SendKeys("#kept-0", "1"), chromedp.SetValue("#basis-0", "ccpa-1798.105(d)(8)"),
		chromedp.SendKeys("#count-1", "0\r"),
	)
	b.Wait(`location.pathname === "/tasks" && document.querySelector("#tasks")?.textContent.includes("Answered")`)
	want := `console attaches image/png | console assigns console | console answers "" false; cabinet 4, 1 kept ccpa-1798.105(d)(8); tapes 0, 0 kept `
	if got := a.did(); got != want {
		t.Errorf("did %s", got)
	}
}
