package console

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// why says in sentences what an open request waits for, the gravest first, for
// somebody who reads the page for the first time.
type why struct {
	Heading string
	Tone    tone
	Causes  []cause
}

// cause is one thing that is waited for and what ends the wait.
type cause struct {
	What, Then string
	// Until is when it is looked at again.
	Until moment
	Tone  tone
	// Connector is the system whose page tells more.
	Connector string
}

// whyOf returns nil for a request that has ended.
func whyOf(r *store.Request, jobs []store.Job, all *fleet, now time.Time) *why {
	if r.State() == request.Closed {
		return nil
	}
	d := deadlineOf(r.Request, now)
	w := &why{Tone: d.Tone}
	switch {
	case d.Left == "":
		w.Heading = "No clock runs out. It waits for this:"
	case strings.HasSuffix(d.Left, "late"):
		w.Heading = "This request is " + d.Left + ". This is why:"
	default:
		w.Heading = plain(d.Left) + ". It waits for this:"
	}
	add := func(t tone, what, then string, until time.Time) {
		w.Causes = append(w.Causes, cause{What: what, Then: then, Until: momentOf(until), Tone: t})
	}
	switch r.State() {
	case request.Received, request.AwaitingVerification:
		add(warn, "Nobody has shown yet that the person is who they say.", "It goes on when they are verified; it is denied when its last day is over.", time.Time{})
	case request.Packaging:
		if r.WaitsForMail() || r.WaitsForReview() {
			break // what a person must look at is said below
		}
		add(busy, "All systems have answered, and the copy is being put together.", "It closes by itself.", time.Time{})
	case request.Closing:
		add(busy, "Everything is decided, and the log takes in its last records.", "It closes by itself.", time.Time{})
	}
	for i := range r.Case.Holds {
		if h := &r.Case.Holds[i]; h.Active(now) {
			then := "It goes on when somebody ends the hold."
			if h.Kind == request.ApprovalHold {
				then = "It goes on when somebody approves it."
			}
			if !h.Until.IsZero() {
				then = "It goes on by itself, or when somebody ends the hold."
			}
			add(warn, label(holdLabels, h.Kind)+" since "+momentOf(h.Since).Text+".", then, h.Until)
		}
	}
	switch r.Attention {
	case "", "failed", "over_limit", "basis", "plan_approval": // the systems themselves say it, and the hold
	case "no_connector", "no_rules":
		add(bad, attentionLabels[r.Attention]+".", "A person has to decide: connect a system, or deny the request.", time.Time{})
	default:
		add(bad, label(attentionLabels, r.Attention)+".", "A person has to see to it.", time.Time{})
	}
	w.Causes = append(w.Causes, causesOf(r, jobs, all, now)...)
	if len(w.Causes) == 0 {
		add(busy, "The coordinator has it in hand.", "It goes on by itself.", time.Time{})
	}
	if after := enteredAfter(r); after > 0 {
		then := "Its clocks run from the day it came in."
		if r.CreatedAt.After(r.RespondBy) {
			then = "It was late already: its clocks run from the day it came in."
		}
		add(warn, "It was entered here on "+momentOf(r.CreatedAt).Day+", "+days(after)+" after it came in.", then, time.Time{})
	}
	return w
}

// causesOf are the jobs that keep a request at work, those that need a person
// first.
func causesOf(r *store.Request, jobs []store.Job, all *fleet, now time.Time) []cause {
	switch r.State() {
	case request.Accepted, request.Resolving, request.Running, request.Held:
	default:
		return nil
	}
	var grave, waiting []cause
	told := make(map[string]bool) // systems that can't answer now: once for all their jobs
	for i := range jobs {
		j := &jobs[i]
		if askedAgain(jobs, i) {
			continue
		}
		said := cmp.Or(j.Message, plain(j.Code))
		if said != "" {
			said = ": " + strings.TrimSuffix(said, ".")
		}
		if j.Code == store.CodePaused && !j.State.Terminal() {
			if !told[j.Connector] {
				grave = append(grave, cause{What: j.Connector + " is paused.", Then: "It is asked when somebody resumes " + j.Connector + " on its page. The clocks run on.", Tone: warn, Connector: j.Connector})
			}
			told[j.Connector] = true
			continue
		}
		if what, then := all.troubled(j.Connector, now); what != "" && !j.State.Terminal() && !waitsForOthers(j, now) {
			if !told[j.Connector] {
				grave = append(grave, cause{What: j.Connector + " " + what + ".", Then: then, Tone: bad, Connector: j.Connector})
			}
			told[j.Connector] = true
			continue
		}
		switch j.State {
		case request.JobFailed:
			grave = append(grave, cause{What: j.Connector + " failed after " + tries(j.Attempt) + said + ".", Then: "Put the system right, then try " + j.Connector + " again.", Tone: bad})
		case request.JobOverLimit:
			matched, limit := overLimitOf(j)
			grave = append(grave, cause{What: j.Connector + " located " + number(matched) + " records, more than the " + number(limit) + " one person may have, and did nothing.", Then: "Two people must agree to let it go on.", Tone: bad})
		case request.JobPlanChanged:
			grave = append(grave, cause{What: j.Connector + " is not as it was when the plan was made, and did nothing.", Then: "Try " + j.Connector + " again: it is planned anew.", Tone: bad})
		case request.JobDeferred:
			waiting = append(waiting, cause{What: j.Connector + " could not finish yet, after " + tries(j.Attempt) + said + ".", Then: "It is tried again by itself.", Until: momentOf(j.NextAt), Tone: warn})
		case request.JobSent:
			waiting = append(waiting, cause{What: j.Connector + " has had its job to " + strings.ToLower(label(actionLabels, j.Action)) + " since " + momentOf(j.SentAt).Text + " and has not answered.", Then: "Nothing need be done as long as it is running.", Tone: busy})
		case request.JobPlanned:
			what := j.Connector + " is about to be asked."
			if waitsForOthers(j, now) {
				what = j.Connector + " waits until others are done."
			}
			waiting = append(waiting, cause{What: what, Then: "It goes on by itself.", Until: momentOf(laterThan(j.NextAt, now)), Tone: idle})
		}
	}
	return append(grave, waiting...)
}

// waitsForOthers reports whether a job is planned and its turn has not come.
func waitsForOthers(j *store.Job, now time.Time) bool {
	return j.State == request.JobPlanned && j.NextAt.After(now)
}

// enteredAfter is how many days after it came in a request was entered.
func enteredAfter(r *store.Request) int {
	if r.CreatedAt.IsZero() || r.Terms.Received.IsZero() {
		return 0
	}
	return int(r.CreatedAt.Sub(r.Terms.Received).Hours() / 24)
}

func laterThan(t, now time.Time) time.Time {
	if t.After(now) {
		return t
	}
	return time.Time{}
}

func tries(n int) string {
	if n == 1 {
		return "1 try"
	}
	return strconv.Itoa(n) + " tries"
}

// askedAgain reports whether a job is history: its connector was asked the same
// later, with more identifiers.
func askedAgain(jobs []store.Job, i int) bool {
	for k := i + 1; k < len(jobs); k++ {
		if jobs[k].Connector == jobs[i].Connector && jobs[k].Action == jobs[i].Action && jobs[k].Purpose == jobs[i].Purpose {
			return true
		}
	}
	return false
}
