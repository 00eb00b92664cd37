package manual

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// What a desk is told when its question is refused.
const (
	problemNotFound = "not_found"
	problemMovedOn  = "moved_on"
	problemInvalid  = "invalid"
	problemFailed   = "failed"
)

// refusal is why a question was refused.
type refusal struct{ problem, detail string }

// Error implements error.
func (r *refusal) Error() string { return r.problem + ": " + r.detail }

func invalid(format string, args ...any) error {
	return &refusal{problemInvalid, fmt.Sprintf(format, args...)}
}

// Bounds of what a desk may bring and is shown.
const (
	mostListed = 500
	mostProofs = 20
	mostWords  = 300
	mostWho    = 200
)

// mediaTypes are what documents may be.
var mediaTypes = []string{"application/pdf", "image/png", "image/jpeg", "text/plain", "message/rfc822"}

// AnswerDesk implements [sdk.Desked].
func (c *Connector) AnswerDesk(ctx context.Context, q *habeasv1.TaskQuestion) *habeasv1.TaskAnswer {
	a := &habeasv1.TaskAnswer{}
	err := c.answer(ctx, q, a)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		a.Problem, a.Detail = refused.problem, refused.detail
	case errors.Is(err, errNoTask):
		a.Problem, a.Detail = problemNotFound, "there is no such task"
	case err != nil:
		a.Problem, a.Detail = problemFailed, "the connector could not read or write its tasks; its disk or its log say more"
	}
	return a
}

func (c *Connector) answer(ctx context.Context, q *habeasv1.TaskQuestion, a *habeasv1.TaskAnswer) error {
	if c.folder == nil {
		return errClosed
	}
	if len(q.GetWho()) > mostWho {
		return invalid("who: at most %d bytes", mostWho)
	}
	switch asked := q.GetQuestion().(type) {
	case *habeasv1.TaskQuestion_List:
		return c.folder.exclusively(ctx, func() error { return c.list(asked.List.GetDone(), a) })
	case *habeasv1.TaskQuestion_Open:
		return c.one(ctx, asked.Open.GetTaskId(), a, func(t *task) error {
			for _, id := range t.Person {
				a.Person = append(a.Person, &habeasv1.Identifier{Kind: id.Kind, Value: id.Value})
			}
			if t.Done.IsZero() {
				a.Corrections = correctionMessages(t.Corrections)
			}
			return nil
		})
	case *habeasv1.TaskQuestion_Proof:
		return c.one(ctx, asked.Proof.GetTaskId(), a, func(t *task) error { return c.showProof(t, asked.Proof.GetSha256(), a) })
	case *habeasv1.TaskQuestion_Change:
		err := c.one(ctx, asked.Change.GetTaskId(), a, func(t *task) error { return c.change(t, q.GetWho(), asked.Change) })
		if err != nil {
			return err
		}
		c.tellChange()
		if sum := asked.Change.GetUncopy(); len(sum) > 0 {
			return c.forgetCopy(ctx, asked.Change.GetTaskId(), sum)
		}
		return nil
	default:
		return invalid("question: unknown; the console is newer than this connector")
	}
}

// list tells the tasks, those that are due first first, the done ones last.
func (c *Connector) list(done bool, a *habeasv1.TaskAnswer) error {
	if err := c.sweep(); err != nil {
		return err
	}
	all, err := c.folder.tasks()
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(x, y *task) int {
		return cmp.Or(y.Done.Compare(x.Done), x.Due.Compare(y.Due), x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID))
	})
	slices.SortStableFunc(all, func(x, y *task) int { return cmp.Compare(rank(x), rank(y)) })
	for _, t := range all {
		if (done || t.Done.IsZero()) && len(a.Tasks) < mostListed {
			a.Tasks = append(a.Tasks, t.message(c.settings.storeNames(), ""))
		}
	}
	return nil
}

func rank(t *task) int {
	switch {
	case !t.Done.IsZero():
		return 2
	case t.Answered:
		return 1
	default:
		return 0
	}
}

// one reads a task, lets do work on it, keeps it when it changed, and tells it.
func (c *Connector) one(ctx context.Context, id string, a *habeasv1.TaskAnswer, do func(*task) error) error {
	return c.folder.exclusively(ctx, func() error {
		t, err := c.folder.task(id)
		if err != nil {
			return err
		}
		before := t.Version
		if err := do(t); err != nil {
			return err
		}
		if t.Version != before {
			if err := c.folder.putTask(t); err != nil {
				return err
			}
		}
		a.Tasks = []*habeasv1.Task{t.message(c.settings.storeNames(), c.settings.Instructions)}
		return nil
	})
}

func (c *Connector) change(t *task, who string, ch *habeasv1.TaskChange) error {
	if !t.Done.IsZero() || ch.GetVersion() != t.Version {
		return &refusal{problemMovedOn, "the task has moved on since it was shown"}
	}
	var err error
	changed := true
	switch what := ch.GetChange().(type) {
	case *habeasv1.TaskChange_Assign:
		if len(what.Assign) > mostWho || strings.ContainsAny(what.Assign, "\r\n") {
			return invalid("assign: one line of at most %d bytes", mostWho)
		}
		t.Assignee = what.Assign
	case *habeasv1.TaskChange_Attach:
		err = c.attach(t, what.Attach)
	case *habeasv1.TaskChange_Result:
		err = c.result(t, who, what.Result)
	case *habeasv1.TaskChange_Copy:
		changed, err = c.takePiece(t, what.Copy)
	case *habeasv1.TaskChange_Uncopy:
		err = c.dropCopy(t, what.Uncopy)
	default:
		return invalid("change: unknown; the console is newer than this connector")
	}
	if err == nil && changed {
		t.Version++
	}
	return err
}

// attach keeps a document: its file first, so that no task names one that is not
// there.
func (c *Connector) attach(t *task, p *habeasv1.TaskProof) error {
	switch {
	case len(p.GetContent()) == 0 || len(p.GetContent()) > wire.MaxProof:
		return invalid("document: want 1 to %d bytes", wire.MaxProof)
	case !slices.Contains(mediaTypes, p.GetMediaType()):
		return invalid("document: want one of %s", strings.Join(mediaTypes, ", "))
	case len(t.Proofs) >= mostProofs:
		return invalid("document: a task has at most %d", mostProofs)
	}
	sum := sha256.Sum256(p.GetContent())
	if len(p.GetSha256()) > 0 && !bytes.Equal(p.GetSha256(), sum[:]) {
		return invalid("document: it was altered on its way")
	}
	kept := proof{SHA256: hex.EncodeToString(sum[:]), MediaType: p.GetMediaType(), Size: int64(len(p.GetContent())), Time: c.now().UTC()}
	if slices.ContainsFunc(t.Proofs, func(o proof) bool { return o.SHA256 == kept.SHA256 }) {
		return invalid("document: it is attached already")
	}
	if err := c.folder.put(proofName(t.ID, kept.SHA256), p.GetContent()); err != nil {
		return err
	}
	t.Proofs = append(t.Proofs, kept)
	return nil
}

func (c *Connector) showProof(t *task, sum []byte, a *habeasv1.TaskAnswer) error {
	i := slices.IndexFunc(t.Proofs, func(p proof) bool { return p.SHA256 == hex.EncodeToString(sum) })
	if i < 0 {
		return errNoTask
	}
	content, err := c.folder.get(proofName(t.ID, t.Proofs[i].SHA256))
	if err == nil {
		a.Proof = t.Proofs[i].message(content)
	}
	return err
}

// result takes what a person found or did.
func (c *Connector) result(t *task, who string, r *habeasv1.TaskResult) error {
	if t.Answered {
		return &refusal{problemMovedOn, "somebody has answered this already"}
	}
	if words := strings.TrimSpace(r.GetImpossible()); words != "" {
		if len(words) > mostWords || strings.ContainsAny(words, "\r\n") {
			return invalid("impossible: one line of at most %d bytes", mostWords)
		}
		t.Impossible, t.Told, t.Answered, t.By = words, 0, true, who
		return nil
	}
	if t.Step == stepOptOut || t.Step == stepOptedOut {
		if t.Step == stepOptOut && !r.GetInForce() {
			return invalid("in_force: say that the opt-out is in force, or why it can't be done")
		}
		t.InForce, t.Answered, t.By = r.GetInForce(), true, who
		return nil
	}
	if t.Step == stepFields || t.Step == stepCorrect {
		if err := t.see(r.GetFields()); err != nil {
			return err
		}
		t.Seen, t.Righted, t.Taken = true, t.Step == stepCorrect, false
		t.Answered, t.By = true, who
		return nil
	}
	counts, err := c.counts(r.GetCounts())
	if err != nil {
		return err
	}
	if t.Step == stepCopy {
		if err := t.copied(counts); err != nil {
			return err
		}
	}
	if t.Step == stepErase || t.Step == stepCopy {
		t.Left, t.Acted, t.Taken = counts, true, false
	} else {
		t.Found, t.Looked = counts, true
	}
	t.Answered, t.By = true, who
	return nil
}

// counts reads a count of every store: one that nobody looked into is no answer.
func (c *Connector) counts(rows []*habeasv1.TaskCount) ([]count, error) {
	var out []count
	for _, r := range rows {
		if !slices.Contains(c.settings.storeNames(), r.GetStore()) {
			return nil, invalid("counts: %q is no store of this connector", r.GetStore())
		}
		one := count{Store: r.GetStore(), Count: r.GetCount(), Kept: r.GetKept(), Basis: r.GetBasis()}
		switch {
		case one.Count < 0 || one.Kept < 0 || one.Kept > one.Count:
			return nil, invalid("counts of %s: want 0 or more, and no more kept than there are", one.Store)
		case one.Kept > 0 && !wire.IsBasis(one.Basis):
			return nil, invalid("counts of %s: say why records are kept, as one of the codes for keeping", one.Store)
		case one.Kept > 0 && r.GetUntilTime().IsValid():
			one.Until = r.GetUntilTime().AsTime()
		case one.Kept == 0:
			one.Basis = ""
		}
		out = append(out, one)
	}
	for _, name := range c.settings.storeNames() {
		if !slices.ContainsFunc(out, func(o count) bool { return o.Store == name }) {
			return nil, invalid("counts: %s is missing; say how many records there are in every store, also when there are none", name)
		}
	}
	return out, nil
}

// How often old tasks are looked for, and how long one that nobody has done stays
// after its request had to be answered: nobody waits for it any more.
const (
	sweepEvery = time.Hour
	staleAfter = 180 * 24 * time.Hour
)

// sweep forgets tasks that were to be kept for long enough. The folder is ours
// alone.
func (c *Connector) sweep() error {
	now := c.now()
	if now.Sub(c.swept) < sweepEvery {
		return nil
	}
	all, err := c.folder.tasks()
	if err != nil {
		return err
	}
	named := make(map[string]bool)
	for _, t := range all {
		from := t.Created
		if t.Due.After(from) {
			from = t.Due
		}
		if !t.Done.IsZero() && now.Sub(t.Done) > c.settings.Keep || t.Done.IsZero() && now.Sub(from) > staleAfter {
			if err := c.folder.forget(t); err != nil {
				return fmt.Errorf("forgetting a task: %w", err)
			}
			continue
		}
		if err := c.expire(t, now); err != nil {
			return err
		}
		for _, p := range t.Proofs {
			named[proofName(t.ID, p.SHA256)] = true
		}
		for _, f := range t.Files {
			named[copyName(t.ID, f.SHA256)], named[textName(t.ID, f.SHA256)] = true, true
		}
	}
	c.swept = now
	if err := c.folder.removeCopies(named, now.Add(-sweepEvery)); err != nil {
		return err
	}
	return c.folder.removeProofs(named)
}

// removeProofs removes documents that no task names: what a crash left.
func (f *folder) removeProofs(named map[string]bool) error {
	files, err := filepath.Glob(filepath.Join(f.dir, "*"+proofEnd))
	if err != nil {
		return err
	}
	for _, file := range files {
		if !named[filepath.Base(file)] {
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("removing a document that no task has: %w", err)
			}
		}
	}
	return nil
}
