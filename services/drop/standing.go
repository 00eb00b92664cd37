package drop

import (
	"context"
	"database/sql"
	"fmt"
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

// Standing says how the broker stands on a day. Days are those of the regime's
// zone.
func (l *Ledger) Standing(ctx context.Context, set *regimes.Set, today request.Date) (s Standing, err error) {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		return s, fmt.Errorf("loading the zone of the Delete Act: %w", err)
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
		return s, err
	}
	if s.FailingSince, err = read(`SELECT min(at) FROM drop_access WHERE result = 'failed' AND at > coalesce((SELECT max(at) FROM drop_access WHERE result IN ('done', 'worked') AND how = 'api'), 0)`); err != nil {
		return s, err
	}
	if s.FailingSince != nil {
		by := s.FailingSince.AddDays(noticeDays)
		s.NoticeBy = &by
	}
	from, err := request.ParseDate(firstDay)
	if err != nil {
		return s, err
	}
	if s.Last != nil {
		from = *s.Last
	}
	if s.Session, err = NextSession(set, from); err != nil {
		return s, err
	}
	s.Due, s.Late = !today.Before(s.Aim), s.By.Before(today)
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

