package sqlmap

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Period is a length of calendar time: years, months and days.
// It is written "7 years", "18 months" or "90 days".
type Period struct {
	Years, Months, Days int
}

// UnmarshalYAML implements the decoder's interface.
func (p *Period) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	number, unit, _ := strings.Cut(strings.TrimSpace(s), " ")
	n, err := strconv.Atoi(number)
	if err != nil || n <= 0 {
		return fmt.Errorf("period %q: want a number and a unit, such as \"7 years\"", s)
	}
	switch strings.TrimSuffix(unit, "s") {
	case "year":
		p.Years = n
	case "month":
		p.Months = n
	case "day":
		p.Days = n
	default:
		return fmt.Errorf("period %q: the unit must be years, months or days", s)
	}
	return nil
}

// IsZero reports whether no period was given.
func (p Period) IsZero() bool { return p == Period{} }

// After returns the day, in UTC, that lies the period after t.
func (p Period) After(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y+p.Years, m+time.Month(p.Months), d+p.Days, 0, 0, 0, 0, time.UTC)
}

// Duration is the period in hours, with a month as 30 days and a year as 365:
// for declarations, not for dates.
func (p Period) Duration() time.Duration {
	return time.Duration(p.Years*365+p.Months*30+p.Days) * 24 * time.Hour
}

// timeLayouts are the ways databases write a moment as text.
var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02 15:04:05.999999999-07",
	"2006-01-02 15:04:05.999999999-07:00",
	"2006-01-02 15:04:05.999999999 -0700 MST",
	"2006-01-02 15:04:05.999999999",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04",
	"2006-01-02",
}

// parseTime reads a moment from a column value: text in a usual layout, or a
// number of seconds or milliseconds since 1970. Without a zone it is UTC.
func parseTime(v value) (time.Time, bool) {
	switch v := v.(type) {
	case string:
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), true
			}
		}
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return parseTime(n)
		}
	case int64:
		// No business has records from the year 5138: a larger number counts
		// milliseconds.
		if v > 1e11 {
			return time.UnixMilli(v).UTC(), true
		}
		return time.Unix(v, 0).UTC(), true
	}
	return time.Time{}, false
}
