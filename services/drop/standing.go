package drop

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// noticeDays is the time for the written notice after the automated link fails
// (11 CCR 7612(b)(1)).
const noticeDays = 45

// firstDay is the day on which brokers first had to access the platform.
const firstDay = "2026-08-01"

// Standing is how a broker stands with the platform.
type Standing struct {
	// Used says that the platform was accessed, or tried to be. Only data brokers
	// have to (Civ. Code 1798.99.86(c)).
	Used bool `json:"used"`
	// Last is the day of the last access that worked; nil before the first.
	Last *request.Date `json:"last,omitempty"`
	Session
	// Due says that the next session's day has come; Late that the law's last day
	// is over.
	Due  bool `json:"due"`
	Late bool `json:"late"`
	// FailingSince is set while the automated link does not work, and NoticeBy is
	// the last day to tell the agency so in writing.
	FailingSince *request.Date `json:"failing_since,omitempty"`
	NoticeBy     *request.Date `json:"notice_by,omitempty"`
	// Open is the download that is not fully answered, and Unanswered how many
	// items have no answer, or news that the platform lacks.
	Open       string `json:"open,omitempty"`
	Unanswered int64  `json:"unanswered"`
}

func zone() (*time.Location, error) {
	z, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		return nil, fmt.Errorf("loading the zone of the Delete Act: %w", err)
	}
	return z, nil
}

// Today is the day in California.
func Today(now time.Time) (request.Date, error) {
	z, err := zone()
	if err != nil {
		return request.Date{}, err
	}
	return request.DateOf(now, z), nil
}

// Standing says how the broker stands on a day. Days are those of the regime's
// zone.
func (l *Ledger) Standing(ctx context.Context, set *regimes.Set, today request.Date) (s Standing, err error) {
	if s, s.Used, err = l.Deadlines(ctx, set, today); err != nil {
		return s, err
	}
	open, err := l.OpenBatch(ctx)
	if err != nil {
		return s, err
	}
	if open != nil {
		s.Open = open.Name
	}
	s.Unanswered, err = l.unreported(ctx)
	return s, err
}

// Deadlines is [Ledger.Standing] without what is open and unanswered, which takes
// longer to count. used says whether the platform was ever accessed, or tried to be.
func (l *Ledger) Deadlines(ctx context.Context, set *regimes.Set, today request.Date) (s Standing, used bool, err error) {
	zone, err := zone()
	if err != nil {
		return s, false, err
	}
	read := func(query string) (*request.Date, error) {
		var at sql.NullInt64
		if err := l.DB.QueryRowContext(ctx, query).Scan(&at); err != nil {
			return nil, fmt.Errorf("reading accesses: %w", err)
		}
		if !at.Valid {
			return nil, nil
		}
		d := request.DateOf(time.UnixMicro(at.Int64), zone)
		return &d, nil
	}
	if s.Last, err = read(`SELECT max(at) FROM drop_access WHERE result = 'done'`); err != nil {
		return s, false, err
	}
	if s.FailingSince, err = read(`SELECT min(at) FROM drop_access WHERE result = 'failed' AND at > coalesce((SELECT max(at) FROM drop_access WHERE result IN ('done', 'worked') AND how = 'api'), 0)`); err != nil {
		return s, false, err
	}
	if s.FailingSince != nil {
		by := s.FailingSince.AddDays(noticeDays)
		s.NoticeBy = &by
	}
	from, err := request.ParseDate(firstDay)
	if err != nil {
		return s, false, err
	}
	if s.Last != nil {
		from = *s.Last
	}
	if s.Session, err = NextSession(set, from); err != nil {
		return s, false, err
	}
	s.Due, s.Late = !today.Before(s.Aim), s.By.Before(today)
	ever, err := read(`SELECT max(at) FROM drop_access`)
	return s, ever != nil, err
}

// Write writes how the broker stands, for a terminal.
func (s Standing) Write(w io.Writer) error {
	var b strings.Builder
	if !s.Used {
		b.WriteString("Nothing was ever fetched from the platform. A company that is no data broker has nothing to do; for a data broker:\n")
	}
	last := "never"
	if s.Last != nil {
		last = s.Last.String()
	}
	fmt.Fprintf(&b, "last session  %s\nnext session  %s; somebody is called on %s, the law's last day is %s\n", last, s.Aim, s.Alarm, s.By)
	switch {
	case s.Late:
		b.WriteString("LATE: run habeas drop session now\n")
	case s.Due:
		b.WriteString("due: run habeas drop session\n")
	}
	if s.NoticeBy != nil {
		fmt.Fprintf(&b, "the link has not worked since %s: get the lists by hand, and tell the agency in writing by %s (11 CCR 7612(b)(1))\n", s.FailingSince, s.NoticeBy)
	}
	if s.Open != "" {
		fmt.Fprintf(&b, "open          %s\n", s.Open)
	}
	fmt.Fprintf(&b, "unanswered    %d items\n", s.Unanswered)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("showing the standing: %w", err)
	}
	return nil
}

// Write writes a report, for a terminal.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	if r.Batch != "" {
		fmt.Fprintf(&b, "download      %s\n", r.Batch)
	}
	if r.Open > 0 {
		fmt.Fprintf(&b, "waits for     %d requests\n", r.Open)
	}
	if r.Undone > 0 {
		fmt.Fprintf(&b, "not done      %d requests; see them with habeas request list. The next run files them again\n", r.Undone)
	}
	for _, f := range r.Files {
		fmt.Fprintf(&b, "to upload     %s\n", f)
	}
	if r.Unreported > 0 {
		fmt.Fprintf(&b, "unanswered    %d items\n", r.Unreported)
	} else {
		b.WriteString("every item has its answer\n")
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("showing the report: %w", err)
	}
	return nil
}
