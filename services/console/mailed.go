package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Answers are those that go by mail, and copies that somebody looks at.
type Answers interface {
	// Open gives a request's answer as a zip, one that waits for a look included. Errors are [store.ErrNotFound] and
	// [request.ErrNoPackage], or the delivery room's.
	Open(ctx context.Context, id request.ID) (io.ReadCloser, int64, error)
	// Posted ends a request whose answer was mailed; saying it again changes
	// nothing. Errors are [store.ErrNotFound] and [request.ErrNotForMail], or the
	// delivery room's.
	Posted(ctx context.Context, id request.ID, m request.Mailed) error
}

// mailView is an answer that waits to be mailed, or was.
type mailView struct {
	// Waits says that it is made and not mailed; Today is the day to begin with.
	Waits, Print, Mark, Known bool
	Today                     string
	// On, By and Tracking are how it was mailed.
	On, By, Tracking string
}

func (r *Room) mailOf(of *store.Request, who access.Identity) *mailView {
	if m := of.Case.Mailed; m != nil {
		return &mailView{On: m.On.String(), By: m.By, Tracking: m.Tracking}
	}
	if !of.WaitsForMail() {
		return nil
	}
	return &mailView{
		Waits: true, Print: who.May(access.Handle), Mark: who.May(access.Operate), Known: r.config.Answers != nil,
		Today: today(of.Request, r.config.Now()).String(),
	}
}

// answer gives an answer out to be printed, which is on record by now. It is
// saved and not shown, and only while it waits to be mailed.
func (r *Room) answer(w http.ResponseWriter, req *http.Request) {
	r.giveOut(w, req, "answer", (*store.Request).WaitsForMail, request.ErrNotForMail)
}

// giveOut saves a request's package with who asks for it, while it waits; none says
// that it does not.
func (r *Room) giveOut(w http.ResponseWriter, req *http.Request, name string, waits func(*store.Request) bool, none error) {
	stored, _, err := r.load(req)
	switch {
	case err != nil:
		r.fail(w, req, err)
		return
	case r.config.Answers == nil:
		r.fail(w, req, errNoDelivery)
		return
	case !waits(&stored):
		r.fail(w, req, none)
		return
	}
	body, size, err := r.config.Answers.Open(req.Context(), stored.ID)
	switch {
	case errors.Is(err, request.ErrNoPackage):
		r.fail(w, req, none)
		return
	case err != nil:
		r.config.Logger.ErrorContext(req.Context(), "opening a package", slog.String("request", string(stored.ID)), slog.Any("error", err))
		r.fail(w, req, errNoDelivery)
		return
	}
	defer body.Close()
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`-`+string(stored.ID)+`.zip"`)
	if size >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	if _, err := io.Copy(w, body); err != nil {
		r.config.Logger.WarnContext(req.Context(), "giving out a package", slog.String("request", string(stored.ID)), slog.Any("error", err))
		panic(http.ErrAbortHandler) // the reader must not take a part for the whole
	}
}

// posted ends a request whose answer was mailed.
func (r *Room) posted(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "mailed", func(ctx context.Context, id request.ID) error {
		if r.config.Answers == nil {
			return errNoDelivery
		}
		stored, _, err := r.config.Store.Get(ctx, id)
		if err != nil {
			return err
		}
		m := request.Mailed{Tracking: strings.TrimSpace(req.PostFormValue("tracking")), By: request.ActorOf(ctx)}
		if m.On, err = request.ParseDate(strings.TrimSpace(req.PostFormValue("on"))); err != nil {
			return request.FieldErrors{{Field: "day", Problem: "is none", Fix: "give the day on which it was mailed, as yyyy-mm-dd"}}
		}
		if err := m.Check(request.DateOf(stored.Terms.Received, time.UTC), request.DateOf(r.config.Now(), time.UTC)); err != nil {
			return err
		}
		err = r.config.Answers.Posted(ctx, id, m)
		if err == nil || errors.Is(err, request.ErrNotForMail) || errors.Is(err, store.ErrNotFound) {
			return err
		}
		r.config.Logger.ErrorContext(ctx, "saying that an answer was mailed", slog.String("request", string(id)), slog.Any("error", err))
		return errNoDelivery
	})
}
