package opendsr

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// ErrUnknownRequest is returned by [Client.Status] for a request the processor
// has never received.
var ErrUnknownRequest = errors.New("the processor does not know the request")

// ErrConflict is returned by [Client.Submit] when the processor says it already
// has this request, or one for the same person that is not finished (HTTP 409,
// or 400 where the error names the request id as a duplicate).
var ErrConflict = errors.New("the processor already has such a request")

// Error is a processor's refusal. It repeats nothing the processor wrote in
// free text, because that may hold identities.
type Error struct {
	Processor string        // the configured name
	HTTP      int           // the HTTP status
	Code      int           // the code in the body, 0 when it had none
	Fields    []string      // request fields the processor complained of
	After     time.Duration // from Retry-After; 0 when absent
	duplicate bool
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "processor %s answered %d", e.Processor, e.HTTP)
	if text := http.StatusText(e.HTTP); text != "" {
		b.WriteString(" " + text)
	}
	if e.Code != 0 && e.Code != e.HTTP {
		fmt.Fprintf(&b, ", code %d", e.Code)
	}
	if len(e.Fields) > 0 {
		fmt.Fprintf(&b, ", complaining of %s", strings.Join(e.Fields, ", "))
	}
	return b.String()
}

// Is makes a refusal match [ErrConflict] and [ErrUnknownRequest].
func (e *Error) Is(target error) bool {
	switch target {
	case ErrConflict:
		return e.HTTP == http.StatusConflict || e.duplicate
	case ErrUnknownRequest:
		return e.HTTP == http.StatusNotFound
	}
	return false
}

// errorFields are the words a refusal may be quoted by: they are ours.
var errorFields = []string{"regulation", "subject_request_id", "subject_request_type", "subject_identities", "submitted_time", "api_version", "status_callback_urls", "extensions"}

// parseError reads a refusal in either shape: wrapped in "error" as the
// specification has it, or flat as mParticle sends it. A body in neither shape
// still gives an Error with the HTTP status.
func parseError(processor string, got answer, now time.Time) *Error {
	type detail struct {
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	e := &Error{Processor: processor, HTTP: got.code, After: retryAfter(got.header.Get("Retry-After"), now)}
	var wrapped struct {
		Error *detail `json:"error"`
	}
	var d detail
	if json.Unmarshal(got.body, &wrapped) == nil && wrapped.Error != nil {
		d = *wrapped.Error
	} else if json.Unmarshal(got.body, &d) != nil {
		return e
	}
	if code, err := d.Code.Int64(); err == nil {
		e.Code = int(code)
	}
	messages := []string{d.Message}
	for _, sub := range d.Errors {
		messages = append(messages, sub.Message)
	}
	text := strings.ToLower(strings.Join(messages, "\n"))
	for _, field := range errorFields {
		if strings.Contains(text, field) {
			e.Fields = append(e.Fields, field)
		}
	}
	e.duplicate = e.HTTP == http.StatusBadRequest && (strings.Contains(text, "duplicate") || strings.Contains(text, "already exist"))
	return e
}

// retryAfter reads a Retry-After header in either form; what it cannot read or
// what lies in the past is 0, and more than a day is a day.
func retryAfter(value string, now time.Time) time.Duration {
	var after time.Duration
	if seconds, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
		after = time.Duration(min(max(seconds, 0), 86_400)) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), 24*time.Hour)
}

// instruct turns a failed call into what the runtime should do about it.
func instruct(err error) error {
	if err == nil {
		return nil
	}
	var refusal *Error
	_, notYet := sdk.AsNotYet(err)
	switch {
	case notYet, sdk.CodeOf(err) != "":
		return err
	case errors.Is(err, ErrCertificate), errors.Is(err, ErrSignature):
		// Worth a retry: a certificate may be about to be renewed.
		return sdk.WithCode(sdk.Configuration, err)
	case errors.As(err, &refusal):
		switch {
		case refusal.HTTP == http.StatusTooManyRequests:
			return sdk.WithCode(sdk.RateLimited, sdk.NotYet(max(refusal.After, time.Second), err))
		case refusal.HTTP == http.StatusServiceUnavailable && refusal.After > 0:
			return sdk.WithCode(sdk.Unavailable, sdk.NotYet(refusal.After, err))
		case refusal.HTTP == http.StatusUnauthorized, refusal.HTTP == http.StatusForbidden:
			return sdk.Permanent(sdk.WithCode(sdk.Denied, err))
		case refusal.HTTP == http.StatusRequestTimeout, refusal.HTTP >= 500:
			return sdk.WithCode(sdk.Unavailable, err)
		case refusal.HTTP == http.StatusNotFound, refusal.HTTP == http.StatusMethodNotAllowed, refusal.HTTP < 400:
			return sdk.Permanent(sdk.WithCode(sdk.Configuration, err))
		default:
			return sdk.Permanent(sdk.WithCode(sdk.Rejected, err))
		}
	default:
		return sdk.WithCode(sdk.Unavailable, err)
	}
}
