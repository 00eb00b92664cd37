package lake

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// timeLayout is how a record writes its time; see [TimeMap.Layout].
type timeLayout string

var unixUnits = map[timeLayout]time.Duration{
	"unix": time.Second, "unix_ms": time.Millisecond, "unix_us": time.Microsecond,
}

func (l timeLayout) goLayout() string {
	switch l {
	case "", "rfc3339":
		return time.RFC3339
	case "date":
		return time.DateOnly
	}
	return string(l)
}

func (l timeLayout) check() error {
	if _, ok := unixUnits[l]; ok {
		return nil
	}
	// A layout that shows no part of a time can't read one.
	a, b := time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC), time.Date(2022, 11, 14, 0, 0, 0, 0, time.UTC)
	if a.Format(l.goLayout()) == b.Format(l.goLayout()) {
		return fmt.Errorf("time.layout: %q is none of rfc3339, date, unix, unix_ms, unix_us, and not a layout of Go's package time", string(l))
	}
	return nil
}

// format writes a time so that parse reads it.
func (l timeLayout) format(t time.Time) string {
	if unit, ok := unixUnits[l]; ok {
		per := int64(time.Second / unit)
		return strconv.FormatInt(t.Unix()*per+int64(t.Nanosecond())/int64(unit), 10)
	}
	return t.Format(l.goLayout())
}

var errTime = errors.New("the time is not written as the map says")

// parse reads a time. Its error does not show the text.
func (l timeLayout) parse(text string) (time.Time, error) {
	unit, ok := unixUnits[l]
	if !ok {
		t, err := time.Parse(l.goLayout(), text)
		if err != nil {
			return time.Time{}, errTime
		}
		return t, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		per := int64(time.Second / unit)
		return time.Unix(n/per, n%per*int64(unit)).UTC(), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < -1e17 || f > 1e17 {
		return time.Time{}, errTime
	}
	seconds := f * unit.Seconds()
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*1e9)).UTC(), nil
}
