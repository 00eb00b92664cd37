package request

import "slices"

// JobState is where one job of a request stands: one connector, one action.
type JobState string

// The job states. From JobDone on they are the outcomes of the contract.
const (
	JobPlanned         JobState = "planned"          // written, with its outbox row
	JobSent            JobState = "sent"             // on the bus
	JobDeferred        JobState = "deferred"         // accepted by the system, not finished; to be asked again
	JobDone            JobState = "done"             // acted, and seen to have acted
	JobNoMatch         JobState = "no_match"         // searched; nothing of this person's is held
	JobRetained        JobState = "retained"         // all done but what the law wants kept
	JobNeedsIdentifier JobState = "needs_identifier" // no identifier the system understands
	JobPartial         JobState = "partial"          // some stores done, some not
	JobOverLimit       JobState = "over_limit"       // too many records to be one person; nothing done
	JobPlanChanged     JobState = "plan_changed"     // the connector is not the one planned for; nothing done
	JobNotSupported    JobState = "not_supported"    // the system has no such ability
	JobFailed          JobState = "failed"           // tried, not done
	JobCancelled       JobState = "cancelled"        // withdrawn before an outcome
)

// JobStates returns all job states.
func JobStates() []JobState {
	return []JobState{
		JobPlanned, JobSent, JobDeferred, JobDone, JobNoMatch, JobRetained, JobNeedsIdentifier,
		JobPartial, JobOverLimit, JobPlanChanged, JobNotSupported, JobFailed, JobCancelled,
	}
}

// Valid reports whether s is one of the job states.
func (s JobState) Valid() bool { return slices.Contains(JobStates(), s) }

// Terminal reports whether the job has ended. An ended job that did not
// succeed may still be planned again by an operator.
func (s JobState) Terminal() bool {
	return s.Valid() && s != JobPlanned && s != JobSent && s != JobDeferred
}

// Success reports whether what was asked is so: done, nothing held, or all
// done but what must be kept. A job that was skipped, for want of an
// identifier or an ability, is no success.
func (s JobState) Success() bool {
	return s == JobDone || s == JobNoMatch || s == JobRetained
}

// CanMoveJob reports whether a job may step from one state to another.
//
// An outcome may overtake the mark that its job was sent, so it is taken from
// planned too. A success is final: a late or repeated outcome never undoes it.
// What is no success may still turn into one: a failure may be our own judgement
// of a connector that was silent too long and then answered, and a connector
// that was given the same attempt twice may have got further the second time.
// What was withdrawn stays so until it is planned again, which is the operator's
// retry.
func CanMoveJob(from, to JobState) bool {
	if !from.Valid() || !to.Valid() {
		return false
	}
	switch from {
	case JobDone, JobNoMatch, JobRetained:
		return false
	case JobPlanned:
		return to != JobPlanned
	case JobSent:
		return to != JobPlanned && to != JobSent
	case JobDeferred:
		return to != JobPlanned
	case JobFailed:
		return to == JobPlanned || to.Success() || to == JobPartial
	case JobCancelled:
		return to == JobPlanned
	default:
		return to == JobPlanned || to.Success()
	}
}

// Conclude gives the result that follows from the states of a request's jobs.
// It is false while a job has not ended, and for no jobs at all: having looked
// nowhere is not an answer.
func Conclude(jobs []JobState) (Result, bool) {
	if len(jobs) == 0 {
		return "", false
	}
	result := ResultComplete
	for _, s := range jobs {
		switch {
		case !s.Terminal():
			return "", false
		case !s.Success():
			result = ResultPartial
		case s == JobRetained && result == ResultComplete:
			result = ResultCompleteWithExceptions
		}
	}
	return result, true
}
