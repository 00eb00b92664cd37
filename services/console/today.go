package console

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// How much of what presses is shown, and over how many days the charts reach.
const (
	pressingRows = 12
	personRows   = 10
	chartDays    = 30
)

// figure is one number that tells how the day stands.
type figure struct {
	Label, Count string
	Tone         tone
	Link         string
}

// stuckRow is one connector's jobs that wait or did not end well.
type stuckRow struct {
	Connector string
	State     word
	Code      string
	// Why is the code in words.
	Why    string
	Jobs   string
	Oldest moment
}

// troubleRow is the open incidents at one source.
type troubleRow struct {
	What, Source, Incidents, Records string
	Last                             moment
}

// troubleWords say what kinds of incidents are.
var troubleWords = map[store.IncidentKind]string{
	store.Resurrected: "Erased records came back",
	store.Lapsed:      "Opt-outs were not in force",
	store.Reimported:  "Erased people were about to be imported",
}

func troubleOf(trouble []store.Trouble) []troubleRow {
	var out []troubleRow
	for _, t := range trouble {
		source := t.Connector
		if t.Store != "" {
			source += ", " + t.Store
		}
		out = append(out, troubleRow{troubleWords[t.Kind], source, number(t.Incidents), number(t.Records), momentOf(t.Last)})
	}
	return out
}

// todayPage is made of parts that are read apart: one that can't be read says
// so, and the others are there.
type todayPage struct {
	page
	Figures  []figure
	Trouble  []troubleRow
	Pressing []row
	Persons  []row
	Stuck    []stuckRow
	Holdups  []holdup
	Forecast []forecast
	Charts   []chart
	// Down names the parts that could not be read.
	Down map[string]bool
}

func (r *Room) today(w http.ResponseWriter, req *http.Request)     { r.showToday(w, req, "today.html") }
func (r *Room) todayLive(w http.ResponseWriter, req *http.Request) { r.showToday(w, req, "today-live") }

func (r *Room) showToday(w http.ResponseWriter, req *http.Request, template string) {
	// It says the same to everybody who may see it: who looks decides only which
	// links there are, and that the template asks.
	shared, err := r.todays.get(req.Context(), r.readToday)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	p := *shared
	r.render(w, req, http.StatusOK, template, &p)
}

// listed is what the listings of today are made of.
type listed struct {
	requests []store.Request
	jobs     map[request.ID][]store.Job
}

func (l listed) rows(now time.Time, ahead map[string]*forecast) []row {
	out := make([]row, len(l.requests))
	for i := range l.requests {
		of := &l.requests[i]
		out[i] = rowOf(of, l.jobs[of.ID], now)
		out[i].Risk = riskOf(of, l.jobs[of.ID], ahead)
	}
	return out
}

// readToday reads the parts at once. The error is for all of them.
func (r *Room) readToday(ctx context.Context) (*todayPage, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := r.config.Now().UTC()
	t := &todayRead{now: now, first: now.Truncate(24*time.Hour).AddDate(0, 0, 1-chartDays)}
	parts := t.parts(ctx, r)
	var g sync.WaitGroup
	for i := range parts {
		g.Go(func() { parts[i].err = parts[i].read() })
	}
	g.Wait()
	down := make(map[string]bool)
	var last error
	for _, part := range parts {
		if part.err != nil {
			down[part.name], last = true, part.err
			r.config.Logger.ErrorContext(ctx, "reading a part of today", slog.String("part", part.name), slog.Any("error", part.err))
		}
	}
	if len(down) == len(parts) {
		return nil, last
	}
	return t.page(down), nil
}

// todayRead is what the page is made of.
type todayRead struct {
	now, first        time.Time // first is the first day of the charts
	standing          store.Standing
	recipients        []figure
	plans             int64
	trouble           []store.Trouble
	pressing, persons listed
	days              []store.Day
	stuck             []store.Stuck
	ahead             []forecast
	holdups           []holdup
}

// todayPart is one part of the page and how it is read.
type todayPart struct {
	name string
	read func() error
	err  error
}

// parts read the fields of t, each its own.
func (t *todayRead) parts(ctx context.Context, r *Room) []todayPart {
	s := r.config.Store
	return []todayPart{
		{name: "figures", read: func() (err error) {
			if t.standing, err = s.Standing(ctx, t.now, t.now.AddDate(0, 0, soon)); err == nil {
				t.recipients, err = r.recipientFigures(ctx, t.now)
			}
			if err == nil {
				t.plans, err = s.Matches(ctx, plansWaiting)
			}
			return err
		}},
		{name: "trouble", read: func() (err error) {
			t.trouble, err = s.Trouble(ctx)
			return err
		}},
		{name: "charts", read: func() (err error) {
			t.days, err = s.Days(ctx, t.first)
			return err
		}},
		{name: "pressing", read: func() (err error) {
			if t.pressing.requests, err = s.Pressing(ctx, pressingRows); err == nil {
				t.pressing.jobs, err = s.JobsOf(ctx, idsOf(t.pressing.requests))
			}
			return err
		}},
		{name: "persons", read: func() (err error) {
			if t.persons.requests, err = s.List(ctx, store.Filter{Attention: true, Sort: store.SortDue, Limit: personRows}); err == nil {
				t.persons.jobs, err = s.JobsOf(ctx, idsOf(t.persons.requests))
			}
			return err
		}},
		{name: "stuck", read: func() (err error) {
			if t.stuck, err = s.Stuck(ctx); err == nil {
				all := r.fleet(ctx)
				if all.StoreDown {
					return errors.New("the connectors can't be read")
				}
				if t.ahead, err = r.forecast(ctx, t.stuck, all, t.now); err == nil {
					t.holdups, err = r.holdups(ctx, all, t.stuck, t.ahead, t.now)
				}
			}
			return err
		}},
	}
}

// page is what staff see, without the parts that could not be read.
func (t *todayRead) page(down map[string]bool) *todayPage {
	slow := make(map[string]*forecast)
	for i := range t.ahead {
		slow[t.ahead[i].Connector] = &t.ahead[i]
	}
	p := &todayPage{
		page: page{Title: "Today", Events: "/events", Live: "/today/live"}, Down: down, Forecast: t.ahead, Holdups: t.holdups, Trouble: troubleOf(t.trouble),
		Figures:  append(append(figuresOf(t.standing, t.holdups, !down["stuck"]), planFigure(t.plans)...), t.recipients...),
		Pressing: t.pressing.rows(t.now, slow), Persons: t.persons.rows(t.now, slow), Charts: chartsOf(t.days, t.first),
	}
	for _, s := range t.stuck {
		p.Stuck = append(p.Stuck, stuckRowOf(s))
	}
	return p
}

// plansWaiting are the requests whose plan waits to be approved. A request that was
// put on hold for another reason while somebody had to look at it is among them.
var plansWaiting = store.Filter{State: request.Held, Attention: true}

func planFigure(n int64) []figure {
	if n == 0 {
		return nil
	}
	return []figure{{Label: "On hold for a person, as to approve a plan", Count: number(n), Tone: warn, Link: "/?state=held&attention=1&sort=due"}}
}

// stuckRowOf puts jobs that wait or did not end well in words.
func stuckRowOf(s store.Stuck) stuckRow {
	row := stuckRow{Connector: s.Connector, State: inWords(jobWords, s.State), Jobs: number(s.Jobs), Oldest: momentOf(s.Oldest)}
	if s.Code != "" && s.Code != string(s.State) {
		row.Code, row.Why = s.Code, label(failureWords, s.Code)
	}
	return row
}

func figuresOf(s store.Standing, holdups []holdup, known bool) []figure {
	var open int64
	troubled := figure{Label: "Systems in trouble", Count: number(int64(len(holdups))), Tone: bad, Link: "#holdups"}
	if !known {
		troubled = figure{Label: troubled.Label, Count: unknown, Tone: idle}
	}
	for _, n := range s.Open {
		open += n
	}
	out := []figure{
		{Label: "Late", Count: number(s.Late), Tone: bad, Link: "/?due=late&sort=due"},
		{Label: "Due within " + days(soon), Count: number(s.Soon), Tone: warn, Link: "/?due=week&sort=due"},
		troubled,
		{Label: "Need a person", Count: number(s.Attention), Tone: warn, Link: "/?attention=1&sort=due"},
		{Label: "Awaiting verification", Count: number(s.Open[request.AwaitingVerification]), Tone: idle, Link: "/?state=awaiting_verification"},
		{Label: "Open", Count: number(open), Tone: idle, Link: "/?state=open"},
	}
	for i := range out {
		if out[i].Count == "0" {
			out[i].Tone = idle
		}
	}
	return out
}

// chart is a row of bars, one a day, in a drawing of chartWidth by chartHeight.
type chart struct {
	Title, Total, Most string
	Bars               []bar
	From, To           string
}

type bar struct {
	X, Y, Width, Height int
	Text                string
	// Bad is what should not be.
	Bad bool
}

// Units of the drawings; 2 of each step are the gap.
const (
	chartStep   = 12
	chartHeight = 60
)

// Box is the size of the drawing.
func (c chart) Box() [2]int { return [2]int{chartDays * chartStep, chartHeight} }

// chartsOf draws arrivals and closings from the first day on, how old what was
// closed had become, and how long before its deadline that was. Days that each
// leaves out are empty.
func chartsOf(each []store.Day, first time.Time) []chart {
	var in, out, age, margin [chartDays]float64
	var arrived, closed, late int64
	var taken, spare time.Duration
	for _, d := range each {
		i := int(d.Day.Sub(first).Hours() / 24)
		if i < 0 || i >= chartDays {
			continue
		}
		in[i], out[i] = float64(d.Arrived), float64(d.Closed)
		arrived, closed, late, taken, spare = arrived+d.Arrived, closed+d.Closed, late+d.Late, taken+d.Taken, spare+d.Spare
		if d.Closed > 0 {
			age[i], margin[i] = inDays(d.Taken, d.Closed), inDays(d.Spare, d.Closed)
		}
	}
	whole, tenth := func(v float64) string { return number(int64(v)) }, func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) + " days" }
	mean := func(sum time.Duration) string {
		if closed == 0 {
			return "–"
		}
		return tenth(inDays(sum, closed))
	}
	return []chart{
		chartOf("Arrived", number(arrived), "at most %s a day", whole, in[:], first),
		chartOf("Closed", number(closed)+", "+number(late)+" of them late", "at most %s a day", whole, out[:], first),
		chartOf("Age when closed", mean(taken), "on average, %s on the worst day", tenth, age[:], first),
		chartOf("Time left when closed", mean(spare), "on average", tenth, margin[:], first),
	}
}

// inDays is a mean in days.
func inDays(sum time.Duration, n int64) float64 { return sum.Hours() / 24 / float64(n) }

func chartOf(title, total, at string, said func(float64) string, values []float64, first time.Time) chart {
	var most float64
	for _, v := range values {
		most = max(most, math.Abs(v))
	}
	c := chart{Title: title, Total: total, Most: strings.Replace(at, "%s", said(most), 1), From: first.Format("2 Jan"), To: first.AddDate(0, 0, len(values)-1).Format("2 Jan")}
	for i, v := range values {
		if v == 0 {
			continue
		}
		height := max(int(math.Abs(v)*chartHeight/most), 1)
		c.Bars = append(c.Bars, bar{
			X: i*chartStep + 1, Y: chartHeight - height, Width: chartStep - 2, Height: height,
			Text: first.AddDate(0, 0, i).Format("2 Jan") + ": " + said(v), Bad: v < 0,
		})
	}
	return c
}
