package records

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Kind is a kind of request as 11 CCR 7102(a)(1) counts them.
type Kind string

// The kinds, in the order of the regulation.
const (
	ToDelete  Kind = "delete"
	ToCorrect Kind = "correct"
	ToKnow    Kind = "know"
	ToOptOut  Kind = "opt_out_sale_share"
	ToLimit   Kind = "limit_spi"
)

// Kinds returns the kinds in the order of the regulation.
func Kinds() []Kind { return []Kind{ToDelete, ToCorrect, ToKnow, ToOptOut, ToLimit} }

// KindOf returns the kind a right is counted as; "" for one that is not.
func KindOf(r request.Right) Kind {
	switch r {
	case request.Delete:
		return ToDelete
	case request.Correct:
		return ToCorrect
	case request.KnowCategories, request.KnowSpecific:
		return ToKnow
	case request.OptOutSaleShare:
		return ToOptOut
	case request.LimitSPI:
		return ToLimit
	default:
		return ""
	}
}

// Line is the numbers of one kind of request in one year.
type Line struct {
	Kind     Kind  `json:"kind"`
	Received int64 `json:"received"`
	// Whole and Part were complied with, Denied were not. Withdrawn were taken
	// back by their people, and Open are not answered yet: Received is the sum.
	Whole     int64 `json:"complied_whole"`
	Part      int64 `json:"complied_part"`
	Denied    int64 `json:"denied"`
	Withdrawn int64 `json:"withdrawn"`
	Open      int64 `json:"open"`
	// The denials by their ground, which may be published too (7102(a)(1)).
	Unverified  int64 `json:"denied_unverified"`
	NotConsumer int64 `json:"denied_not_by_consumer"`
	Exempt      int64 `json:"denied_exempt"`
	Other       int64 `json:"denied_other"`
	// Median and Mean are the days from receipt to a substantive answer, a
	// denial among them; 0 when there was none.
	Median float64 `json:"median_days"`
	Mean   float64 `json:"mean_days"`
}

// Complied is how many were complied with in whole or in part.
func (l Line) Complied() int64 { return l.Whole + l.Part }

// Metrics are the numbers of one calendar year.
type Metrics struct {
	Year  int    `json:"year"`
	Lines []Line `json:"kinds"`
}

// groundOf sorts a denial into the four of 7102(a)(1), by its code in the
// regimes' files.
func groundOf(l *Line, code string) *int64 {
	switch code {
	case "unverified_specific", "unverified_categories", "unverified_delete", "unverified_correct", "no_way_to_verify", "unconfirmed":
		return &l.Unverified
	case "not_parent", "household", "agent_not_authorised", "agent_no_permission", "not_resident", "identity_fraud":
		return &l.NotConsumer
	case "exempt", "service_provider", "spi_purposes":
		return &l.Exempt
	default:
		return &l.Other
	}
}

// Year is the query for the requests of a calendar year: those received in it.
func Year(year int, tenant, regime string) store.LogQuery {
	return store.LogQuery{
		Tenant: tenant, Regime: regime,
		From: request.Date{Year: year, Month: 1, Day: 1}, To: request.Date{Year: year, Month: 12, Day: 31},
	}
}

// Measure makes the numbers of a year out of its counts. Every kind has its
// line, and what is no request of 7102 is left out.
func Measure(year int, tallies []store.Tally) Metrics {
	m := Metrics{Year: year}
	for _, kind := range Kinds() {
		line := Line{Kind: kind}
		days := make(map[int]int64)
		for _, t := range tallies {
			if KindOf(t.Right) == kind {
				line.count(t, days)
			}
		}
		line.Median, line.Mean = middle(days)
		m.Lines = append(m.Lines, line)
	}
	return m
}

func (l *Line) count(t store.Tally, days map[int]int64) {
	l.Received += t.N
	switch t.Result {
	case request.ResultComplete:
		l.Whole += t.N
	case request.ResultCompleteWithExceptions, request.ResultPartial:
		l.Part += t.N
	case request.ResultDenied:
		l.Denied += t.N
		*groundOf(l, t.Code) += t.N
	case request.ResultCancelled:
		l.Withdrawn += t.N
		return
	default:
		l.Open += t.N
		return
	}
	days[t.Days] += t.N
}

// middle returns the median and the mean of numbers given with how often each
// occurs. The median of an even number of them is halfway between the two in
// the middle.
func middle(days map[int]int64) (median, mean float64) {
	var n, sum int64
	var sorted []int
	for d, count := range days {
		n, sum, sorted = n+count, sum+int64(d)*count, append(sorted, d)
	}
	if n == 0 {
		return 0, 0
	}
	slices.SortFunc(sorted, cmp.Compare)
	at := func(place int64) float64 {
		for _, d := range sorted {
			if place -= days[d]; place < 0 {
				return float64(d)
			}
		}
		return 0 // place is below n
	}
	return (at((n-1)/2) + at(n/2)) / 2, float64(sum) / float64(n)
}

// WriteCSV writes the numbers with a header, days to two decimals.
func (m Metrics) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{
		"year", "request_to", "received", "complied_whole", "complied_part", "denied", "withdrawn", "open",
		"denied_unverified", "denied_not_by_consumer", "denied_exempt", "denied_other", "median_days", "mean_days",
	}}
	for _, l := range m.Lines {
		row := []string{strconv.Itoa(m.Year), string(l.Kind)}
		for _, n := range []int64{l.Received, l.Whole, l.Part, l.Denied, l.Withdrawn, l.Open, l.Unverified, l.NotConsumer, l.Exempt, l.Other} {
			row = append(row, strconv.FormatInt(n, 10))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.2f", l.Median), fmt.Sprintf("%.2f", l.Mean)))
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("writing the numbers: %w", err)
	}
	return nil
}
