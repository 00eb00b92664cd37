package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
)

// Errors of asking a connector about its tasks.
var (
	errNoDesk = errors.New("the console has no key as a desk")
	errAway   = errors.New("the connector does not answer")
	errNoTask = errors.New("no such task")
)

// refusedTask is why a connector refused a change.
type refusedTask struct{ problem, detail string }

// Error implements error.
func (r *refusedTask) Error() string { return "the connector refused: " + r.problem }

// How long a connector may take to answer, and how often it is asked what changes
// nothing.
const (
	deskPatience = 4 * time.Second
	deskTries    = 2
)

// askDesk asks a connector about its tasks, sealed to its key. A change is asked
// for once: when the answer is lost the task says how it stands.
func (r *Room) askDesk(ctx context.Context, m *habeasv1.Manifest, q *habeasv1.TaskQuestion) (*habeasv1.TaskAnswer, error) {
	if r.config.Seal.Public() == "" {
		return nil, errNoDesk
	}
	q.CallId, q.Who = rand.Text(), access.Of(ctx).Who
	sealed, err := r.config.Seal.SealQuestion(q, m.GetSealKey())
	if err != nil {
		return nil, err
	}
	body, err := proto.Marshal(&habeasv1.TaskCall{CallId: q.GetCallId(), Connector: m.GetName(), SealedQuestion: sealed, SealerKey: r.config.Seal.Public()})
	if err != nil {
		return nil, fmt.Errorf("asking %s about tasks: %w", m.GetName(), err)
	}
	tries := deskTries
	if q.GetChange() != nil {
		tries = 1
	}
	for range tries {
		var a *habeasv1.TaskAnswer
		if a, err = r.callDesk(ctx, m, q.GetCallId(), body); err == nil {
			return a, problemOf(a)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// callDesk makes one call.
func (r *Room) callDesk(ctx context.Context, m *habeasv1.Manifest, call string, body []byte) (*habeasv1.TaskAnswer, error) {
	conn := r.config.Conn
	at := wire.TaskedSubject(m.GetName(), call)
	replies := make(chan *nats.Msg, 1)
	sub, err := conn.ChanSubscribe(at, replies)
	if err != nil {
		return nil, fmt.Errorf("asking %s about tasks: %w", m.GetName(), err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection may be closed already
	if err := conn.PublishRequest(wire.TaskSubject(m.GetName()), at, body); err != nil {
		return nil, fmt.Errorf("asking %s about tasks: %w", m.GetName(), err)
	}
	patience := time.NewTimer(r.deskPatience)
	defer patience.Stop()
	select {
	case msg := <-replies:
		if msg.Header.Get("Status") != "" {
			return nil, errAway // nobody listens
		}
		reply := &habeasv1.TaskReply{}
		if err := proto.Unmarshal(msg.Data, reply); err != nil {
			return nil, fmt.Errorf("asking %s about tasks: the answer is no TaskReply", m.GetName())
		}
		return r.config.Seal.OpenAnswer(reply.GetSealedAnswer(), m.GetSealKey(), call)
	case <-patience.C:
		return nil, errAway
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func problemOf(a *habeasv1.TaskAnswer) error {
	switch a.GetProblem() {
	case "":
		return nil
	case "not_found":
		return errNoTask
	default:
		return &refusedTask{a.GetProblem(), a.GetDetail()}
	}
}

// How long and how often a task that was answered is handed to its connector.
const (
	takeUpFor   = time.Minute
	takeUpPause = 500 * time.Millisecond
)

// takeUp has a connector's job sent again, so that what a person answered is
// taken up now and not when the job would have been looked at. The answer may have
// come before the job was put off: then there is nothing to send yet.
func (r *Room) takeUp(ctx context.Context, id request.ID, connector string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeUpFor)
	defer cancel()
	for {
		err := r.again(ctx, id, connector, 0)
		if err == nil {
			return
		}
		if !errors.Is(err, errNothing) {
			r.config.Logger.WarnContext(ctx, "having an answered task taken up; its time will come", slog.String("request", string(id)), slog.String("connector", connector), slog.Any("error", err))
			return
		}
		select {
		case <-r.hub.closed:
			return
		default:
		}
		if !room.Sleep(ctx, takeUpPause) {
			return
		}
	}
}
