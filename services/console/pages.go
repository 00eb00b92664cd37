package console

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
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

// count is how many requests are in a state, with a link to them; Count is
// empty for those that nobody counts.
type count struct {
	Label, Count, Link string
	Current            bool
}

type listPage struct {
	page
	Counts        []count
	States        []option
	Rights        []option
	Regime        string
	AttentionOnly bool
	Filtered      bool
	Rows          []row
	// Older and Newest link to other pages of the listing; empty where there
	// are none.
	Older, Newest string
	AuditURL      string
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
}

// StopForm is the form to deny or to cancel, with what was typed before.
func (p *requestPage) StopForm(action string) form {
	f := form{ID: p.ID, Action: action}
	if p.Failed == action {
		f.Code, f.Text = p.Typed.Get("code"), p.Typed.Get("reason")
	}
	return f
}

func (r *Room) list(w http.ResponseWriter, req *http.Request)     { r.showList(w, req, "list.html") }
func (r *Room) listLive(w http.ResponseWriter, req *http.Request) { r.showList(w, req, "list-live") }

func (r *Room) showList(w http.ResponseWriter, req *http.Request, template string) {
	p, err := r.readList(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	r.render(w, req, http.StatusOK, template, p)
}

// find goes to the request that an id names. It is for ids alone: an address
// of a page is no place for what names a person.
func (r *Room) find(w http.ResponseWriter, req *http.Request) {
	id, err := request.ParseID(strings.ToLower(strings.TrimSpace(req.URL.Query().Get("id"))))
	if err != nil {
		r.fail(w, req, store.ErrNotFound)
		return
	}
	http.Redirect(w, req, "/requests/"+string(id), http.StatusSeeOther) //nolint:gosec // an id is a UUID, and the path is ours
}

func (r *Room) readList(req *http.Request) (*listPage, error) {
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	query := req.URL.Query()
	f := store.Filter{State: request.State(query.Get("state")), Right: request.Right(query.Get("right")), Regime: query.Get("regime"), Attention: query.Get("attention") != ""}
	if (f.State != "" && !f.State.Valid()) || (f.Right != "" && !f.Right.Valid()) {
		return nil, errBadLink
	}
	if text := query.Get("before"); text != "" {
		c, err := parseCursor(text)
		if err != nil {
			return nil, errBadLink
		}
		f.Before = c
	}
	now := r.config.Now()
	standing, err := r.config.Store.Standing(ctx, now, now)
	if err != nil {
		return nil, err
	}
	requests, err := r.config.Store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	ids := make([]request.ID, len(requests))
	for i := range requests {
		ids[i] = requests[i].ID
	}
	jobs, err := r.config.Store.JobsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	p := &listPage{
		page: page{Title: "Requests", Events: "/events", Live: "/live" + suffix(filterQuery(f))}, AttentionOnly: f.Attention, AuditURL: r.config.AuditURL,
		Filtered: f.State != "" || f.Right != "" || f.Regime != "" || f.Attention, Regime: f.Regime, Counts: countsOf(standing, f), States: stateOptions(f.State), Rights: rightOptions(f.Right),
	}
	for i := range requests {
		p.Rows = append(p.Rows, rowOf(&requests[i], jobs[ids[i]], r.config.Now()))
	}
	if f.Before.ID != "" {
		newest := f
		newest.Before = store.Cursor{}
		p.Newest = "/" + suffix(filterQuery(newest))
	}
	if n := len(requests); n == store.PageSize(0) {
		older := f
		older.Before = store.Cursor{CreatedAt: requests[n-1].CreatedAt, ID: requests[n-1].ID}
		p.Older = "/" + suffix(filterQuery(older))
	}
	return p, nil
}

// filterQuery writes a filter as the query that readList reads.
func filterQuery(f store.Filter) url.Values {
	q := url.Values{}
	if f.State != "" {
		q.Set("state", string(f.State))
	}
	if f.Right != "" {
		q.Set("right", string(f.Right))
	}
	if f.Regime != "" {
		q.Set("regime", f.Regime)
	}
	if f.Attention {
		q.Set("attention", "1")
	}
	if f.Before.ID != "" {
		q.Set("before", f.Before.CreatedAt.UTC().Format(time.RFC3339Nano)+"_"+string(f.Before.ID))
	}
	return q
}

func suffix(q url.Values) string {
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func parseCursor(text string) (store.Cursor, error) {
	at, id, _ := strings.Cut(text, "_")
	created, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return store.Cursor{}, err
	}
	parsed, err := request.ParseID(id)
	return store.Cursor{CreatedAt: created, ID: parsed}, err
}

// countsOf lists the states that open requests are in. Those that are closed
// are not counted: there is no end of them.
func countsOf(standing store.Standing, f store.Filter) []count {
	link := func(s request.State) string {
		return "/" + suffix(filterQuery(store.Filter{State: s, Right: f.Right, Regime: f.Regime, Attention: f.Attention}))
	}
	out := []count{{Label: "All", Link: link(""), Current: f.State == ""}}
	for _, s := range request.States() {
		c := count{Label: inWords(stateWords, s).Label, Link: link(s), Current: s == f.State}
		if n := standing.Open[s]; s != request.Closed {
			if n == 0 && !c.Current {
				continue
			}
			c.Count = number(n)
		}
		out = append(out, c)
	}
	return out
}

func stateOptions(chosen request.State) []option {
	out := []option{{Label: "Any state", Chosen: chosen == ""}}
	for _, s := range request.States() {
		out = append(out, option{string(s), inWords(stateWords, s).Label, s == chosen})
	}
	return out
}

func rightOptions(chosen request.Right) []option {
	out := []option{{Label: "Any right", Chosen: chosen == ""}}
	for _, right := range request.Rights() {
		out = append(out, option{string(right), label(rightLabels, right), right == chosen})
	}
	return out
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
	r.render(w, req, status, template, &requestPage{
		page: page{Title: d.Right + " request", Events: base + "/events", Live: base + "/live"}, detail: d,
		Failed: failed, Problem: problem, Typed: req.PostForm, AuditURL: r.config.AuditURL,
	})
}

func (r *Room) readRequest(req *http.Request) (detail, error) {
	stored, jobs, err := r.load(req)
	if err != nil {
		return detail{}, err
	}
	d := detailOf(&stored, jobs, r.config.Now())
	d.allow(access.Of(req.Context()))
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
	case errors.Is(err, errNoConnector):
		status, p = http.StatusNotFound, &errorPage{Heading: "No such connector", Text: "No connector of this name has ever announced itself. Check the link, or look for it in the list."}
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
