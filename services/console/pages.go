package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Errors that have a page of their own.
var (
	errNoPage  = errors.New("no such page")
	errForeign = errors.New("request from another site")
	errBadLink = errors.New("a link that is no longer good")
	errBadForm = errors.New("a form that can't be read")

	errNoRecipient = errors.New("no such recipient")
	errNoDelivery  = errors.New("the delivery room does not answer")
)

// readTimeout bounds how long a page waits for the store.
const readTimeout = 5 * time.Second

// page is what the frame around every page needs.
type page struct {
	Title string
	// Alone leaves out what only those who are signed in can use.
	Alone bool
	// Events and Live are where the page's script listens and fetches from;
	// empty for a page that does not change.
	Events, Live string

	who access.Identity
}

// May says whether who looks at the page has a permission: "operate", "decide"
// and so on. A page offers nobody what they would be refused; the refusal itself
// is [access.Gate.Need]'s.
func (p *page) May(permission access.Permission) bool { return p.who.May(permission) }

func (p *page) shownTo(who access.Identity) { p.who = who }

type loginPage struct {
	page
	// Company says that staff sign in at the company's login.
	Company bool
	// Problem is why a login failed.
	Problem string
}

type errorPage struct {
	page
	Heading, Text string
}

// option is a choice of a filter.
type option struct {
	Value, Label string
	Chosen       bool
}

type requestPage struct {
	page
	detail
	// Failed is the action that was refused, Problem why, and Typed what was
	// typed.
	Failed, Problem string
	Typed           url.Values
	AuditURL        string
}

// Form is what the form of one action shows.
type form struct {
	ID         request.ID
	Action     string
	Code, Text string
	// Codes are those that the law has; none when it lists none. Needs are the
	// names of what some of them need, with what was typed.
	Codes []request.RefusalCode
	Needs []need
}

// need is a field for what some denial codes need.
type need struct{ Name, Label, For, Text string }

// StopForm is the form to deny or to cancel, with what was typed before.
func (p *requestPage) StopForm(action string) form {
	f := form{ID: p.ID, Action: action}
	if action == "deny" {
		f.Codes = p.Codes
		for _, name := range p.Needs {
			n := need{Name: name, Label: plain(name)}
			var codes []string
			for _, c := range p.Codes {
				if slices.Contains(c.Needs, name) {
					codes = append(codes, c.Code)
				}
			}
			n.For = strings.Join(codes, ", ")
			if p.Failed == action {
				n.Text = p.Typed.Get(evidencePrefix + name)
			}
			f.Needs = append(f.Needs, n)
		}
	}
	if p.Failed == action {
		f.Code, f.Text = p.Typed.Get("code"), p.Typed.Get("reason")
	}
	return f
}

func (r *Room) request(w http.ResponseWriter, req *http.Request) {
	r.showRequest(w, req, "request.html", http.StatusOK, "", "")
}

func (r *Room) requestLive(w http.ResponseWriter, req *http.Request) {
	r.showRequest(w, req, "request-live", http.StatusOK, "", "")
}

// showRequest shows a request, after an action that was refused with why.
func (r *Room) showRequest(w http.ResponseWriter, req *http.Request, template string, status int, failed, problem string) {
	d, err := r.readRequest(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	base := "/requests/" + string(d.ID)
	live := page{Title: d.Right + " request", Events: base + "/events", Live: base + "/live"}
	if problem != "" {
		live.Events, live.Live = "", "" // what was typed stays as it is
	}
	r.render(w, req, status, template, &requestPage{
		page: live, detail: d,
		Failed: failed, Problem: problem, Typed: req.PostForm, AuditURL: r.config.AuditURL,
	})
}

func (r *Room) readRequest(req *http.Request) (detail, error) {
	stored, jobs, err := r.load(req)
	if err != nil {
		return detail{}, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	d, who := detailOf(&stored, jobs, r.fleet(ctx), r.config.Now()), access.Of(ctx)
	d.allow(who)
	d.Me, d.Pending = who.Who, pendingOf(&stored, jobs, who.Who)
	if post, ok := r.config.Store.(store.Post); ok {
		posted, err := post.NoticesOf(ctx, stored.ID)
		d.Notices, d.NoticesError = toldOf(posted), err != nil
	}
	d.Mail, d.Review = r.mailOf(&stored, who), r.reviewOf(&stored, who)
	d.Told, err = r.toldOnward(ctx, stored.ID)
	d.ToldError = err != nil
	if len(jobs) == 0 || stored.PlanWaits() != nil {
		if d.Foreseen, err = r.foresee(ctx, &stored); err != nil {
			return detail{}, err
		}
	}
	if d.Can.Deny {
		if d.Codes, err = r.config.Act.Denials(&stored); err != nil {
			return detail{}, err
		}
		for _, c := range d.Codes {
			for _, need := range c.Needs {
				if !slices.Contains(d.Needs, need) {
					d.Needs = append(d.Needs, need)
				}
			}
		}
	}
	return d, nil
}

// load reads the request that the path names.
func (r *Room) load(req *http.Request) (store.Request, []store.Job, error) {
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil {
		return store.Request{}, nil, store.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	return r.config.Store.Get(ctx, id)
}

// fail shows an error. What is not in its table is logged and not shown.
func (r *Room) fail(w http.ResponseWriter, req *http.Request, err error) {
	status, p := http.StatusServiceUnavailable, &errorPage{
		Heading: "The database does not answer",
		Text:    "Requests can't be shown or changed now. Nothing is lost: what was accepted is stored, and work goes on when the database is back. Reload this page to try again.",
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		status, p = http.StatusNotFound, &errorPage{Heading: "No such request", Text: "There is no request with this id. Check the link, or look for it in the list."}
	case errors.Is(err, errNoPage):
		status, p = http.StatusNotFound, &errorPage{Heading: "No such page", Text: "There is nothing at this address."}
	case errors.Is(err, errBadLink):
		status, p = http.StatusBadRequest, &errorPage{Heading: "This link is not good", Text: "The filter or the page it names does not exist. Start from the list."}
	case errors.Is(err, errBadForm):
		status, p = http.StatusBadRequest, &errorPage{Heading: "The form could not be read", Text: "Nothing was changed. Go back and try again."}
	case errors.Is(err, errNoTask):
		status, p = http.StatusNotFound, &errorPage{Heading: "No such task", Text: "There is no task with this id, or it was done long ago. Look for it in the list of tasks."}
	case errors.Is(err, errNoDelivery):
		p = &errorPage{Heading: "The delivery room does not answer", Text: "Answers to print are kept there. Nothing was changed, and nothing is lost: try again. If it stays like this, whoever runs Habeas finds the reason in the console's log, and in delivery.url of its configuration."}
	case errors.Is(err, request.ErrNotForMail):
		status, p = http.StatusConflict, &errorPage{Heading: "Nothing waits to be mailed", Text: "This request has no answer that waits to be mailed: it is not made yet, was mailed already, or goes another way."}
	case errors.Is(err, request.ErrNotForReview):
		status, p = http.StatusConflict, &errorPage{Heading: "No copy waits for a look", Text: "This request has no copy that somebody must look at: it is not made yet, was decided already, or needs no look."}
	case errors.Is(err, errNoRecipient):
		status, p = http.StatusNotFound, &errorPage{Heading: "No such recipient", Text: "Neither the company's file nor a notice names it. Look for it in the list of recipients."}
	case errors.Is(err, errAway):
		status, p = http.StatusServiceUnavailable, &errorPage{Heading: "The connector does not answer", Text: "Its tasks can't be shown or changed now. Nothing is lost: they are kept with the connector. See its page, and reload this one when it is up."}
	case errors.Is(err, errNoDesk):
		status, p = http.StatusServiceUnavailable, &errorPage{Heading: "The console has no key", Text: "Without its own seal key it may not ask connectors about tasks. Whoever runs Habeas finds how to give it one in the operations manual."}
	case errors.Is(err, errNoConnector):
		status, p = http.StatusNotFound, &errorPage{Heading: "No such connector", Text: "No connector of this name has ever announced itself. Check the link, or look for it in the list."}
	case errors.Is(err, errBadPeriod):
		status, p = http.StatusBadRequest, &errorPage{Heading: "No such period", Text: "Give two days, the first before the second: the first day of the period, and the day after its last."}
	case errors.Is(err, errForeign):
		status, p = http.StatusForbidden, &errorPage{Heading: "Refused", Text: "This came from another site. Nothing was changed. Go to the console itself and try again."}
	case errors.Is(err, access.ErrRole):
		status, p = http.StatusForbidden, &errorPage{Heading: "Not for your role", Text: "Your roles do not allow this. Nothing was changed. Whoever runs Habeas decides which of your groups has which role."}
	default:
		r.config.Logger.ErrorContext(req.Context(), "answering with a page", slog.Any("error", err))
	}
	p.Title = p.Heading
	ctx, signedIn := r.signedIn(req)
	p.Alone = !signedIn
	r.render(w, req.WithContext(ctx), status, "error.html", p)
}

// framed is a pointer to any page.
type framed interface{ shownTo(access.Identity) }

// render writes a page whole or not at all.
func (r *Room) render(w http.ResponseWriter, req *http.Request, status int, template string, data framed) {
	data.shownTo(access.Of(req.Context()))
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, template, data); err != nil {
		r.config.Logger.ErrorContext(req.Context(), "rendering a page", slog.String("template", template), slog.Any("error", err))
		http.Error(w, "the page could not be made; see the console's log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(cmp.Or(status, http.StatusOK))
	if _, err := out.WriteTo(w); err != nil {
		r.config.Logger.DebugContext(req.Context(), "a reader went away", slog.Any("error", err))
	}
}
