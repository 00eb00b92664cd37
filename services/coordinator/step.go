package coordinator

import (
	"slices"
	"sync"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Rules bound what the coordinator does on its own.
type Rules struct {
	// Patience is how long a connector may be silent before those that would
	// rather wait for it go ahead.
	Patience time.Duration
	// Lease is how long a sent job may be unanswered before the sweeper asks
	// whether the bus still has it.
	Lease time.Duration
	// Retry is the first pause after a failure that may pass; it doubles with
	// every attempt up to RetryMost.
	Retry, RetryMost time.Duration
	// Attempts is after how many failures a person must look. Putting off and
	// sending again are no failures.
	Attempts int
	// EraseHold is a pause before every erasure in which it can be cancelled;
	// zero is none.
	EraseHold time.Duration
	// Approve are the rights of which nothing is done before somebody approved the
	// plan; none is the default.
	Approve []request.Right
	// Rounds is how often identifiers may lead to further identifiers.
	Rounds int
	// ShredAfter is how long after closing the identifiers of a request are
	// destroyed, when no notice and no request to come needs them; a notice that
	// could not be told for as long again needs them no more. Zero is 100 days,
	// so that what was erased can be looked for again after 1, 30 and 90; less
	// than zero is never.
	ShredAfter time.Duration
	// Rechecks are how long after an erasure or an opt-out it is looked again whether
	// what was erased is still gone, or the choice still holds. What was to be destroyed waits for the last of them.
	Rechecks []time.Duration
}

func (r Rules) withDefaults() Rules {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&r.Patience, 15*time.Second)
	def(&r.Lease, 30*time.Second)
	def(&r.Retry, 5*time.Second)
	def(&r.RetryMost, time.Hour)
	def(&r.ShredAfter, 100*24*time.Hour)
	if r.Attempts == 0 {
		r.Attempts = 10
	}
	if r.Rounds == 0 {
		r.Rounds = 6
	}
	return r
}

// world is everything outside a request that a decision depends on.
type world struct {
	now        time.Time
	connectors []Connector
	rules      Rules
	// lost are connectors whose sent jobs are not on the bus any more.
	lost map[string]bool
	// book is who gets the company's data; nil is nobody.
	book *disclosure.Book
	// bases hold what connectors keep against the law; nil holds nothing.
	bases *tenant.Bases
	// paused are connectors that get no jobs, because staff said so.
	paused map[string]bool

	tiersOnce sync.Once
	tiers     map[string]int
}

func (w *world) connector(name string) (Connector, bool) {
	for _, c := range w.connectors {
		if c.Name == name {
			return c, true
		}
	}
	return Connector{}, false
}

// Attention codes: why a person must look at a request.
const (
	AttentionFailed    = "failed"       // a job failed for good or too often
	AttentionOverLimit = "over_limit"   // more was located than one person may have
	AttentionBasis     = "basis"        // records are, or would be, kept on a basis that does not hold
	AttentionNobody    = "no_connector" // no connector understands any identifier in hand
)

// step decides what happens next to one request. It is pure: it reads the
// world, changes the snapshot and says which jobs to send and whether a plan
// or a closure has to be put on record. It may be run on any snapshot at any
// time; where nothing is to be done it changes nothing.
type step struct {
	w *world
	s *store.Snapshot
	// send are the jobs to publish once this is committed, by index.
	send []int
	// replan is set when the plan has to be recorded anew.
	replan bool
	// closing is set when the closure has to be recorded.
	closing bool
	// moved is set when the request's state has changed.
	moved bool
	// decisions are what goes on record besides plan and closure.
	decisions []decision
	// verifications are what a later look saw.
	verifications []*habeasv1.VerificationRecord
	// forgotten is the request's data key once it is destroyed.
	forgotten []byte
	// spawn is set when a request that follows from this one is due; look are
	// requests that this one waits for; withdrawn are jobs that may be on the
	// bus and must not be done any more.
	spawn     bool
	look      []request.ID
	withdrawn []store.Job
	// given is what the ledger says of the person, once it was read; ask is set
	// when it has to be.
	given *[]disclosure.Entry
	ask   bool
	// err is why nothing could be decided.
	err error
}

// undo takes everything back that would be written.
func (st *step) undo() {
	s := st.s
	s.Changed, s.ChangedJobs, s.Records, s.Notices, s.Jobs, st.send = false, nil, nil, nil, s.Jobs[:s.Stored], nil
	s.Suppress, s.Unsuppress, s.Retained, s.Incidents = nil, nil, nil, nil
	s.Onward, s.ChangedOnward = s.Onward[:s.StoredOnward], nil
	st.verifications, st.forgotten = nil, nil
	st.decisions, st.spawn, st.look, st.withdrawn, st.ask = nil, false, nil, nil, false
}

func (st *step) run() error {
	r := &st.s.Request
	if err := st.clock(); err != nil {
		return err
	}
	switch r.State() {
	case request.Accepted, request.Held, request.Resolving, request.Running:
		if st.restrained() {
			break
		}
		if err := st.work(); err != nil {
			return err
		}
	}
	if r.State() == request.Held || r.State() == request.AwaitingVerification {
		st.rest()
	}
	st.closing = r.State() == request.Closing && len(r.ClosureDigest) == 0
	if st.closing {
		st.withdraw()
		r.Attention = "" // it is decided: nobody has to look any more
		if r.Ending.Result == request.ResultDenied && !r.Case.Origin.Ours() {
			st.notice(store.NoticeDenial)
		}
	}
	return nil
}

// work plans what is missing, sends what is ready and concludes what is over.
func (st *step) work() error {
	st.reassess()
	st.resolve()
	wait, err := st.survey()
	if err != nil || st.s.Request.State() == request.AwaitingVerification {
		return err
	}
	if !wait {
		if wait = st.approval(); st.s.Request.State() == request.Held {
			return nil
		}
	}
	if !wait {
		st.act()
	}
	st.ready()
	return st.conclude()
}

// resolve asks connectors for further identifiers where one could unlock
// another connector, and again when somebody else's identifiers give them
// something new to look up.
func (st *step) resolve() {
	if st.s.Request.Right() == "" || st.s.Request.Round >= st.w.rules.Rounds || len(st.s.Request.Case.Only) > 0 {
		return
	}
	for _, c := range st.w.connectors {
		if !c.Can(request.ActionResolve) || !st.reaches(c) || !st.unlocks(c) {
			continue
		}
		last := st.last(c.Name, true)
		if last < 0 || (st.s.Jobs[last].State.Terminal() && st.news(c, st.s.Jobs[last].Round)) {
			st.add(c, request.ActionResolve)
		}
	}
}

// act asks every connector that can be reached to do what the right demands,
// and again when identifiers turned up after it had been asked.
func (st *step) act() {
	for _, c := range st.w.connectors {
		action := st.action(c)
		if action == "" || !st.reaches(c) {
			continue
		}
		last := st.last(c.Name, false)
		if last < 0 || (st.s.Jobs[last].State.Terminal() && st.s.Jobs[last].State != request.JobFailed && st.news(c, st.s.Jobs[last].Round)) {
			st.add(c, action)
		}
	}
}

// action is what a connector is asked for the request's right. A connector
// that holds data and lacks the ability is asked to look, so that what can't
// be done is known and said. Opting out concerns only those who can.
func (st *step) action(c Connector) request.Action {
	want := st.s.Request.Right().Action()
	if only := st.s.Request.Case.Only; len(only) > 0 && !slices.Contains(only, c.Name) {
		return ""
	}
	if part, none, _ := st.reach(c); none && !c.Scopes {
		return ""
	} else if part && !c.Scopes && c.Can(request.ActionLocate) {
		return request.ActionLocate // it can't leave a part alone: what can't be done is known and said
	}
	if c.Can(want) {
		return want
	}
	if want.Chooses() || !c.Can(request.ActionLocate) {
		return ""
	}
	return request.ActionLocate
}

// reaches reports whether an identifier in hand is one the connector accepts.
func (st *step) reaches(c Connector) bool {
	return slices.ContainsFunc(st.s.Request.Kinds, func(k store.Kind) bool { return slices.Contains(c.Accepts, k.Name) })
}

// news reports whether identifiers the connector accepts were added after the
// given round by somebody else.
func (st *step) news(c Connector, round int) bool {
	return slices.ContainsFunc(st.s.Request.Kinds, func(k store.Kind) bool {
		return k.Round > round && k.By != c.Name && slices.Contains(c.Accepts, k.Name)
	})
}

// unlocks reports whether c yields a kind that another connector with work to
// do accepts.
func (st *step) unlocks(c Connector) bool {
	return slices.ContainsFunc(st.w.connectors, func(o Connector) bool {
		return o.Name != c.Name && st.action(o) != "" && overlap(c.Yields, o.Accepts)
	})
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// last returns the newest job of a connector, resolving or acting, or -1.
func (st *step) last(connector string, resolving bool) int {
	for i := len(st.s.Jobs) - 1; i >= 0; i-- {
		if j := &st.s.Jobs[i]; j.Connector == connector && j.Purpose == "" && (j.Action == request.ActionResolve) == resolving {
			return i
		}
	}
	return -1
}

func (st *step) add(c Connector, action request.Action) {
	st.s.Jobs = append(st.s.Jobs, store.Job{
		ID: request.NewID(), RequestID: st.s.Request.ID, Connector: c.Name, Action: action,
		State: request.JobPlanned, NextAt: st.w.now, UpdatedAt: st.w.now, Round: st.s.Request.Round,
	})
	st.plan(len(st.s.Jobs)-1, c)
}

// plan binds a job to the connector as it is now.
func (st *step) plan(i int, c Connector) {
	j := &st.s.Jobs[i]
	j.ConnectorVersion, j.ManifestDigest, j.KeyID = c.Version, c.Digest, c.KeyID
	j.Kinds = st.kinds(c)
	st.s.Touch(i)
	st.replan = true
}

// kinds are the kinds in hand that the connector accepts.
func (st *step) kinds(c Connector) []string {
	var kinds []string
	for _, k := range st.s.Request.Kinds {
		if slices.Contains(c.Accepts, k.Name) && !slices.Contains(kinds, k.Name) {
			kinds = append(kinds, k.Name)
		}
	}
	return kinds
}

// conclude moves the request to where its jobs have brought it.
func (st *step) conclude() error {
	r := &st.s.Request
	states, resolving, acting := make([]request.JobState, 0, len(st.s.Jobs)), false, false
	for i := range st.s.Jobs {
		j := &st.s.Jobs[i]
		if st.superseded(i) {
			continue
		}
		states = append(states, j.State)
		before := j.Action == request.ActionResolve || j.Purpose == store.PurposeSurvey
		resolving = resolving || before && !j.State.Terminal()
		acting = acting || !before
	}
	if err := st.moveTo(resolving); err != nil {
		return err
	}
	// Whoever was only asked for identifiers was not asked to do anything; and
	// nobody need be told that a choice was taken back.
	asked := acting || r.Right().OptsIn()
	st.attend(states, asked || resolving)
	result, over := request.Conclude(states)
	if len(states) == 0 && asked {
		result, over = request.ResultComplete, true
	}
	if !over || !asked || r.Attention != "" {
		return nil
	}
	st.s.Changed = true
	if r.Right().Packaged() {
		return r.Move(request.Packaging)
	}
	end, wait := st.onward(result)
	if wait {
		return nil
	}
	if err := r.Close(end); err != nil {
		return err
	}
	st.concluded()
	return nil
}

// superseded reports whether a job that did not succeed is history: the same
// connector was asked again later, with more identifiers.
func (st *step) superseded(i int) bool {
	j := &st.s.Jobs[i]
	newest := st.lastSurvey(j.Connector)
	if acted := st.last(j.Connector, false); j.Purpose == store.PurposeSurvey && acted > i {
		newest = acted // what it was to find out is known
	}
	if j.Purpose == "" {
		newest = st.last(j.Connector, j.Action == request.ActionResolve)
	}
	return j.State.Terminal() && !j.State.Success() && newest != i
}

func (st *step) moveTo(resolving bool) error {
	r := &st.s.Request
	if r.State() == request.Accepted && resolving {
		st.s.Changed = true
		return r.Move(request.Resolving)
	}
	if r.State() == request.Accepted || (r.State() == request.Resolving && !resolving) {
		st.s.Changed = true
		return r.Move(request.Running)
	}
	return nil
}

// attend says whether a person must look, and no longer when nobody must.
func (st *step) attend(states []request.JobState, asked bool) {
	attention := ""
	switch {
	case slices.Contains(states, request.JobOverLimit):
		attention = AttentionOverLimit
	case st.groundless():
		attention = AttentionBasis
	case slices.ContainsFunc(states, needsPerson):
		attention = AttentionFailed
	case !asked:
		attention = AttentionNobody
	}
	if st.s.Request.Attention != attention {
		st.s.Request.Attention = attention
		st.s.Changed = true
	}
}

// needsPerson reports whether a job ended in a way that a person must decide
// about: nothing was done, and trying again may help.
func needsPerson(s request.JobState) bool {
	return s == request.JobFailed || s == request.JobOverLimit || s == request.JobPlanChanged
}

// withdraw ends the jobs of a request that was stopped.
func (st *step) withdraw() {
	for i := range st.s.Jobs {
		if j := &st.s.Jobs[i]; !j.State.Terminal() && request.CanMoveJob(j.State, request.JobCancelled) {
			if j.Attempt > 0 {
				st.withdrawn = append(st.withdrawn, *j)
			}
			j.State, j.UpdatedAt, j.LocatedEnvelope = request.JobCancelled, st.w.now, nil
			st.s.Touch(i)
		}
	}
}
