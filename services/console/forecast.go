package console

import (
	"context"
	"strconv"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// paceOver is how far back a system's pace is looked at.
const paceOver = 24 * time.Hour

// forecast is when one system will have answered what waits for it, when it goes
// on as it did.
type forecast struct {
	Connector     string
	Waiting, Pace string
	Free          moment
	// Risk is how many requests will be late by then, and Late how many of them
	// are late now.
	Risk, Late string
	Tone       tone

	// more are at risk and not late yet.
	more       int64
	free, asOf time.Time
	// halted says why it answers nothing at all, such as that it is down.
	halted string
}

// forecast looks ahead for every system that something waits for. One that has
// answered nothing lately, or can't now, is taken to answer nothing for another
// week.
func (r *Room) forecast(ctx context.Context, stuck []store.Stuck, all *fleet, now time.Time) ([]forecast, error) {
	paces, err := r.config.Store.Pace(ctx, now.Add(-paceOver))
	if err != nil {
		return nil, err
	}
	pace := make(map[string]store.Pace, len(paces))
	for _, p := range paces {
		pace[p.Connector] = p
	}
	var out []forecast
	waiting, free, late := make(map[string]int64), make(map[string]time.Time), make(map[string]time.Time)
	halted := make(map[string]string)
	for i := range all.Members {
		halted[all.Members[i].Name] = short(&all.Members[i], now, all.BusDown)
	}
	for _, s := range stuck {
		if s.State.Terminal() {
			continue
		}
		if waiting[s.Connector] == 0 {
			out = append(out, forecast{Connector: s.Connector})
		}
		waiting[s.Connector] += s.Jobs
	}
	for i := range out {
		f := &out[i]
		n := waiting[f.Connector]
		f.Waiting, f.Tone, f.halted, f.asOf = number(n), idle, halted[f.Connector], now
		hourly := paceOf(pace[f.Connector], now)
		if f.halted != "" {
			f.Pace, f.free = "none: it "+f.halted, now.AddDate(0, 0, soon)
		} else if hourly == 0 {
			f.Pace, f.free = "nothing in "+strconv.Itoa(int(paceOver.Hours()))+" hours", now.AddDate(0, 0, soon)
		} else {
			f.Pace, f.free = perHour(hourly), now.Add(time.Duration(min(float64(n)/hourly, 24*366)*float64(time.Hour)))
			f.Free = momentOf(f.free)
		}
		free[f.Connector], late[f.Connector] = f.free, now
	}
	if len(out) == 0 {
		return nil, nil
	}
	risk, err := r.config.Store.AtRisk(ctx, free)
	if err != nil {
		return nil, err
	}
	already, err := r.config.Store.AtRisk(ctx, late)
	if err != nil {
		return nil, err
	}
	for i := range out {
		f := &out[i]
		f.more, f.Risk, f.Late = risk[f.Connector]-already[f.Connector], number(risk[f.Connector]), number(already[f.Connector])
		if risk[f.Connector] > 0 {
			f.Tone = bad
		}
	}
	return out, nil
}

// paceOf is how many jobs a system answers in an hour.
func paceOf(p store.Pace, now time.Time) float64 {
	if p.Answered == 0 {
		return 0
	}
	// Since the first of the answers, but not less than a minute: of one answer
	// just now nothing follows.
	return float64(p.Answered) / max(now.Sub(p.First), time.Minute).Hours()
}

func perHour(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 1, 64) + " an hour"
	}
	return number(int64(v)) + " an hour"
}

// riskOf says which system a request waits for in vain: one that answers nothing
// now, or whose queue ends only after the request is late.
func riskOf(r *store.Request, jobs []store.Job, ahead map[string]*forecast) string {
	if r.State() == request.Closed {
		return ""
	}
	slow := ""
	for i := range jobs {
		f := ahead[jobs[i].Connector]
		switch {
		case f == nil || jobs[i].State.Terminal():
		case f.halted != "":
			return f.Connector + " " + f.halted
		case slow == "" && f.free.After(r.RespondBy) && r.RespondBy.After(f.asOf):
			slow = f.Connector + " will be too slow at its pace"
		}
	}
	return slow
}
