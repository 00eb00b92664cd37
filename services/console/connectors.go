package console

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/kept"
	"github.com/habeas-data/habeas/services/request/store"
)

var errNoConnector = errors.New("no such connector")

// fleetPage is what every page about connectors says of its sources.
type fleetPage struct {
	page
	StoreDown, BusDown bool
}

type connectorsPage struct {
	fleetPage
	Rows  []connectorRow
	Graph graph
	// Silent counts the programs that should ask about people and do not.
	Silent string
}

// connectorRow is a connector in the list.
type connectorRow struct {
	Name, Version       string
	State               word
	Paused              bool
	Queue, InHand, Rate string
	Failing, Dead       string
	Quota               string
	Check               word
	Desk                bool
}

type connectorPage struct {
	fleetPage
	connectorDetail
	Failed, Problem string
	Typed           url.Values
}

func (r *Room) connectors(w http.ResponseWriter, req *http.Request) {
	r.showConnectors(w, req, "connectors.html")
}

func (r *Room) connectorsLive(w http.ResponseWriter, req *http.Request) {
	r.showConnectors(w, req, "connectors-live")
}

func (r *Room) showConnectors(w http.ResponseWriter, req *http.Request, template string) {
	f := r.fleet(req.Context())
	query := req.URL.Query()
	start := query["from"]
	if len(start) > 20 {
		r.fail(w, req, errBadLink)
		return
	}
	p := &connectorsPage{fleetPage: fleetPage{
		page:      page{Title: "Connectors", Events: "/events", Live: "/connectors/live" + suffix(url.Values{"from": start})},
		StoreDown: f.StoreDown, BusDown: f.BusDown,
	}}
	now := r.config.Now()
	var manifests []*habeasv1.Manifest
	for i := range f.Members {
		p.Rows = append(p.Rows, connectorRowOf(&f.Members[i], now, f))
		manifests = append(manifests, f.Members[i].Manifest)
	}
	if len(start) == 0 {
		p.Live, start = "/connectors/live", usualKinds
	}
	p.Graph = graphOf(manifests, start)
	p.Silent = r.silent(req.Context(), now)
	r.render(w, req, http.StatusOK, template, p)
}

// silent counts the programs that should ask about people and do not. A store
// that does not answer is told of elsewhere on the page.
func (r *Room) silent(ctx context.Context, now time.Time) string {
	if r.config.Tokens == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	all, err := r.config.Tokens.List(ctx)
	if err != nil {
		return ""
	}
	return silentPrograms(all, now)
}

func connectorRowOf(m *member, now time.Time, f *fleet) connectorRow {
	row := connectorRow{
		Name: m.Name, Version: m.Manifest.GetVersion(), State: m.state(now, f.BusDown), Paused: m.Pause != nil,
		Queue: unknown, InHand: unknown, Rate: unknown, Failing: unknown, Dead: number(m.dead()), Quota: unknown,
		Check: checkOf(m.Manifest), Desk: m.Manifest.GetDesk(),
	}
	if f.StoreDown {
		row.Dead = unknown
	}
	if q := m.Queue; q != nil {
		row.Queue, row.InHand = number(int64(q.NumPending)), number(int64(q.NumAckPending)) //nolint:gosec // far below 2^63
	}
	if a := m.Manifest.GetActivity(); a != nil && !f.BusDown {
		row.Rate, row.Failing = rateOf(a), number(failuresIn(a))
	}
	if quotas := quotasOf(m.Manifest, now); len(quotas) > 0 {
		scarcest := slices.MinFunc(quotas, func(a, b quotaView) int { return cmp.Compare(a.Left, b.Left) })
		row.Quota = scarcest.LeftText
	}
	return row
}

// unknown stands for what nobody told.
const unknown = "–"

func (r *Room) connector(w http.ResponseWriter, req *http.Request) {
	r.showConnector(w, req, "connector.html", http.StatusOK, "", "")
}

func (r *Room) connectorLive(w http.ResponseWriter, req *http.Request) {
	r.showConnector(w, req, "connector-live", http.StatusOK, "", "")
}

// showConnector shows a connector, after an action that was refused with why.
func (r *Room) showConnector(w http.ResponseWriter, req *http.Request, template string, status int, failed, problem string) {
	f := r.fleet(req.Context())
	name := req.PathValue("connector")
	i := slices.IndexFunc(f.Members, func(m member) bool { return m.Name == name })
	if i < 0 {
		err := errNoConnector
		if f.StoreDown {
			err = errors.New("the database does not answer, and nothing is remembered of this connector")
		}
		r.fail(w, req, err)
		return
	}
	d := connectorDetailOf(&f.Members[i], r.config.Now(), f)
	d.Unfounded = r.unfounded(f.Members[i].Manifest)
	past, err := r.pausesOf(req.Context(), name)
	if err != nil {
		r.config.Logger.WarnContext(req.Context(), "reading a connector's pauses", slog.Any("error", err))
		f.StoreDown = true
	}
	d.Past = past
	base := "/connectors/" + name
	r.render(w, req, status, template, &connectorPage{
		fleetPage:       fleetPage{page: page{Title: name + ", a connector", Events: "/events", Live: base + "/live"}, StoreDown: f.StoreDown, BusDown: f.BusDown},
		connectorDetail: d, Failed: failed, Problem: problem, Typed: req.PostForm,
	})
}

// pausesShown is how many pauses of a connector its page shows.
const pausesShown = 10

func (r *Room) pausesOf(ctx context.Context, name string) ([]pauseView, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	list, err := r.config.Store.PausesOf(ctx, name, pausesShown)
	if err != nil {
		return nil, err
	}
	out := make([]pauseView, len(list))
	for i := range list {
		out[i] = pauseViewOf(&list[i])
	}
	return out, nil
}

func (r *Room) pauseConnector(w http.ResponseWriter, req *http.Request) {
	r.decideConnector(w, req, "pause", func(ctx context.Context, name string) error {
		_, err := r.config.Act.Pause(ctx, name, strings.TrimSpace(req.PostFormValue("reason")))
		return err
	})
}

func (r *Room) resumeConnector(w http.ResponseWriter, req *http.Request) {
	r.decideConnector(w, req, "resume", func(ctx context.Context, name string) error {
		_, err := r.config.Act.Resume(ctx, name)
		return err
	})
}

// decideConnector carries a decision about a connector out and goes back to it,
// or shows it again with why not. Doing again what is so already changes nothing.
func (r *Room) decideConnector(w http.ResponseWriter, req *http.Request, action string, do func(context.Context, string) error) {
	if !r.readForm(w, req) {
		return
	}
	name := req.PathValue("connector")
	ctx, cancel := context.WithTimeout(req.Context(), actTimeout)
	defer cancel()
	err := do(ctx, name)
	r.fleets.forget()
	if errors.Is(err, store.ErrNotFound) {
		err = errNoConnector
	}
	if err != nil {
		status, problem := refusal(err)
		if status == 0 {
			r.fail(w, req, err)
			return
		}
		r.showConnector(w, req, "connector.html", status, action, problem)
		return
	}
	r.config.Logger.InfoContext(ctx, "staff decided", slog.String("connector", name), slog.String("action", action))
	http.Redirect(w, req, "/connectors/"+url.PathEscape(name), http.StatusSeeOther)
}

// readForm bounds and reads a form, or shows that it can't be read.
func (r *Room) readForm(w http.ResponseWriter, req *http.Request) bool {
	const most = 64 << 10
	req.Body = http.MaxBytesReader(w, req.Body, most)
	if err := req.ParseForm(); err != nil {
		r.fail(w, req, errBadForm)
		return false
	}
	return true
}

// unfounded says on which bases a connector would keep records that don't hold
// for a deletion received today.
func (r *Room) unfounded(m *habeasv1.Manifest) []string {
	if r.config.Bases == nil {
		return nil
	}
	day, err := r.config.Bases.Regimes.ReceiptDate(r.config.Regime, r.config.Now())
	if err != nil {
		return nil
	}
	var out []string
	for _, no := range kept.Unfounded(r.config.Bases, m, r.config.Regime, day) {
		out = append(out, no.Error())
	}
	return out
}
