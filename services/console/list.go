package console

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// count is how many requests are in a state, with a link to them.
type count struct {
	Label, Count, Link string
	Current            bool
}

// choice is a filter that somebody saved.
type choice struct {
	Name, Link string
	Current    bool
}

type listPage struct {
	page
	Counts                   []count
	States, Rights, Channels []option
	Connectors, Dues, Sorts  []option
	Kinds                    []option
	Asked                    asked
	Filtered, Person         bool
	Matches                  string
	Rows                     []row
	Saved                    []choice
	// Query is the filter in an address, to be saved; empty when there is none.
	Query string
	// Problem is why something that was sent was refused.
	Problem string
	// Older and Newest link to other pages of the listing; empty where there
	// are none.
	Older, Newest string
	Order         string
	Most          int
	AuditURL      string
}

// bulkMost is how many requests one decision from the list can be about; see
// [Actor].
const bulkMost = 500

func (r *Room) list(w http.ResponseWriter, req *http.Request) {
	r.showList(w, req, "list.html", http.StatusOK, "")
}

func (r *Room) listLive(w http.ResponseWriter, req *http.Request) {
	r.showList(w, req, "list-live", http.StatusOK, "")
}

// showList shows the listing of an address, after a form that was refused with
// why.
func (r *Room) showList(w http.ResponseWriter, req *http.Request, template string, status int, problem string) {
	p, err := r.readList(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	p.Problem = problem
	r.render(w, req, status, template, p)
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

// findPerson lists the requests of whoever has an identifier. It comes in the
// body of a form and goes on as a keyed digest, so that no address and no log
// has it.
func (r *Room) findPerson(w http.ResponseWriter, req *http.Request) {
	digests, err := r.config.Act.Digests([]request.Identifier{request.NewIdentifier(request.Kind(req.PostFormValue("kind")), req.PostFormValue("value"))})
	var fields request.FieldErrors
	switch {
	case errors.As(err, &fields) || err == nil && len(digests) != 1:
		r.showList(w, req, "list.html", http.StatusUnprocessableEntity, "Nobody can be looked for by this. Choose what it is, and check that it is written in full: an address, a number with its country, an id. People share names.")
		return
	case err != nil:
		r.fail(w, req, err)
		return
	}
	if err := r.gate.Note(req.Context(), "search by an identifier"); err != nil {
		r.fail(w, req, err)
		return
	}
	found := asked{Filter: store.Filter{Person: digests[0]}}
	http.Redirect(w, req, found.link(), http.StatusSeeOther)
}

func (r *Room) readList(req *http.Request) (*listPage, error) {
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	now := r.config.Now()
	a, err := askedOf(req.URL.Query(), now)
	if err != nil {
		return nil, err
	}
	f := a.Filter
	tallied, err := r.config.Store.Tallied(ctx, f)
	if err != nil {
		return nil, err
	}
	n, err := r.config.Store.Matches(ctx, f)
	if err != nil {
		return nil, err
	}
	requests, err := r.config.Store.List(ctx, f)
	if err != nil {
		return nil, err
	}
	jobs, err := r.config.Store.JobsOf(ctx, idsOf(requests))
	if err != nil {
		return nil, err
	}
	connectors, err := r.config.Store.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	saved, err := r.config.Store.SavedFilters(ctx, access.Of(ctx).Who)
	if err != nil {
		return nil, err
	}
	p := &listPage{
		page: page{Title: "Requests", Events: "/events", Live: "/live" + suffix(a.query())}, Asked: a, AuditURL: r.config.AuditURL, Most: bulkMost,
		Filtered: a.filtered(), Person: len(f.Person) > 0, Matches: matches(n), Counts: countsOf(tallied, a), Order: orders[f.Sort],
		States: stateOptions(a), Rights: rightOptions(f.Right), Channels: channelOptions(f.Channel), Kinds: kindOptions(),
		Connectors: connectorOptions(connectors, f.Connector), Dues: dueOptions(a), Sorts: sortOptions(a.Order),
	}
	if unsaved := a.at(store.Cursor{}); len(f.Person) == 0 { // nobody's digest is kept under a name
		p.Query = unsaved.query().Encode()
	}
	for _, s := range saved {
		p.Saved = append(p.Saved, choice{Name: s.Name, Link: "/?" + s.Query, Current: s.Query == p.Query && p.Query != ""})
	}
	for i := range requests {
		p.Rows = append(p.Rows, rowOf(&requests[i], jobs[requests[i].ID], now))
	}
	if f.Before.ID != "" {
		p.Newest = a.at(store.Cursor{}).link()
	}
	if n := len(requests); n == store.PageSize(0) {
		p.Older = a.at(f.CursorOf(&requests[n-1])).link()
	}
	return p, nil
}

func idsOf(requests []store.Request) []request.ID {
	ids := make([]request.ID, len(requests))
	for i := range requests {
		ids[i] = requests[i].ID
	}
	return ids
}

// countsOf lists the states that requests are in.
func countsOf(tallied map[request.State]int64, a asked) []count {
	var open, all int64
	for s, n := range tallied {
		all += n
		if s != request.Closed {
			open += n
		}
	}
	opened := a.in("")
	opened.Open = true
	out := []count{
		{Label: "All", Count: number(all), Link: a.in("").link(), Current: a.Filter.State == "" && !a.Open},
		{Label: "Open", Count: number(open), Link: opened.link(), Current: a.Open},
	}
	for _, s := range request.States() {
		c := count{Label: inWords(stateWords, s).Label, Count: number(tallied[s]), Link: a.in(s).link(), Current: s == a.Filter.State}
		if tallied[s] != 0 || c.Current {
			out = append(out, c)
		}
	}
	return out
}

func stateOptions(a asked) []option {
	out := []option{{Label: "Any state", Chosen: a.Filter.State == "" && !a.Open}, {"open", "Open", a.Open}}
	for _, s := range request.States() {
		out = append(out, option{string(s), inWords(stateWords, s).Label, s == a.Filter.State})
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

func channelOptions(chosen request.Channel) []option {
	out := []option{{Label: "Any way", Chosen: chosen == ""}}
	for _, c := range request.Channels() {
		out = append(out, option{string(c), label(channelLabels, c), c == chosen})
	}
	return out
}

func connectorOptions(connectors []store.Connector, chosen string) []option {
	out := []option{{Label: "Any system", Chosen: chosen == ""}}
	known := false
	for _, c := range connectors {
		known = known || c.Name == chosen
		out = append(out, option{c.Name, c.Name, c.Name == chosen})
	}
	if chosen != "" && !known {
		out = append(out, option{chosen, chosen, true})
	}
	return out
}

func dueOptions(a asked) []option {
	return []option{{Label: "Any time", Chosen: !a.Late && !a.Week}, {"late", "Late", a.Late}, {"week", "In " + days(soon), a.Week}}
}

// orders are the orders of a listing, in words.
var orders = map[store.Sort]string{store.SortNewest: "newest first", store.SortOldest: "oldest first", store.SortDue: "first to be late first"}

func sortOptions(chosen string) []option {
	out := []option{{Label: "What fits", Chosen: chosen == ""}}
	for _, s := range []store.Sort{store.SortNewest, store.SortOldest, store.SortDue} {
		value := string(s)
		if s == store.SortNewest {
			value = newest
		}
		out = append(out, option{value, plain(orders[s]), value == chosen})
	}
	return out
}

// kindOptions are the kinds of identifiers that somebody can be looked for by.
func kindOptions() []option {
	var out []option
	for _, k := range []request.Kind{request.Email, request.Phone, request.CustomerID, request.UserID, request.DeviceID, request.CookieID} {
		out = append(out, option{Value: string(k), Label: plain(string(k))})
	}
	return out
}

// saveFilter keeps the filter of the list under a name, for who is signed in.
func (r *Room) saveFilter(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	const longest = 60
	name := strings.TrimSpace(req.PostFormValue("name"))
	query, err := url.ParseQuery(req.PostFormValue("query"))
	if err == nil {
		query.Del("person")
		query.Del("before")
		_, err = askedOf(query, r.config.Now())
	}
	if err != nil {
		r.fail(w, req, errBadLink)
		return
	}
	req.URL.RawQuery = query.Encode()
	if name == "" || len(name) > longest || len(query) == 0 {
		r.showList(w, req, "list.html", http.StatusUnprocessableEntity, "Give the filter a name of at most 60 letters. Nothing was saved.")
		return
	}
	err = r.config.Store.SaveFilter(ctx, store.SavedFilter{Who: access.Of(ctx).Who, Name: name, Query: query.Encode()})
	if errors.Is(err, store.ErrFull) {
		r.showList(w, req, "list.html", http.StatusConflict, "You have as many saved filters as there can be. Remove one first.")
		return
	}
	if err != nil {
		r.fail(w, req, err)
		return
	}
	http.Redirect(w, req, "/"+suffix(query), http.StatusSeeOther) //nolint:gosec // a filter that was read and written anew
}

// dropFilter forgets a saved filter of who is signed in.
func (r *Room) dropFilter(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	if err := r.config.Store.DropFilter(ctx, access.Of(ctx).Who, req.PostFormValue("name")); err != nil {
		r.fail(w, req, err)
		return
	}
	http.Redirect(w, req, "/", http.StatusSeeOther)
}

// bulkRow is what came of one request of many.
type bulkRow struct {
	ID   request.ID
	Done bool
	Text string
}

type bulkPage struct {
	page
	Heading    string
	Done, Kept int
	Rows       []bulkRow
}

func (r *Room) bulkRetry(w http.ResponseWriter, req *http.Request) {
	r.bulk(w, req, "retry", "Tried again", func(ctx context.Context, ids []request.ID) ([]error, error) {
		return r.config.Act.RetryAll(ctx, ids)
	})
}

func (r *Room) bulkExtend(w http.ResponseWriter, req *http.Request) {
	r.bulk(w, req, "extend", "Given more time", func(ctx context.Context, ids []request.ID) ([]error, error) {
		return r.config.Act.ExtendAll(ctx, ids, strings.TrimSpace(req.PostFormValue("reason")))
	})
}

func (r *Room) bulkPlans(w http.ResponseWriter, req *http.Request) {
	r.bulk(w, req, "approve plans of", "Approved", func(ctx context.Context, ids []request.ID) ([]error, error) {
		return r.config.Act.ApprovePlans(ctx, ids)
	})
}

func (r *Room) bulkAssign(w http.ResponseWriter, req *http.Request) {
	who := strings.TrimSpace(req.PostFormValue("assignee"))
	done := "Given to " + who
	if who == "" {
		done = "Given to nobody"
	}
	r.bulk(w, req, "assign", done, func(ctx context.Context, ids []request.ID) ([]error, error) {
		return r.config.Act.AssignAll(ctx, ids, who)
	})
}

// bulk carries one decision about many requests out and says what came of each.
func (r *Room) bulk(w http.ResponseWriter, req *http.Request, action, done string, do func(context.Context, []request.ID) ([]error, error)) {
	const most = 256 << 10
	req.Body = http.MaxBytesReader(w, req.Body, most)
	if err := req.ParseForm(); err != nil {
		r.showList(w, req, "list.html", http.StatusBadRequest, "The form could not be read. Nothing was changed.")
		return
	}
	var ids []request.ID
	for _, text := range req.PostForm["request"] {
		id, err := request.ParseID(text)
		if err != nil {
			r.fail(w, req, store.ErrNotFound)
			return
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 || len(ids) > bulkMost {
		r.showList(w, req, "list.html", http.StatusUnprocessableEntity, "Choose at least one request, and at most "+number(bulkMost)+". Nothing was changed.")
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	if err := r.gate.Note(ctx, action+" "+number(int64(len(ids)))+" requests"); err != nil {
		r.fail(w, req, err)
		return
	}
	answers, err := do(ctx, ids)
	if err != nil {
		status, problem := refusal(err)
		if status == 0 {
			r.fail(w, req, err)
			return
		}
		r.showList(w, req, "list.html", status, problem)
		return
	}
	p := &bulkPage{page: page{Title: "What came of it"}, Heading: done}
	for i, id := range ids {
		row := bulkRow{ID: id, Done: answers[i] == nil, Text: done}
		if !row.Done {
			row.Text = whyNot(answers[i])
			p.Kept++
		} else {
			p.Done++
		}
		p.Rows = append(p.Rows, row)
	}
	r.config.Logger.InfoContext(ctx, "staff decided about many", "action", action, "done", p.Done, "refused", p.Kept)
	r.render(w, req, http.StatusOK, "bulk.html", p)
}

// whyNot is why one request of many was left as it is.
func whyNot(err error) string {
	if errors.Is(err, store.ErrNotFound) {
		return "There is no request with this id."
	}
	if _, text := refusal(err); text != "" {
		return strings.TrimSuffix(text, " Nothing was changed.")
	}
	return "It could not be changed; see the console's log."
}
