package intake

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// MaxBulk is the most requests one bulk call may carry.
const MaxBulk = 1000

// API returns the HTTP API under /v1, with its description at
// /v1/openapi.json. Errors are problem+json (RFC 9457) and name fields, never
// the values in them. It does not authenticate: package tokens
// does.
func (r *Room) API(version string) http.Handler {
	mux := http.NewServeMux()
	config := huma.DefaultConfig("Habeas", version)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "/v1/openapi", "", "/v1/schemas"
	config.RejectUnknownQueryParameters = true
	config.CreateHooks = nil
	config.Info.Description = "Takes privacy requests in and tells how they stand. Identifiers go in and never come out."
	api := humago.New(mux, config)
	a := &handlers{room: r}
	huma.Register(api, huma.Operation{
		OperationID: "submit-request", Method: http.MethodPost, Path: "/v1/requests", Summary: "Submit a request",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: 1 << 20,
	}, a.submit)
	huma.Register(api, huma.Operation{
		OperationID: "submit-requests", Method: http.MethodPost, Path: "/v1/requests:bulk", Summary: "Submit many requests, with a result for each",
		MaxBodyBytes: 16 << 20,
	}, a.bulk)
	huma.Register(api, huma.Operation{OperationID: "list-requests", Method: http.MethodGet, Path: "/v1/requests", Summary: "List requests, newest first"}, a.list)
	huma.Register(api, huma.Operation{OperationID: "get-request", Method: http.MethodGet, Path: "/v1/requests/{id}", Summary: "Get a request with its jobs"}, a.get)
	huma.Register(api, huma.Operation{OperationID: "verify-request", Method: http.MethodPost, Path: "/v1/requests/{id}/verification", Summary: "Attest who the requester is"}, a.verify)
	huma.Register(api, huma.Operation{OperationID: "cancel-request", Method: http.MethodPost, Path: "/v1/requests/{id}/cancel", Summary: "Cancel a request"}, a.cancel)
	huma.Register(api, huma.Operation{OperationID: "deny-request", Method: http.MethodPost, Path: "/v1/requests/{id}/deny", Summary: "Deny a request, with a code and a text"}, a.deny)
	huma.Register(api, huma.Operation{OperationID: "retry-request", Method: http.MethodPost, Path: "/v1/requests/{id}/retry", Summary: "Send jobs again that failed or wait"}, a.retry)
	huma.Register(api, huma.Operation{OperationID: "approve-request", Method: http.MethodPost, Path: "/v1/requests/{id}/approve", Summary: "Lift a connector's cap for this request"}, a.approve)
	huma.Register(api, huma.Operation{OperationID: "list-connectors", Method: http.MethodGet, Path: "/v1/connectors", Summary: "List connectors"}, a.connectors)
	a.registerFleet(api)
	a.registerPlans(api)
	a.registerCopies(api)
	a.registerRights(api)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, http.StatusNotFound, "there is no such endpoint, or not with this method; GET /v1/openapi.json lists them")
	})
	return actors(mux)
}

type handlers struct{ room *Room }

type identifierBody struct {
	Kind  string `json:"kind" doc:"Such as email, phone, customer_id, user_id, device_id, cookie_id" maxLength:"64"`
	Value string `json:"value" doc:"The value" maxLength:"2048"`
}

type verificationBody struct {
	Method string `json:"method" doc:"How the requester was verified, as a short code" example:"account_login" maxLength:"64"`
	Level  string `json:"level" enum:"reasonable,reasonably_high" doc:"How sure that makes you (11 CCR 7062)"`
	// Points and Parent are names and codes, never what was compared.
	Points []string `json:"points,omitempty" doc:"Names of the data points that matched what is held; disputed ones don't count" maxItems:"20"`
	Parent string   `json:"parent,omitempty" doc:"How the requester was shown to be the parent or guardian, as a short code" maxLength:"64"`
}

func (b *verificationBody) verified() request.Verified {
	return request.Verified{Method: b.Method, Level: request.Level(b.Level), Points: b.Points, Parent: b.Parent}
}

// SubmissionBody is a request as it is submitted.
type SubmissionBody struct {
	Regime       string            `json:"regime,omitempty" doc:"The law, such as us-ca-ccpa; left out, the configured one" maxLength:"64"`
	Right        string            `json:"right" doc:"know_categories, know_specific, delete, correct, opt_out_sale_share, limit_spi, or to take a choice back opt_in_sale_share or opt_in_spi" maxLength:"64"`
	Channel      string            `json:"channel,omitempty" doc:"How it was made: api, web, email, phone, mail, …" maxLength:"64"`
	Identifiers  []identifierBody  `json:"identifiers" doc:"What is known of the person" maxItems:"100" nullable:"false"`
	ReceivedAt   time.Time         `json:"received_at,omitzero" doc:"When it reached the company, when that was earlier than now"`
	Everything   bool              `json:"everything,omitempty" doc:"For requests to know: as far back as the law reaches"`
	Verification *verificationBody `json:"verification,omitempty" doc:"Attests who the requester is; never for opting out"`
	RightsBody
}

func (b *SubmissionBody) entry(key string) (Entry, error) {
	e := Entry{
		IdempotencyKey: key, ReceivedAt: b.ReceivedAt,
		Submission: request.Submission{Regime: b.Regime, Right: request.Right(b.Right), Channel: request.Channel(b.Channel)},
	}
	for _, id := range b.Identifiers {
		e.Submission.Identifiers = append(e.Submission.Identifiers, request.NewIdentifier(request.Kind(id.Kind), id.Value))
	}
	if err := b.into(&e.Submission); err != nil {
		return e, err
	}
	if b.Everything {
		e.Submission.Range = request.Range{Kind: request.RangeAll}
	}
	if b.Verification != nil {
		v := b.Verification.verified()
		e.Attested = &v
	}
	return e, nil
}

type submitInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"The same key gives the same request" maxLength:"200"`
	Body           SubmissionBody
}

type requestOutput struct{ Body View }

func (a *handlers) submit(ctx context.Context, in *submitInput) (*requestOutput, error) {
	entry, err := in.Body.entry(in.IdempotencyKey)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	taken, err := a.room.Take(ctx, []Entry{entry}, "api")
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	if taken[0].Err != nil {
		return nil, a.problem(ctx, taken[0].Err)
	}
	return a.view(ctx, taken[0].ID)
}

type bulkInput struct {
	Body struct {
		Requests []bulkItem `json:"requests" minItems:"1" maxItems:"1000" nullable:"false"`
	}
}

type bulkItem struct {
	IdempotencyKey string `json:"idempotency_key,omitempty" maxLength:"200"`
	SubmissionBody
}

type bulkResult struct {
	ID       request.ID   `json:"id,omitempty"`
	Existing bool         `json:"existing,omitempty" doc:"The idempotency key was known"`
	Errors   []fieldError `json:"errors,omitempty"`
}

type fieldError struct {
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
}

type bulkOutput struct {
	Body struct {
		Results []bulkResult `json:"results"`
	}
}

func (a *handlers) bulk(ctx context.Context, in *bulkInput) (*bulkOutput, error) {
	taken := make([]Taken, len(in.Body.Requests))
	var entries []Entry
	var index []int
	for i := range in.Body.Requests {
		entry, err := in.Body.Requests[i].entry(in.Body.Requests[i].IdempotencyKey)
		if err != nil {
			taken[i].Err = err
			continue
		}
		entries, index = append(entries, entry), append(index, i)
	}
	done, err := a.room.Take(ctx, entries, "api")
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	for k, t := range done {
		taken[index[k]] = t
	}
	out := &bulkOutput{}
	out.Body.Results = make([]bulkResult, len(taken))
	for i, t := range taken {
		res := bulkResult{ID: t.ID, Existing: t.Existing}
		var fields request.FieldErrors
		switch {
		case errors.As(t.Err, &fields):
			for _, f := range fields {
				res.Errors = append(res.Errors, fieldError{Field: f.Field, Message: f.Problem + "; " + f.Fix})
			}
		case errors.Is(t.Err, request.ErrAttest):
			res.Errors = []fieldError{{Field: "verification", Message: request.ErrAttest.Error()}}
		case errors.Is(t.Err, store.ErrConflict):
			res.Errors = []fieldError{{Field: "idempotency_key", Message: clash}}
		case t.Err != nil:
			a.room.Logger.ErrorContext(ctx, "taking one of many requests", slog.Any("error", t.Err))
			res.Errors = []fieldError{{Message: "the request could not be handled now and was not stored; send it again"}}
		}
		out.Body.Results[i] = res
	}
	return out, nil
}

// IDInput names a request in a path. It is exported because the library sees
// no fields of embedded types that are not.
type IDInput struct {
	ID string `path:"id" doc:"The request" maxLength:"64"`
}

func (a *handlers) get(ctx context.Context, in *IDInput) (*requestOutput, error) {
	id, err := request.ParseID(in.ID)
	if err != nil {
		return nil, huma.Error404NotFound("no such request")
	}
	return a.view(ctx, id)
}

func (a *handlers) view(ctx context.Context, id request.ID) (*requestOutput, error) {
	req, jobs, err := a.room.Store.Get(ctx, id)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	view := ViewOf(&req, jobs)
	offers, err := a.room.OffersOf(ctx, &req)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	view.offer(offers)
	return &requestOutput{Body: view}, nil
}

type listInput struct {
	State     string `query:"state" doc:"Only requests in this state" maxLength:"40"`
	Right     string `query:"right" doc:"Only requests for this right" maxLength:"40"`
	Attention bool   `query:"attention" doc:"Only requests a person must look at"`
	Cursor    string `query:"cursor" doc:"From the previous page" maxLength:"200"`
	Limit     int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
}

type listOutput struct {
	Body struct {
		Requests []View `json:"requests"`
		Next     string `json:"next,omitempty" doc:"Cursor of the next page"`
	}
}

func (a *handlers) list(ctx context.Context, in *listInput) (*listOutput, error) {
	f := store.Filter{State: request.State(in.State), Right: request.Right(in.Right), Attention: in.Attention, Limit: in.Limit}
	if in.State != "" && !f.State.Valid() {
		return nil, huma.Error422UnprocessableEntity("query.state: unknown state")
	}
	if in.Right != "" && !f.Right.Valid() {
		return nil, huma.Error422UnprocessableEntity("query.right: unknown right")
	}
	if in.Cursor != "" {
		c, err := parseCursor(in.Cursor)
		if err != nil {
			return nil, huma.Error422UnprocessableEntity("query.cursor: not a cursor of this listing; start without one")
		}
		f.Before = c
	}
	requests, err := a.room.Store.List(ctx, f)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	ids := make([]request.ID, len(requests))
	for i := range requests {
		ids[i] = requests[i].ID
	}
	jobs, err := a.room.Store.JobsOf(ctx, ids)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &listOutput{}
	out.Body.Requests = make([]View, len(requests))
	for i := range requests {
		out.Body.Requests[i] = ViewOf(&requests[i], jobs[ids[i]])
	}
	if len(requests) == store.PageSize(in.Limit) {
		last := requests[len(requests)-1]
		out.Body.Next = base64.RawURLEncoding.EncodeToString([]byte(last.CreatedAt.Format(time.RFC3339Nano) + " " + string(last.ID)))
	}
	return out, nil
}

func parseCursor(text string) (store.Cursor, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return store.Cursor{}, err
	}
	at, id, _ := strings.Cut(string(raw), " ")
	created, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return store.Cursor{}, err
	}
	parsed, err := request.ParseID(id)
	return store.Cursor{CreatedAt: created, ID: parsed}, err
}

type verifyInput struct {
	IDInput
	Body verificationBody
}

func (a *handlers) verify(ctx context.Context, in *verifyInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error {
		return a.room.Attest(ctx, id, in.Body.verified(), "api")
	})
}

type stopInput struct {
	IDInput
	Body struct {
		Code   string `json:"code" doc:"A short code" example:"withdrawn" maxLength:"64"`
		Reason string `json:"reason" doc:"Told to the consumer; names nobody" maxLength:"2000"`
		// Evidence is for denials.
		Evidence map[string]string `json:"evidence,omitempty" doc:"For a denial: what its code needs, such as facts, reference, document; names nobody"`
	}
}

func (a *handlers) cancel(ctx context.Context, in *stopInput) (*requestOutput, error) {
	return a.stop(ctx, in, request.ResultCancelled)
}

func (a *handlers) deny(ctx context.Context, in *stopInput) (*requestOutput, error) {
	return a.stop(ctx, in, request.ResultDenied)
}

func (a *handlers) stop(ctx context.Context, in *stopInput, result request.Result) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error {
		if result == request.ResultDenied {
			return a.room.Deny(ctx, id, Denial{Code: in.Body.Code, Reason: in.Body.Reason, Evidence: in.Body.Evidence})
		}
		return a.room.Stop(ctx, id, request.Ending{Result: result, Code: in.Body.Code, Reason: in.Body.Reason})
	})
}

type retryInput struct {
	IDInput
	Body struct {
		Connector string `json:"connector,omitempty" doc:"Only this connector's jobs" maxLength:"40"`
	}
}

func (a *handlers) retry(ctx context.Context, in *retryInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.Retry(ctx, id, in.Body.Connector, 0) })
}

type approveInput struct {
	IDInput
	Body struct {
		Connector string `json:"connector" doc:"The connector that reported over_limit" minLength:"1" maxLength:"40"`
		Cap       int64  `json:"cap" minimum:"1" doc:"The most records it may act on for this request"`
	}
}

func (a *handlers) approve(ctx context.Context, in *approveInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.Retry(ctx, id, in.Body.Connector, in.Body.Cap) })
}

func (a *handlers) act(ctx context.Context, text string, do func(request.ID) error) (*requestOutput, error) {
	id, err := request.ParseID(text)
	if err != nil {
		return nil, huma.Error404NotFound("no such request")
	}
	if err := do(id); err != nil && !errors.Is(err, request.ErrSecond) { // who must still agree is in the view
		return nil, a.problem(ctx, err)
	}
	return a.view(ctx, id)
}

type connectorsOutput struct {
	Body struct {
		Connectors []ConnectorView `json:"connectors"`
	}
}

func (a *handlers) connectors(ctx context.Context, _ *struct{}) (*connectorsOutput, error) {
	views, err := a.room.Connectors(ctx)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &connectorsOutput{}
	out.Body.Connectors = views
	return out, nil
}
