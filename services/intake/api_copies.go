package intake

import (
	"context"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// registerCopies adds the operation on copies that somebody looks at before they are
// handed over.
func (a *handlers) registerCopies(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "review-copy", Method: http.MethodPost, Path: "/v1/requests/{id}/copy",
		Summary: "Let a copy be handed over, or have it made again without what is about others",
	}, a.reviewCopy)
}

type reviewInput struct {
	IDInput
	Body struct {
		Decision string               `json:"decision" enum:"approve,again" doc:"approve: hand it over. again: make it again, with more left out"`
		SHA256   string               `json:"sha256" doc:"The copy that was looked at: review.sha256 of the request" pattern:"^[0-9a-f]{64}$"`
		Mask     []string             `json:"mask,omitempty" doc:"For again: names and words of others, masked wherever they stand" maxItems:"1000"`
		LeaveOut []request.FieldPlace `json:"leave_out,omitempty" doc:"For again: fields to leave out" maxItems:"500"`
	}
}

func (a *handlers) reviewCopy(ctx context.Context, in *reviewInput) (*requestOutput, error) {
	digest, err := hex.DecodeString(in.Body.SHA256)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity("body.sha256: want 64 hexadecimal digits")
	}
	approve := in.Body.Decision == "approve"
	if approve && len(in.Body.Mask)+len(in.Body.LeaveOut) > 0 {
		return nil, huma.Error422UnprocessableEntity("body.decision: what is to be masked or left out needs the copy made again; look at that one, and approve it")
	}
	return a.act(ctx, in.ID, func(id request.ID) error {
		if approve {
			return a.room.ApproveCopy(ctx, id, digest)
		}
		return a.room.MakeCopyAgain(ctx, id, digest, request.CopyChanges{Mask: in.Body.Mask, LeftOut: in.Body.LeaveOut})
	})
}

// ReviewView is how the copy stands that somebody looks at. What is masked is not in
// it: those are names of others.
type ReviewView struct {
	Waits    bool                 `json:"waits" doc:"Somebody must look at it: GET …/package/review, then POST …/copy"`
	SHA256   string               `json:"sha256,omitempty" doc:"The copy that waits"`
	Until    *time.Time           `json:"until,omitempty" doc:"When its time is over and it has to be made again"`
	Texts    []request.TextField  `json:"texts,omitempty" doc:"Where it has texts, and in how many records"`
	LeftOut  []request.FieldPlace `json:"left_out,omitempty"`
	Masked   int                  `json:"words_masked,omitempty"`
	Round    int                  `json:"made_again,omitempty"`
	Approved *time.Time           `json:"approved,omitempty"`
	By       string               `json:"by,omitempty"`
}

func reviewView(r *store.Request) *ReviewView {
	v := r.Case.Review
	if v == nil {
		return nil
	}
	out := &ReviewView{LeftOut: v.LeftOut, Masked: v.Words, Round: v.Round, Approved: timeOrNil(v.Approved), By: v.By}
	if r.WaitsForReview() {
		out.Waits, out.SHA256, out.Until, out.Texts = true, hex.EncodeToString(r.Package.SHA256), timeOrNil(v.Until), v.Texts
	}
	return out
}
