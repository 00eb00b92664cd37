package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// lettersPage lists jobs that came to a dead end.
type lettersPage struct {
	page
	Groups []letterGroup
	Rows   []letterRow
	// Chosen is the group whose jobs are listed; nil for all.
	Chosen *letterGroup
	All    string
	// Retry says that some of what is listed can be sent again.
	Retry bool
	Older string
	// Sent says what came of sending again.
	Sent string
}

// letterGroup is jobs that failed at one connector for one reason.
type letterGroup struct {
	Connector   string
	State       word
	Code, What  string
	Next        string
	Jobs        string
	Oldest      moment
	Link        string
	Retry       bool
	Current     bool
	StateValue  string
	CodeOrEmpty string
}

type letterRow struct {
	Request    request.ID
	Right      string
	Connector  string
	Action     string
	State      word
	Code       string
	Message    string
	Attempt    int
	Ended      moment
	Answer     deadline
	AnswerText string
}

// failureWords say what happened, by the codes of the contract.
var failureWords = map[string]string{
	"unavailable": "The system did not answer", "denied": "The system refused our credentials", "rate_limited": "The system's quota is used up",
	"configuration": "The map or the settings don't fit the system", "rejected": "The system refused this request for good",
	"still_there": "The act succeeded and the records are still found", "ambiguous": "The identifiers reach more than one person",
	"internal": "A defect in the connector", "exhausted": "It failed again and again", "malformed": "The job could not be read",
	"withdrawn": "It was withdrawn", "located_before": "It says that it holds nothing, and had located records before", "over_limit": "More records than one person may have; nothing was done",
	"plan_changed":  "The connector is not the one the plan was made for; nothing was done",
	"basis_unknown": "It keeps records on a basis that the law of this request has not", "basis_ended": "It keeps records on a basis that has ended",
	"basis_deidentify": "It deidentifies records, and the company's file does not say that the law's test is met",
	"basis_ambiguous":  "It keeps records on a name that stands for several bases", "basis_facts": "It keeps records on a basis without the facts that one needs",
}

// adviceWords say what to do next, by the same codes.
var adviceWords = map[string]string{
	"unavailable":      "See whether the system is up and reached from the connector's machine. Then send it again.",
	"denied":           "Renew the connector's credentials, or give the account the rights that the message names. Then send it again.",
	"rate_limited":     "Wait until the quota is free, or have it raised; the connector's page shows how much is left. Then send it again.",
	"configuration":    "Compare the map with the system: habeas-connector map --check for a database, preview for any other. Mend it, restart the connector, then send it again.",
	"rejected":         "Read the message: the vendor says why. Settle it there; if the system can't do it, answer the request in part.",
	"still_there":      "Look into the system: something writes the records back, or it takes longer than the manifest says. Then send it again.",
	"ambiguous":        "Look who shares the identifiers. Ask the person for another one, or mend the map so that the rows have an owner.",
	"internal":         "Look into the connector's log by the job's id and report the defect. Send it again with a mended version.",
	"exhausted":        "Read the message and mend the cause: it was tried as often as it may be by itself. Then send it again.",
	"malformed":        "See that connector and coordinator are of versions that know each other, and that its keys were not lost. Then send it again.",
	"withdrawn":        "Nothing, if the request was stopped. Otherwise send it again.",
	"located_before":   "Its instances do not share what they remember: give them one state directory. Then send it again.",
	"over_limit":       "Open the request and see whether it is one person. Lifting the limit takes two people, one request at a time.",
	"basis_unknown":    "Read the message: it names the store and the basis. Name an exception of the regime in the connector's map, or in bases of the company's file; the job then goes on by itself.",
	"basis_deidentify": "Say under deletion in the company's file what the message names, if it is so, or have the map delete the records; the job then goes on by itself.",
	"basis_ended":      "Take the rule out of the connector's map: these records have to go. The job then goes on by itself.",
	"basis_ambiguous":  "Say in bases of the company's file which exception is meant, and restart; the job then goes on by itself.",
	"basis_facts":      "Add what the message asks for to the rule in the connector's map, or to bases of the company's file; the job then goes on by itself.",
	"plan_changed":     "Sending it again plans anew for the connector as it is now.",
}

// adviceFor says what to do about a state and code.
func adviceFor(state request.JobState, code string) (what, next string) {
	for _, key := range []string{code, string(state)} {
		if next = adviceWords[key]; next != "" {
			return failureWords[key], next
		}
	}
	return "It failed for a reason of its own", "Read the message and the connector's log. Then send it again."
}

func (r *Room) letters(w http.ResponseWriter, req *http.Request) {
	r.showLetters(w, req, "letters.html")
}

func (r *Room) lettersLive(w http.ResponseWriter, req *http.Request) {
	r.showLetters(w, req, "letters-live")
}

func (r *Room) showLetters(w http.ResponseWriter, req *http.Request, template string) {
	p, err := r.readLetters(req)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	r.render(w, req, http.StatusOK, template, p)
}

func (r *Room) readLetters(req *http.Request) (*lettersPage, error) {
	query := req.URL.Query()
	f, err := letterFilter(query)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	ends, err := r.config.Store.DeadEnds(ctx)
	if err != nil {
		return nil, err
	}
	letters, err := r.config.Store.Letters(ctx, f)
	if err != nil {
		return nil, err
	}
	own := letterQuery(f)
	p := &lettersPage{page: page{Title: "Dead letters", Events: "/events", Live: "/letters/live" + suffix(own)}, All: "/letters", Sent: sentText(query.Get("sent"))}
	for _, e := range ends {
		g := letterGroupOf(e)
		g.Current = f.Connector == e.Connector && (f.State == "" || f.State == e.State) && (!f.HasCode || f.Code == e.Code)
		p.Groups = append(p.Groups, g)
		p.Retry = p.Retry || g.Retry && (f.Connector == "" || g.Current)
		if f.HasCode && g.Current {
			p.Chosen = &g
		}
	}
	if f.Connector != "" && p.Chosen == nil {
		p.Chosen = &letterGroup{Connector: f.Connector}
	}
	now := r.config.Now()
	for i := range letters {
		p.Rows = append(p.Rows, letterRowOf(&letters[i], now))
	}
	if n := len(letters); n == store.PageSize(0) {
		next := f
		next.After = store.LetterCursor{EndedAt: letters[n-1].EndedAt, Job: letters[n-1].JobID}
		p.Older = "/letters" + suffix(letterQuery(next))
	}
	return p, nil
}

func letterGroupOf(e store.Stuck) letterGroup {
	what, next := adviceFor(e.State, e.Code)
	return letterGroup{
		Connector: e.Connector, State: inWords(jobWords, e.State), Code: e.Code, What: what, Next: next, Jobs: number(e.Jobs), Oldest: momentOf(e.Oldest),
		Link:  "/letters" + suffix(letterQuery(store.LetterFilter{Connector: e.Connector, State: e.State, Code: e.Code, HasCode: true})),
		Retry: e.State != request.JobOverLimit, StateValue: string(e.State), CodeOrEmpty: e.Code,
	}
}

func letterRowOf(l *store.Letter, now time.Time) letterRow {
	row := letterRow{
		Request: l.RequestID, Right: label(rightLabels, l.Right), Connector: l.Connector, Action: label(actionLabels, l.Action), State: inWords(jobWords, l.State),
		Code: l.Code, Message: l.Message, Attempt: l.Attempt, Ended: momentOf(l.EndedAt), Answer: deadline{Tone: idle},
	}
	if l.RespondBy.Before(store.NoDeadline) {
		row.Answer = dueOf(l.RespondBy, now)
	}
	return row
}

// letterFilter reads what letterQuery wrote.
func letterFilter(query url.Values) (store.LetterFilter, error) {
	f := store.LetterFilter{Connector: query.Get("connector"), State: request.JobState(query.Get("state"))}
	if f.State != "" && !f.State.Valid() || len(f.Connector) > 40 {
		return f, errBadLink
	}
	if query.Has("code") {
		f.Code, f.HasCode = query.Get("code"), true
	}
	if text := query.Get("after"); text != "" {
		at, id, _ := strings.Cut(text, "_")
		ended, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return f, errBadLink
		}
		parsed, err := request.ParseID(id)
		if err != nil {
			return f, errBadLink
		}
		f.After = store.LetterCursor{EndedAt: ended, Job: parsed}
	}
	return f, nil
}

func letterQuery(f store.LetterFilter) url.Values {
	q := url.Values{}
	if f.Connector != "" {
		q.Set("connector", f.Connector)
	}
	if f.State != "" {
		q.Set("state", string(f.State))
	}
	if f.HasCode {
		q.Set("code", f.Code)
	}
	if f.After.Job != "" {
		q.Set("after", f.After.EndedAt.UTC().Format(time.RFC3339Nano)+"_"+string(f.After.Job))
	}
	return q
}

// retryTime bounds how long sending all again may take; what is left then is
// sent by pressing once more.
const retryTime = 60 * time.Second

func (r *Room) retryLetters(w http.ResponseWriter, req *http.Request) {
	if !r.readForm(w, req) {
		return
	}
	f, err := letterFilter(req.PostForm)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), retryTime)
	defer cancel()
	sent, err := r.config.Act.RetryLetters(ctx, f)
	r.fleets.forget()
	if err != nil && (sent == 0 || !errors.Is(err, context.DeadlineExceeded)) {
		r.fail(w, req, err)
		return
	}
	r.config.Logger.InfoContext(ctx, "staff decided", slog.String("action", "retry letters"), slog.String("connector", f.Connector), slog.Int("jobs", sent))
	q := url.Values{"sent": {number(int64(sent))}}
	if err != nil {
		q.Set("sent", number(int64(sent))+"+")
	}
	http.Redirect(w, req, "/letters"+suffix(q), http.StatusSeeOther)
}

// sentText reads the count that retryLetters put into the address; anything else
// says nothing.
func sentText(text string) string {
	digits := strings.TrimSuffix(strings.ReplaceAll(text, "\u202f", ""), "+")
	if digits == "" || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" {
		return ""
	}
	if first, more := strings.CutSuffix(text, "+"); more {
		return first + " jobs are sent again. There were more than could be done at once: press again."
	}
	switch digits {
	case "0":
		return "Nothing was left to send again."
	case "1":
		return "1 job is sent again."
	default:
		return text + " jobs are sent again."
	}
}
