package drop

import (
	"time"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// regime is the law as data that holds the length of the cycle.
const regime = "us-ca-delete-act"

// Session is when the platform has to be accessed again.
type Session struct {
	// Aim is the day to do it, two thirds into the cycle, which leaves time to
	// fall back to the platform's pages by hand (11 CCR 7612(b)(1)).
	Aim request.Date
	// Alarm is the day, nine tenths into it, on which somebody is called.
	Alarm request.Date
	// By is the last day the law lets it wait.
	By request.Date
}

// NextSession returns when to access the platform after the last time, which
// is chosen by the cycle in force then and, when the law shortens it in
// between, by the shorter one. Errors are those of [regimes.Set.NextAccess].
func NextSession(set *regimes.Set, last request.Date) (Session, error) {
	by, err := set.NextAccess(regime, last)
	if err != nil {
		return Session{}, err
	}
	days := int(by.Start(time.UTC).Sub(last.Start(time.UTC)).Hours() / 24)
	return Session{Aim: last.AddDays(days * 2 / 3), Alarm: last.AddDays(days * 9 / 10), By: by}, nil
}
