package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// AnalyticsDays is how many days analytics holds, each in a file of one JSON
// object a line: dir/events/dt=YYYY-MM-DD/part-000.jsonl. It knows people by
// user and device ids alone.
//
// An event has who did it in user.id, device.id or both. Events of a hand-over
// from one device to another have a list "devices" instead; those the
// household of Namesake and OtherNamesake shares name a device of each.
const AnalyticsDays = 60

// AnalyticsStart is the first of these days.
var AnalyticsStart = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

// AnalyticsEvent is one line of one day.
type AnalyticsEvent struct {
	Day  int    // from 0, counted from AnalyticsStart
	Line []byte // without the line end; valid until the next one
}

// Key is the event's file, relative to the folder of the system.
func (e AnalyticsEvent) Key() string {
	return "events/dt=" + AnalyticsStart.AddDate(0, 0, e.Day).Format(time.DateOnly) + "/part-000.jsonl"
}

// SeedAnalytics writes the events of those of the first n people whom analytics
// knows. The folder dir/events is replaced; it appears complete or not at all.
func SeedAnalytics(ctx context.Context, dir string, n int) (err error) {
	part := filepath.Join(dir, "events.part")
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("seeding analytics: %w", err)
	}
	days := make([]*bufio.Writer, AnalyticsDays)
	var files []*os.File
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.Close())
		}
		if err == nil {
			err = putInPlace(part, filepath.Join(dir, "events"))
		}
		if err != nil {
			err = fmt.Errorf("seeding analytics: %w", err)
		}
	}()
	for day := range days {
		rel, err := filepath.Rel("events", AnalyticsEvent{Day: day}.Key())
		if err != nil {
			return err
		}
		path := filepath.Join(part, rel)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			return err
		}
		f, err := os.Create(path) //nolint:gosec // below the folder the caller named
		if err != nil {
			return err
		}
		files, days[day] = append(files, f), bufio.NewWriterSize(f, 64<<10)
	}
	for p := range People(n) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !p.InAnalytics {
			continue
		}
		for e := range AnalyticsEvents(p) {
			if _, err := days[e.Day].Write(append(e.Line, '\n')); err != nil {
				return err
			}
		}
	}
	for _, w := range days {
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func putInPlace(part, path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// AnalyticsEvents yields the events of one person: a few for most, BusyEvents
// for Busy.
func AnalyticsEvents(p Person) iter.Seq[AnalyticsEvent] {
	h := mix(uint64(p.N) ^ 0xa7a1)
	count := 4 + int(h%5)
	if p.N == Busy {
		count = BusyEvents
	}
	first := int(h >> 8 % AnalyticsDays)
	return func(yield func(AnalyticsEvent) bool) {
		w := eventWriter{p: p}
		for i := range count {
			day := (first + i*7) % AnalyticsDays
			line := w.write(i, AnalyticsStart.AddDate(0, 0, day).Add(time.Duration(mix(h^uint64(i))%86_400_000)*time.Millisecond))
			if !yield(AnalyticsEvent{Day: day, Line: line}) {
				return
			}
		}
		if p.N == Namesake {
			for i := range 3 {
				at := AnalyticsStart.AddDate(0, 0, 20+i).Add(20 * time.Hour)
				if !yield(AnalyticsEvent{Day: 20 + i, Line: w.together(i, at, PersonAt(OtherNamesake))}) {
					return
				}
			}
		}
	}
}

var (
	pages    = []string{"/pricing", "/invoices/new", "/features/time-tracking", "/de/preise/übersicht", "/blog/café-accounting", "/help/search?q=r%C3%A9sum%C3%A9"}
	searches = []string{"invoice template 📄", "dépôt de garantie", "Rechnung für Müller", "how to \"split\" a bill", "見積書", "late fees"}
	traits   = []string{"likely_upgrade", "agency_owner", "price_sensitive", "weekend_worker", "photography"}
)

// eventWriter writes the lines of one person into one buffer.
type eventWriter struct {
	p   Person
	buf []byte
}

// write makes event number i. Of ten events, six are internet activity (F), two
// tell an approximate place (G) and one an inference (K); one hands over
// between two devices, for people who have two.
func (w *eventWriter) write(i int, at time.Time) []byte {
	h := mix(uint64(w.p.N)<<20 ^ uint64(i))
	w.buf = w.head(i, at)
	switch device := w.device(i); {
	case i%10 == 3 && len(w.p.DeviceIDs) > 1:
		w.str(`,"type":"handoff","devices":[{"id":"`, w.p.DeviceIDs[0], `"}, {"id":"`, w.p.DeviceIDs[1], `"}],"page":`, quote(pages, h))
	case i%10 == 1 || i%10 == 6:
		w.who(i, device)
		w.str(`,"type":"geo","place":{"city":"`, w.p.City, `","region":"CA","precision_km":25,"source":"ip"}`)
	case i%10 == 2:
		w.who(i, device)
		w.str(`,"type":"segment","traits":[{"name":`, quote(traits, h), `,"score":0.`, strconv.FormatUint(10+h%90, 10), `}],"model":"v`, strconv.FormatUint(1+h%4, 10), `"`)
	case i%10 == 4:
		w.who(i, device)
		w.str(`,"type":"search","query":`, quote(searches, h), `,"results":`, strconv.FormatUint(h%50, 10))
	default:
		w.who(i, device)
		w.str(`,"type":"page_view","page":`, quote(pages, h), `,"referrer":null,"seconds":`, strconv.FormatUint(h%600, 10), `,"clicks":[{"x":`, strconv.FormatUint(h%1280, 10), `,"y":`, strconv.FormatUint(h>>9%800, 10), `}]`)
	}
	w.str(`,"context":{"os":"`, systems[h%uint64(len(systems))], `","browser":"`, browsers[h>>4%uint64(len(browsers))], `","screen":"1920x1080","locale":"en-US"}}`)
	return w.buf
}

// together makes an event that a device of p and one of other share.
func (w *eventWriter) together(i int, at time.Time, other Person) []byte {
	w.buf = w.head(1000+i, at)
	w.str(`,"type":"co_view","devices":[{"id":"`, w.p.DeviceIDs[0], `","seat":"sofa"},{"id":"`, other.DeviceIDs[0], `","seat":"desk"}],"page":`, quote(pages, uint64(i)), `}`)
	return w.buf
}

func (w *eventWriter) head(i int, at time.Time) []byte {
	b := append(w.buf[:0], `{"id":"ev-`...)
	b = strconv.AppendUint(b, mix(uint64(w.p.N)<<24^uint64(i)^0xe7)|1<<60, 36)
	b = append(b, `","at":"`...)
	b = at.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	return append(b, '"')
}

// who names the user, the device or both. A person without devices is known by
// the account alone.
func (w *eventWriter) who(i int, device string) {
	if i%3 != 1 || device == "" {
		w.str(`,"user":{"id":"`, w.p.UserID, `","session":"s-`, strconv.FormatUint(mix(uint64(w.p.N)<<8^uint64(i/8)), 36), `"}`)
	}
	if i%3 != 0 && device != "" {
		w.str(`,"device":{"id":"`, device, `","kind":"desktop"}`)
	}
}

func (w *eventWriter) device(i int) string {
	if len(w.p.DeviceIDs) == 0 {
		return ""
	}
	return w.p.DeviceIDs[i%len(w.p.DeviceIDs)]
}

func (w *eventWriter) str(parts ...string) {
	for _, s := range parts {
		w.buf = append(w.buf, s...)
	}
}

// quote picks one of list and writes it as JSON, every other one in ASCII.
func quote(list []string, h uint64) string {
	s := list[h%uint64(len(list))]
	if h>>7%2 == 0 {
		return asJSON[s]
	}
	return asASCII[s]
}

// asJSON and asASCII are all texts of events as JSON writes them, made once.
var asJSON, asASCII = quoteAll(pages, searches, traits)
