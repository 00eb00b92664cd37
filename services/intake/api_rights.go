package intake

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/habeas-data/habeas/services/request"
)

// registerRights adds the operations on what the law lets be decided about a
// request.
func (a *handlers) registerRights(api huma.API) {
	post := func(id, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: http.MethodPost, Path: path, Summary: summary}
	}
	huma.Register(api, post("confirm-request", "/v1/requests/{id}/confirm", "Take the second step of a two-step request"), a.confirm)
	huma.Register(api, post("extend-request", "/v1/requests/{id}/extension", "Prolong the time to answer, once, with a reason"), a.extend)
	huma.Register(api, post("fail-verification", "/v1/requests/{id}/verification-failure", "Say that the requester could not be verified; the law's fallback follows"), a.failVerification)
	huma.Register(api, post("hold-request", "/v1/requests/{id}/holds", "Hold a request: legal, police or suspicion"), a.hold)
	huma.Register(api, post("end-hold", "/v1/requests/{id}/holds/{hold}/end", "End a hold"), a.endHold)
	huma.Register(api, post("renew-hold", "/v1/requests/{id}/holds/{hold}/renew", "Prolong a direction of the police by 90 days, once"), a.renewHold)
	huma.Register(api, post("narrow-request", "/v1/requests/{id}/narrow", "Refuse to look back further than twelve months, with facts"), a.narrow)
	huma.Register(api, post("opt-out-instead", "/v1/requests/{id}/opt-out", "Take up the opt-out that a refused deletion offers"), a.optOutInstead)
	huma.Register(api, post("appeal-request", "/v1/requests/{id}/appeal", "Appeal a denial, where the regime gives an appeal"), a.appeal)
	huma.Register(api, post("grant-appeal", "/v1/requests/{id}/grant", "Grant an appeal"), a.grant)
	huma.Register(api, post("add-statement", "/v1/requests/{id}/statements", "Add the consumer's statement about a disputed field, of at most 250 words"), a.state)
	huma.Register(api, post("look-up-choice", "/v1/choices", "Tell what a person has chosen about sale, sharing and sensitive information"), a.choice)
}

type correctionBody struct {
	Field string `json:"field" doc:"The field, or data category, in dispute" maxLength:"200"`
	Value string `json:"value" doc:"The right value" maxLength:"4096"`
}

// RightsBody is what a submission may say beyond right and person.
type RightsBody struct {
	Subject     string           `json:"subject,omitempty" enum:"person,household" doc:"Who it is about"`
	From        string           `json:"from,omitempty" doc:"For requests to know: the first day to reach back to" format:"date"`
	Corrections []correctionBody `json:"corrections,omitempty" doc:"For requests to correct" maxItems:"100"`
	NewPapers   bool             `json:"new_papers,omitempty" doc:"Documents support the corrections"`
	Portions    []string         `json:"portions,omitempty" doc:"For deletions: only these categories, as letters A to L; none is everything" maxItems:"12"`
	TwoStep     bool             `json:"two_step,omitempty" doc:"It counts once it is confirmed; its clocks run from now. Opting in always is"`
	Requester   string           `json:"requester,omitempty" enum:"parent,guardian,agent" doc:"Who asks, when that is not the consumer"`
	Language    string           `json:"language,omitempty" doc:"What the person is written to in, such as en or es" pattern:"^[a-z]{2,3}$"`
	Answer      string           `json:"answer,omitempty" enum:"mail" doc:"For requests to know: by mail; left out, it is fetched"`
	Minor       string           `json:"minor,omitempty" enum:"under_13,13_to_15" doc:"How young the consumer is known to be"`
}

func (b *RightsBody) into(s *request.Submission) error {
	s.Subject, s.NewPapers, s.Portions, s.TwoStep = request.Subject(b.Subject), b.NewPapers, b.Portions, b.TwoStep
	s.Requester, s.Minor = request.Requester(b.Requester), request.Minor(b.Minor)
	s.Language, s.Answer = b.Language, request.Answer(b.Answer)
	for _, c := range b.Corrections {
		s.Corrections = append(s.Corrections, request.Correction{Field: c.Field, Value: request.NewSecret(c.Value)})
	}
	if b.From == "" {
		return nil
	}
	from, err := request.ParseDate(b.From)
	if err != nil {
		return request.FieldErrors{{Field: "from", Problem: "is not a date", Fix: "give the first day as yyyy-mm-dd"}}
	}
	s.Range = request.Range{Kind: request.RangeFrom, From: from}
	return nil
}

func (a *handlers) confirm(ctx context.Context, in *IDInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.Confirm(ctx, id) })
}

type reasonInput struct {
	IDInput
	Body struct {
		Reason string `json:"reason" doc:"Told to the consumer; names nobody" maxLength:"2000"`
	}
}

func (a *handlers) extend(ctx context.Context, in *reasonInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.Extend(ctx, id, in.Body.Reason) })
}

type failInput struct {
	IDInput
	Body struct {
		Level string `json:"level,omitempty" enum:"reasonable,reasonably_high" doc:"The highest level that was shown, if any"`
	}
}

func (a *handlers) failVerification(ctx context.Context, in *failInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.FailVerification(ctx, id, request.Level(in.Body.Level)) })
}

type holdInput struct {
	IDInput
	Body struct {
		Kind   string    `json:"kind" enum:"legal,police,suspicion"`
		Ref    string    `json:"ref,omitempty" doc:"The case number or reference; names nobody" maxLength:"500"`
		Reason string    `json:"reason,omitempty" doc:"For staff; never told to the consumer" maxLength:"500"`
		Until  time.Time `json:"until,omitzero" doc:"When a legal hold ends by itself"`
	}
}

func (a *handlers) hold(ctx context.Context, in *holdInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error {
		_, err := a.room.Hold(ctx, id, request.Hold{Kind: request.HoldKind(in.Body.Kind), Ref: in.Body.Ref, Reason: in.Body.Reason, Until: in.Body.Until.UTC()})
		return err
	})
}

type heldInput struct {
	IDInput
	Hold string `path:"hold" doc:"The hold" maxLength:"64"`
}

func (a *handlers) endHold(ctx context.Context, in *heldInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.EndHold(ctx, id, request.ID(in.Hold)) })
}

func (a *handlers) renewHold(ctx context.Context, in *heldInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.RenewHold(ctx, id, request.ID(in.Hold)) })
}

type narrowInput struct {
	IDInput
	Body struct {
		Facts map[string]string `json:"facts" doc:"explanation and at least two of systems, records, hours, cost, benefit_to_consumer"`
	}
}

func (a *handlers) narrow(ctx context.Context, in *narrowInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.Narrow(ctx, id, in.Body.Facts) })
}

func (a *handlers) optOutInstead(ctx context.Context, in *IDInput) (*requestOutput, error) {
	return a.another(ctx, in.ID, a.room.OptOutInstead)
}

func (a *handlers) appeal(ctx context.Context, in *IDInput) (*requestOutput, error) {
	return a.another(ctx, in.ID, a.room.Appeal)
}

func (a *handlers) grant(ctx context.Context, in *IDInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error { return a.room.Grant(ctx, id) })
}

// another answers with the request that came of one.
func (a *handlers) another(ctx context.Context, text string, do func(context.Context, request.ID) (request.ID, error)) (*requestOutput, error) {
	id, err := request.ParseID(text)
	if err != nil {
		return nil, huma.Error404NotFound("no such request")
	}
	made, err := do(ctx, id)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	return a.view(ctx, made)
}

type statementInput struct {
	IDInput
	Body struct {
		Field string `json:"field" doc:"The disputed field" maxLength:"200"`
		Text  string `json:"text" doc:"What the consumer wants said, in at most 250 words" maxLength:"16384"`
	}
}

func (a *handlers) state(ctx context.Context, in *statementInput) (*requestOutput, error) {
	return a.act(ctx, in.ID, func(id request.ID) error {
		return a.room.State(ctx, id, in.Body.Field, request.NewSecret(in.Body.Text))
	})
}

type choiceInput struct {
	Body struct {
		Regime      string           `json:"regime,omitempty" maxLength:"64"`
		Identifiers []identifierBody `json:"identifiers" minItems:"1" maxItems:"100" nullable:"false"`
	}
}

type choiceOutput struct {
	Body struct {
		OptedOut   bool   `json:"opted_out" doc:"The person's data may not be sold or shared"`
		Minor      string `json:"minor,omitempty"`
		MayAsk     bool   `json:"may_ask" doc:"The person may be asked to opt in"`
		NoReask    string `json:"no_reask_before,omitempty" doc:"The first day on which they may be asked"`
		Limited    bool   `json:"limited" doc:"The person's sensitive personal information may be used for what they asked for and the law allows, and nothing else"`
		MayAskSPI  bool   `json:"may_ask_spi" doc:"The person may be asked to allow its use again"`
		NoReaskSPI string `json:"no_reask_spi_before,omitempty" doc:"The first day on which they may be asked that"`
	}
}

func (a *handlers) choice(ctx context.Context, in *choiceInput) (*choiceOutput, error) {
	ids := make([]request.Identifier, len(in.Body.Identifiers))
	for i, id := range in.Body.Identifiers {
		ids[i] = request.NewIdentifier(request.Kind(id.Kind), id.Value)
	}
	c, err := a.room.Choice(ctx, in.Body.Regime, ids)
	if err != nil {
		return nil, a.problem(ctx, err)
	}
	out := &choiceOutput{}
	out.Body.OptedOut, out.Body.Minor, out.Body.MayAsk, out.Body.NoReask = c.OptedOut, string(c.Minor), c.MayAsk, c.NoReask.String()
	out.Body.Limited, out.Body.MayAskSPI, out.Body.NoReaskSPI = c.Limited, c.MayAskSPI, c.NoReaskSPI.String()
	return out, nil
}
