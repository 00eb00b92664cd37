package sdk

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// A Desked connector's work is done by people. Its methods make a task of a job
// and return [NotYet] until somebody has done it; a desk shows the tasks and
// takes the answers. The runtime opens the questions of the one desk it was told
// of and seals the answers to it.
type Desked interface {
	Connector
	// AnswerDesk answers one question, or says why not in the answer's problem.
	// What it returned without one is on disk. It never waits for anybody.
	AnswerDesk(ctx context.Context, q *habeasv1.TaskQuestion) *habeasv1.TaskAnswer
	// Proofs are the digests (SHA-256) of the documents that were attached to a
	// job's task. They go into the job's outcome.
	Proofs(ctx context.Context, jobID string) [][]byte
}

// Bounds on the work that a desk may cause.
const (
	deskAtOnce  = 8
	deskTimeout = 20 * time.Second
)

// answerDesk answers questions about tasks until the returned function is
// called.
func (w *worker) answerDesk(ctx context.Context) (stop func(), err error) {
	d, ok := w.Connector.(Desked)
	if !ok {
		return func() {}, nil
	}
	if w.DeskKey == "" {
		w.Logger.Warn("nobody can see or do the tasks of this connector: set desk_key to the console's public key")
		return func() {}, nil
	}
	return w.answering(ctx, questions{"about tasks", wire.TaskSubject(w.Manifest.Name), deskAtOnce, func(ctx context.Context, question []byte) ([]byte, error) {
		return w.askedByDesk(ctx, d, question)
	}})
}

// askedByDesk answers one question.
func (w *worker) askedByDesk(ctx context.Context, d Desked, body []byte) ([]byte, error) {
	c, err := wire.ParseTaskCall(body, w.Manifest.Name)
	if err != nil {
		return nil, err
	}
	if c.GetSealerKey() != w.DeskKey {
		return nil, errors.New("call about tasks: from a key that may not ask")
	}
	q, err := w.Keys.Seal.OpenQuestion(c.GetSealedQuestion(), c.GetSealerKey(), c.GetCallId())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, deskTimeout)
	defer cancel()
	var a *habeasv1.TaskAnswer
	err = w.call(ctx, func(ctx context.Context) error {
		a = d.AnswerDesk(ctx, q)
		return nil
	})
	if err != nil || a == nil {
		a = &habeasv1.TaskAnswer{Problem: "failed"}
	}
	a.CallId = c.GetCallId()
	sealed, err := w.Keys.Seal.SealAnswer(a, c.GetSealerKey())
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&habeasv1.TaskReply{CallId: c.GetCallId(), Connector: w.Manifest.Name, SealedAnswer: sealed})
}

// actionName is an action as a word.
func actionName(a habeasv1.Action) string {
	return strings.ToLower(strings.TrimPrefix(a.String(), "ACTION_"))
}
