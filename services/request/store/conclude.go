package store

import (
	"fmt"

	"github.com/habeas-data/habeas/services/request"
)

// What a person must see to once a copy is made ([Request.Attention]).
const (
	// AttentionReview says that somebody must look at the copy before it is handed over.
	AttentionReview = "copy_review"
	// AttentionMail says that the answer has to be printed and mailed, as the person
	// chose. The request ends once somebody says that it was.
	AttentionMail = "mail_answer"
)

// LaterJob reports whether the connector of job i was asked the same again with more
// identifiers and answered: that answer holds everything this one does.
func LaterJob(jobs []Job, i int) bool {
	for k := i + 1; k < len(jobs); k++ {
		if jobs[k].Connector == jobs[i].Connector && jobs[k].Action == jobs[i].Action && jobs[k].State.Success() {
			return true
		}
	}
	return false
}

// Concluded is how a request whose jobs are over ends.
func (s *Snapshot) Concluded() (request.Result, error) {
	var states []request.JobState
	for i := range s.Jobs {
		if s.Jobs[i].State.Success() || !LaterJob(s.Jobs, i) {
			states = append(states, s.Jobs[i].State)
		}
	}
	ending, over := request.Conclude(states)
	if !over {
		return "", fmt.Errorf("request %s: packaged while jobs are out", s.Request.ID)
	}
	return ending, nil
}

// ReviewAAD is what the words that are masked in a request's copy are sealed with.
func ReviewAAD(id request.ID) []byte { return []byte("request.review.masked/" + string(id)) }
