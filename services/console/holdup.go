package console

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// holdup is one system that holds requests up: how many and how late, why, and
// what somebody can do about it from here.
type holdup struct {
	Connector string
	State     word
	Tone      tone
	// Waiting is how many open requests it holds up, Late how many of them are late
	// and Soon how many will be within a week.
	Waiting, Late, Soon string
	Causes              []holdupCause

	waiting, late, soon int64
}

// holdupCause is one thing that is wrong with a system and what to do.
type holdupCause struct {
	What, Then string
	// Resume says that the system is paused and may be resumed.
	Resume bool
	// Dead is jobs that ended badly; some can be sent again at once.
	Dead *letterGroup
}

// downSince is when a connector was last heard, in words.
func (m *member) downSince() string {
	if t := m.Manifest.GetBeatTime(); t.IsValid() && t.AsTime().Unix() > 0 {
		return "gave no sign of life since " + momentOf(t.AsTime()).Text
	}
	return "has given no sign of life yet"
}

// troubled says in words what keeps a connector from answering, or nothing.
// What it says about itself is believed only while the bus can be heard.
func troubled(m *member, now time.Time, busDown bool) (what, then string) {
	switch {
	case m.Pause != nil:
		what = "is paused since " + momentOf(m.Pause.Since).Text
		if m.Pause.Reason != "" {
			what += ": " + strings.TrimSuffix(m.Pause.Reason, ".")
		}
		return what, "It is asked again when somebody resumes it. The clocks run on."
	case busDown:
		return "", ""
	case !m.up(now):
		return "is down: it " + m.downSince(), "Whoever runs it must start it again. Its jobs wait for it and go on by themselves."
	case !m.Manifest.GetReady():
		return "is up, but its system does not answer", "See whether the system is up and reached from the connector's machine. Its jobs are tried again by themselves."
	default:
		return "", ""
	}
}

// troubled is [troubled] of the connector of a name; of one that is not known
// nothing is said.
func (f *fleet) troubled(name string, now time.Time) (what, then string) {
	for i := range f.Members {
		if f.Members[i].Name == name {
			return troubled(&f.Members[i], now, f.BusDown)
		}
	}
	return "", ""
}

// short is troubled in a word or two.
func short(m *member, now time.Time, busDown bool) string {
	switch what, _ := troubled(m, now, busDown); {
	case what == "":
		return ""
	case m.Pause != nil:
		return "is paused"
	case !m.up(now):
		return "is down"
	default:
		return "does not answer"
	}
}

// holdups lists the systems that hold requests up, those with the most late
// requests first.
func (r *Room) holdups(ctx context.Context, f *fleet, stuck []store.Stuck, ahead []forecast, now time.Time) ([]holdup, error) {
	var out []holdup
	at := func(name string) *holdup {
		i := slices.IndexFunc(out, func(h holdup) bool { return h.Connector == name })
		if i < 0 {
			i = len(out)
			out = append(out, holdup{Connector: name, State: word{Label: "Not known now", Tone: idle}, Tone: warn})
		}
		return &out[i]
	}
	waits := make(map[string]int64)
	for _, s := range stuck {
		waits[s.Connector] += s.Jobs
	}
	for i := range f.Members {
		m := &f.Members[i]
		if what, then := troubled(m, now, f.BusDown); what != "" && waits[m.Name] > 0 {
			h := at(m.Name)
			h.Causes = append(h.Causes, holdupCause{What: "It " + what + ".", Then: then, Resume: m.Pause != nil})
		}
	}
	for _, s := range f.Dead {
		g := letterGroupOf(s)
		h := at(s.Connector)
		h.Causes = append(h.Causes, holdupCause{What: jobsText(s.Jobs) + " ended badly. " + g.What + ".", Then: g.Next, Dead: &g})
	}
	for _, a := range ahead {
		if a.more == 0 || a.halted != "" {
			continue // it is in time, or a cause above says why not
		}
		h := at(a.Connector)
		c := holdupCause{What: "It answered nothing in the last day.", Then: "See why on its page."}
		if a.Free.Text != "" {
			c.What = "It answers " + a.Pace + ", and so would be done only on " + a.Free.Text + "."
			c.Then = "Give it more room: more instances, a higher quota, or a smaller queue."
		}
		h.Causes = append(h.Causes, c)
	}
	for i := range out {
		h := &out[i]
		if k := slices.IndexFunc(f.Members, func(m member) bool { return m.Name == h.Connector }); k >= 0 {
			m := &f.Members[k]
			if h.State = m.state(now, f.BusDown); m.Pause != nil {
				h.State = word{Label: "Paused", Tone: warn}
			}
		}
		if err := r.countHoldup(ctx, h, now); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out, func(a, b holdup) int {
		return cmp.Or(cmp.Compare(b.late, a.late), cmp.Compare(b.soon, a.soon), cmp.Compare(b.waiting, a.waiting), cmp.Compare(a.Connector, b.Connector))
	})
	return out, nil
}

// countHoldup counts the requests that a system holds up.
func (r *Room) countHoldup(ctx context.Context, h *holdup, now time.Time) (err error) {
	f := store.Filter{Connector: h.Connector, Open: true}
	if h.waiting, err = r.config.Store.Matches(ctx, f); err != nil {
		return err
	}
	f.DueUntil = now
	if h.late, err = r.config.Store.Matches(ctx, f); err != nil {
		return err
	}
	f.DueAfter, f.DueUntil = now, now.AddDate(0, 0, soon)
	if h.soon, err = r.config.Store.Matches(ctx, f); err != nil {
		return err
	}
	h.Waiting, h.Late, h.Soon = atMost(h.waiting), atMost(h.late), atMost(h.soon)
	if h.late > 0 {
		h.Tone = bad
	}
	return nil
}

// atMost writes a count that the store stops counting at.
func atMost(n int64) string {
	if n >= store.CountMost {
		return number(n) + "+"
	}
	return number(n)
}

func jobsText(n int64) string {
	if n == 1 {
		return "1 job"
	}
	return number(n) + " jobs"
}
