package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// actTimeout bounds how long a decision may take to be stored.
const actTimeout = 15 * time.Second

func (r *Room) verify(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "verify", func(ctx context.Context, id request.ID) error {
		return r.config.Act.Attest(ctx, id, request.Verified{
			Method: strings.TrimSpace(req.PostFormValue("method")), Level: request.Level(req.PostFormValue("level")),
		}, request.ActorOf(ctx))
	})
}

func (r *Room) cancel(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "cancel", func(ctx context.Context, id request.ID) error {
		return r.config.Act.Stop(ctx, id, request.Ending{
			Result: request.ResultCancelled, Code: strings.TrimSpace(req.PostFormValue("code")), Reason: strings.TrimSpace(req.PostFormValue("reason")),
		})
	})
}

// evidence is what begins the names of the fields with what a denial needs.
const evidencePrefix = "evidence."

func (r *Room) deny(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "deny", func(ctx context.Context, id request.ID) error {
		d := request.Refusal{Code: strings.TrimSpace(req.PostFormValue("code")), Reason: strings.TrimSpace(req.PostFormValue("reason"))}
		for name, values := range req.PostForm {
			if need, ok := strings.CutPrefix(name, evidencePrefix); ok && strings.TrimSpace(values[0]) != "" {
				if d.Evidence == nil {
					d.Evidence = make(map[string]string)
				}
				d.Evidence[need] = strings.TrimSpace(values[0])
			}
		}
		return r.config.Act.Deny(ctx, id, d)
	})
}

func (r *Room) assign(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "assign", func(ctx context.Context, id request.ID) error {
		answers, err := r.config.Act.AssignAll(ctx, []request.ID{id}, strings.TrimSpace(req.PostFormValue("assignee")))
		if err == nil && len(answers) == 1 {
			err = answers[0]
		}
		return err
	})
}

func (r *Room) retry(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "retry", func(ctx context.Context, id request.ID) error {
		return r.again(ctx, id, req.PostFormValue("connector"), 0)
	})
}

var errNoCap = request.FieldErrors{{Field: "most records", Problem: "is not a number above 0", Fix: "say how many records the system may act on for this request"}}

func (r *Room) approve(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "approve", func(ctx context.Context, id request.ID) error {
		limit, err := strconv.ParseInt(strings.TrimSpace(req.PostFormValue("cap")), 10, 64)
		if err != nil || limit < 1 || req.PostFormValue("connector") == "" {
			return errNoCap
		}
		return r.again(ctx, id, req.PostFormValue("connector"), limit)
	})
}

func (r *Room) extend(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "extend", func(ctx context.Context, id request.ID) error {
		return r.config.Act.Extend(ctx, id, strings.TrimSpace(req.PostFormValue("reason")))
	})
}

func (r *Room) approvePlan(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "approve the plan of", func(ctx context.Context, id request.ID) error {
		answers, err := r.config.Act.ApprovePlans(ctx, []request.ID{id})
		if err == nil && len(answers) == 1 {
			err = answers[0]
		}
		return err
	})
}

func (r *Room) hold(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "hold", func(ctx context.Context, id request.ID) error {
		_, err := r.config.Act.Hold(ctx, id, request.Hold{
			Kind: request.HoldKind(req.PostFormValue("kind")), Ref: strings.TrimSpace(req.PostFormValue("ref")), Reason: strings.TrimSpace(req.PostFormValue("reason")),
		})
		return err
	})
}

func (r *Room) unhold(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "unhold", func(ctx context.Context, id request.ID) error {
		return r.config.Act.EndHold(ctx, id, request.ID(req.PostFormValue("hold")))
	})
}

// errNothing says that there is nothing to send again.
var errNothing = errors.New("no system of this request has anything to try again")

// again looks before it asks, so that a page that was open too long gets an
// answer it can show.
func (r *Room) again(ctx context.Context, id request.ID, connector string, limit int64) error {
	stored, jobs, err := r.config.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	for i := range jobs {
		j := &jobs[i]
		wanted := (connector == "" || j.Connector == connector) && (limit == 0 || j.State == request.JobOverLimit)
		if wanted && retriable(stored.Request, j) {
			return r.config.Act.Retry(ctx, id, connector, limit)
		}
	}
	return errNothing
}

// act carries a decision out and goes back to the request, or shows the
// request again with why not.
func (r *Room) act(w http.ResponseWriter, req *http.Request, action string, do func(context.Context, request.ID) error) {
	const most = 64 << 10
	req.Body = http.MaxBytesReader(w, req.Body, most)
	if err := req.ParseForm(); err != nil {
		r.showRequest(w, req, "request.html", http.StatusBadRequest, action, "The form could not be read. Nothing was changed.")
		return
	}
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil {
		r.fail(w, req, store.ErrNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	// The context names who is signed in. All who sign in with the token are one
	// person: what takes two takes somebody else as well.
	if err := r.gate.Note(ctx, action+" request "+string(id)); err != nil {
		r.fail(w, req, err)
		return
	}
	err = do(ctx, id)
	if err == nil {
		r.config.Logger.InfoContext(ctx, "staff decided", slog.String("request", string(id)), slog.String("action", action))
		http.Redirect(w, req, "/requests/"+string(id), http.StatusSeeOther) //nolint:gosec // an id is a UUID, and the path is ours
		return
	}
	status, problem := refusal(err)
	if status == 0 {
		r.fail(w, req, err)
		return
	}
	r.showRequest(w, req, "request.html", status, action, problem)
}

// refusal puts an error that the request itself is the reason of in words. The
// status is 0 for any other.
func refusal(err error) (status int, text string) {
	var fields request.FieldErrors
	switch {
	case errors.As(err, &fields):
		lines := make([]string, len(fields))
		for i, f := range fields {
			lines[i] = plain(f.Field) + " " + f.Problem + "; " + f.Fix + "."
		}
		return http.StatusUnprocessableEntity, strings.Join(lines, " ") + " Nothing was changed."
	case errors.Is(err, request.ErrNoReason):
		return http.StatusUnprocessableEntity, "Give a short code of lower-case letters, digits and underscores, such as withdrawn, and a reason in one line. Nothing was changed."
	case errors.Is(err, request.ErrLevelTooLow):
		return http.StatusUnprocessableEntity, "This level is too low for what is asked. Nothing was changed."
	case errors.Is(err, request.ErrNoRules):
		return http.StatusConflict, "The rules of the law it was made under are not known, so nobody can say what would be enough. Nothing was changed."
	case errors.Is(err, request.ErrCode), errors.Is(err, request.ErrEvidence), errors.Is(err, request.ErrNotYet):
		return http.StatusUnprocessableEntity, "The law does not let it be refused like this: " + strings.TrimPrefix(err.Error(), "advancing requests: ") + ". Nothing was changed."
	case errors.Is(err, request.ErrSecond):
		return http.StatusAccepted, "Noted. A second person must agree before it is so."
	case errors.Is(err, request.ErrSamePerson):
		return http.StatusConflict, "You agreed already; a second person must. Nothing was changed."
	case errors.Is(err, request.ErrSuspicious), errors.Is(err, request.ErrNoParent):
		return http.StatusUnprocessableEntity, "This verification can't stand: " + strings.TrimPrefix(err.Error(), "advancing requests: ") + ". Nothing was changed."
	case errors.Is(err, request.ErrExtension):
		return http.StatusConflict, "The time to answer can't be prolonged: " + strings.TrimPrefix(err.Error(), "advancing requests: ") + ". Nothing was changed."
	case errors.Is(err, request.ErrHold), errors.Is(err, request.ErrNeverHeld):
		return http.StatusUnprocessableEntity, "It can't be held like this: " + strings.TrimPrefix(err.Error(), "advancing requests: ") + ". Nothing was changed."
	case errors.Is(err, request.ErrUntrained):
		return http.StatusForbidden, "Your training is missing or has run out, and only people with current training may decide about requests (11 CCR 7100). Nothing was changed."
	case errors.Is(err, request.ErrNobody):
		return http.StatusForbidden, "This takes two people, and your login names nobody. Nothing was changed."
	case errors.Is(err, request.ErrNotForMail):
		return http.StatusConflict, "No answer waits to be mailed here: it was mailed already, or the request has moved on. Nothing was changed."
	case errors.Is(err, request.ErrNotForReview):
		return http.StatusConflict, "No such copy waits for a look here: another one was made since, it was decided already, or the request has moved on. Nothing was changed; this page shows how it stands now."
	case errors.Is(err, request.ErrCopyOver):
		return http.StatusConflict, "The copy waited so long that its time is over. Have it made again, and look at that one."
	case errors.Is(err, errNothing), errors.Is(err, request.ErrNothingToRetry):
		return http.StatusConflict, "No system has anything to try again. The request may have moved on; this page shows how it stands now."
	case errors.Is(err, request.ErrTransition), errors.Is(err, request.ErrAlreadyVerified), errors.Is(err, request.ErrNeverVerified):
		return http.StatusConflict, "The request has moved on and can't take this step any more. Nothing was changed; this page shows how it stands now."
	default:
		return 0, ""
	}
}
