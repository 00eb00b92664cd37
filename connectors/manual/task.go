package manual

import (
	"encoding/hex"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// The steps of a task: what a person is asked to do now.
const (
	stepLook     = "look"
	stepErase    = "erase"
	stepOptOut   = "opt_out"
	stepOptedOut = "opted_out"
	stepFields   = "fields"
	stepCorrect  = "correct"
	stepCopy     = "copy"
)

// task is a job that people do, as it is stored.
type task struct {
	ID        string    `json:"id"`
	RequestID string    `json:"request_id"`
	Regime    string    `json:"regime"`
	Right     string    `json:"right"`
	Action    string    `json:"action"`
	Due       time.Time `json:"due,omitzero"`
	Created   time.Time `json:"created"`
	Since     time.Time `json:"since,omitzero"`
	Excluded  []string  `json:"excluded,omitempty"`
	// Person is whom it is about; empty once it is done.
	Person []identifier `json:"person,omitempty"`

	Step     string `json:"step"`
	Version  int64  `json:"version"`
	Assignee string `json:"assignee,omitempty"`
	// Answered is set when a person has done what the step asks, and By who.
	Answered bool   `json:"answered,omitempty"`
	By       string `json:"by,omitempty"`
	// Found is what the look before the act saw, and Left the one after it; nil
	// until somebody looked.
	Found []count `json:"found,omitempty"`
	Left  []count `json:"left,omitempty"`
	// Looked and Acted say that there are Found and Left.
	Looked bool `json:"looked,omitempty"`
	Acted  bool `json:"acted,omitempty"`
	// Taken says that the runtime was told of the act.
	Taken   bool `json:"taken,omitempty"`
	InForce bool `json:"in_force,omitempty"`
	// Corrections are what is to be put right, known once the runtime has said
	// so; their values are forgotten when the task is done.
	Corrections []correction `json:"corrections,omitempty"`
	// Seen says that somebody looked at the disputed fields, and Righted that
	// they have put them right and looked again.
	Seen    bool `json:"seen,omitempty"`
	Righted bool `json:"righted,omitempty"`
	// Impossible is why it can't be done, and Told the attempt in which the
	// runtime was told so; a later one asks again.
	Impossible string `json:"impossible,omitempty"`
	Told       int    `json:"told,omitempty"`

	// Files are what goes into the person's copy. Expired says that they were
	// taken long ago and are gone.
	Files   []copyFile `json:"files,omitempty"`
	Expired bool       `json:"expired,omitempty"`

	Proofs []proof   `json:"proofs,omitempty"`
	Done   time.Time `json:"done,omitzero"`
}

type identifier struct{ Kind, Value string }

type count struct {
	Store string    `json:"store"`
	Count int64     `json:"count"`
	Kept  int64     `json:"kept,omitempty"`
	Basis string    `json:"basis,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

type proof struct {
	SHA256    string    `json:"sha256"`
	MediaType string    `json:"media_type"`
	Size      int64     `json:"size"`
	Time      time.Time `json:"time"`
}

// newTask makes a task of a job.
func newTask(info sdk.JobInfo, p sdk.Person, stores []string, step string, now time.Time) *task {
	t := &task{
		ID: info.JobID, RequestID: info.RequestID, Regime: info.Regime, Right: info.Right, Action: info.Action, Due: info.Due, Created: now,
		Since: p.Since(), Step: step, Version: 1,
	}
	for _, id := range p.Identifiers() {
		t.Person = append(t.Person, identifier{string(id.Kind), id.Value.Reveal()})
	}
	for _, s := range stores {
		if !p.Covers(s) {
			t.Excluded = append(t.Excluded, s)
		}
	}
	return t
}

// ask begins a step anew.
func (t *task) ask(step string) {
	t.Step, t.Answered, t.By, t.Impossible = step, false, "", ""
	t.Version++
}

// finish ends the task, which forgets whom it was about.
func (t *task) finish(now time.Time) {
	if t.Done.IsZero() {
		t.Done, t.Person = now, nil
		for i := range t.Corrections {
			t.Corrections[i].Value = ""
		}
		t.Version++
	}
}

// found makes what a connector says of counts.
func found(counts []count) []sdk.Found {
	var out []sdk.Found
	for _, c := range counts {
		if n := c.Count - c.Kept; n > 0 {
			out = append(out, sdk.Found{Store: c.Store, Count: n})
		}
		if c.Kept > 0 {
			out = append(out, sdk.Found{Store: c.Store, Count: c.Kept, Keep: &sdk.Keep{Basis: c.Basis, Until: c.Until}})
		}
	}
	return out
}

// erasable is how many records are there that may go.
func erasable(counts []count, excluded []string) (n int64) {
	for _, c := range counts {
		if !slices.Contains(excluded, c.Store) {
			n += c.Count - c.Kept
		}
	}
	return n
}

// message is the task as a desk sees it, without whom it is about.
func (t *task) message(stores []string, instructions string) *habeasv1.Task {
	m := &habeasv1.Task{
		TaskId: t.ID, RequestId: t.RequestID, Regime: t.Regime, Right: t.Right, Step: t.Step, CreateTime: timestamppb.New(t.Created),
		Assignee: t.Assignee, Version: t.Version, Done: !t.Done.IsZero(), Answered: t.Answered, Instructions: instructions, Stores: stores,
		Excluded: t.Excluded, Found: countMessages(t.Found), Left: countMessages(t.Left), Fields: fieldMessages(t.Corrections), Files: t.copyMessages(),
	}
	if !t.Due.IsZero() {
		m.DueTime = timestamppb.New(t.Due)
	}
	if !t.Since.IsZero() {
		m.SinceTime = timestamppb.New(t.Since)
	}
	for _, p := range t.Proofs {
		m.Proofs = append(m.Proofs, p.message(nil))
	}
	return m
}

func (p proof) message(content []byte) *habeasv1.TaskProof {
	sum, err := hex.DecodeString(p.SHA256)
	if err != nil {
		sum = nil // it was written by us
	}
	return &habeasv1.TaskProof{Sha256: sum, MediaType: p.MediaType, Size: p.Size, Content: content, Time: timestamppb.New(p.Time)}
}

func countMessages(counts []count) []*habeasv1.TaskCount {
	var out []*habeasv1.TaskCount
	for _, c := range counts {
		m := &habeasv1.TaskCount{Store: c.Store, Count: c.Count, Kept: c.Kept, Basis: c.Basis}
		if !c.Until.IsZero() {
			m.UntilTime = timestamppb.New(c.Until)
		}
		out = append(out, m)
	}
	return out
}
