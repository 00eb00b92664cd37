package intake

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/habeas-data/habeas/services/request"
)

// registerPlans adds the operations on plans that wait for somebody's yes, and on
// many requests that are refused alike.
func (a *handlers) registerPlans(api huma.API) {
	const most = 1 << 20
	huma.Register(api, huma.Operation{
		OperationID: "approve-plan", Method: http.MethodPost, Path: "/v1/requests/{id}/approve-plan",
		Summary: "Approve the plan of a request that waits for it",
	}, a.approvePlan)
	huma.Register(api, huma.Operation{
		OperationID: "approve-plans", Method: http.MethodPost, Path: "/v1/requests:approve-plans",
		Summary: "Approve many plans, with a result for each", MaxBodyBytes: most,
	}, a.approvePlans)
	huma.Register(api, huma.Operation{
		OperationID: "deny-requests", Method: http.MethodPost, Path: "/v1/requests:deny",
		Summary: "Deny many requests with one code and text, with a result for each", MaxBodyBytes: most,
	}, a.denyAll)
}

// approvePlan answers who approves and who already did with the request: whom it still
// waits for is in it.
func (a *handlers) approvePlan(ctx context.Context, in *IDInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error {
		answers, err := a.room.ApprovePlans(ctx, []request.ID{id})
		switch {
		case err != nil:
			return err
		case errors.Is(answers[0], request.ErrSamePerson):
			return nil
		}
		return answers[0]
	})
}

// ManyBody names the requests that one decision is about. It is exported because the
// library sees no fields of embedded types that are not.
type ManyBody struct {
	Requests []string `json:"requests" doc:"Their ids" minItems:"1" maxItems:"500" nullable:"false"`
}

type approvePlansInput struct{ Body ManyBody }

type denyAllInput struct {
	Body struct {
		ManyBody
		Code     string            `json:"code" doc:"A code that the regime has for each right" maxLength:"64"`
		Reason   string            `json:"reason" doc:"Told to each consumer; names nobody" maxLength:"2000"`
		Evidence map[string]string `json:"evidence,omitempty" doc:"What the code needs, such as facts, reference, document; names nobody"`
	}
}

// What came of one request of many.
const (
	decidedDone   = "done"          // it is so
	decidedSecond = "second_needed" // noted; somebody else must agree
	decidedNot    = "refused"       // nothing was changed
)

// DecidedItem is what came of one request of many.
type DecidedItem struct {
	ID      string `json:"id"`
	Result  string `json:"result" enum:"done,second_needed,refused" doc:"done; second_needed: noted, somebody else must agree; refused: nothing was changed"`
	Message string `json:"message,omitempty" doc:"Why it was refused"`
}

type decidedOutput struct {
	Body struct {
		Results []DecidedItem `json:"results" doc:"One for each request, in their order"`
	}
}

func (a *handlers) approvePlans(ctx context.Context, in *approvePlansInput) (*decidedOutput, error) {
	return a.decided(ctx, in.Body.Requests, a.room.ApprovePlans)
}

func (a *handlers) denyAll(ctx context.Context, in *denyAllInput) (*decidedOutput, error) {
	d := Denial{Code: in.Body.Code, Reason: in.Body.Reason, Evidence: in.Body.Evidence}
	return a.decided(ctx, in.Body.Requests, func(ctx context.Context, ids []request.ID) ([]error, error) {
		return a.room.DenyAll(ctx, ids, d)
	})
}

// decided carries one decision about many requests out and answers each. What is no
// id is no request: it keeps none of the others back.
func (a *handlers) decided(ctx context.Context, texts []string, do func(context.Context, []request.ID) ([]error, error)) (*decidedOutput, error) {
	out := &decidedOutput{}
	out.Body.Results = make([]DecidedItem, len(texts))
	var ids []request.ID
	var index []int
	for i, text := range texts {
		id, err := request.ParseID(text)
		if err != nil {
			out.Body.Results[i] = DecidedItem{Result: decidedNot, Message: "no such request"}
			continue
		}
		out.Body.Results[i].ID = string(id)
		ids, index = append(ids, id), append(index, i)
	}
	if len(ids) == 0 {
		return out, nil
	}
	answers, err := do(ctx, ids)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	for k, err := range answers {
		item := &out.Body.Results[index[k]]
		switch {
		case err == nil:
			item.Result = decidedDone
		case errors.Is(err, request.ErrSecond), errors.Is(err, request.ErrSamePerson):
			item.Result = decidedSecond
		default:
			item.Result, item.Message = decidedNot, a.problem(ctx, err).Error()
		}
	}
	return out, nil
}
