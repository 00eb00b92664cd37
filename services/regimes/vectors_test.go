package regimes_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// vectors are dates worked out by hand and by two other programs.
type vectors struct {
	Meta struct {
		Calendars     map[string][][2]string `json:"calendars"`
		SaturdayOpen  map[string]bool        `json:"saturday_is_business_day"`
		JudicialDates []request.Date         `json:"judicial_roll_calendar"`
	} `json:"meta"`
	Clocks []struct {
		ReceivedOn         request.Date            `json:"received_on"`
		AckDue             map[string]request.Date `json:"ack_due"`
		OptOutDue          map[string]request.Date `json:"optout_due"`
		ResponseDue        request.Date            `json:"response_due"`
		ResponseDueCCP12a  request.Date            `json:"response_due_ccp12a"`
		ResponseDueDay1    request.Date            `json:"response_due_day1"`
		ExtensionNoticeBy  request.Date            `json:"extension_notice_by"`
		ExtendedDue        request.Date            `json:"extended_due"`
		LookbackFrom       request.Date            `json:"lookback_from"`
		LookbackFloor      request.Date            `json:"lookback_floor"`
		NoReaskBefore      request.Date            `json:"no_reask_before"`
		KeepUntilAtLeast   request.Date            `json:"keep_record_until_at_least"`
		ResponseDueWeekday string                  `json:"response_due_wd"`
		ExtendedDueWeekday string                  `json:"extended_due_wd"`
		ReceivedWeekday    string                  `json:"weekday"`
	} `json:"clocks"`
	KnowLimit []struct {
		Answered   []request.Date `json:"answered"`
		New        request.Date   `json:"new"`
		MayDecline bool           `json:"may_decline"`
	} `json:"know_limit"`
	ReceiptLocalDate []struct {
		UTC  time.Time    `json:"utc"`
		Date request.Date `json:"america_los_angeles"`
	} `json:"receipt_local_date"`
	DropNextAccess []struct {
		Last   request.Date `json:"last"`
		NextBy request.Date `json:"next_by"`
	} `json:"drop_next_access"`
	GDPR []struct {
		Received         request.Date `json:"received"`
		Due              request.Date `json:"due"`
		DueWeekendRolled request.Date `json:"due_weekend_rolled"`
		Extended         request.Date `json:"extended"`
	} `json:"gdpr_12_3"`
}

// loadVectors reads law.json from the folder HABEAS_VECTORS or, where it is not
// set, from shared/vectors beside the repository. Without either the test is
// skipped, but not in CI.
func loadVectors(t *testing.T) vectors {
	t.Helper()
	dir := os.Getenv("HABEAS_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(dir, "law.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "":
		t.Skip("no law.json: set HABEAS_VECTORS to the folder of the test vectors")
	case err != nil:
		t.Fatalf("reading the date vectors: %v", err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("reading law.json: %v", err)
	}
	if len(v.Clocks) == 0 || len(v.Meta.Calendars) == 0 || len(v.KnowLimit) == 0 ||
		len(v.ReceiptLocalDate) == 0 || len(v.DropNextAccess) == 0 || len(v.GDPR) == 0 {
		t.Fatal("law.json lacks a section")
	}
	return v
}

func load(t *testing.T) *regimes.Set {
	t.Helper()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const ccpa = "us-ca-ccpa"

// noonOn returns an instant in the middle of a Pacific day.
func noonOn(d request.Date) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 20, 0, 0, 0, time.UTC)
}

func clocks(t *testing.T, set *regimes.Set, on request.Date, right request.Right) request.Due {
	t.Helper()
	terms, err := set.Terms(ccpa, noonOn(on), right, request.Range{})
	if err != nil {
		t.Fatal(err)
	}
	return terms.Due
}

func TestVectorsCalendars_CL6(t *testing.T) {
	v, set := loadVectors(t), load(t)
	lists := map[string][]request.Date{"us-ca-judicial": v.Meta.JudicialDates}
	for id, days := range v.Meta.Calendars {
		for _, d := range days {
			day, err := request.ParseDate(d[0])
			if err != nil {
				t.Fatal(err)
			}
			lists[id] = append(lists[id], day)
		}
	}
	for id, holidays := range lists {
		t.Run(id, func(t *testing.T) {
			calendar, err := set.Calendar(id)
			if err != nil {
				t.Fatal(err)
			}
			last := slices.MaxFunc(holidays, request.Date.Compare)
			for d := (request.Date{Year: 2026, Month: 1, Day: 1}); !d.After(last); d = d.AddDays(1) {
				weekend := d.Weekday() == time.Sunday || d.Weekday() == time.Saturday && !v.Meta.SaturdayOpen[id]
				want := !weekend && !slices.Contains(holidays, d)
				got, err := calendar.Open(d)
				if err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("%s %s: open = %v, want %v", d, d.Weekday(), got, want)
				}
			}
		})
	}
}

func TestVectorsBusinessDays_CL1_CL5_CL6_OO6(t *testing.T) {
	v, set := loadVectors(t), load(t)
	for _, c := range v.Clocks {
		t.Run(c.ReceivedOn.String(), func(t *testing.T) {
			for id, want := range c.AckDue {
				checkAdd(t, set, id, c.ReceivedOn, 10, want)
			}
			for id, want := range c.OptOutDue {
				checkAdd(t, set, id, c.ReceivedOn, 15, want)
			}
			del := clocks(t, set, c.ReceivedOn, request.Delete)
			if got, want := del.Acknowledge, c.AckDue["us-ca-conservative"]; got != want {
				t.Errorf("acknowledge = %s, want %s", got, want)
			}
			if got, want := del.AcknowledgeAlarm, c.AckDue["us-ca-civil-strict"]; got != want {
				t.Errorf("acknowledge alarm = %s, want %s", got, want)
			}
			for _, right := range []request.Right{request.OptOutSaleShare, request.LimitSPI} {
				due := clocks(t, set, c.ReceivedOn, right)
				if got, want := due.Stop, c.OptOutDue["us-ca-conservative"]; got != want {
					t.Errorf("%s: stop = %s, want %s", right, got, want)
				}
				if got, want := due.StopAlarm, c.OptOutDue["us-ca-civil-strict"]; got != want {
					t.Errorf("%s: stop alarm = %s, want %s", right, got, want)
				}
				if got, want := due.NoReask, c.NoReaskBefore; got != want {
					t.Errorf("%s: no re-ask before %s, want %s", right, got, want)
				}
			}
		})
	}
}

func checkAdd(t *testing.T, set *regimes.Set, calendar string, from request.Date, n int, want request.Date) {
	t.Helper()
	c, err := set.Calendar(calendar)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Add(from, n)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s: %d business days from %s = %s, want %s", calendar, n, from, got, want)
	}
}

func TestVectorsDays_CL2_CL3_IN8_RE1(t *testing.T) {
	v, set := loadVectors(t), load(t)
	for _, c := range v.Clocks {
		t.Run(c.ReceivedOn.String(), func(t *testing.T) {
			due := clocks(t, set, c.ReceivedOn, request.KnowSpecific)
			got := map[string]string{
				"respond": due.Respond.String(), "rolled": due.RespondRolled.String(), "alarm": due.RespondAlarm.String(),
				"extended": due.Extended.String(), "look back": due.LookBackFrom.String(), "floor": due.LookBackFloor.String(),
				"keep": due.KeepUntil.String(), "extension notice": due.Respond.String(),
				"received weekday": due.Received.Weekday().String()[:3],
				"respond weekday":  due.Respond.Weekday().String()[:3],
				"extended weekday": due.Extended.Weekday().String()[:3],
			}
			want := map[string]string{
				"respond": c.ResponseDue.String(), "rolled": c.ResponseDueCCP12a.String(), "alarm": c.ResponseDueDay1.String(),
				"extended": c.ExtendedDue.String(), "look back": c.LookbackFrom.String(), "floor": c.LookbackFloor.String(),
				"keep": c.KeepUntilAtLeast.String(), "extension notice": c.ExtensionNoticeBy.String(),
				"received weekday": c.ReceivedWeekday,
				"respond weekday":  c.ResponseDueWeekday,
				"extended weekday": c.ExtendedDueWeekday,
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("dates (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVectorsKnowLimit_CL8(t *testing.T) {
	v, set := loadVectors(t), load(t)
	for _, c := range v.KnowLimit {
		rules, err := set.At(ccpa, c.New)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules.MayDeclineKnow(c.Answered); got != c.MayDecline {
			t.Errorf("new on %s: may decline = %v, want %v", c.New, got, c.MayDecline)
		}
	}
}

func TestVectorsReceiptDate_CL7(t *testing.T) {
	v, set := loadVectors(t), load(t)
	for _, c := range v.ReceiptLocalDate {
		got, err := set.ReceiptDate(ccpa, c.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if got != c.Date {
			t.Errorf("%s: receipt date = %s, want %s", c.UTC, got, c.Date)
		}
	}
}

func TestVectorsNextAccess_CL10_DR1(t *testing.T) {
	v, set := loadVectors(t), load(t)
	for _, c := range v.DropNextAccess {
		got, err := set.NextAccess("us-ca-delete-act", c.Last)
		if err != nil {
			t.Fatal(err)
		}
		if got != c.NextBy {
			t.Errorf("last %s: next by %s, want %s", c.Last, got, c.NextBy)
		}
	}
}

func TestVectorsMonths_RG1(t *testing.T) {
	v, set := loadVectors(t), load(t)
	if err := set.Confirm("eu-gdpr"); err != nil {
		t.Fatal(err)
	}
	for _, c := range v.GDPR {
		terms, err := set.Terms("eu-gdpr", noonOn(c.Received), request.KnowSpecific, request.Range{})
		if err != nil {
			t.Fatal(err)
		}
		got := []request.Date{terms.Due.Respond, terms.Due.RespondRolled, terms.Due.Extended}
		want := []request.Date{c.Due, c.DueWeekendRolled, c.Extended}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("received %s (-want +got):\n%s", c.Received, diff)
		}
	}
}
