package console

import (
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// asked is a listing as an address asks for it.
type asked struct {
	// Open, Late and Week are words for what the filter says otherwise.
	Open, Late, Week bool
	// From and Until are the days that answers are due, in UTC.
	From, Until request.Date
	// Order is the order as it was asked for: newest, oldest, due, or "" for the
	// one that fits.
	Order  string
	Filter store.Filter
}

// newest asks for [store.SortNewest], whatever would fit.
const newest = "newest"

// personDigest is the size of a keyed digest of an identifier.
const personDigest = 32

// askedOf reads an address. The error is [errBadLink].
func askedOf(q url.Values, now time.Time) (asked, error) {
	a := asked{Late: q.Get("due") == "late", Week: q.Get("due") == "week", Open: q.Get("state") == "open"}
	a.Filter = store.Filter{
		Right: request.Right(q.Get("right")), Regime: q.Get("regime"), Channel: request.Channel(q.Get("channel")), Attention: q.Get("attention") != "",
		Assignee: strings.TrimSpace(q.Get("assignee")), Connector: q.Get("connector"), Open: a.Open,
	}
	if a.Order = q.Get("sort"); a.Order != newest {
		a.Filter.Sort = store.Sort(a.Order)
	}
	f := &a.Filter
	if !a.Open {
		f.State = request.State(q.Get("state"))
	}
	if (f.State != "" && !f.State.Valid()) || (f.Right != "" && !f.Right.Valid()) || (f.Channel != "" && !f.Channel.Valid()) || !f.Sort.Valid() {
		return a, errBadLink
	}
	for name, day := range map[string]*request.Date{"from": &a.From, "until": &a.Until} {
		if text := q.Get(name); text != "" {
			d, err := time.Parse(time.DateOnly, text)
			if err != nil {
				return a, errBadLink
			}
			*day = request.DateOf(d, time.UTC)
		}
	}
	// An answer that is due on a day is late at the midnight that ends it
	// somewhere, which is within half a day of the midnight of UTC.
	const noon = 12 * time.Hour
	if !a.From.IsZero() {
		f.DueAfter = a.From.Start(time.UTC).Add(noon)
	}
	if !a.Until.IsZero() {
		f.DueUntil = a.Until.Start(time.UTC).AddDate(0, 0, 1).Add(noon)
	}
	switch {
	case a.Late:
		f.DueUntil = now
	case a.Week:
		f.DueAfter, f.DueUntil = now, now.AddDate(0, 0, soon)
	}
	if a.Order == "" && (f.Connector != "" || !f.DueAfter.IsZero() || !f.DueUntil.IsZero()) {
		f.Sort = store.SortDue // who asks what a system holds up, or what is due, asks what is late first
	}
	if text := q.Get("person"); text != "" {
		digest, err := hex.DecodeString(text)
		if err != nil || len(digest) != personDigest {
			return a, errBadLink
		}
		f.Person = digest
	}
	if text := q.Get("before"); text != "" {
		c, err := parseCursor(text)
		if err != nil {
			return a, errBadLink
		}
		f.Before = c
	}
	return a, nil
}

// query writes what askedOf reads.
func (a asked) query() url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	f := a.Filter
	set("state", string(f.State))
	if a.Open {
		set("state", "open")
	}
	set("right", string(f.Right))
	set("regime", f.Regime)
	set("channel", string(f.Channel))
	set("connector", f.Connector)
	set("assignee", f.Assignee)
	set("sort", a.Order)
	if f.Attention {
		set("attention", "1")
	}
	switch {
	case a.Late:
		set("due", "late")
	case a.Week:
		set("due", "week")
	}
	if !a.From.IsZero() {
		set("from", a.From.String())
	}
	if !a.Until.IsZero() {
		set("until", a.Until.String())
	}
	set("person", hex.EncodeToString(f.Person))
	if f.Before.ID != "" {
		set("before", f.Before.CreatedAt.UTC().Format(time.RFC3339Nano)+"_"+string(f.Before.ID))
	}
	return q
}

// at is the same listing from another place on.
func (a asked) at(c store.Cursor) asked {
	a.Filter.Before = c
	return a
}

// in is the same listing of another state, from its beginning.
func (a asked) in(s request.State) asked {
	a = a.at(store.Cursor{})
	a.Filter.State, a.Open, a.Filter.Open = s, false, false
	return a
}

// filtered reports whether anything is left out.
func (a asked) filtered() bool {
	q := a.at(store.Cursor{}).query()
	q.Del("sort")
	return len(q) > 0
}

func (a asked) link() string { return "/" + suffix(a.query()) }

func suffix(q url.Values) string {
	if len(q) == 0 {
		return ""
	}
	return "?" + q.Encode()
}

func parseCursor(text string) (store.Cursor, error) {
	at, id, _ := strings.Cut(text, "_")
	created, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return store.Cursor{}, err
	}
	parsed, err := request.ParseID(id)
	return store.Cursor{CreatedAt: created, ID: parsed}, err
}

// matches says how many requests a listing has.
func matches(n int64) string {
	switch {
	case n >= store.CountMost:
		return number(n) + " or more requests"
	case n == 1:
		return "1 request"
	default:
		return strconv.FormatInt(n, 10) + " requests"
	}
}
