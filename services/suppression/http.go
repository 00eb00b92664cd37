package suppression

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
)

// checkMost is how many identifiers one call may ask about.
const checkMost = 1000

// checkBytes bounds the body of a call.
const checkBytes = 1 << 20

type question struct {
	// Source is the program that asks because it is about to import; empty for
	// one that asks for another reason.
	Source      string `json:"source,omitempty"`
	Identifiers []struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	} `json:"identifiers"`
}

type answers struct {
	Answers []Answer `json:"answers"`
}

// ReleaseHandler answers POST /v1/suppression:release: the identifiers of one
// person who was erased and has come back, so that what is held of them from now
// on is neither kept out nor erased again. It logs nothing of whom it was told.
// Whoever mounts it asks for a token first.
func (l *List) ReleaseHandler(logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked, ok := readAsked(w, req)
		if !ok {
			return
		}
		if err := l.Release(req.Context(), asked.ids); err != nil {
			logger.ErrorContext(req.Context(), "taking a person off the suppression list", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the list can't be changed now; try again")
			return
		}
		logger.InfoContext(req.Context(), "somebody who came back was taken off the suppression list", slog.String("by", request.ActorOf(req.Context())))
		w.WriteHeader(http.StatusNoContent)
	})
}

// readAsked reads the identifiers of a call, or answers what is wrong.
func readAsked(w http.ResponseWriter, req *http.Request) (asked, bool) {
	out, err := readQuestion(http.MaxBytesReader(w, req.Body, checkBytes))
	var errs request.FieldErrors
	switch {
	case errors.As(err, &errs):
		problem.Write(w, http.StatusUnprocessableEntity, errs.Error())
	case err != nil:
		problem.Write(w, http.StatusBadRequest, `send {"identifiers": [{"kind": "email", "value": "…"}]} of at most 1 MiB`)
	}
	return out, err == nil
}

// asked is a question, checked.
type asked struct {
	source string
	ids    []request.Identifier
}

// Handler answers POST /v1/suppression:check: up to a thousand identifiers, and
// for each of them deleted, opted_out or none, in order. It logs nothing of what
// it was asked. Whoever mounts it asks for a token first.
func (l *List) Handler(logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		asked, ok := readAsked(w, req)
		if !ok {
			return
		}
		out, err := l.Check(req.Context(), asked.ids)
		if err == nil {
			err = l.notice(req.Context(), asked.source, out)
		}
		if err != nil {
			logger.ErrorContext(req.Context(), "checking the suppression list", slog.Any("error", err))
			problem.Write(w, http.StatusServiceUnavailable, "the list can't be read now; until it can, import nobody")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(answers{out}) // the caller is gone: nobody is left to tell
	})
}

func readQuestion(body interface{ Read([]byte) (int, error) }) (out asked, err error) {
	var q question
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return out, errors.New("not a question") // the error may quote what was sent
	}
	if q.Source != "" && !sourceName.MatchString(q.Source) {
		return out, request.FieldErrors{{Field: "source", Problem: "is no name of a program", Fix: "send small letters, digits and hyphens, at most 40"}}
	}
	out.source = q.Source
	out.ids, err = q.identifiers()
	return out, err
}

// readIdentifiers reads the list of identifiers of a question alone.
func readIdentifiers(list json.RawMessage) ([]request.Identifier, error) {
	var q question
	dec := json.NewDecoder(bytes.NewReader(list))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q.Identifiers); err != nil {
		return nil, errors.New("not a question") // the error may quote what was sent
	}
	return q.identifiers()
}

// identifiers brings those of a question into canonical form.
func (q question) identifiers() ([]request.Identifier, error) {
	if n := len(q.Identifiers); n == 0 || n > checkMost {
		return nil, request.FieldErrors{{Field: "identifiers", Problem: fmt.Sprintf("has %d entries", n), Fix: fmt.Sprintf("send 1 to %d", checkMost)}}
	}
	var errs request.FieldErrors
	ids := make([]request.Identifier, len(q.Identifiers))
	for i, one := range q.Identifiers {
		id, err := request.NewIdentifier(request.Kind(one.Kind), one.Value).Normalize()
		field := fmt.Sprintf("identifiers[%d]", i)
		switch {
		case err != nil:
			errs = append(errs, request.FieldError{Field: field, Problem: "cannot be used", Fix: err.Error()})
		case !Usable(id):
			errs = append(errs, request.FieldError{Field: field, Problem: "is a name, which people share", Fix: "send an identifier that is the person's alone"})
		}
		ids[i] = id
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return ids, nil
}

// sourceName is how a program that imports names itself: as connectors do, so
// that it can't be a person.
var sourceName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
