package intake

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func init() {
	// The library echoes the offending value in validation errors; here it
	// could be somebody's address.
	makeError := huma.NewError
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		for i, err := range errs {
			var d huma.ErrorDetailer
			if errors.As(err, &d) {
				detail := *d.ErrorDetail()
				detail.Value, detail.Location = nil, known(detail.Location)
				errs[i] = &detail
			}
		}
		return makeError(status, msg, errs...)
	}
}

var (
	knownPlace = regexp.MustCompile(`^(body|query|header|path)(\.requests\[\d+\])?(\.identifiers\[\d+\]|\.verification)?`)
	fieldName  = regexp.MustCompile(`^\.[A-Za-z_-]{1,40}$`)
)

// known cuts off what a location says beyond the fields there are, unless it
// looks like a name and not like a value that was put in its place.
func known(location string) string {
	place := knownPlace.FindString(location)
	if rest := location[len(place):]; fieldName.MatchString(rest) {
		return location
	}
	return place
}

// problem is the one table between errors and status codes. What is not in it
// is logged here and not shown.
func (a *handlers) problem(ctx context.Context, err error) error {
	var fields request.FieldErrors
	switch {
	case errors.As(err, &fields):
		details := make([]error, len(fields))
		for i, f := range fields {
			details[i] = &huma.ErrorDetail{Location: "body." + f.Field, Message: f.Problem + "; " + f.Fix}
		}
		return huma.Error422UnprocessableEntity("the request was not taken and nothing was stored", details...)
	case errors.Is(err, store.ErrNotFound):
		return huma.Error404NotFound("no such request")
	case errors.Is(err, store.ErrConflict):
		return huma.Error409Conflict("header.Idempotency-Key: " + clash)
	case errors.Is(err, request.ErrCode):
		return huma.Error422UnprocessableEntity("body.code: " + lastOf(err))
	case errors.Is(err, request.ErrEvidence):
		return huma.Error422UnprocessableEntity("body: " + lastOf(err))
	case errors.Is(err, request.ErrNotYet), errors.Is(err, request.ErrHold), errors.Is(err, request.ErrNeverHeld), errors.Is(err, request.ErrExtension),
		errors.Is(err, request.ErrSamePerson), errors.Is(err, request.ErrUnconfirmed), errors.Is(err, request.ErrSuspicious), errors.Is(err, ErrNotOffered), errors.Is(err, request.ErrNotForReview), errors.Is(err, request.ErrCopyOver):
		return huma.Error409Conflict(lastOf(err))
	case errors.Is(err, request.ErrNobody):
		return huma.Error422UnprocessableEntity("header." + HeaderActor + ": " + request.ErrNobody.Error() + "; name the person who decides")
	case errors.Is(err, request.ErrAttest):
		return huma.Error403Forbidden("body.verification: " + request.ErrAttest.Error())
	case errors.Is(err, ErrUntrained):
		return huma.Error403Forbidden(ErrUntrained.Error())
	case errors.Is(err, request.ErrNoReason):
		return huma.Error422UnprocessableEntity("body.code, body.reason: " + request.ErrNoReason.Error())
	case errors.Is(err, request.ErrTransition), errors.Is(err, request.ErrNeverVerified), errors.Is(err, request.ErrAlreadyVerified),
		errors.Is(err, request.ErrLevelTooLow), errors.Is(err, request.ErrNoRules), errors.Is(err, ErrNothingToRetry):
		return huma.Error409Conflict(lastOf(err))
	default:
		a.room.Logger.ErrorContext(ctx, "answering an API call", slog.Any("error", err))
		return huma.Error503ServiceUnavailable("the request could not be handled now; nothing is known to be stored, and sending it again with the same Idempotency-Key is safe")
	}
}

const clash = "the key was used for another request; use a new one"

// lastOf is the part of a wrapped error that speaks of the request.
func lastOf(err error) string {
	text := err.Error()
	return strings.TrimPrefix(text, "advancing requests: ")
}
