package regimes

import (
	"errors"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
)

// regime is one law as its file describes it.
type regime struct {
	ID        string       `yaml:"regime"`
	Title     string       `yaml:"title"`
	Version   string       `yaml:"version"`
	Zone      string       `yaml:"zone"`
	ValidFrom request.Date `yaml:"valid_from"`
	ValidTo   request.Date `yaml:"valid_to"`
	// Confirmed says that every value was read in the law itself; a regime
	// that is not is not used until [Set.Confirm]. Unconfirmed says what has to
	// be looked up.
	Confirmed   bool   `yaml:"confirmed"`
	Unconfirmed string `yaml:"unconfirmed"`

	CalendarIDs struct {
		Due   string `yaml:"due"`
		Alarm string `yaml:"alarm"`
		Roll  string `yaml:"roll"`
	} `yaml:"calendars"`

	Clocks struct {
		Acknowledge *clock `yaml:"acknowledge"`
		Stop        *clock `yaml:"stop"`
		Respond     *clock `yaml:"respond"`
		Extended    *clock `yaml:"extended"`
		LookBack    *clock `yaml:"look_back"`
		NoReask     *clock `yaml:"no_reask"`
		KeepRecord  *clock `yaml:"keep_record"`
	} `yaml:"clocks"`

	LookBackFloor *rule[request.Date]                   `yaml:"look_back_floor"`
	KnowLimit     *rule[int]                            `yaml:"know_limit"`
	Levels        map[request.Right]rule[request.Level] `yaml:"levels"`
	DeleteScope   *rule[request.DeleteScope]            `yaml:"delete_scope"`
	Cycle         *rule[int]                            `yaml:"cycle"`

	Tiers               map[request.Level]rule[Tier] `yaml:"tiers"`
	SensitiveCategories *rule[[]string]              `yaml:"sensitive_categories"`
	Signal              *rule[bool]                  `yaml:"signal"`
	VerifyOptOut        *rule[bool]                  `yaml:"verify_opt_out"`
	Pausable            *rule[bool]                  `yaml:"pausable"`
	Appeal              *rule[Appeal]                `yaml:"appeal"`
	CorrectionBar       *rule[int]                   `yaml:"correction_bar"`
	PoliceHold          *rule[int]                   `yaml:"police_hold"`
	StatementWords      *rule[int]                   `yaml:"statement_words"`
	Channels            struct {
		OnlineOnly *rule[[]string] `yaml:"online_only"`
		Others     *rule[[]string] `yaml:"others"`
	} `yaml:"channels"`

	Exceptions []Exception `yaml:"exceptions"`
	// Outside are the reasons for which a right does not reach a record.
	Outside       []Exception       `yaml:"outside"`
	Denials       []Denial          `yaml:"denials"`
	NeverDisclose *rule[[]Withheld] `yaml:"never_disclose"`

	loc              *time.Location
	due, alarm, roll *Calendar
}

// rule is something the law says, with the values it took over time.
type rule[T any] struct {
	Citation string     `yaml:"citation"`
	Values   []dated[T] `yaml:"values"`
}

// dated is a value with the days of receipt it holds for, both included. A
// zero ValidTo is open.
type dated[T any] struct {
	ValidFrom request.Date `yaml:"valid_from"`
	ValidTo   request.Date `yaml:"valid_to"`
	Value     T            `yaml:"value"`
}

// clock is a rule whose value is a length of time.
type clock struct {
	Citation string          `yaml:"citation"`
	Rights   []request.Right `yaml:"rights"`
	Unit     unit            `yaml:"unit"`
	Values   []dated[int]    `yaml:"values"`
}

// unit is what a clock counts.
type unit string

const (
	days         unit = "days"
	businessDays unit = "business_days"
	months       unit = "months"
)

// check resolves what the file refers to and reports what does not hold.
func (r *regime) check(calendars map[string]*Calendar) error {
	if r.ID == "" || r.Title == "" || r.Version == "" || r.ValidFrom.IsZero() {
		return errors.New("regime, title, version and valid_from are required")
	}
	if r.Zone == "" || r.Zone == "Local" {
		return errors.New("zone: name the regime's own time zone, such as America/Los_Angeles")
	}
	loc, err := time.LoadLocation(r.Zone)
	if err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	r.loc = loc
	for _, c := range []struct {
		name, id string
		into     **Calendar
	}{{"due", r.CalendarIDs.Due, &r.due}, {"alarm", r.CalendarIDs.Alarm, &r.alarm}, {"roll", r.CalendarIDs.Roll, &r.roll}} {
		if c.id == "" {
			continue
		}
		if *c.into = calendars[c.id]; *c.into == nil {
			return fmt.Errorf("calendars.%s: there is no calendar %q", c.name, c.id)
		}
	}
	return errors.Join(r.checkClocks(), r.checkRules(), r.checkConduct(), r.checkCatalogues())
}

func (r *regime) checkClocks() error {
	var errs []error
	for name, c := range map[string]*clock{
		"acknowledge": r.Clocks.Acknowledge, "stop": r.Clocks.Stop, "respond": r.Clocks.Respond,
		"extended": r.Clocks.Extended, "look_back": r.Clocks.LookBack, "no_reask": r.Clocks.NoReask,
		"keep_record": r.Clocks.KeepRecord,
	} {
		if c == nil {
			continue
		}
		if err := r.checkClock(c); err != nil {
			errs = append(errs, fmt.Errorf("clocks.%s: %w", name, err))
		}
	}
	for name, c := range map[string]*clock{
		"look_back": r.Clocks.LookBack, "no_reask": r.Clocks.NoReask, "keep_record": r.Clocks.KeepRecord,
	} {
		if c != nil && c.Unit != months {
			errs = append(errs, fmt.Errorf("clocks.%s: unit must be months", name))
		}
	}
	return errors.Join(errs...)
}

func (r *regime) checkClock(c *clock) error {
	if len(c.Rights) == 0 {
		return errors.New("rights is required")
	}
	for _, right := range c.Rights {
		if !right.Valid() {
			return fmt.Errorf("unknown right %q", right)
		}
	}
	switch c.Unit {
	case days, months:
	case businessDays:
		if r.due == nil {
			return errors.New("business_days needs calendars.due")
		}
	default:
		return fmt.Errorf("unit %q: want days, business_days or months", c.Unit)
	}
	return errors.Join(checkRule(r, rule[int]{c.Citation, c.Values}, positive))
}

func (r *regime) checkRules() error {
	var errs []error
	fail := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	if r.LookBackFloor != nil {
		fail("look_back_floor", checkRule(r, *r.LookBackFloor, func(d request.Date) bool { return !d.IsZero() }))
	}
	if r.KnowLimit != nil {
		fail("know_limit", checkRule(r, *r.KnowLimit, positive))
	}
	if r.Cycle != nil {
		fail("cycle", checkRule(r, *r.Cycle, positive))
	}
	if r.DeleteScope != nil {
		fail("delete_scope", checkRule(r, *r.DeleteScope, func(s request.DeleteScope) bool {
			return s == request.Provided || s == request.CollectedFrom || s == request.AboutAny
		}))
	}
	for right, level := range r.Levels {
		if !right.Verifiable() {
			fail("levels", fmt.Errorf("%q is not a right that is verified", right))
		}
		fail("levels."+string(right), checkRule(r, level, request.Level.Valid))
	}
	return errors.Join(errs...)
}

func positive(n int) bool { return n > 0 }

// checkRule demands that a rule's values follow each other without a gap or an
// overlap for as long as the regime is in force.
func checkRule[T any](r *regime, u rule[T], valid func(T) bool) error {
	if u.Citation == "" {
		return errors.New("citation is required")
	}
	if len(u.Values) == 0 {
		return errors.New("values is required")
	}
	from := r.ValidFrom
	for i, v := range u.Values {
		if v.ValidFrom != from {
			return fmt.Errorf("values[%d]: valid_from is %s and must be %s, so that there is no gap and no overlap", i, v.ValidFrom, from)
		}
		if !valid(v.Value) {
			return fmt.Errorf("values[%d]: value is missing or not allowed", i)
		}
		last := i == len(u.Values)-1
		switch {
		case last && v.ValidTo != r.ValidTo:
			return fmt.Errorf("values[%d]: the last value must last as long as the regime", i)
		case !last && (v.ValidTo.IsZero() || v.ValidTo.Before(v.ValidFrom)):
			return fmt.Errorf("values[%d]: valid_to is missing or before valid_from", i)
		}
		from = v.ValidTo.AddDays(1)
	}
	return nil
}

// at returns the value for a day that checkRule made sure of.
func at[T any](values []dated[T], day request.Date) T {
	value := values[0].Value
	for _, v := range values[1:] {
		if !day.Before(v.ValidFrom) {
			value = v.Value
		}
	}
	return value
}
