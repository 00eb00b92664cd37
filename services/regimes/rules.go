package regimes

import (
	"fmt"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// Rules is one regime as it stood on the day a request was received.
type Rules struct {
	regime *regime
	day    request.Date
}

// Version returns the version of the regime file.
func (r Rules) Version() string { return r.regime.Version }

// Terms returns all that the regime fixes for one request; see [Set.Terms].
func (r Rules) Terms(received time.Time, right request.Right, want request.Range) (request.Terms, error) {
	due, err := r.Clocks(received, right)
	if err != nil {
		return request.Terms{}, err
	}
	t := request.Terms{Received: received.UTC(), Due: due}
	if t.Level, err = r.Level(right); err != nil {
		return request.Terms{}, err
	}
	if right == request.Delete {
		if t.DeleteScope, err = r.DeleteScope(); err != nil {
			return request.Terms{}, err
		}
	}
	t.Since, t.Clipped = since(due, want)
	return t, nil
}

// Clocks returns the dates of a request for right that arrived at received.
// Errors are [ErrUnknown] when the regime does not have the right,
// [ErrNotInForce] when these are not the rules of that day, and [ErrNoData].
func (r Rules) Clocks(received time.Time, right request.Right) (request.Due, error) {
	g := r.regime
	if day := request.DateOf(received, g.loc); day != r.day {
		return request.Due{}, fmt.Errorf("rules of %s for %s, applied to a request of %s: %w", g.ID, r.day, day, ErrNotInForce)
	}
	if !g.Clocks.Respond.has(right) && !g.Clocks.Stop.has(right) {
		return request.Due{}, fmt.Errorf("right %q in regime %s: %w", right, g.ID, ErrUnknown)
	}
	d := request.Due{Regime: g.ID, RuleVersion: g.Version, Zone: g.Zone, Received: r.day}
	for _, c := range []struct {
		clock    *clock
		calendar *Calendar
		used     *request.CalendarRef
		into     *request.Date
	}{
		{g.Clocks.Acknowledge, g.due, &d.Calendar, &d.Acknowledge},
		{g.Clocks.Acknowledge, g.alarm, &d.AlarmCalendar, &d.AcknowledgeAlarm},
		{g.Clocks.Stop, g.due, &d.Calendar, &d.Stop},
		{g.Clocks.Stop, g.alarm, &d.AlarmCalendar, &d.StopAlarm},
		{g.Clocks.Respond, g.due, &d.Calendar, &d.Respond},
		{g.Clocks.Extended, g.due, &d.Calendar, &d.Extended},
	} {
		if !c.clock.has(right) || c.calendar == nil && c.clock.Unit == businessDays {
			continue
		}
		var err error
		if *c.into, err = c.clock.end(r.day, c.calendar); err != nil {
			return request.Due{}, err
		}
		if c.clock.Unit == businessDays {
			*c.used = c.calendar.Ref()
		}
	}
	if err := r.readings(&d); err != nil {
		return request.Due{}, err
	}
	r.windows(&d, right)
	return d, nil
}

// readings adds the stricter and the laxer reading of the day to respond. The
// strict one counts the day of receipt as the first (11 CCR 7021(b)); the lax
// one moves a last day that is not a court day (Code Civ. Proc. 12a).
func (r Rules) readings(d *request.Due) error {
	if d.Respond.IsZero() {
		return nil
	}
	d.RespondAlarm = d.Respond.AddDays(-1)
	if r.regime.roll == nil {
		return nil
	}
	var err error
	d.RespondRolled, err = r.regime.roll.Roll(d.Respond)
	d.RollCalendar = r.regime.roll.Ref()
	return err
}

// windows adds the dates that are no deadlines.
func (r Rules) windows(d *request.Due, right request.Right) {
	c := r.regime.Clocks
	if c.LookBack.has(right) {
		d.LookBackFrom = addMonths(r.day, -at(c.LookBack.Values, r.day), backward)
		if f := r.regime.LookBackFloor; f != nil {
			d.LookBackFloor = at(f.Values, r.day)
			d.LookBackFrom = later(d.LookBackFrom, d.LookBackFloor)
		}
	}
	if c.NoReask.has(right) {
		d.NoReask = addMonths(r.day, at(c.NoReask.Values, r.day), forward)
	}
	if c.KeepRecord.has(right) {
		d.KeepUntil = addMonths(r.day, at(c.KeepRecord.Values, r.day), forward)
	}
}

// since returns the first day a request reaches back to, and whether that is
// later than the person wanted. The zero day means everything.
func since(due request.Due, want request.Range) (day request.Date, clipped bool) {
	if due.LookBackFrom.IsZero() {
		return request.Date{}, false // the right, or the regime, knows no look-back
	}
	switch want.Kind {
	case request.RangeAll:
		return due.LookBackFloor, false
	case request.RangeFrom:
		day = later(want.From, due.LookBackFloor)
		return day, day != want.From
	default:
		return due.LookBackFrom, false
	}
}

// Level returns how sure one must be of whoever asks for right; "" for a right
// that is never verified. The error is [ErrUnknown].
func (r Rules) Level(right request.Right) (request.Level, error) {
	if !right.Verifiable() {
		return "", nil
	}
	level, ok := r.regime.Levels[right]
	if !ok {
		return "", fmt.Errorf("level of right %q in regime %s: %w", right, r.regime.ID, ErrUnknown)
	}
	return at(level.Values, r.day), nil
}

// DeleteScope returns which records a deletion reaches. The error is
// [ErrUnknown].
func (r Rules) DeleteScope() (request.DeleteScope, error) {
	if r.regime.DeleteScope == nil {
		return "", fmt.Errorf("deletion in regime %s: %w", r.regime.ID, ErrUnknown)
	}
	return at(r.regime.DeleteScope.Values, r.day), nil
}

// MayDeclineKnow reports whether one more request to know may be declined,
// given the days of receipt of the ones that were answered (Civ. Code
// 1798.130(b)). It is never declined automatically.
func (r Rules) MayDeclineKnow(answered []request.Date) bool {
	if r.regime.KnowLimit == nil {
		return false
	}
	n := 0
	for _, day := range answered {
		if !day.After(r.day) && r.day.Before(addMonths(day, 12, backward)) {
			n++
		}
	}
	return n >= at(r.regime.KnowLimit.Values, r.day)
}

func (c *clock) has(right request.Right) bool { return c != nil && slices.Contains(c.Rights, right) }

// end returns the last day of a clock that starts on day.
func (c *clock) end(day request.Date, calendar *Calendar) (request.Date, error) {
	n := at(c.Values, day)
	switch c.Unit {
	case businessDays:
		return calendar.Add(day, n)
	case months:
		return addMonths(day, n, backward), nil
	default:
		return day.AddDays(n), nil
	}
}

// rounding says which way to go when a month lacks the day.
type rounding bool

const (
	backward rounding = false // deadlines and windows that must reach far enough back
	forward  rounding = true  // periods of "at least" so long
)

// addMonths adds calendar months (Gov. Code 6804).
func addMonths(d request.Date, n int, round rounding) request.Date {
	first := request.DateOf(time.Date(d.Year, d.Month+time.Month(n), 1, 0, 0, 0, 0, time.UTC), time.UTC)
	last := request.DateOf(time.Date(first.Year, first.Month+1, 0, 0, 0, 0, 0, time.UTC), time.UTC)
	switch {
	case d.Day <= last.Day:
		return request.Date{Year: first.Year, Month: first.Month, Day: d.Day}
	case round == forward:
		return last.AddDays(1)
	default:
		return last
	}
}
