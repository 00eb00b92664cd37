// Package desk is the door for what staff take in by hand: letters, calls and
// visits, and what agents send.
//
// What it owes its callers: a request counts from the day it reached the
// company, not from the day somebody typed it in; what an agent shows is
// checked before anything is stored; and verification goes on as for a request
// from the portal, without staff seeing more than they typed.
package desk

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
)

// body is what staff send.
type body struct {
	Right       string `json:"right"`
	Channel     string `json:"channel"`
	Regime      string `json:"regime,omitempty"`
	Everything  bool   `json:"everything,omitempty"`
	Identifiers []struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	} `json:"identifiers"`
	// ReceivedAt is when it reached the company.
	ReceivedAt time.Time `json:"received_at"`
	Language   string    `json:"language,omitempty"`
	// Points and Signed are data points and the declaration on a paper form.
	Points   map[string]string `json:"points,omitempty"`
	Signed   string            `json:"signed,omitempty"`
	SignedAt time.Time         `json:"signed_at,omitzero"`
	// One of these, when an agent asks.
	PowerOfAttorney  *verify.Attorney   `json:"power_of_attorney,omitempty"`
	SignedPermission *verify.Permission `json:"signed_permission,omitempty"`
}

const maxBody = 4 << 20

// Handler is POST /v1/desk/requests. It does not authenticate.
func Handler(in *intake.Room, v *verify.Room) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem.Write(w, http.StatusMethodNotAllowed, "use POST")
			return
		}
		b := body{}
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&b); err != nil {
			problem.Write(w, http.StatusUnprocessableEntity, "the body is no JSON, or has a field that is not asked for")
			return
		}
		id, err := take(r.Context(), in, v, b, r.Header.Get("Idempotency-Key"))
		if fields := (request.FieldErrors)(nil); errors.As(err, &fields) {
			problem.Write(w, http.StatusUnprocessableEntity, fields.Error())
			return
		}
		if errors.Is(err, request.ErrAttest) {
			problem.Write(w, http.StatusForbidden, request.ErrAttest.Error())
			return
		}
		if err != nil {
			in.Logger.ErrorContext(r.Context(), "taking a request at the desk", "error", err)
			problem.Write(w, http.StatusServiceUnavailable, "the request could not be handled now; send it again with the same Idempotency-Key")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]string{"id": string(id)}) // the client may be gone
	})
}

func take(ctx context.Context, in *intake.Room, v *verify.Room, b body, key string) (request.ID, error) {
	authority := verify.Authority{Attorney: b.PowerOfAttorney, Permission: b.SignedPermission, Points: b.Points, Language: b.Language}
	byAgent := b.PowerOfAttorney != nil || b.SignedPermission != nil
	var errs request.FieldErrors
	if b.ReceivedAt.IsZero() {
		errs = append(errs, request.FieldError{Field: "received_at", Problem: "is missing", Fix: "say when it reached the company: the law counts from then"})
	}
	if b.PowerOfAttorney != nil && b.SignedPermission != nil {
		errs = append(errs, request.FieldError{Field: "signed_permission", Problem: "is not asked for beside a power of attorney (11 CCR 7063(b))", Fix: "leave it out"})
	}
	if byAgent {
		if fields := (request.FieldErrors)(nil); errors.As(authority.Check(in.Now()), &fields) {
			errs = append(errs, fields...)
		}
	}
	declaration, err := b.declaration()
	if err != nil {
		errs = append(errs, request.FieldError{Field: "signed", Problem: err.Error(), Fix: "give the name and the day of the signature"})
	}
	if len(errs) > 0 {
		return "", errs
	}
	vouches := b.PowerOfAttorney != nil || b.SignedPermission != nil && v.Policy.Agent == verify.AgentNothingMore
	if vouches && request.Right(b.Right).Verifiable() && !request.MayAttest(ctx) {
		return "", request.ErrAttest
	}
	e := intake.Entry{IdempotencyKey: key, ReceivedAt: b.ReceivedAt, Submission: request.Submission{
		Right: request.Right(b.Right), Channel: request.Channel(b.Channel), Regime: b.Regime,
	}}
	if b.Everything {
		e.Submission.Range.Kind = request.RangeAll
	}
	for _, i := range b.Identifiers {
		e.Submission.Identifiers = append(e.Submission.Identifiers, request.NewIdentifier(request.Kind(i.Kind), i.Value))
	}
	taken, err := in.Take(ctx, []intake.Entry{e}, "desk")
	if err == nil {
		err = taken[0].Err
	}
	if err != nil {
		return "", err
	}
	id := taken[0].ID
	authority.Anchor = anchor(e.Submission.Identifiers)
	switch {
	case byAgent:
		return id, v.ByAgent(ctx, id, authority)
	case request.Right(b.Right).Verifiable():
		return id, v.Open(ctx, id, verify.Claimed{Language: b.Language, Anchor: authority.Anchor, Points: b.Points, Declaration: declaration})
	default:
		return id, nil
	}
}

func (b body) declaration() (*verify.Declaration, error) {
	if strings.TrimSpace(b.Signed) == "" {
		return nil, nil //nolint:nilnil // no declaration is none
	}
	d := verify.Declare(b.Language, b.Signed, b.SignedAt)
	return d, d.Check()
}

// anchor is whom a person is looked up by: an address if there is one, since a
// code can go there.
func anchor(ids []request.Identifier) request.Identifier {
	var first request.Identifier
	for _, id := range ids {
		if id.Kind == request.Email {
			return id
		}
		if first.Kind == "" && id.Kind != request.Name {
			first = id
		}
	}
	return first
}
