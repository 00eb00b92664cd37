package intake

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func (a *handlers) registerFleet(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "pause-connector", Method: http.MethodPost, Path: "/v1/connectors/{name}/pause", Summary: "Send a connector no jobs until it is resumed"}, a.pauseConnector)
	huma.Register(api, huma.Operation{OperationID: "resume-connector", Method: http.MethodPost, Path: "/v1/connectors/{name}/resume", Summary: "Let a paused connector have jobs again"}, a.resumeConnector)
	huma.Register(api, huma.Operation{OperationID: "list-dead-letters", Method: http.MethodGet, Path: "/v1/dead-letters", Summary: "Count jobs that came to a dead end, by connector and reason"}, a.deadEnds)
	huma.Register(api, huma.Operation{OperationID: "retry-dead-letters", Method: http.MethodPost, Path: "/v1/dead-letters:retry", Summary: "Send jobs again that came to a dead end"}, a.retryLetters)
}

// PauseView says since when a connector gets no jobs, and why.
type PauseView struct {
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty" doc:"The member of staff"`
	Reason string    `json:"reason"`
}

// ConnectorInput names a connector in a path.
type ConnectorInput struct {
	Name string `path:"name" doc:"The connector" maxLength:"40"`
}

type pauseInput struct {
	ConnectorInput
	Body struct {
		Reason string `json:"reason" doc:"Why, in one line that names nobody" minLength:"1" maxLength:"500"`
	}
}

type fleetOutput struct {
	Body struct {
		Changed bool `json:"changed" doc:"Whether it was otherwise before"`
	}
}

func (a *handlers) pauseConnector(ctx context.Context, in *pauseInput) (*fleetOutput, error) {
	fresh, err := a.room.Pause(ctx, in.Name, in.Body.Reason)
	return a.fleet(ctx, fresh, err)
}

func (a *handlers) resumeConnector(ctx context.Context, in *ConnectorInput) (*fleetOutput, error) {
	fresh, err := a.room.Resume(ctx, in.Name)
	return a.fleet(ctx, fresh, err)
}

func (a *handlers) fleet(ctx context.Context, fresh bool, err error) (*fleetOutput, error) {
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("no such connector; GET /v1/connectors lists them")
	}
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &fleetOutput{}
	out.Body.Changed = fresh
	return out, nil
}

type deadEndsOutput struct {
	Body struct {
		DeadEnds []deadEnd `json:"dead_ends"`
	}
}

type deadEnd struct {
	Connector string           `json:"connector"`
	State     request.JobState `json:"state"`
	Code      string           `json:"code"`
	Jobs      int64            `json:"jobs"`
	Oldest    time.Time        `json:"oldest" doc:"When the first of them ended"`
}

func (a *handlers) deadEnds(ctx context.Context, _ *struct{}) (*deadEndsOutput, error) {
	ends, err := a.room.Store.DeadEnds(ctx)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &deadEndsOutput{}
	out.Body.DeadEnds = make([]deadEnd, len(ends))
	for i, e := range ends {
		out.Body.DeadEnds[i] = deadEnd{Connector: e.Connector, State: e.State, Code: e.Code, Jobs: e.Jobs, Oldest: e.Oldest}
	}
	return out, nil
}

type retryLettersInput struct {
	Body struct {
		Connector string  `json:"connector,omitempty" doc:"Only this connector's" maxLength:"40"`
		State     string  `json:"state,omitempty" enum:"failed,plan_changed" doc:"Only jobs in this state"`
		Code      *string `json:"code,omitempty" doc:"Only jobs with this code" maxLength:"64"`
	}
}

type retryLettersOutput struct {
	Body struct {
		Sent int `json:"sent" doc:"How many jobs are sent again"`
	}
}

func (a *handlers) retryLetters(ctx context.Context, in *retryLettersInput) (*retryLettersOutput, error) {
	f := store.LetterFilter{Connector: in.Body.Connector, State: request.JobState(in.Body.State)}
	if in.Body.Code != nil {
		f.Code, f.HasCode = *in.Body.Code, true
	}
	sent, err := a.room.RetryLetters(ctx, f)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &retryLettersOutput{}
	out.Body.Sent = sent
	return out, nil
}
