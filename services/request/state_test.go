package request

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// allowed is the life of a request written a second time, by hand, from the
// rules: what is not here must be refused.
var allowed = map[Right]string{
	Delete: `
received awaiting_verification
awaiting_verification accepted
accepted held
accepted awaiting_verification
held accepted
held awaiting_verification
resolving held
resolving awaiting_verification
running held
running awaiting_verification
accepted resolving
accepted running
resolving running
running closing complete complete_with_exceptions partial
closing closed`,
	KnowSpecific: `
received awaiting_verification
awaiting_verification accepted
accepted held
accepted awaiting_verification
held accepted
held awaiting_verification
resolving held
resolving awaiting_verification
running held
running awaiting_verification
accepted resolving
accepted running
resolving running
running packaging
packaging running
packaging closing complete complete_with_exceptions partial
closing closed`,
	OptOutSaleShare: `
received accepted
accepted resolving
accepted running
resolving running
running closing complete complete_with_exceptions partial
closing closed`,
}

func init() {
	allowed[KnowCategories] = allowed[KnowSpecific]
	allowed[Correct] = allowed[Delete]
	allowed[LimitSPI] = allowed[OptOutSaleShare]
	allowed[Appeal] = "received closing complete\nclosing closed"
	// An opt-in is decided at the desk, and connectors are told of it as of an opt-out.
	allowed[OptInSaleShare] = allowed[OptOutSaleShare] + "\nreceived closing complete"
	allowed[OptInSPI] = allowed[OptInSaleShare]
}

// stoppable lists where a request may be denied or cancelled.
func stoppable(right Right, s State) bool {
	switch s {
	case Received:
		return true
	case Accepted, Resolving, Running:
		return right != Appeal
	case AwaitingVerification, Held:
		return right == KnowCategories || right == KnowSpecific || right == Delete || right == Correct
	case Packaging:
		return right == KnowCategories || right == KnowSpecific
	default:
		return false
	}
}

func TestEveryTransition_VE1(t *testing.T) {
	for _, right := range append(Rights(), DeskRights()...) {
		want := make(map[string]bool)
		reachable := map[State]bool{Received: true}
		for line := range strings.Lines(strings.TrimSpace(allowed[right])) {
			f := strings.Fields(line)
			want[f[0]+" "+f[1]] = true
			reachable[State(f[1])] = true
			for _, result := range f[2:] {
				want[f[0]+" closing "+result] = true
			}
		}
		for _, from := range States() {
			if !reachable[from] {
				continue // what a request can't be in, it can't leave
			}
			if stoppable(right, from) {
				want[string(from)+" closing"] = true
				want[string(from)+" closing denied"] = true
				want[string(from)+" closing cancelled"] = true
			}
		}
		got := make(map[string]bool)
		for _, from := range States() {
			if !reachable[from] {
				continue
			}
			for _, to := range States() {
				if CanMove(right, from, to) {
					got[fmt.Sprintf("%s %s", from, to)] = true
				}
			}
			for _, result := range append(Results(), "", "done") {
				if CanClose(right, from, result) {
					got[fmt.Sprintf("%s closing %s", from, result)] = true
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", right, diff)
		}
	}
}

func TestOptOutNeverReachesVerification_VE1(t *testing.T) {
	for _, right := range []Right{OptOutSaleShare, LimitSPI} {
		seen := []State{Received}
		for i := 0; i < len(seen); i++ {
			for _, to := range States() {
				if CanMove(right, seen[i], to) && !slices.Contains(seen, to) {
					seen = append(seen, to)
				}
			}
		}
		if slices.Contains(seen, AwaitingVerification) || !slices.Contains(seen, Closed) {
			t.Errorf("%s reaches %v", right, seen)
		}
		for _, s := range States() {
			if CanMove(right, s, AwaitingVerification) || CanMove(right, AwaitingVerification, s) {
				t.Errorf("%s: there is a step between %s and %s", right, s, AwaitingVerification)
			}
		}
	}
}

func TestUnknownNeverMoves(t *testing.T) {
	for _, s := range States() {
		if CanMove("forget", Received, s) || CanMove(Delete, "lost", s) || CanMove(Delete, s, "lost") {
			t.Errorf("an unknown right or state moves to or from %s", s)
		}
	}
	if State("lost").Valid() || Result("done").Valid() || !Closed.Terminal() || Closing.Terminal() {
		t.Error("Valid or Terminal is wrong")
	}
}

func TestJobStates_SkippedIsNeverSuccess(t *testing.T) {
	terminal := "done no_match retained needs_identifier partial over_limit plan_changed not_supported failed cancelled"
	success := "done no_match retained"
	for _, s := range append(JobStates(), "", "skipped") {
		if got, want := s.Terminal(), slices.Contains(strings.Fields(terminal), string(s)); got != want {
			t.Errorf("%q: terminal = %v", s, got)
		}
		if got, want := s.Success(), slices.Contains(strings.Fields(success), string(s)); got != want {
			t.Errorf("%q: success = %v", s, got)
		}
	}
}

func TestEveryJobTransition_DE15(t *testing.T) {
	const outcomes = "done no_match retained needs_identifier partial over_limit plan_changed not_supported failed"
	want := map[JobState]string{
		JobPlanned:  "sent deferred cancelled " + outcomes, // an outcome may overtake the mark of sending
		JobSent:     "deferred cancelled " + outcomes,
		JobDeferred: "sent deferred cancelled " + outcomes,
		JobFailed:   "planned done no_match retained partial",
	}
	for _, s := range []JobState{JobNeedsIdentifier, JobPartial, JobOverLimit, JobPlanChanged, JobNotSupported} {
		want[s] = "planned done no_match retained" // the same attempt may get further the second time it is delivered
	}
	want[JobCancelled] = "planned"
	states := append(JobStates(), "", "skipped")
	for _, from := range states {
		for _, to := range states {
			if got := CanMoveJob(from, to); got != slices.Contains(strings.Fields(want[from]), string(to)) {
				t.Errorf("%q to %q: %v", from, to, got)
			}
		}
	}
}

func TestConclude_RE7(t *testing.T) {
	for _, c := range []struct {
		jobs string
		want Result
		ok   bool
	}{
		{"", "", false},
		{"done", ResultComplete, true},
		{"done no_match", ResultComplete, true},
		{"no_match no_match", ResultComplete, true},
		{"done retained no_match", ResultCompleteWithExceptions, true},
		{"retained failed", ResultPartial, true},
		{"failed retained", ResultPartial, true},
		{"done needs_identifier", ResultPartial, true},
		{"done not_supported", ResultPartial, true},
		{"done over_limit", ResultPartial, true},
		{"done plan_changed", ResultPartial, true},
		{"done cancelled", ResultPartial, true},
		{"done sent", "", false},
		{"failed deferred", "", false},
		{"done planned", "", false},
		{"done skipped", "", false},
	} {
		var jobs []JobState
		for s := range strings.FieldsSeq(c.jobs) {
			jobs = append(jobs, JobState(s))
		}
		if got, ok := Conclude(jobs); got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v; want %q, %v", c.jobs, got, ok, c.want, c.ok)
		}
	}
}
