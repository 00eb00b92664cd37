package console

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
)

// tasksPage lists what people have to do in systems without an API.
type tasksPage struct {
	fleetPage
	Rows []taskRow
	// Away are connectors that do not answer, Desks all whose work people do.
	Away  []string
	Desks int
	// NoDesk says that the console has no key to ask with.
	NoDesk, Done bool
}

type taskRow struct {
	Connector, ID, Link string
	Right               string
	Step                word
	Assignee            string
	Due                 deadline
	Came                moment
}

// taskPage is one task, with whom it is about.
type taskPage struct {
	page
	taskRow
	Request      string
	Version      int64
	Person       []*habeasv1.Identifier
	Instructions []string
	Stores       []taskStore
	Excluded     []string
	Since        moment
	Found, Left  []taskCount
	Proofs       []proofView
	Bases        []wire.Basis
	Types        string
	// Disputed are the fields to put right.
	Disputed []disputedField
	// Copies are the files for a copy, CopyTypes what they may be, and CopyFile
	// and CopyAll how many MiB one and all may have.
	Copies            []copyView
	CopyTypes         string
	CopyFile, CopyAll int
	// Ask says what the form asks for: "count", "in_force", "fields" or "copy".
	Ask             string
	Answered, Done  bool
	Failed, Problem string
	Typed           url.Values
	Me              string
}

type taskStore struct {
	Name, Field  string
	Before       string // what was found, for the second look
	Attached     string // records in the files for a copy
	Count, Kept  string
	Basis, Until string
	Excluded     bool
}

type taskCount struct{ Store, Count, Kept, Basis string }

type proofView struct{ Link, Type, Size, SHA256 string }

var stepWords = map[string]word{
	"look":      {Label: "Look", Tone: warn},
	"erase":     {Label: "Erase, then look again", Tone: warn},
	"opt_out":   {Label: "Opt out", Tone: warn},
	"opted_out": {Label: "See whether the opt-out is in force", Tone: warn},
	"fields":    {Label: "Look at the disputed fields", Tone: warn},
	"correct":   {Label: "Correct, then look again", Tone: warn},
	"copy":      {Label: "Attach a copy of what is held", Tone: warn},
}

func stepWord(t *habeasv1.Task) word {
	switch {
	case t.GetDone():
		return word{Label: "Done", Tone: good}
	case t.GetAnswered():
		return word{Label: "Answered", Tone: busy}
	default:
		return inWords(stepWords, t.GetStep())
	}
}

func (r *Room) tasks(w http.ResponseWriter, req *http.Request)     { r.showTasks(w, req, "tasks.html") }
func (r *Room) tasksLive(w http.ResponseWriter, req *http.Request) { r.showTasks(w, req, "tasks-live") }

func (r *Room) showTasks(w http.ResponseWriter, req *http.Request, template string) {
	f := r.fleet(req.Context())
	done := req.URL.Query().Get("done") != ""
	p := &tasksPage{fleetPage: fleetPage{page: page{Title: "Tasks", Events: "/events", Live: "/tasks/live"}, StoreDown: f.StoreDown, BusDown: f.BusDown}, Done: done}
	if done {
		p.Live += "?done=1"
	}
	p.NoDesk = r.config.Seal.Public() == ""
	var desks []*habeasv1.Manifest
	for i := range f.Members {
		if f.Members[i].Manifest.GetDesk() {
			desks = append(desks, f.Members[i].Manifest)
		}
	}
	if p.Desks = len(desks); !p.NoDesk {
		r.readTasks(req.Context(), p, desks, done)
	}
	r.render(w, req, http.StatusOK, template, p)
}

// readTasks asks every desk at once; one that does not answer is named.
func (r *Room) readTasks(ctx context.Context, p *tasksPage, desks []*habeasv1.Manifest, done bool) {
	answers := make([]*habeasv1.TaskAnswer, len(desks))
	var group sync.WaitGroup
	for i, m := range desks {
		group.Go(func() {
			a, err := r.askDesk(ctx, m, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{Done: done}}})
			if err != nil {
				r.config.Logger.WarnContext(ctx, "asking for tasks", slog.String("connector", m.GetName()), slog.Any("error", err))
				return
			}
			answers[i] = a
		})
	}
	group.Wait()
	due := r.dueOfAll(ctx, answers...)
	for i, a := range answers {
		if a == nil {
			p.Away = append(p.Away, desks[i].GetName())
			continue
		}
		for _, t := range a.GetTasks() {
			p.Rows = append(p.Rows, taskRowOf(desks[i].GetName(), t, due(t)))
		}
	}
}

// dueOfAll says of the tasks in answers when their requests must be answered. Their
// systems were told an instant, before any extension; the day is one of the law's own
// time zone, and stands with the request.
func (r *Room) dueOfAll(ctx context.Context, answers ...*habeasv1.TaskAnswer) func(*habeasv1.Task) deadline {
	now := r.config.Now()
	var ids []request.ID
	for _, a := range answers {
		for _, t := range a.GetTasks() {
			ids = append(ids, request.ID(t.GetRequestId()))
		}
	}
	stored, err := r.config.Store.Several(ctx, ids)
	if err != nil {
		r.config.Logger.WarnContext(ctx, "reading when tasks are due", slog.Any("error", err))
	}
	byID := make(map[request.ID]deadline, len(stored))
	for i := range stored {
		byID[stored[i].ID] = deadlineOf(stored[i].Request, now)
	}
	return func(t *habeasv1.Task) deadline {
		if d, known := byID[request.ID(t.GetRequestId())]; known || !t.GetDueTime().IsValid() {
			return d
		}
		return dueOf(t.GetDueTime().AsTime(), now)
	}
}

func taskRowOf(connector string, t *habeasv1.Task, due deadline) taskRow {
	row := taskRow{
		Connector: connector, ID: t.GetTaskId(), Link: "/tasks/" + url.PathEscape(connector) + "/" + url.PathEscape(t.GetTaskId()),
		Right: label(rightLabels, request.Right(t.GetRight())), Step: stepWord(t), Assignee: t.GetAssignee(), Came: momentOf(t.GetCreateTime().AsTime()),
		Due: deadline{Tone: idle},
	}
	if !t.GetDone() {
		row.Due = due
	}
	return row
}

// dueOf says how far an instant is at which an answer is late. It is said as it is: which
// day that ends depends on the law.
func dueOf(at, now time.Time) deadline {
	d := deadline{Day: momentOf(at).Text, Tone: idle}
	left := int(at.Sub(now).Hours() / 24)
	switch {
	case !at.After(now):
		d.Left, d.Tone = "late", bad
		if left < 0 {
			d.Left = days(-left) + " late"
		}
	case left == 0:
		d.Left, d.Tone = "less than a day left", bad
	case left <= soon:
		d.Left, d.Tone = days(left)+" left", warn
	default:
		d.Left = days(left) + " left"
	}
	return d
}

func (r *Room) task(w http.ResponseWriter, req *http.Request) {
	r.showTask(w, req, http.StatusOK, "", "")
}

// desk finds the connector of a path to one of its tasks.
func (r *Room) desk(req *http.Request) (*habeasv1.Manifest, error) {
	if _, err := request.ParseID(req.PathValue("id")); err != nil {
		return nil, errNoTask // and nobody's view of it would be on record
	}
	f := r.fleet(req.Context())
	i := slices.IndexFunc(f.Members, func(m member) bool { return m.Name == req.PathValue("connector") && m.Manifest.GetDesk() })
	if i < 0 {
		return nil, errNoTask
	}
	return f.Members[i].Manifest, nil
}

// showTask shows a task, after an action that was refused with why.
func (r *Room) showTask(w http.ResponseWriter, req *http.Request, status int, failed, problem string) {
	m, err := r.desk(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	a, err := r.askDesk(req.Context(), m, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Open{Open: &habeasv1.TaskOpen{TaskId: req.PathValue("id")}}})
	if err == nil && len(a.GetTasks()) != 1 {
		err = errNoTask
	}
	if err != nil {
		r.fail(w, req, err)
		return
	}
	p := taskPageOf(m.GetName(), a, r.dueOfAll(req.Context(), a)(a.GetTasks()[0]), req.PostForm)
	p.Failed, p.Problem, p.Me = failed, problem, access.Of(req.Context()).Who
	r.render(w, req, status, "task.html", p)
}

func taskPageOf(connector string, a *habeasv1.TaskAnswer, due deadline, typed url.Values) *taskPage {
	t := a.GetTasks()[0]
	p := &taskPage{
		page: page{Title: "Task for " + connector}, taskRow: taskRowOf(connector, t, due), Request: t.GetRequestId(), Version: t.GetVersion(), Person: a.GetPerson(),
		Excluded: t.GetExcluded(), Found: taskCounts(t.GetFound()), Left: taskCounts(t.GetLeft()), Bases: wire.Bases(), Types: strings.Join(proofTypes, ","),
		Answered: t.GetAnswered(), Done: t.GetDone(), Typed: typed, Ask: "count",
	}
	switch t.GetStep() {
	case "opt_out", "opted_out":
		p.Ask = "in_force"
	case "fields", "correct":
		p.Ask = "fields"
	case "copy":
		p.Ask = "copy"
	}
	p.Copies, p.CopyTypes = copyViews(t.GetFiles()), ".json,.csv,.txt,.pdf"
	p.CopyFile, p.CopyAll = wire.MaxCopyFile>>20, wire.MaxCopy>>20
	p.Disputed = disputedFields(t, a.GetCorrections(), typed)
	if s := t.GetSinceTime(); s.IsValid() {
		p.Since = momentOf(s.AsTime())
	}
	for line := range strings.SplitSeq(strings.TrimSpace(t.GetInstructions()), "\n") {
		if line = strings.TrimSpace(line); line != "" {
			p.Instructions = append(p.Instructions, line)
		}
	}
	for i, name := range t.GetStores() {
		field := strconv.Itoa(i)
		s := taskStore{
			Name: name, Field: field, Excluded: slices.Contains(t.GetExcluded(), name), Count: typed.Get("count-" + field), Kept: typed.Get("kept-" + field),
			Basis: typed.Get("basis-" + field), Until: typed.Get("until-" + field),
		}
		for _, c := range t.GetFound() {
			if c.GetStore() == name {
				s.Before = number(c.GetCount())
			}
		}
		if p.Ask == "copy" {
			s.Attached = number(held(t.GetFiles(), name))
		}
		p.Stores = append(p.Stores, s)
	}
	for _, proof := range t.GetProofs() {
		sum := hex.EncodeToString(proof.GetSha256())
		p.Proofs = append(p.Proofs, proofView{Link: p.Link + "/proof/" + sum, Type: proof.GetMediaType(), Size: number(proof.GetSize()) + " bytes", SHA256: sum})
	}
	return p
}

func taskCounts(counts []*habeasv1.TaskCount) []taskCount {
	var out []taskCount
	for _, c := range counts {
		row := taskCount{Store: c.GetStore(), Count: number(c.GetCount()), Kept: number(c.GetKept()), Basis: c.GetBasis()}
		if t := c.GetUntilTime(); t.IsValid() {
			row.Basis += ", until " + t.AsTime().Format(time.DateOnly)
		}
		out = append(out, row)
	}
	return out
}

func (r *Room) assignTask(w http.ResponseWriter, req *http.Request) {
	if !r.readForm(w, req) {
		return
	}
	r.changeTask(w, req, "assign", &habeasv1.TaskChange{Change: &habeasv1.TaskChange_Assign{Assign: strings.TrimSpace(req.PostFormValue("who"))}})
}

// answerTask takes what a person found or did.
func (r *Room) answerTask(w http.ResponseWriter, req *http.Request) {
	if !r.readForm(w, req) {
		return
	}
	result, problem := resultOf(req.PostForm)
	if problem != "" {
		r.showTask(w, req, http.StatusUnprocessableEntity, "answer", problem+" Nothing was changed.")
		return
	}
	r.changeTask(w, req, "answer", &habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: result}})
}

// mostStores bounds the rows of a form.
const mostStores = 500

// resultOf reads the form of an answer.
func resultOf(form url.Values) (result *habeasv1.TaskResult, problem string) {
	if form.Get("impossible") != "" {
		why := strings.TrimSpace(form.Get("why"))
		if why == "" {
			return nil, "Say why it can't be done."
		}
		return &habeasv1.TaskResult{Impossible: why}, ""
	}
	if form.Has("in_force") {
		return &habeasv1.TaskResult{InForce: form.Get("in_force") == "yes"}, ""
	}
	if form.Has("field-0") {
		return fieldsOf(form)
	}
	result = &habeasv1.TaskResult{}
	for i := range mostStores {
		field := strconv.Itoa(i)
		if !form.Has("store-" + field) {
			break
		}
		c := &habeasv1.TaskCount{Store: form.Get("store-" + field), Basis: form.Get("basis-" + field)}
		var err error
		if c.Count, err = strconv.ParseInt(strings.TrimSpace(form.Get("count-"+field)), 10, 64); err != nil {
			return nil, "Say how many records there are in " + c.Store + ", also when there are none."
		}
		if kept := strings.TrimSpace(form.Get("kept-" + field)); kept != "" {
			if c.Kept, err = strconv.ParseInt(kept, 10, 64); err != nil {
				return nil, "Say how many of them are kept in " + c.Store + ", as a number."
			}
		}
		if until := form.Get("until-" + field); until != "" && c.Kept > 0 {
			day, err := time.Parse(time.DateOnly, until)
			if err != nil {
				return nil, "Say until when records are kept in " + c.Store + ", as a date."
			}
			c.UntilTime = timestamppb.New(day)
		}
		result.Counts = append(result.Counts, c)
	}
	if len(result.GetCounts()) == 0 {
		return nil, "The form has no counts."
	}
	return result, ""
}

// proofTypes are what documents may be.
var proofTypes = []string{"application/pdf", "image/png", "image/jpeg", "text/plain", "message/rfc822"}

// attachProof takes a document in.
func (r *Room) attachProof(w http.ResponseWriter, req *http.Request) {
	const around = 64 << 10
	req.Body = http.MaxBytesReader(w, req.Body, wire.MaxProof+around)
	err := req.ParseMultipartForm(wire.MaxProof + around) //nolint:gosec // the body is bounded above
	if req.MultipartForm != nil {
		defer func() { _ = req.MultipartForm.RemoveAll() }() // it is all in memory
	}
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		r.showTask(w, req, http.StatusRequestEntityTooLarge, "attach", "The document is too large: at most "+number(wire.MaxProof/1024)+" KiB. Nothing was changed.")
		return
	}
	if err != nil {
		r.fail(w, req, errBadForm)
		return
	}
	proof, problem := proofOf(req)
	if problem != "" {
		r.showTask(w, req, http.StatusUnprocessableEntity, "attach", problem+" Nothing was changed.")
		return
	}
	r.changeTask(w, req, "attach", &habeasv1.TaskChange{Change: &habeasv1.TaskChange_Attach{Attach: proof}})
}

func proofOf(req *http.Request) (proof *habeasv1.TaskProof, problem string) {
	file, header, err := req.FormFile("document")
	if err != nil {
		return nil, "Choose a document."
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil || len(content) == 0 {
		return nil, "The document is empty or could not be read."
	}
	kind, _, _ := strings.Cut(header.Header.Get("Content-Type"), ";")
	if !slices.Contains(proofTypes, kind) {
		return nil, "A document is a PDF, a picture (PNG or JPEG), plain text or a mail."
	}
	return &habeasv1.TaskProof{MediaType: kind, Content: content}, ""
}

// changeTask asks the connector for a change and goes back to the task, or shows
// it again with why not. What was answered is taken up at once.
func (r *Room) changeTask(w http.ResponseWriter, req *http.Request, action string, ch *habeasv1.TaskChange) {
	m, err := r.desk(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	ch.TaskId = req.PathValue("id")
	if ch.Version, err = strconv.ParseInt(req.FormValue("version"), 10, 64); err != nil {
		r.fail(w, req, errBadForm)
		return
	}
	a, err := r.askDesk(ctx, m, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Change{Change: ch}})
	var refused *refusedTask
	switch {
	case errors.As(err, &refused):
		status, text := http.StatusUnprocessableEntity, refused.detail+". Nothing was changed."
		if refused.problem == "moved_on" {
			status, text = http.StatusConflict, "The task has moved on since you saw it. Nothing was changed; this page shows how it stands now."
		}
		r.showTask(w, req, status, action, plain(text))
		return
	case err != nil:
		r.fail(w, req, err)
		return
	}
	r.config.Logger.InfoContext(ctx, "staff decided", slog.String("connector", m.GetName()), slog.String("task", ch.GetTaskId()), slog.String("action", action))
	link := "/tasks/" + url.PathEscape(m.GetName()) + "/" + url.PathEscape(ch.GetTaskId())
	if ch.GetResult() != nil && len(a.GetTasks()) == 1 {
		if id, err := request.ParseID(a.GetTasks()[0].GetRequestId()); err == nil {
			go r.takeUp(ctx, id, m.GetName())
		}
		link = "/tasks"
	}
	http.Redirect(w, req, link, http.StatusSeeOther)
}

// taskProof gives a document out, to be saved and not to be shown: it comes from
// outside.
func (r *Room) taskProof(w http.ResponseWriter, req *http.Request) {
	m, err := r.desk(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	sum, err := hex.DecodeString(req.PathValue("proof"))
	if err != nil {
		r.fail(w, req, errNoTask)
		return
	}
	a, err := r.askDesk(req.Context(), m, &habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_Proof{Proof: &habeasv1.TaskProofOpen{TaskId: req.PathValue("id"), Sha256: sum}}})
	if err != nil {
		r.fail(w, req, err)
		return
	}
	proof := a.GetProof()
	if !slices.Contains(proofTypes, proof.GetMediaType()) {
		r.fail(w, req, errNoTask)
		return
	}
	w.Header().Set("Content-Type", proof.GetMediaType())
	w.Header().Set("Content-Disposition", `attachment; filename="proof-`+hex.EncodeToString(sum[:min(6, len(sum))])+`"`)
	_, _ = w.Write(proof.GetContent()) //nolint:gosec // a known type, saved and not shown; the reader may have gone
}
