package regimes

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rickar/cal/v2"

	"github.com/habeas-data/habeas/services/request"
)

// Calendar says which days are business days, for the years it has data for.
type Calendar struct {
	ref         request.CalendarRef
	first, last int
	closed      [7]bool // by weekday
	holidays    map[request.Date]string
}

type calendarFile struct {
	Calendar       string        `yaml:"calendar"`
	Version        string        `yaml:"version"`
	FirstYear      int           `yaml:"first_year"`
	LastYear       int           `yaml:"last_year"`
	ClosedWeekdays []weekday     `yaml:"closed_weekdays"`
	Holidays       []holidayRule `yaml:"holidays"`
}

// holidayRule is a day of the month, a weekday of a month, or a list of dates.
type holidayRule struct {
	Name     string          `yaml:"name"`
	Month    int             `yaml:"month"`
	Day      int             `yaml:"day"`
	Weekday  *weekday        `yaml:"weekday"`
	Nth      int             `yaml:"nth"`       // -1 is the last
	ThenDays int             `yaml:"then_days"` // days after the day found
	Observed map[weekday]int `yaml:"observed"`  // days moved when it falls on the weekday
	Dates    []request.Date  `yaml:"dates"`
}

func newCalendar(f calendarFile) (*Calendar, error) {
	c := &Calendar{
		ref:   request.CalendarRef{ID: f.Calendar, Version: f.Version},
		first: f.FirstYear, last: f.LastYear,
		holidays: make(map[request.Date]string),
	}
	switch {
	case f.Calendar == "" || f.Version == "":
		return nil, errors.New("calendar and version are required")
	case f.FirstYear < 1900 || f.LastYear < f.FirstYear:
		return nil, errors.New("first_year and last_year are required, in this order")
	}
	for _, w := range f.ClosedWeekdays {
		c.closed[w] = true
	}
	if !slices.Contains(c.closed[:], false) {
		return nil, errors.New("closed_weekdays leaves no business day")
	}
	for i, rule := range f.Holidays {
		if err := c.add(rule); err != nil {
			return nil, fmt.Errorf("holidays[%d] %q: %w", i, rule.Name, err)
		}
	}
	return c, nil
}

func (c *Calendar) add(rule holidayRule) error {
	if rule.Name == "" {
		return errors.New("name is required")
	}
	if len(rule.Dates) > 0 {
		return c.addDates(rule)
	}
	holiday, err := rule.holiday()
	if err != nil {
		return err
	}
	// A day may be observed across the turn of the year, so the years around
	// are computed too.
	for year := c.first - 1; year <= c.last+1; year++ {
		_, observed := holiday.Calc(year)
		if day := request.DateOf(observed, time.UTC); c.covers(day) {
			c.holidays[day] = rule.Name
		}
	}
	return nil
}

// addDates takes dates that follow no rule. Each year needs one, so that a
// year nobody looked up is not taken for a year without the holiday.
func (c *Calendar) addDates(rule holidayRule) error {
	if rule.Month != 0 || rule.Day != 0 || rule.Weekday != nil || rule.Nth != 0 || rule.ThenDays != 0 || len(rule.Observed) > 0 {
		return errors.New("dates stands alone")
	}
	for year := c.first; year <= c.last; year++ {
		if !slices.ContainsFunc(rule.Dates, func(d request.Date) bool { return d.Year == year }) {
			return fmt.Errorf("no date for %d: add it or end the calendar earlier", year)
		}
	}
	for _, d := range rule.Dates {
		if !c.covers(d) {
			return fmt.Errorf("date %s is outside the calendar's years", d)
		}
		c.holidays[d] = rule.Name
	}
	return nil
}

// holiday turns a rule into one of the cal library. Its own functions count in
// the machine's zone; these count at noon UTC, where no clock change reaches.
func (r holidayRule) holiday() (*cal.Holiday, error) {
	if r.Month < 1 || r.Month > 12 {
		return nil, errors.New("month must be 1 to 12")
	}
	h := &cal.Holiday{Name: r.Name, Month: time.Month(r.Month), CalcOffset: r.ThenDays}
	for w, days := range r.Observed {
		h.Observed = append(h.Observed, cal.AltDay{Day: time.Weekday(w), Offset: days})
	}
	switch {
	case r.Weekday == nil && r.Nth == 0 && r.Day >= 1 && r.Day <= daysIn(r.Month):
		h.Func = func(_ *cal.Holiday, year int) time.Time { return noon(year, r.Month, r.Day) }
	case r.Weekday != nil && r.Day == 0 && r.Nth >= 1 && r.Nth <= 4:
		h.Func = func(_ *cal.Holiday, year int) time.Time {
			return cal.WeekdayNFrom(noon(year, r.Month, 1), time.Weekday(*r.Weekday), r.Nth)
		}
	case r.Weekday != nil && r.Day == 0 && r.Nth == -1:
		h.Func = func(_ *cal.Holiday, year int) time.Time {
			return cal.WeekdayNFrom(noon(year, r.Month+1, 0), time.Weekday(*r.Weekday), r.Nth)
		}
	default:
		return nil, errors.New("want month with day, month with weekday and nth (1 to 4, or -1 for the last), or dates")
	}
	return h, nil
}

// daysIn returns the days of a month in a year that is no leap year: 29
// February is no rule for every year.
func daysIn(month int) int { return noon(2001, month+1, 0).Day() }

func noon(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 12, 0, 0, 0, time.UTC)
}

// Ref returns the calendar's id and version.
func (c *Calendar) Ref() request.CalendarRef { return c.ref }

func (c *Calendar) covers(d request.Date) bool { return d.Year >= c.first && d.Year <= c.last }

// Open reports whether d is a business day. The error is [ErrNoData].
func (c *Calendar) Open(d request.Date) (bool, error) {
	if !c.covers(d) {
		return false, fmt.Errorf("calendar %s has data for %d to %d, not for %s: %w", c.ref, c.first, c.last, d, ErrNoData)
	}
	_, holiday := c.holidays[d]
	return !holiday && !c.closed[d.Weekday()], nil
}

// Add returns the nth business day after d. The error is [ErrNoData].
func (c *Calendar) Add(d request.Date, n int) (request.Date, error) {
	for n > 0 {
		d = d.AddDays(1)
		open, err := c.Open(d)
		if err != nil {
			return request.Date{}, err
		}
		if open {
			n--
		}
	}
	return d, nil
}

// Roll returns d when it is a business day, else the next one. The error is
// [ErrNoData].
func (c *Calendar) Roll(d request.Date) (request.Date, error) {
	for {
		open, err := c.Open(d)
		if err != nil || open {
			return d, err
		}
		d = d.AddDays(1)
	}
}

// weekday is a day of the week by its English name.
type weekday time.Weekday

// UnmarshalText implements [encoding.TextUnmarshaler].
func (w *weekday) UnmarshalText(text []byte) error {
	names := []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("unknown weekday %q: want one of %v", text, names)
	}
	*w = weekday(i)
	return nil
}
