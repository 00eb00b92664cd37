package console

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Evidence is the log as auditors use it. What it gives names nobody. Its errors
// wrap [ErrNoEvidence], [ErrNoHead] or [ErrInconsistent], or say that the log
// can't be read now.
type Evidence interface {
	// Head is the newest signed head.
	Head(ctx context.Context) (LogHead, error)
	// Witnesses is who cosigns the heads; it answers while the log does not.
	Witnesses(ctx context.Context) (LogWitnesses, error)
	// Population is a page of the requests of a period, by the log's order, after
	// a leaf; -1 is the first page. Days are yyyy-mm-dd, to not included.
	Population(ctx context.Context, from, to string, after int64, limit int) (Population, error)
	// Sample draws n requests of a period by its closing root and a word.
	Sample(ctx context.Context, from, to string, n int, word string) (Population, error)
	// Growth proves that one head begins with another; newer may be empty for the
	// newest. Either may be the older one.
	Growth(ctx context.Context, older, newer string) (Growth, error)
	// Account reads what the records of a request say, and checks them.
	Account(ctx context.Context, id request.ID) (Account, error)
	// RequestPack and PeriodPack write evidence packs as zip, Certificate a PDF.
	RequestPack(ctx context.Context, id request.ID, w io.Writer) error
	PeriodPack(ctx context.Context, from, to string, w io.Writer) error
	Certificate(ctx context.Context, id request.ID, w io.Writer) error
}

// Errors of [Evidence].
var (
	ErrNoEvidence   = errors.New("the log has nothing of this")
	ErrNoHead       = errors.New("this is no head that the log signed")
	ErrInconsistent = errors.New("one head does not begin with the other")
)

// LogHead is a signed head of the log.
type LogHead struct {
	Origin, VerifierKey string
	Size                int64
	Root                string // hex
	Note                string // as it was signed
}

// LogWitnesses is how those stand who cosign the log's heads.
type LogWitnesses struct {
	// Size is that of the newest head, QuorumSize that of the newest that a quorum
	// cosigned, -1 for none, QuorumTime when, and Note that head.
	Size, QuorumSize int64
	QuorumTime, Note string
	// Policy says who they are and how many are enough; empty for a log without.
	Policy    string
	Witnesses []LogWitness
	// Incident says that one of them knows another history.
	Incident string
}

// Held reports whether a quorum cosigned the newest head.
func (w LogWitnesses) Held() bool { return w.QuorumSize >= w.Size }

// LogWitness is one witness.
type LogWitness struct {
	Name, KeyName, KeyID string
	// Size is that of the newest head it cosigned, -1 for none, Lag how many
	// leaves it is behind, Time when it last cosigned one, and Trouble why it
	// does not go on.
	Size, Lag     int64
	Time, Trouble string
}

// Population is requests of a period, and the arithmetic by which they are all
// there were.
type Population struct {
	From, To string
	// Start, Close and End are the sizes of the heads that began and ended the
	// period, and of the newest.
	Start, Close, End int64
	// Root is that of the head that ended the period, in hex.
	Root string
	// Types counts the period's leaves; Erased are those whose record was
	// destroyed.
	Types  map[string]int64
	Erased int64
	Rows   []PopulationRow
}

// PopulationRow is a request of a period.
type PopulationRow struct {
	ID, Right, Regime, Channel, Received, Answered, Result, ReasonCode string
	IntakeLeaf, ClosureLeaf                                            int64
	Records                                                            int
}

// Growth is that one head begins with another.
type Growth struct {
	Older, Newer LogHead
	Proof        []string // hashes, in base64
}

// Account is what the records of a request say.
type Account struct {
	ID, Right, Regime, Channel, Received, Answered, Result, ReasonCode string
	Closed                                                             bool
	IntakeLeaf, ClosureLeaf, Size                                      int64
	Records                                                            int
	Origin, Root                                                       string
	Lines                                                              []AccountLine
	Omitted                                                            []string
	// Problems say what does not add up.
	Problems []string
}

// AccountLine is what one system said of its job.
type AccountLine struct {
	Connector, Version, Action, Outcome, Detail, Said, Digest, BackupExpiry string
	Leaf                                                                    int64
	Stores                                                                  []AccountStore
}

// AccountStore is what was seen in one store.
type AccountStore struct {
	Name, Category, Basis, Until                string
	Located, Erased, Kept, Remaining, CopiedOut int64
}

// evidenceTimeout bounds how long a page of evidence waits for the log.
const evidenceTimeout = 20 * time.Second

// perPage is how many requests of a population are on a page.
const perPage = 100

func (r *Room) evidenceRoutes() []route {
	return []route{
		{"GET /evidence", false, r.evidence},
		{"GET /evidence/verify", false, r.explain},
		{"GET /evidence/period", false, r.period},
		{"GET /evidence/sample", false, r.sample},
		{"GET /evidence/consistency", false, r.growth},
		{"GET /evidence/find", false, r.findEvidence},
		{"GET /evidence/requests/{id}", false, r.account},
		{"GET /evidence/requests/{id}/pack", false, r.requestPack},
		{"GET /evidence/requests/{id}/certificate", false, r.certificate},
		{"GET /evidence/period/pack", false, r.periodPack},
	}
}

// noLog is a console that was told of no log.
type noLog struct{}

var errNoLog = errors.New("this console knows of no log; audit.url says where it is")

func (noLog) Head(context.Context) (LogHead, error)           { return LogHead{}, errNoLog }
func (noLog) Witnesses(context.Context) (LogWitnesses, error) { return LogWitnesses{}, errNoLog }
func (noLog) Population(context.Context, string, string, int64, int) (Population, error) {
	return Population{}, errNoLog
}
func (noLog) Sample(context.Context, string, string, int, string) (Population, error) {
	return Population{}, errNoLog
}
func (noLog) Growth(context.Context, string, string) (Growth, error) { return Growth{}, errNoLog }
func (noLog) Account(context.Context, request.ID) (Account, error)   { return Account{}, errNoLog }
func (noLog) RequestPack(context.Context, request.ID, io.Writer) error {
	return errNoLog
}
func (noLog) PeriodPack(context.Context, string, string, io.Writer) error { return errNoLog }
func (noLog) Certificate(context.Context, request.ID, io.Writer) error    { return errNoLog }

type evidencePage struct {
	page
	Head      *LogHead
	Witnesses *LogWitnesses
	Trouble   string
	From, To  string
	Periods   []link
	AuditURL  string
}

// link is a choice that leads somewhere.
type link struct{ Label, Address string }

func (r *Room) evidence(w http.ResponseWriter, req *http.Request) {
	ctx, cancel := context.WithTimeout(req.Context(), evidenceTimeout)
	defer cancel()
	now := r.config.Now().UTC()
	p := &evidencePage{page: page{Title: "Evidence"}, AuditURL: r.config.AuditURL, Periods: periodsOf(now)}
	p.From, p.To = monthsAgo(now, 1), monthsAgo(now, 0)
	head, err := r.config.Evidence.Head(ctx)
	if err != nil {
		p.Trouble = r.trouble(req, err)
	} else {
		p.Head = &head
	}
	if w, err := r.config.Evidence.Witnesses(ctx); err == nil {
		p.Witnesses = &w
	} else if p.Trouble == "" {
		p.Trouble = r.trouble(req, err)
	}
	r.render(w, req, http.StatusOK, "evidence.html", p)
}

// monthsAgo is the first day of a month.
func monthsAgo(now time.Time, n int) string {
	return time.Date(now.Year(), now.Month()-time.Month(n), 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// periodsOf are the periods that auditors ask for most.
func periodsOf(now time.Time) []link {
	quarter := time.Date(now.Year(), (now.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC)
	year := time.Date(now.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
	tomorrow := now.AddDate(0, 0, 1)
	address := func(from, to time.Time) string {
		return "/evidence/period" + suffix(url.Values{"from": {from.Format(time.DateOnly)}, "to": {to.Format(time.DateOnly)}})
	}
	return []link{
		{"The quarter before", address(quarter.AddDate(0, -3, 0), quarter)},
		{"This quarter so far", address(quarter, tomorrow)},
		{"The year before", address(year.AddDate(-1, 0, 0), year)},
		{"This year so far", address(year, tomorrow)},
	}
}

// trouble says in words why the log did not answer, and logs what it is.
func (r *Room) trouble(req *http.Request, err error) string {
	if errors.Is(err, errNoLog) {
		return "This console was not told where the log is: whoever runs Habeas sets audit.url. The rest of the console works."
	}
	r.config.Logger.ErrorContext(req.Context(), "reading the log", slog.Any("error", err))
	return "The log does not answer now. Nothing is lost: records wait until it does. The rest of the console works; reload this page to try again."
}

// spanOf reads a period's days; false when they are none.
func spanOf(q url.Values) (from, to string, ok bool) {
	from, to = q.Get("from"), q.Get("to")
	first, err := request.ParseDate(from)
	if err != nil {
		return "", "", false
	}
	last, err := request.ParseDate(to)
	if err != nil {
		return "", "", false
	}
	return from, to, last.After(first)
}

type periodPage struct {
	page
	Population
	// Sampled says that the rows were drawn, and how.
	Sampled bool
	N       int
	Word    string
	Kinds   []kindCount
	Query   string // the period, for links
	Next    string
}

type kindCount struct {
	Kind  string
	Count string
}

// Leaves is how many leaves the period has.
func (p *periodPage) Leaves() string { return number(p.Close - p.Start) }

// Intakes is how many of them are intakes.
func (p *periodPage) Intakes() string { return number(p.Types["intake"]) }

func (r *Room) period(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	after := int64(-1)
	if text := q.Get("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			r.fail(w, req, errBadLink)
			return
		}
		after = n
	}
	r.showPeriod(w, req, &periodPage{page: page{Title: "Evidence of a period"}}, func(ctx context.Context, from, to string) (Population, error) {
		return r.config.Evidence.Population(ctx, from, to, after, perPage)
	})
}

func (r *Room) sample(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 1 || n > 1000 || len(q.Get("word")) > 200 {
		r.fail(w, req, errBadLink)
		return
	}
	word := strings.TrimSpace(q.Get("word"))
	r.showPeriod(w, req, &periodPage{page: page{Title: "Sample of a period"}, Sampled: true, N: n, Word: word}, func(ctx context.Context, from, to string) (Population, error) {
		return r.config.Evidence.Sample(ctx, from, to, n, word)
	})
}

func (r *Room) showPeriod(w http.ResponseWriter, req *http.Request, p *periodPage, read func(context.Context, string, string) (Population, error)) {
	from, to, ok := spanOf(req.URL.Query())
	if !ok {
		r.fail(w, req, errBadPeriod)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), evidenceTimeout)
	defer cancel()
	var err error
	if p.Population, err = read(ctx, from, to); err != nil {
		r.failEvidence(w, req, err)
		return
	}
	p.Query = url.Values{"from": {from}, "to": {to}}.Encode()
	for _, kind := range slices.Sorted(maps.Keys(p.Types)) {
		p.Kinds = append(p.Kinds, kindCount{kind, number(p.Types[kind])})
	}
	if n := len(p.Rows); n == perPage && !p.Sampled {
		p.Next = "/evidence/period?" + p.Query + "&after=" + strconv.FormatInt(p.Rows[n-1].IntakeLeaf, 10)
	}
	r.render(w, req, http.StatusOK, "period.html", p)
}

var errBadPeriod = errors.New("a period that is none")

// failEvidence shows why there is no evidence to show.
func (r *Room) failEvidence(w http.ResponseWriter, req *http.Request, err error) {
	status, p := http.StatusServiceUnavailable, &errorPage{Heading: "The log can't be shown"}
	switch {
	case errors.Is(err, ErrNoEvidence):
		status, p.Heading, p.Text = http.StatusNotFound, "Nothing in the log", "The log has nothing of this: no record of such a request, or none from before the end of such a period."
	default:
		p.Text = r.trouble(req, err)
	}
	p.Title = p.Heading
	r.render(w, req, status, "error.html", p)
}

type growthPage struct {
	page
	Growth
	Given, Given2 string
	// Bad says that the heads do not fit, Problem that a text is no head.
	Bad, Problem string
}

// growth shows whether a head that an auditor kept is one of the log's, and that
// the newest begins with it.
func (r *Room) growth(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	p := &growthPage{page: page{Title: "Two heads of the log"}, Given: headText(q.Get("older")), Given2: headText(q.Get("newer"))}
	if p.Given == "" || len(p.Given)+len(p.Given2) > 8<<10 {
		r.fail(w, req, errBadLink)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), evidenceTimeout)
	defer cancel()
	status := http.StatusOK
	g, err := r.config.Evidence.Growth(ctx, p.Given, p.Given2)
	switch {
	case err == nil:
		p.Growth = g
	case errors.Is(err, ErrNoHead):
		status, p.Problem = http.StatusUnprocessableEntity, "This is no head that this log signed. Paste the whole of the file checkpoints/end of a pack, with its empty line and its last line."
	case errors.Is(err, ErrInconsistent):
		p.Bad = "The log can't show that one of these heads begins with the other, and its key signed both. Either its history was changed between them, or it was restored from an old copy. Keep both, and ask those who run it."
	default:
		r.failEvidence(w, req, err)
		return
	}
	r.render(w, req, status, "growth.html", p)
}

// headText is a head as forms hand it over: browsers send line ends of two bytes.
func headText(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return text + "\n"
}

type accountPage struct {
	page
	Account
}

func (r *Room) findEvidence(w http.ResponseWriter, req *http.Request) {
	id, err := request.ParseID(strings.ToLower(strings.TrimSpace(req.URL.Query().Get("id"))))
	if err != nil {
		r.fail(w, req, store.ErrNotFound)
		return
	}
	http.Redirect(w, req, "/evidence/requests/"+string(id), http.StatusSeeOther) //nolint:gosec // an id is a UUID, and the path is ours
}

func (r *Room) account(w http.ResponseWriter, req *http.Request) {
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil {
		r.fail(w, req, store.ErrNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), evidenceTimeout)
	defer cancel()
	a, err := r.config.Evidence.Account(ctx, id)
	if err != nil {
		r.failEvidence(w, req, err)
		return
	}
	r.render(w, req, http.StatusOK, "account.html", &accountPage{page{Title: "Evidence of a request"}, a})
}

func (r *Room) explain(w http.ResponseWriter, req *http.Request) {
	r.render(w, req, http.StatusOK, "explain.html", &evidencePage{page: page{Title: "Checking evidence"}, AuditURL: r.config.AuditURL})
}

func (r *Room) requestPack(w http.ResponseWriter, req *http.Request) {
	r.sendOfRequest(w, req, "evidence", "application/zip", ".zip", r.config.Evidence.RequestPack)
}

func (r *Room) certificate(w http.ResponseWriter, req *http.Request) {
	r.sendOfRequest(w, req, "certificate", "application/pdf", ".pdf", r.config.Evidence.Certificate)
}

func (r *Room) sendOfRequest(w http.ResponseWriter, req *http.Request, what, typ, ending string, write func(context.Context, request.ID, io.Writer) error) {
	id, err := request.ParseID(req.PathValue("id"))
	if err != nil {
		r.fail(w, req, store.ErrNotFound)
		return
	}
	r.send(w, req, what+" of request "+string(id), typ, what+"-"+string(id)+ending, func(ctx context.Context, out io.Writer) error { return write(ctx, id, out) })
}

func (r *Room) periodPack(w http.ResponseWriter, req *http.Request) {
	from, to, ok := spanOf(req.URL.Query())
	if !ok {
		r.fail(w, req, errBadPeriod)
		return
	}
	r.send(w, req, "evidence from "+from+" to "+to, "application/zip", "evidence-"+from+"-to-"+to+".zip", func(ctx context.Context, out io.Writer) error {
		return r.config.Evidence.PeriodPack(ctx, from, to, out)
	})
}

// send answers with a file as it is written, once it is on record who takes it.
// An error before the first byte is a page; after it the connection breaks, so
// that nobody takes a part for the whole.
func (r *Room) send(w http.ResponseWriter, req *http.Request, what, typ, name string, write func(context.Context, io.Writer) error) {
	if err := r.gate.Note(req.Context(), "take "+what); err != nil {
		r.fail(w, req, err)
		return
	}
	room.Download{
		Type: typ, Name: name, Write: write, Logger: r.config.Logger, Fail: func(err error) { r.failEvidence(w, req, err) },
	}.Send(w, req)
}
