package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// Account is what the records say of one request.
type Account struct {
	RequestID   string    `json:"request_id"`
	Regime      string    `json:"regime"`
	Right       string    `json:"right"`
	Channel     string    `json:"channel"`
	ReceiveDate string    `json:"receive_date"`
	ReceiveTime time.Time `json:"receive_time"`
	// Closed says that the request has ended; the next four are set then.
	Closed     bool      `json:"closed"`
	Result     string    `json:"result,omitempty"`
	ReasonCode string    `json:"reason_code,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	AnswerTime time.Time `json:"answer_time,omitzero"`
	// Lines is one for each job of the last plan, in its order.
	Lines []Line `json:"lines"`
	// Omitted are connectors that were left out, with the reason.
	Omitted []Omission `json:"omitted,omitempty"`
	// IntakeLeaf and ClosureLeaf are places in the log; -1 when there is none.
	IntakeLeaf  int64 `json:"intake_leaf"`
	ClosureLeaf int64 `json:"closure_leaf"`
	// Records is how many records of the request the pack has.
	Records int `json:"records"`

	warnings []string
	inside   int64 // records within a period; only while one is written
}

// Line is what became of one job.
type Line struct {
	Job       string `json:"job"`
	Connector string `json:"connector"`
	Version   string `json:"version"`
	Action    string `json:"action"`
	// Outcome is "done", "no_match", "retained" and so on; empty while there is
	// none.
	Outcome string `json:"outcome,omitempty"`
	// Detail says more of an outcome that is no success.
	Detail string `json:"detail,omitempty"`
	// Stores are the counts, store by store.
	Stores []Store `json:"stores,omitempty"`
	// BackupExpiry is when backups will have forgotten; zero when there are none.
	BackupExpiry time.Time `json:"backup_expiry,omitzero"`
	// Time is when it was said, and Leaf where; Leaf is -1 without an outcome.
	Time time.Time `json:"time,omitzero"`
	Leaf int64     `json:"leaf"`
	// Digest is that of the outcome's envelope, in hex.
	Digest string `json:"digest,omitempty"`
}

// Store is what was seen in one store: Located = Erased + Deidentified + Emptied +
// Masked + Kept + Remaining for an erasure.
type Store struct {
	Name      string `json:"name"`
	Category  string `json:"category,omitempty"`
	Located   int64  `json:"located"`
	Erased    int64  `json:"erased"`
	Kept      int64  `json:"kept"`
	Remaining int64  `json:"remaining"`
	Exported  int64  `json:"exported"`
	// Deidentified are records that stay as nobody's (Civ. Code 1798.140(m)).
	Deidentified int64 `json:"deidentified,omitempty"`
	// Emptied and Masked are records that stay without what was in them about the
	// person.
	Emptied int64 `json:"emptied,omitempty"`
	Masked  int64 `json:"masked,omitempty"`
	// Standing and Anew are, for a choice of the person, the records in which it was
	// in force before it was made again, and those in which it was not.
	Standing int64     `json:"standing,omitempty"`
	Anew     int64     `json:"anew,omitempty"`
	Basis    string    `json:"basis,omitempty"`
	Until    time.Time `json:"until,omitzero"`
}

// Omission is a connector without a job.
type Omission struct {
	Connector string `json:"connector"`
	Reason    string `json:"reason"`
}

// account gathers the records by request and checks that each adds up.
func account(entries []entry) (accounts []Account, problems []error) {
	byRequest := map[string][]entry{}
	for _, e := range entries {
		if id := e.rec.RequestID(); id != "" {
			byRequest[id] = append(byRequest[id], e)
		}
	}
	if len(byRequest) == 0 {
		return nil, []error{fmt.Errorf("there is no record of any request: %w", ErrIncomplete)}
	}
	for _, id := range slices.Sorted(maps.Keys(byRequest)) {
		a, wrong := accountOf(id, byRequest[id], nil)
		accounts, problems = append(accounts, a), append(problems, wrong...)
	}
	return accounts, problems
}

// accountOf checks that the records of one request add up. Where it lacks some
// that were destroyed at the end of their retention, by digest, it says so and
// judges nothing.
func accountOf(id string, entries []entry, destroyed map[[sha256.Size]byte]bool) (Account, []error) {
	b := &book{id: id, entries: entries}
	b.Account = Account{RequestID: id, IntakeLeaf: -1, ClosureLeaf: -1, Records: len(b.entries)}
	b.read()
	gone := 0
	for _, d := range b.closure.GetRecordDigests() {
		if len(d) == sha256.Size && destroyed[[sha256.Size]byte(d)] {
			gone++
		}
	}
	if gone > 0 {
		b.problems = nil
		b.warn("%d of its records were destroyed at the end of their retention; what is left can't be judged", gone)
	}
	return b.Account, b.problems
}

// book is the account of one request in the making.
type book struct {
	Account
	id       string
	entries  []entry
	intake   *habeasv1.IntakeRecord
	plans    []*habeasv1.PlanRecord
	located  map[string][]*habeasv1.LocatedRecord
	outcomes map[string][]entry
	closure  *habeasv1.ClosureRecord
	problems []error
}

func (b *book) problem(format string, args ...any) {
	b.problems = append(b.problems, fmt.Errorf("request %s: %s: %w", b.id, fmt.Sprintf(format, args...), ErrIncomplete))
}

func (b *book) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf("request %s: %s", b.id, fmt.Sprintf(format, args...)))
}

func (b *book) read() {
	b.located, b.outcomes = map[string][]*habeasv1.LocatedRecord{}, map[string][]entry{}
	for _, e := range b.entries {
		switch p := e.rec.Predicate.(type) {
		case *habeasv1.IntakeRecord:
			if b.intake != nil {
				b.problem("there are two intake records")
			}
			b.intake = p
			b.takeIntake(p, e.leaf)
		case *habeasv1.PlanRecord:
			b.plans = append(b.plans, p)
		case *habeasv1.LocatedRecord:
			b.located[p.GetJobId()] = append(b.located[p.GetJobId()], p)
		case *habeasv1.OutcomeRecord:
			b.outcomes[p.GetJobId()] = append(b.outcomes[p.GetJobId()], e)
		case *habeasv1.ClosureRecord:
			if b.closure != nil {
				b.problem("there are two closure records")
			}
			b.closure = p
			b.takeClosure(p, e.leaf)
		}
	}
	b.checkIntake()
	b.checkCommitments()
	b.readPlans()
	b.readClosure()
	b.checkResult()
}

func (b *book) checkIntake() {
	if b.intake == nil {
		b.problem("the intake record is missing")
	}
}

// checkCommitments sees that every record is about the same person.
func (b *book) checkCommitments() {
	for _, e := range b.entries {
		p, ok := e.rec.Predicate.(interface{ GetSubjectCommitment() []byte })
		if ok && b.intake != nil && !bytes.Equal(p.GetSubjectCommitment(), b.intake.GetSubjectCommitment()) {
			b.problem("%s is about another person", e.file)
		}
	}
}

// readPlans takes the lines of the newest plan and finds the outcome of each.
func (b *book) readPlans() {
	keys, plan := map[string][]string{}, (*habeasv1.PlanRecord)(nil)
	for _, p := range b.plans {
		if digest := wire.PlanDigest(p); !bytes.Equal(digest[:], p.GetPlanDigest()) {
			b.problem("plan_digest of round %d is not that of its lines", p.GetRound())
		}
		for _, l := range p.GetLines() {
			keys[l.GetJobId()] = append(keys[l.GetJobId()], l.GetKeyId())
		}
		if plan == nil || p.GetRound() > plan.GetRound() {
			plan = p
		}
	}
	if plan == nil {
		return
	}
	planned := map[string]bool{}
	for _, l := range plan.GetLines() {
		planned[l.GetJobId()] = true
		b.Lines = append(b.Lines, b.line(l, keys[l.GetJobId()]))
	}
	for _, o := range plan.GetOmissions() {
		b.Omitted = append(b.Omitted, Omission{o.GetConnector(), o.GetReason()})
	}
	for _, job := range slices.Sorted(maps.Keys(b.outcomes)) {
		if !planned[job] {
			b.problem("job %s has an outcome and is in no plan", job)
		}
	}
	if b.closure != nil && !bytes.Equal(b.closure.GetPlanDigest(), plan.GetPlanDigest()) {
		b.problem("the closure is of another plan")
	}
}

// line finds the outcome that counts: the first success, else the last word. One
// that erased something counts before one that says there was nothing.
func (b *book) line(l *habeasv1.PlanLine, keys []string) Line {
	out := Line{Job: l.GetJobId(), Connector: l.GetConnector(), Version: l.GetConnectorVersion(), Action: actionName(l.GetAction()), Leaf: -1}
	for _, e := range b.outcomes[l.GetJobId()] {
		p, _ := e.rec.Predicate.(*habeasv1.OutcomeRecord)
		name, detail := outcomeName(p.GetOutcome())
		switch {
		case e.rec.Issuer() != l.GetConnector():
			b.problem("%s answers a job of %s and is signed by %s", e.file, l.GetConnector(), e.rec.Issuer())
			continue
		case p.GetAction() != l.GetAction():
			b.problem("%s answers another action than the plan's", e.file)
			continue
		case l.GetKeyId() != "" && !slices.Contains(keys, e.rec.KeyID):
			b.warn("%s is signed with another key of %s than the one planned for", e.file, l.GetConnector())
		}
		if name == "" || success(out.Outcome) && (out.Outcome != "no_match" || !success(name) || name == "no_match") {
			continue
		}
		out.Outcome, out.Detail, out.Leaf = name, detail, e.leaf
		out.Digest, out.Time = hex.EncodeToString(e.rec.Digest[:]), p.GetOrigin().GetTime().AsTime()
		out.Stores, out.BackupExpiry = stores(p), time.Time{}
		if p.GetBackupExpiryTime().IsValid() {
			out.BackupExpiry = p.GetBackupExpiryTime().AsTime()
		}
	}
	b.checkCounts(out)
	return out
}

// checkCounts holds an outcome against its own counts and what was located
// before it.
func (b *book) checkCounts(l Line) {
	var all Store
	for _, s := range l.Stores {
		if s.Located < 0 || s.Kept < 0 || s.Remaining < 0 || s.Exported < 0 || s.Deidentified < 0 || s.Emptied < 0 || s.Masked < 0 || s.Standing < 0 || s.Anew < 0 {
			b.problem("job %s: a count of %s is negative", l.Job, s.Name)
		}
		if l.Action == "erase" && success(l.Outcome) && s.Erased < 0 {
			b.problem("job %s: %s kept %d and left %d of %d records", l.Job, s.Name, s.Kept, s.Remaining, s.Located)
		}
		if s.Kept > 0 && s.Basis == "" {
			b.problem("job %s: %s kept records without a basis", l.Job, s.Name)
		}
		all.Located, all.Kept, all.Remaining = all.Located+s.Located, all.Kept+s.Kept, all.Remaining+s.Remaining
	}
	switch {
	case l.Outcome == "no_match" && all.Located+all.Kept+all.Remaining > 0:
		b.problem("job %s says no_match and counts records", l.Job)
	case l.Action == "erase" && l.Outcome == "done" && all.Kept+all.Remaining > 0,
		l.Action == "erase" && l.Outcome == "retained" && (all.Remaining > 0 || all.Kept == 0):
		b.problem("job %s says %s, kept %d and left %d records", l.Job, l.Outcome, all.Kept, all.Remaining)
	}
	if l.Action == "erase" && success(l.Outcome) {
		b.checkLocated(l)
	}
}

// checkLocated sees that an erasure accounts for what its first attempt found.
func (b *book) checkLocated(l Line) {
	var first *habeasv1.LocatedRecord
	for _, p := range b.located[l.Job] {
		if first == nil || p.GetAttempt() < first.GetAttempt() {
			first = p
		}
	}
	for _, f := range first.GetStores() {
		var have int64
		for _, s := range l.Stores {
			if s.Name == f.GetStore() && s.Category == f.GetCategory() {
				have += s.Located
			}
		}
		if have < f.GetLocatedCount() {
			b.problem("job %s: %d records were located in %s, its outcome accounts for %d", l.Job, f.GetLocatedCount(), f.GetStore(), have)
		}
	}
}

// readClosure sees that the records are those the closure names.
func (b *book) readClosure() {
	c := b.closure
	if c == nil {
		b.warn("it is still open")
		return
	}
	named, have := map[string]bool{}, map[string]bool{}
	for _, d := range c.GetRecordDigests() {
		named[string(d)] = true
	}
	for _, e := range b.entries {
		have[string(e.rec.Digest[:])] = true
		switch {
		case e.rec.Type == wire.RecordClosure:
		case !named[string(e.rec.Digest[:])]:
			b.warn("%s came after the answer; the closure does not name it", e.file)
		case e.leaf > b.ClosureLeaf:
			b.problem("%s is named by the closure and logged after it", e.file)
		}
	}
	for _, d := range c.GetRecordDigests() {
		if !have[string(d)] {
			b.problem("the record with digest %x is named by the closure and missing", d)
		}
	}
}

// checkResult holds the answer against the outcomes: complete is said only when
// every line is (design: "skipped" is never success).
func (b *book) checkResult() {
	if b.Result != "complete" && b.Result != "complete_with_exceptions" {
		return
	}
	atTheDesk := b.Right == "opt_in_sale_share" || b.Right == "opt_in_spi" || b.Right == "appeal" // no connector is asked for these
	if len(b.Lines) == 0 && !atTheDesk {
		b.problem("it is said to be complete and there is no plan")
	}
	retained := false
	for _, l := range b.Lines {
		switch {
		case !success(l.Outcome) && b.superseded(l):
		case !success(l.Outcome):
			b.problem("it is said to be %s and job %s of %s has no outcome that says so", b.Result, l.Job, l.Connector)
		case l.Outcome == "retained":
			retained = true
		case l.Action == "locate" && l.Outcome == "done" && b.Right == "delete" && located(l) > 0 && !b.erased(l):
			b.problem("it is said to be %s and %s holds records it can't erase", b.Result, l.Connector)
		}
	}
	if retained && b.Result == "complete" {
		b.problem("it is said to be complete and records were kept")
	}
}

// superseded reports whether another job asked the same of the same connector
// and succeeded.
func (b *book) superseded(l Line) bool {
	return slices.ContainsFunc(b.Lines, func(o Line) bool {
		return o.Job != l.Job && o.Connector == l.Connector && o.Action == l.Action && success(o.Outcome)
	})
}

// erased reports whether a connector that was asked to look was asked to erase
// as well, and did.
func (b *book) erased(l Line) bool {
	return slices.ContainsFunc(b.Lines, func(o Line) bool {
		return o.Connector == l.Connector && o.Action == "erase" && success(o.Outcome)
	})
}

func located(l Line) (n int64) {
	for _, s := range l.Stores {
		n += s.Located
	}
	return n
}

func success(outcome string) bool {
	return outcome == "done" || outcome == "no_match" || outcome == "retained"
}
