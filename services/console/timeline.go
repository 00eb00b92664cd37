package console

import (
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// event is something that happened to a request.
type event struct {
	At   moment
	Text string
	when time.Time
}

// eventsOf tells what happened, in order. Who decided is told, who asks is not.
func eventsOf(r *store.Request, jobs []store.Job) []event {
	var out []event
	add := func(at time.Time, text string) {
		if !at.IsZero() {
			out = append(out, event{momentOf(at), text, at})
		}
	}
	add(r.Terms.Received, "The request came in by "+strings.ToLower(label(channelLabels, r.Channel)))
	if v, ok := r.Verification(); ok {
		if done, ok := v.(request.Verified); ok {
			add(done.At, "The requester was verified: "+strings.ToLower(plain(done.Method)))
		}
	}
	for i := range r.Case.Holds {
		h := &r.Case.Holds[i]
		add(h.Since, "Held: "+strings.ToLower(label(holdLabels, h.Kind)))
		add(h.Ended, "The hold ended: "+strings.ToLower(label(holdLabels, h.Kind)))
	}
	for _, a := range r.Case.Approvals {
		add(a.At, a.By+" agreed to "+agreedTo(a.What))
	}
	if e := r.Extension; e != nil {
		add(e.On.Start(time.UTC), "The time to answer was prolonged")
	}
	if p, _ := planOf(r.Plan); p != nil {
		add(p.Made, "The plan was made")
	}
	for i := range jobs {
		j := &jobs[i]
		action := strings.ToLower(label(actionLabels, j.Action))
		add(j.SentAt, j.Connector+" was asked to "+action+again(j.Attempt))
		if j.State.Terminal() {
			add(j.UpdatedAt, j.Connector+", "+action+": "+strings.ToLower(inWords(jobWords, j.State).Label))
		}
	}
	if d := r.Case.Decision; d != nil {
		add(d.At, "It was denied: "+string(d.Code))
	}
	add(r.ClosedAt, "The request was closed")
	slices.SortStableFunc(out, func(a, b event) int { return a.when.Compare(b.when) })
	return out
}

func again(attempt int) string {
	if attempt < 2 {
		return ""
	}
	return ", the last of " + tries(attempt)
}

// agreedTo puts what somebody said yes to in words; see [request.Approval].
func agreedTo(what string) string {
	parts := strings.Split(what, "/")
	switch {
	case len(parts) == 3 && parts[0] == "cap":
		return "let " + parts[1] + " act on up to " + parts[2] + " records"
	case len(parts) == 2 && parts[0] == "deny":
		return "deny it as " + parts[1]
	case len(parts) == 2 && parts[0] == "plan":
		return "approve the plan"
	default:
		return what
	}
}

// told is a notice to the person, and how far it has come.
type told struct {
	What string
	At   moment
	How  word
	Next moment
}

var noticeLabels = map[store.NoticeKind]string{
	store.NoticeReceipt: "Receipt confirmed", store.NoticeFixIt: "How to ask the right way", store.NoticeExtension: "More time, and why",
	store.NoticeDenial: "Denial, and its basis", store.NoticeVerifyAgain: "A surer verification is needed", store.NoticeConfirm: "The second step is to come",
	store.NoticeAnswer: "The answer",
}

func toldOf(posted []store.Posted) []told {
	var out []told
	for _, n := range posted {
		t := told{What: label(noticeLabels, n.Kind), At: momentOf(n.CreatedAt), How: word{Label: "Waits to be sent", Tone: busy}}
		switch {
		case n.Told:
			t.How = word{Label: "Told", Tone: good}
		case n.Failed != "":
			t.How, t.Next = word{Label: "Not told after " + tries(n.Tries) + ": " + strings.ToLower(plain(n.Failed)), Tone: bad}, momentOf(n.NextAt)
		}
		out = append(out, t)
	}
	return out
}

// yes is what one person agreed to and a second must.
type yes struct {
	What, By  string
	Connector string
	Records   string
	// Own says that who looks is the one who agreed already.
	Own bool
}

// pendingOf are the decisions that wait for a second person.
func pendingOf(r *store.Request, jobs []store.Job, who string) []yes {
	if r.State() == request.Closing || r.State() == request.Closed {
		return nil
	}
	by := make(map[string][]string)
	for _, a := range r.Case.Approvals {
		by[a.What] = append(by[a.What], a.By)
	}
	var out []yes
	for _, a := range r.Case.Approvals {
		parts := strings.Split(a.What, "/")
		lift := len(parts) == 3 && parts[0] == "cap"
		if len(by[a.What]) != 1 || lift && !slices.ContainsFunc(jobs, func(j store.Job) bool { return j.Connector == parts[1] && j.State == request.JobOverLimit }) {
			continue
		}
		if parts[0] == "plan" {
			if waits := r.PlanWaits(); waits == nil || string(waits.ID) != parts[1] {
				continue // one was enough
			}
		}
		y := yes{What: agreedTo(a.What), By: a.By, Own: a.By == who}
		if lift {
			y.Connector, y.Records = parts[1], parts[2]
		}
		out = append(out, y)
	}
	return out
}
