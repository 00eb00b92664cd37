package console

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// row is a request in the list.
type row struct {
	ID        request.ID
	Right     string
	State     word
	Result    word
	Received  moment
	Answer    deadline
	Attention string
	Waiting   []string
	Assignee  string
	// Risk says why it will be late as things go; see [forecast].
	Risk string
}

func rowOf(r *store.Request, jobs []store.Job, now time.Time) row {
	out := row{
		ID: r.ID, Right: label(rightLabels, r.Right()), State: inWords(stateWords, r.State()),
		Received: momentOf(r.Terms.Received), Answer: deadlineOf(r.Request, now),
		Attention: label(attentionLabels, r.Attention), Waiting: waitingFor(r, jobs), Assignee: r.Assignee,
	}
	if r.Ending != nil {
		out.Result = inWords(resultWords, r.Ending.Result)
	}
	return out
}

// waitingFor says who has the next move.
func waitingFor(r *store.Request, jobs []store.Job) []string {
	switch r.State() {
	case request.Closed:
		return nil
	case request.Received, request.AwaitingVerification:
		return []string{"verification"}
	case request.Packaging:
		if r.WaitsForReview() {
			return []string{"a look at the copy"}
		}
		if r.WaitsForMail() {
			return []string{"the mail"}
		}
		return []string{"delivery"}
	case request.Closing:
		return []string{"the log"}
	}
	var out []string
	for i := range jobs {
		if jobs[i].State.Terminal() {
			continue
		}
		who := jobs[i].Connector
		if jobs[i].Code == store.CodePaused {
			who += " (paused)"
		}
		if !slices.Contains(out, who) {
			out = append(out, who)
		}
	}
	if r.Attention != "" {
		out = append(out, "a decision")
	}
	if len(out) == 0 {
		out = []string{"the coordinator"}
	}
	return out
}

// detail is a request on its own page.
type detail struct {
	row
	Regime, Channel, Tenant string
	Created, Updated        moment
	Closed                  moment
	Clocks                  []clock
	Holds                   []holdView
	Extension               string
	Verification            verification
	Kinds                   []kind
	Plan                    *plan
	PlanError               bool
	Jobs                    []jobView
	Reason, ReasonCode      string
	Package                 *packageView
	Evidence                evidence
	Can                     abilities
	Why                     *why
	Fan                     []lane
	History                 []event
	Notices                 []told
	NoticesError            bool
	Told                    []noticeRow
	ToldError               bool
	Mail                    *mailView
	Review                  *reviewView
	Pending                 []yes
	Foreseen                []asking
	Me                      string
	Codes                   []request.RefusalCode
	// Needs are the names of what some of the codes need.
	Needs []string
}

type clock struct{ Name, Day, Note string }

// verification is how sure one is of the requester.
type verification struct {
	Never    bool // the right is one that no verification may be asked for
	Needed   string
	Verified bool
	Method   string
	Level    string
	At       moment
}

// kind is a kind of identifier in hand and where it came from.
type kind struct{ Name, From string }

type packageView struct{ Size, SHA256 string }

// evidence is what is on record; the log itself is audit's to show.
type evidence struct {
	Digests []string
	Closure string
	State   string
}

// holdView is a hold in force.
type holdView struct {
	ID                request.ID
	Kind, Ref, Reason string
	Since, Until      moment
	// Cooling says that it is the company's own pause before an erasure.
	Cooling bool
	// Plan says that it waits until the plan is approved.
	Plan bool
}

func holdsOf(r *request.Request, now time.Time) []holdView {
	var out []holdView
	for i := range r.Case.Holds {
		if h := &r.Case.Holds[i]; h.Active(now) {
			out = append(out, holdView{h.ID, label(holdLabels, h.Kind), h.Ref, h.Reason, momentOf(h.Since), momentOf(h.Until), h.Kind == request.CoolingHold, h.Kind == request.ApprovalHold})
		}
	}
	return out
}

// extendable reports whether the time to answer can still be prolonged.
func extendable(r *request.Request, now time.Time) bool {
	due := r.Terms.Due
	if due.Extended.IsZero() || r.Extension != nil || r.State() == request.Closing || r.State() == request.Closed {
		return false
	}
	loc, err := time.LoadLocation(due.Zone)
	return err == nil && !request.DateOf(now, loc).After(due.Respond)
}

// holdKinds are the holds that staff can put on a request as it stands.
func holdKinds(r *request.Request) []word {
	switch {
	case !r.Right().Has(request.Held), r.State() == request.Packaging, r.State() == request.Closing, r.State() == request.Closed:
		return nil
	}
	kinds := []request.HoldKind{request.SuspicionHold}
	if r.Right() == request.Delete {
		kinds = []request.HoldKind{request.LegalHold, request.PoliceHold, request.SuspicionHold}
	}
	out := make([]word, len(kinds))
	for i, k := range kinds {
		out[i] = word{Value: string(k), Label: label(holdLabels, k)}
	}
	return out
}

// abilities are the decisions a person can take now.
type abilities struct {
	Verify, Deny, Cancel, Retry, Extend, Unhold, Assign bool
	// Hold are the kinds of holds that the request can be put on.
	Hold []word
	// Levels are those that suffice.
	Levels []word
	// Approve are connectors that report more records than one person may have.
	Approve []overLimit
}

// Any reports whether there is anything to decide.
func (a abilities) Any() bool {
	return a.Verify || a.Assign || a.Deny || a.Cancel || a.Retry || a.Extend || len(a.Hold) > 0 || len(a.Approve) > 0
}

type overLimit struct {
	Connector string
	Matched   int64
	Text      string
}

func detailOf(r *store.Request, jobs []store.Job, all *fleet, now time.Time) detail {
	d := detail{
		row: rowOf(r, jobs, now), Regime: r.Regime, Channel: label(channelLabels, r.Channel), Tenant: r.Tenant,
		Created: momentOf(r.CreatedAt), Updated: momentOf(r.UpdatedAt), Closed: momentOf(r.ClosedAt),
		Clocks: clocksOf(r.Request), Verification: verificationOf(r.Request), Evidence: evidenceOf(r),
	}
	if e := r.Extension; e != nil {
		d.Extension = "Extended on " + e.On.String() + ": " + e.Reason
	}
	if e := r.Ending; e != nil {
		d.ReasonCode, d.Reason = e.Code, e.Reason
	}
	for _, k := range r.Kinds {
		from := "the requester"
		if k.By != "" {
			from = k.By
		}
		d.Kinds = append(d.Kinds, kind{k.Name, from})
	}
	if r.Package.Key != "" {
		d.Package = &packageView{Size: number(r.Package.Size) + " bytes", SHA256: hex.EncodeToString(r.Package.SHA256)}
	}
	d.Plan, d.PlanError = planOf(r.Plan)
	d.Why, d.Fan, d.History = whyOf(r, jobs, all, now), fanOf(jobs), eventsOf(r, jobs)
	for i := range jobs {
		d.Jobs = append(d.Jobs, jobViewOf(r, &jobs[i], now))
	}
	d.Can = abilitiesOf(r.Request, jobs)
	d.Can.Extend, d.Can.Hold, d.Holds = extendable(r.Request, now), holdKinds(r.Request), holdsOf(r.Request, now)
	return d
}

// allow leaves out what the roles of who looks do not let them do.
func (d *detail) allow(who access.Identity) {
	if !who.May(access.Operate) {
		d.Can.Verify, d.Can.Retry, d.Can.Cancel, d.Can.Assign = false, false, false, false
		for i := range d.Jobs {
			d.Jobs[i].Retry = false
		}
	}
	if !who.May(access.Decide) {
		d.Can.Deny, d.Can.Extend, d.Can.Hold, d.Can.Approve, d.Can.Unhold = false, false, nil, nil, false
	}
}

func clocksOf(r *request.Request) []clock {
	due := r.Terms.Due
	all := []struct {
		name, note string
		day        request.Date
	}{
		{"Received", "in " + due.Zone, due.Received},
		{"Confirm receipt by", "", due.Acknowledge},
		{"Stop sale and sharing by", alarm(due.StopAlarm), due.Stop},
		{"Answer by", alarm(due.RespondAlarm), due.Respond},
		{"Answer by, extended", extended(r), due.Extended},
		{"Don't ask to opt in before", "", due.NoReask},
		{"Look back to", "", r.Terms.Since},
		{"Keep this record until", "", due.KeepUntil},
	}
	var out []clock
	for _, c := range all {
		if !c.day.IsZero() {
			out = append(out, clock{c.name, c.day.String(), c.note})
		}
	}
	return out
}

func alarm(day request.Date) string {
	if day.IsZero() {
		return ""
	}
	return "strictest reading " + day.String()
}

func extended(r *request.Request) string {
	if r.Extension != nil {
		return "in force"
	}
	return "only if the consumer is told in time"
}

func verificationOf(r *request.Request) verification {
	v, has := r.Verification()
	if !has {
		return verification{Never: true}
	}
	out := verification{Needed: plain(string(r.Level()))}
	if done, ok := v.(request.Verified); ok {
		out.Verified, out.Method, out.Level, out.At = true, plain(done.Method), plain(string(done.Level)), momentOf(done.At)
	}
	return out
}

func evidenceOf(r *store.Request) evidence {
	e := evidence{Closure: hex.EncodeToString(r.ClosureDigest)}
	const size = 32
	for d := range slices.Chunk(r.RecordDigests, size) {
		e.Digests = append(e.Digests, hex.EncodeToString(d))
	}
	switch r.State() {
	case request.Closed:
		e.State = "All records are in the log."
	case request.Closing:
		e.State = "The closure is signed and waits for the log."
		if e.Closure == "" {
			e.State = "The closure is about to be signed."
		}
	default:
		e.State = "The request is open; records are logged as they come."
	}
	return e
}

func abilitiesOf(r *request.Request, jobs []store.Job) abilities {
	var a abilities
	v, has := r.Verification()
	_, unverified := v.(request.Unverified)
	a.Verify = has && unverified && r.State() == request.AwaitingVerification
	if a.Verify {
		for _, l := range []request.Level{request.Reasonable, request.ReasonablyHigh} {
			if l.AtLeast(r.Level()) {
				a.Levels = append(a.Levels, word{Value: string(l), Label: plain(string(l))})
			}
		}
	}
	a.Deny = request.CanClose(r.Right(), r.State(), request.ResultDenied)
	a.Assign = r.State() != request.Closing && r.State() != request.Closed
	a.Cancel, a.Unhold = request.CanClose(r.Right(), r.State(), request.ResultCancelled), true
	for i := range jobs {
		j := &jobs[i]
		if !retriable(r, j) {
			continue
		}
		a.Retry = true
		if j.State == request.JobOverLimit {
			matched, limit := overLimitOf(j)
			a.Approve = append(a.Approve, overLimit{
				Connector: j.Connector, Matched: matched, Text: number(matched) + " records located, " + number(limit) + " allowed for one person",
			})
		}
	}
	return a
}

// retriable reports whether sending a job again could change anything.
func retriable(r *request.Request, j *store.Job) bool {
	switch r.State() {
	case request.Accepted, request.Resolving, request.Running:
		return j.State == request.JobDeferred || (j.State.Terminal() && request.CanMoveJob(j.State, request.JobPlanned))
	default:
		return false
	}
}

// plan is what the coordinator wrote of its last plan.
type plan struct {
	RuleVersion string              `json:"rule_version"`
	Calendar    string              `json:"calendar"`
	DeleteScope request.DeleteScope `json:"delete_scope"`
	Made        time.Time           `json:"made"`
	Count       int                 `json:"count"`
	Omissions   []struct {
		Connector string   `json:"connector"`
		Reason    string   `json:"reason"`
		Kinds     []string `json:"kinds"`
	} `json:"omissions"`
	// In words.
	MadeAt, Scope string
	Left          []string
}

// planOf returns nil before the first plan, and true for one it can't read.
func planOf(text []byte) (*plan, bool) {
	if len(text) == 0 {
		return nil, false
	}
	p := &plan{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, true
	}
	p.MadeAt, p.Scope = momentOf(p.Made).Text, label(scopeLabels, p.DeleteScope)
	for _, o := range p.Omissions {
		line := o.Connector + " " + strings.ToLower(label(omissionLabels, o.Reason))
		if o.Reason == "needs_identifier" && len(o.Kinds) > 0 {
			line += ": " + strings.Join(o.Kinds, " or ")
		}
		p.Left = append(p.Left, line)
	}
	return p, false
}
