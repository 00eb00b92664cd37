package console

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Recipients is the desk for those who got data.
type Recipients interface {
	// All are who gets data, as the company's file has them.
	All() []disclosure.Recipient
	// Again has a notice sent again at once. Errors are [store.ErrNotFound],
	// [request.ErrOnwardExcused], [request.ErrOnwardAcknowledged] and
	// [request.ErrOnwardConnector], or the store's.
	Again(ctx context.Context, id request.ID) error
	// Note takes a recipient's word that reached by another way. Errors are
	// [store.ErrNotFound], [request.ErrOnwardExcused] and [request.FieldErrors], or
	// the store's.
	Note(ctx context.Context, id request.ID, by, note string) error
}

// acknowledgedIn is over which days the list counts what was acknowledged.
const acknowledgedIn = 30

func (r *Room) recipientRoutes() []route {
	return []route{
		{"GET /disclosures", false, r.recipients},
		{"GET /disclosures/live", true, r.recipientsLive},
		{"GET /disclosures/{recipient}", false, r.recipient},
		{"GET /disclosures/{recipient}/live", true, r.recipientLive},
		{"POST /disclosures/notices/{id}/again", false, r.noticeAgain},
		{"POST /disclosures/notices/{id}/note", false, r.noticeNote},
	}
}

// recipientsPage lists who gets the company's data.
type recipientsPage struct {
	page
	Rows []recipientRow
	// None says that no company's file names any, Days over which acknowledged
	// notices are counted.
	None bool
	Days int
}

type recipientRow struct {
	ID, Name, Kind, Role, Contract, Told, Gets, Link, Next string
	Open, Late, Unsent, Acknowledged                       string
	Tone                                                   tone
	// Gone says that the company's file does not have it any more.
	Gone bool
}

// recipientPage is one recipient, what it gets, and the notices to it.
type recipientPage struct {
	page
	recipientRow
	Flows   []flowRow
	Shows   []option
	Notices []noticeRow
	Older   string
	Problem string
	Me      string
}

type flowRow struct {
	From, Categories, Purpose, As string
	Since, Until                  string
}

// noticeRow is one notice to one recipient.
type noticeRow struct {
	ID, Request                    request.ID
	Recipient, Categories, Channel string
	State                          word
	Next                           string
	Deadline                       deadline
	Told, Acknowledged             moment
	By, Note                       string
	Reminders                      int
	// Open says that something is expected of the recipient, Send that a notice to
	// it can be sent again.
	Open, Send bool
	// Back is what a form says about where it was: "request" or nothing.
	Back string
}

var roleLabels = map[tenant.VendorRole]string{
	tenant.ServiceProvider: "Service provider", tenant.Contractor: "Contractor", tenant.ThirdParty: "Third party",
}

var disclosedLabels = map[tenant.Disclosed]string{
	tenant.ForBusiness: "for a business purpose", tenant.Sold: "sold", tenant.Shared: "shared for advertising",
}

var onwardWords = map[request.OnwardState]word{
	request.OnwardWaiting:      {Label: "To be told", Tone: busy},
	request.OnwardTold:         {Label: "Told", Tone: busy},
	request.OnwardAcknowledged: {Label: "Acknowledged", Tone: good},
	request.OnwardExcused:      {Label: "Not told, with a reason", Tone: idle},
}

// unsentWords say what to do where a notice could not be sent, by the code of why.
var unsentWords = map[string]string{
	"unavailable":       "Its server did not take the notice. It is tried again by itself.",
	"refused":           "Its address does not take the notice. Put the address right in the company's file, then send it again.",
	"no_channel":        "Nothing says how to reach it. Fill in tell in the company's file and send it again, or tell it another way and write that down.",
	"unknown_recipient": "The company's file does not have it any more. Put it back and send it again, or tell it another way and write that down.",
}

func noticeRowOf(o *store.Onward, now time.Time) noticeRow {
	n := noticeRow{
		ID: o.ID, Request: o.RequestID, Recipient: o.Recipient, Categories: strings.Join(strings.Split(o.Letters, ""), ", "), Channel: plain(o.Channel),
		State: inWords(onwardWords, o.State), Told: momentOf(o.ToldAt), Acknowledged: momentOf(o.AcknowledgedAt), By: o.AcknowledgedBy, Note: o.Note,
		Reminders: o.Reminders, Open: o.State.Open(), Deadline: deadline{Tone: idle},
	}
	n.Send = n.Open && o.Channel != "connector"
	if n.Open {
		n.Deadline = dueOf(o.Deadline, now)
	}
	switch {
	case o.State == request.OnwardExcused:
		n.Next = "Nothing: the person was told why. " + o.Explanation
	case !n.Open:
		n.Next = "Nothing."
	case o.Failed != "":
		n.State, n.Next = word{Value: o.Failed, Label: "Not reached", Tone: bad}, unsentWords[o.Failed]
		if n.Next == "" {
			n.Next = "It failed: " + plain(o.Failed) + ". Send it again, or tell it another way and write that down."
		}
	case o.Overdue(now):
		n.State, n.Next = word{Value: "overdue", Label: "Late", Tone: bad}, "Ask it by phone. Send the notice again, or write down what it says."
	case o.State == request.OnwardWaiting:
		n.Next = "Nothing: it is about to be told."
	default:
		n.Next = "Nothing yet: it has time to confirm."
	}
	return n
}

func (r *Room) recipients(w http.ResponseWriter, req *http.Request) {
	r.showRecipients(w, req, "recipients.html")
}

func (r *Room) recipientsLive(w http.ResponseWriter, req *http.Request) {
	r.showRecipients(w, req, "recipients-live")
}

func (r *Room) showRecipients(w http.ResponseWriter, req *http.Request, template string) {
	rows, err := r.readRecipients(req.Context())
	if err != nil {
		r.fail(w, req, err)
		return
	}
	p := &recipientsPage{page: page{Title: "Recipients", Events: "/events", Live: "/disclosures/live"}, Rows: rows, None: len(rows) == 0, Days: acknowledgedIn}
	r.render(w, req, http.StatusOK, template, p)
}

// readRecipients reads who gets data and how each stands: those of the company's
// file in its order, and after them those of whom only notices are left.
func (r *Room) readRecipients(ctx context.Context) ([]recipientRow, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var all []disclosure.Recipient
	if r.config.Recipients != nil {
		all = r.config.Recipients.All()
	}
	now := r.config.Now()
	told, ok := r.config.Store.(store.Onwards)
	if !ok {
		return nil, nil
	}
	counts, err := told.OnwardCounts(ctx, now, now.AddDate(0, 0, -acknowledgedIn))
	if err != nil {
		return nil, err
	}
	byID := make(map[string]store.OnwardCount, len(counts))
	for _, c := range counts {
		byID[c.Recipient] = c
	}
	var rows []recipientRow
	for i := range all {
		rows = append(rows, recipientRowOf(&all[i], byID[all[i].ID]))
		delete(byID, all[i].ID)
	}
	for _, c := range counts {
		if _, left := byID[c.Recipient]; left {
			rows = append(rows, goneRow(c))
		}
	}
	return rows, nil
}

func goneRow(c store.OnwardCount) recipientRow {
	row := countedRow(c.Recipient, c)
	row.Name, row.Gone = c.Recipient, true
	if row.Next == "" && c.Waiting+c.Told > 0 {
		row.Next = "It is not in the company's file any more, and something is still expected of it."
	}
	return row
}

func countedRow(id string, c store.OnwardCount) recipientRow {
	row := recipientRow{
		ID: id, Link: "/disclosures/" + url.PathEscape(id), Tone: idle,
		Open: number(c.Waiting + c.Told), Late: number(c.Overdue), Unsent: number(c.Unsent), Acknowledged: number(c.Acknowledged),
	}
	var next []string
	if c.Overdue > 0 {
		row.Tone, next = bad, append(next, number(c.Overdue)+" late: ask it, and send again or write down what it says.")
	}
	if c.Unsent > 0 {
		row.Tone, next = bad, append(next, number(c.Unsent)+" could not be sent: see why.")
	}
	row.Next = strings.Join(next, " ")
	return row
}

func recipientRowOf(of *disclosure.Recipient, c store.OnwardCount) recipientRow {
	row := countedRow(of.ID, c)
	row.Name, row.Kind, row.Role, row.Contract = of.Name, of.Kind, label(roleLabels, of.Role), of.Contract
	letters := make(map[string]bool)
	for _, f := range of.Flows {
		for _, l := range f.Categories {
			letters[l] = true
		}
	}
	row.Gets = strings.Join(slices.Sorted(maps.Keys(letters)), ", ")
	t := of.Tell
	switch {
	case t.Connector != "":
		row.Told = "by the connector " + t.Connector
	case t.Webhook != "":
		row.Told = "by webhook"
		if u, err := url.Parse(t.Webhook); err == nil && u.Hostname() != "" {
			row.Told += " at " + u.Hostname() // what follows may be a secret
		}
	case t.Email != "":
		row.Told = "by e-mail to " + t.Email
	case t.Cannot != nil:
		row.Told = "not told: " + string(t.Cannot.Why)
	default:
		row.Told = "nothing says how"
		if row.Next == "" {
			row.Tone, row.Next = warn, "Fill in tell in the company's file: nothing says how it is told."
		}
	}
	return row
}

func (r *Room) recipient(w http.ResponseWriter, req *http.Request) {
	r.showRecipient(w, req, "recipient.html", http.StatusOK, "")
}

func (r *Room) recipientLive(w http.ResponseWriter, req *http.Request) {
	r.showRecipient(w, req, "recipient-live", http.StatusOK, "")
}

// noticeShows are the listings of one recipient's notices.
var noticeShows = []option{
	{Value: "", Label: "Open"}, {Value: "late", Label: "Late"}, {Value: "unsent", Label: "Not reached"}, {Value: "acknowledged", Label: "Acknowledged"}, {Value: "all", Label: "All"},
}

// noticeFilter reads which notices are to be listed.
func noticeFilter(query url.Values, now time.Time) (store.OnwardFilter, error) {
	var f store.OnwardFilter
	switch query.Get("show") {
	case "":
		f.Open = true
	case "late":
		f.Overdue = now
	case "unsent":
		f.Unsent = true
	case "acknowledged":
		f.Acknowledged = true
	case "all":
	default:
		return f, errBadLink
	}
	if text := query.Get("after"); text != "" {
		at, id, _ := strings.Cut(text, "_")
		deadline, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return f, errBadLink
		}
		parsed, err := request.ParseID(id)
		if err != nil {
			return f, errBadLink
		}
		f.After = store.OnwardCursor{Deadline: deadline, ID: parsed}
	}
	return f, nil
}

// showRecipient shows one recipient, after an action that was refused with why.
func (r *Room) showRecipient(w http.ResponseWriter, req *http.Request, template string, status int, problem string) {
	id, query := req.PathValue("recipient"), req.URL.Query()
	now := r.config.Now()
	f, err := noticeFilter(query, now)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	told, ok := r.config.Store.(store.Onwards)
	if !ok {
		r.fail(w, req, errNoPage)
		return
	}
	rows, err := r.readRecipients(req.Context())
	if err != nil {
		r.fail(w, req, err)
		return
	}
	p := &recipientPage{Problem: problem, Me: access.Of(req.Context()).Who}
	for _, row := range rows {
		if row.ID == id {
			p.recipientRow = row
		}
	}
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	f.Recipient = id
	notices, err := told.ListOnward(ctx, f)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	if p.ID == "" {
		if len(notices) == 0 {
			r.fail(w, req, errNoRecipient)
			return
		}
		p.recipientRow = goneRow(store.OnwardCount{Recipient: id})
	}
	own := url.Values{}
	for _, name := range []string{"show", "after"} {
		if value := query.Get(name); value != "" {
			own.Set(name, value)
		}
	}
	p.page = page{Title: p.Name, Events: "/events", Live: p.Link + "/live" + suffix(own)}
	if problem != "" {
		p.Events, p.Live = "", "" // what it says stays
	}
	for _, one := range noticeShows {
		one.Chosen = one.Value == query.Get("show")
		p.Shows = append(p.Shows, one)
	}
	for i := range notices {
		p.Notices = append(p.Notices, noticeRowOf(&notices[i], now))
	}
	if n := len(notices); n == store.PageSize(0) {
		own.Set("after", notices[n-1].Deadline.UTC().Format(time.RFC3339Nano)+"_"+string(notices[n-1].ID))
		p.Older = p.Link + suffix(own)
	}
	p.Flows = r.flowsOf(id)
	r.render(w, req, status, template, p)
}

func (r *Room) flowsOf(id string) []flowRow {
	if r.config.Recipients == nil {
		return nil
	}
	var out []flowRow
	for _, one := range r.config.Recipients.All() {
		if one.ID != id {
			continue
		}
		for _, f := range one.Flows {
			row := flowRow{
				From: f.Connector, Categories: strings.Join(f.Categories, ", "), Purpose: f.Purpose, As: label(disclosedLabels, f.As),
				Since: momentOf(f.Since).Day, Until: momentOf(f.Until).Day,
			}
			if len(f.Stores) > 0 {
				row.From += ": " + strings.Join(f.Stores, ", ")
			}
			out = append(out, row)
		}
	}
	return out
}

func (r *Room) noticeAgain(w http.ResponseWriter, req *http.Request) {
	r.stepIn(w, req, "send again notice", func(ctx context.Context, id request.ID) error { return r.config.Recipients.Again(ctx, id) })
}

func (r *Room) noticeNote(w http.ResponseWriter, req *http.Request) {
	r.stepIn(w, req, "take as acknowledged notice", func(ctx context.Context, id request.ID) error {
		return r.config.Recipients.Note(ctx, id, access.Of(ctx).Who, req.PostFormValue("note"))
	})
}

// stepIn does what staff decided about a notice and goes back to where they were.
func (r *Room) stepIn(w http.ResponseWriter, req *http.Request, action string, do func(context.Context, request.ID) error) {
	if !r.readForm(w, req) {
		return
	}
	told, ok := r.config.Store.(store.Onwards)
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil || !ok || r.config.Recipients == nil {
		r.fail(w, req, errNoRecipient)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	o, err := told.GetOnward(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoRecipient
	}
	if err == nil {
		err = r.gate.Note(ctx, action+" "+string(id)+" to "+o.Recipient)
	}
	if err != nil {
		r.fail(w, req, err)
		return
	}
	back := "/disclosures/" + url.PathEscape(o.Recipient)
	if req.PostFormValue("back") == "request" {
		back = "/requests/" + string(o.RequestID) + "#told"
	}
	err = do(ctx, id)
	var fields request.FieldErrors
	var problem string
	status := http.StatusConflict
	switch {
	case err == nil:
		r.config.Logger.InfoContext(ctx, "staff decided", slog.String("action", action), slog.String("notice", string(id)))
		http.Redirect(w, req, back, http.StatusSeeOther)
		return
	case errors.As(err, &fields):
		status, problem = refusal(err)
	case errors.Is(err, request.ErrOnwardExcused), errors.Is(err, request.ErrOnwardAcknowledged), errors.Is(err, request.ErrOnwardConnector):
		text := err.Error()
		problem = strings.ToUpper(text[:1]) + text[1:] + ". Nothing was changed."
	default:
		r.fail(w, req, err)
		return
	}
	req.SetPathValue("recipient", o.Recipient)
	r.showRecipient(w, req, "recipient.html", status, problem)
}

// recipientFigures tell how many of those who got data have not confirmed a
// deletion or an opt-out in time, or could not be told; nothing while there are
// none.
func (r *Room) recipientFigures(ctx context.Context, now time.Time) ([]figure, error) {
	told, ok := r.config.Store.(store.Onwards)
	if !ok {
		return nil, nil
	}
	s, err := told.OnwardStanding(ctx, now)
	if err != nil {
		return nil, err
	}
	var out []figure
	if s.Overdue > 0 {
		out = append(out, figure{Label: "Recipients overdue", Count: number(s.Overdue), Tone: bad, Link: "/disclosures"})
	}
	if s.Unsent > 0 {
		out = append(out, figure{Label: "Recipients not reached", Count: number(s.Unsent), Tone: warn, Link: "/disclosures"})
	}
	return out, nil
}

// toldOnward are the recipients that one request is told to.
func (r *Room) toldOnward(ctx context.Context, id request.ID) ([]noticeRow, error) {
	told, ok := r.config.Store.(store.Onwards)
	if !ok {
		return nil, nil
	}
	rows, err := told.OnwardOf(ctx, id)
	out := make([]noticeRow, len(rows))
	for i := range rows {
		out[i] = noticeRowOf(&rows[i], r.config.Now())
		out[i].Back = "request"
	}
	return out, err
}
