package request

import (
	"fmt"
	"sync"
	"time"
	_ "time/tzdata" // the regime's zone must be known wherever the program runs
)

// Due is every date the law fixes for one request. It is computed once, at
// receipt, and frozen with the rules and calendars that made it: later changes
// of either do not move it. A zero date is a clock the right does not have.
type Due struct {
	// Regime and RuleVersion name the regime file that made the dates.
	Regime      string `json:"regime"`
	RuleVersion string `json:"rule_version"`
	// Zone is the regime's own time zone; Received is the date of receipt in it.
	Zone     string `json:"zone"`
	Received Date   `json:"received"`
	// Acknowledge is the last day to confirm receipt, and AcknowledgeAlarm the
	// same counted on the strictest calendar.
	Acknowledge      Date `json:"acknowledge,omitzero"`
	AcknowledgeAlarm Date `json:"acknowledge_alarm,omitzero"`
	// Stop is the last day to stop what the consumer opted out of.
	Stop      Date `json:"stop,omitzero"`
	StopAlarm Date `json:"stop_alarm,omitzero"`
	// Respond is the last day to answer, or to give notice of an extension.
	// RespondAlarm counts the day of receipt as the first. RespondRolled is the
	// day a court would likely still accept (for California CCP 12a); it is
	// information and never a target.
	Respond       Date `json:"respond,omitzero"`
	RespondAlarm  Date `json:"respond_alarm,omitzero"`
	RespondRolled Date `json:"respond_rolled,omitzero"`
	// Extended is the last day to answer after an extension, counted from
	// receipt.
	Extended Date `json:"extended,omitzero"`
	// LookBackFrom is where the usual look-back starts, and LookBackFloor the
	// earliest day a consumer can reach back to.
	LookBackFrom  Date `json:"look_back_from,omitzero"`
	LookBackFloor Date `json:"look_back_floor,omitzero"`
	// NoReask is the first day on which the consumer may be asked to opt in
	// again.
	NoReask Date `json:"no_reask,omitzero"`
	// KeepUntil is the first day on which the record of the request may go,
	// counted from receipt.
	KeepUntil Date `json:"keep_until,omitzero"`
	// The calendars the business days were counted on; RollCalendar only
	// served RespondRolled.
	Calendar      CalendarRef `json:"calendar,omitzero"`
	AlarmCalendar CalendarRef `json:"alarm_calendar,omitzero"`
	RollCalendar  CalendarRef `json:"roll_calendar,omitzero"`
}

// CalendarRef names a calendar in one of its versions.
type CalendarRef struct {
	ID      string `json:"id"`
	Version string `json:"version"`
}

// String returns "id@version", or "" for none.
func (c CalendarRef) String() string {
	if c == (CalendarRef{}) {
		return ""
	}
	return c.ID + "@" + c.Version
}

// Answer is the day by which the request must be finished when it is not
// extended: Stop for an opt-out, Respond for the others.
func (d Due) Answer() Date {
	if !d.Stop.IsZero() {
		return d.Stop
	}
	return d.Respond
}

// Alarm is the day by which somebody should be worried: the strictest reading
// of [Due.Answer].
func (d Due) Alarm() Date {
	if !d.StopAlarm.IsZero() {
		return d.StopAlarm
	}
	return d.RespondAlarm
}

// zones are the time zones that were looked up. There is one for each regime,
// and looking one up reads and parses a file.
var zones sync.Map // name to *time.Location

// Zone is [time.LoadLocation] that remembers what it found.
func Zone(name string) (*time.Location, error) {
	if loc, ok := zones.Load(name); ok {
		return loc.(*time.Location), nil
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	zones.Store(name, loc)
	return loc, nil
}

// Instant returns the first instant after the day of a clock, in the regime's
// zone.
func (d Due) Instant(day Date) (time.Time, error) {
	loc, err := Zone(d.Zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("loading time zone %q of regime %s: %w", d.Zone, d.Regime, err)
	}
	return day.End(loc), nil
}

// Dates returns the clocks that are set, by name, as yyyy-mm-dd.
func (d Due) Dates() map[string]string {
	dates := make(map[string]string)
	for name, day := range map[string]Date{
		"acknowledge": d.Acknowledge, "acknowledge_alarm": d.AcknowledgeAlarm,
		"stop": d.Stop, "stop_alarm": d.StopAlarm,
		"respond": d.Respond, "respond_alarm": d.RespondAlarm, "respond_rolled": d.RespondRolled,
		"extended": d.Extended, "look_back_from": d.LookBackFrom, "look_back_floor": d.LookBackFloor,
		"no_reask": d.NoReask, "keep_until": d.KeepUntil,
	} {
		if !day.IsZero() {
			dates[name] = day.String()
		}
	}
	return dates
}
