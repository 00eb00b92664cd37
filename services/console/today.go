package console

import (
	"context"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// How much of what presses is shown, and over how many days the charts reach.
const (
	pressingRows = 25
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
	Jobs      string
	Oldest    moment
}

// troubleRow is the open incidents at one source.
type troubleRow struct {
	What, Source, Incidents, Records string
	Last                             moment
}

// troubleWords say what kinds of incidents are.
var troubleWords = map[store.IncidentKind]string{
	store.Resurrected: "Erased records came back",
	store.Reimported:  "Erased people were about to be imported",
	store.NotThrough:  "The daily made-up request did not go through",
}

type todayPage struct {
	page
	Trouble        []troubleRow
	Figures        []figure
	Pressing       []row
	Stuck          []stuckRow
	Arrived, Ended chart
}

func (r *Room) today(w http.ResponseWriter, req *http.Request)     { r.showToday(w, req, "today.html") }
func (r *Room) todayLive(w http.ResponseWriter, req *http.Request) { r.showToday(w, req, "today-live") }

func (r *Room) showToday(w http.ResponseWriter, req *http.Request, template string) {
	p, err := r.readToday(req.Context())
	if err != nil {
		r.fail(w, req, err)
		return
	}
	r.render(w, req, http.StatusOK, template, p)
}

func (r *Room) readToday(ctx context.Context) (*todayPage, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := r.config.Now().UTC()
	standing, err := r.config.Store.Standing(ctx, now, now.AddDate(0, 0, soon))
	if err != nil {
		return nil, err
	}
	pressing, err := r.config.Store.Pressing(ctx, pressingRows)
	if err != nil {
		return nil, err
	}
	ids := make([]request.ID, len(pressing))
	for i := range pressing {
		ids[i] = pressing[i].ID
	}
	jobs, err := r.config.Store.JobsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	stuck, err := r.config.Store.Stuck(ctx)
	if err != nil {
		return nil, err
	}
	trouble, err := r.config.Store.Trouble(ctx)
	if err != nil {
		return nil, err
	}
	first := now.Truncate(24*time.Hour).AddDate(0, 0, 1-chartDays)
	each, err := r.config.Store.Days(ctx, first)
	if err != nil {
		return nil, err
	}
	p := &todayPage{page: page{Title: "Today", Events: "/events", Live: "/today/live"}, Figures: figuresOf(standing)}
	recipients, err := r.recipientFigures(ctx, now)
	if err != nil {
		return nil, err
	}
	p.Figures = append(p.Figures, recipients...)
	for i := range pressing {
		p.Pressing = append(p.Pressing, rowOf(&pressing[i], jobs[ids[i]], now))
	}
	for _, t := range trouble {
		source := t.Connector
		if t.Store != "" {
			source += ", " + t.Store
		}
		p.Trouble = append(p.Trouble, troubleRow{troubleWords[t.Kind], source, number(t.Incidents), number(t.Records), momentOf(t.Last)})
	}
	for _, s := range stuck {
		p.Stuck = append(p.Stuck, stuckRow{s.Connector, inWords(jobWords, s.State), s.Code, number(s.Jobs), momentOf(s.Oldest)})
	}
	p.Arrived, p.Ended = chartsOf(each, first)
	return p, nil
}

func figuresOf(s store.Standing) []figure {
	var open int64
	for _, n := range s.Open {
		open += n
	}
	out := []figure{
		{Label: "Late", Count: number(s.Late), Tone: bad},
		{Label: "Due within " + days(soon), Count: number(s.Soon), Tone: warn},
		{Label: "Need a person", Count: number(s.Attention), Tone: warn, Link: "/?attention=1"},
		{Label: "Awaiting verification", Count: number(s.Open[request.AwaitingVerification]), Tone: idle, Link: "/?state=awaiting_verification"},
		{Label: "Open", Count: number(open), Tone: idle, Link: "/"},
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
}

// Units of the drawings; 2 of each step are the gap.
const (
	chartStep   = 12
	chartHeight = 60
)

// Box is the size of the drawing.
func (c chart) Box() [2]int { return [2]int{chartDays * chartStep, chartHeight} }

// chartsOf draws arrivals and closings from the first day on. Days that each
// leaves out are empty.
func chartsOf(each []store.Day, first time.Time) (arrived, closed chart) {
	var in, out [chartDays]int64
	for _, d := range each {
		if i := int(d.Day.Sub(first).Hours() / 24); i >= 0 && i < chartDays {
			in[i], out[i] = d.Arrived, d.Closed
		}
	}
	return chartOf("Arrived", in[:], first), chartOf("Closed", out[:], first)
}

func chartOf(title string, counts []int64, first time.Time) chart {
	var most, total int64
	for _, n := range counts {
		most, total = max(most, n), total+n
	}
	c := chart{Title: title, Total: number(total), Most: number(most), From: first.Format("2 Jan"), To: first.AddDate(0, 0, len(counts)-1).Format("2 Jan")}
	for i, n := range counts {
		if n == 0 {
			continue
		}
		height := max(int(n*chartHeight/most), 1)
		c.Bars = append(c.Bars, bar{
			X: i*chartStep + 1, Y: chartHeight - height, Width: chartStep - 2, Height: height,
			Text: first.AddDate(0, 0, i).Format("2 Jan") + ": " + number(n),
		})
	}
	return c
}
