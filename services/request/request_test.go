package request

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	receivedAt = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)
	today      = Date{2026, time.November, 22}
	attested   = Verified{Method: "account_login", Level: ReasonablyHigh, At: receivedAt.Add(time.Hour), By: "operator:ana"}
)

func terms(right Right) Terms {
	t := Terms{Received: receivedAt, Due: Due{Regime: "us-ca-ccpa", RuleVersion: "1", Zone: "America/Los_Angeles", Received: today}}
	if right.Verifiable() {
		t.Level = Reasonable
		t.Due.Respond, t.Due.Extended = today.AddDays(45), today.AddDays(90)
	} else {
		t.Due.Stop = today.AddDays(21)
	}
	return t
}

func submit(t testing.TB, right Right) *Request {
	t.Helper()
	r, err := New(NewID(), Submission{Regime: "us-ca-ccpa", Right: right, Channel: ChannelWeb}, terms(right))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOptOutHasNoVerification_VE1(t *testing.T) {
	for _, right := range []Right{OptOutSaleShare, LimitSPI} {
		r := submit(t, right)
		if v, ok := r.Verification(); ok || v != nil {
			t.Errorf("%s: verification %v", right, v)
		}
		if err := r.Attest(attested); !errors.Is(err, ErrNeverVerified) {
			t.Errorf("%s: attesting: %v", right, err)
		}
		for _, v := range []Verification{attested, Unverified{}} {
			if _, err := Restore(*r, right, Received, v); !errors.Is(err, ErrNeverVerified) {
				t.Errorf("%s: restoring with %T: %v", right, v, err)
			}
		}
		if _, err := Restore(*r, right, AwaitingVerification, nil); !errors.Is(err, ErrNeverVerified) {
			t.Errorf("%s: restoring as awaiting verification: %v", right, err)
		}
		if _, err := New(NewID(), Submission{Right: right}, terms(Delete)); !errors.Is(err, ErrNeverVerified) {
			t.Errorf("%s: terms that want a level: %v", right, err)
		}
		if err := r.Move(Accepted); err != nil {
			t.Errorf("%s: accepting: %v", right, err)
		}
	}
}

func TestAttest(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Request, *Verified)
		want   error
	}{
		"enough":         {func(*Request, *Verified) {}, nil},
		"lower is fine":  {func(_ *Request, v *Verified) { v.Level = Reasonable }, nil},
		"too low":        {func(r *Request, v *Verified) { r.Terms.Level, v.Level = ReasonablyHigh, Reasonable }, ErrLevelTooLow},
		"already":        {func(r *Request, _ *Verified) { r.verification = Verified{Method: "other"} }, ErrAlreadyVerified},
		"same again":     {func(r *Request, v *Verified) { r.verification = *v }, nil},
		"past waiting":   {func(r *Request, _ *Verified) { r.state = Closing }, ErrTransition},
		"unknown level":  {func(_ *Request, v *Verified) { v.Level = "certain" }, errAny},
		"no level":       {func(_ *Request, v *Verified) { v.Level = "" }, errAny},
		"no method":      {func(_ *Request, v *Verified) { v.Method = "" }, errAny},
		"wordy method":   {func(_ *Request, v *Verified) { v.Method = "She showed her passport" }, errAny},
		"no time":        {func(_ *Request, v *Verified) { v.At = time.Time{} }, errAny},
		"nobody attests": {func(_ *Request, v *Verified) { v.By = "" }, errAny},
	} {
		t.Run(name, func(t *testing.T) {
			r, v := submit(t, Delete), attested
			c.change(r, &v)
			before, _ := r.Verification()
			err := r.Attest(v)
			if err == nil && c.want != nil || err != nil && c.want != errAny && !errors.Is(err, c.want) { //nolint:errorlint // errAny is a mark of this table and never returned
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if after, _ := r.Verification(); err != nil && !cmp.Equal(after, before) {
				t.Errorf("a refused attestation changed the request")
			}
		})
	}
}

var errAny = errors.New("any error")

func TestAcceptNeedsVerification(t *testing.T) {
	r := submit(t, KnowSpecific)
	if err := r.Move(Accepted); !errors.Is(err, ErrTransition) {
		t.Errorf("straight to accepted: %v", err)
	}
	if err := r.Move(AwaitingVerification); err != nil {
		t.Fatal(err)
	}
	if err := r.Move(Accepted); !errors.Is(err, ErrNotVerified) {
		t.Errorf("unverified to accepted: %v", err)
	}
	if r.State() != AwaitingVerification {
		t.Errorf("state %s after a refusal", r.State())
	}
	if err := r.Attest(attested); err != nil {
		t.Fatal(err)
	}
	if err := r.Move(Accepted); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(*r, KnowSpecific, Running, Unverified{}); !errors.Is(err, ErrNotVerified) {
		t.Errorf("restoring an unverified running request: %v", err)
	}
}

func TestVerifyingLateMovesNoDate_CL2(t *testing.T) {
	r := submit(t, Delete)
	before := r.Terms.Due
	late := attested
	late.At = receivedAt.AddDate(0, 0, 40)
	if err := r.Attest(late); err != nil {
		t.Fatal(err)
	}
	if r.Terms.Due != before || r.AnswerBy() != today.AddDays(45) {
		t.Errorf("due changed to %v", r.Terms.Due.Dates())
	}
}

func TestExtend_CL3(t *testing.T) {
	r := submit(t, Delete)
	if err := r.Extend(today.AddDays(46), "many systems"); !errors.Is(err, ErrExtension) {
		t.Errorf("on day 46: %v", err)
	}
	if err := r.Extend(today.AddDays(45), ""); !errors.Is(err, ErrNoReason) {
		t.Errorf("without a reason: %v", err)
	}
	if err := r.Extend(today.AddDays(45), "many systems"); err != nil {
		t.Errorf("on day 45: %v", err)
	}
	if r.AnswerBy() != today.AddDays(90) {
		t.Errorf("answer by %s, want 90 days from receipt", r.AnswerBy())
	}
	if err := r.Extend(today.AddDays(45), "more"); !errors.Is(err, ErrExtension) {
		t.Errorf("twice: %v", err)
	}
	if err := submit(t, OptOutSaleShare).Extend(today, "busy"); !errors.Is(err, ErrExtension) {
		t.Errorf("an opt-out: %v", err)
	}
	closed := submit(t, Delete)
	if err := closed.Close(Ending{Result: ResultCancelled, Code: "withdrawn", Reason: "withdrawn"}); err != nil {
		t.Fatal(err)
	}
	if err := closed.Extend(today, "busy"); !errors.Is(err, ErrExtension) {
		t.Errorf("a closing request: %v", err)
	}
}

func TestDenialNeedsCodeAndText_RE9(t *testing.T) {
	for _, e := range []Ending{
		{Result: ResultDenied},
		{Result: ResultDenied, Code: "unverified"},
		{Result: ResultDenied, Reason: "We could not verify who you are."},
		{Result: ResultDenied, Code: "Not A Code", Reason: "text"},
		{Result: ResultCancelled},
		{Result: ResultDenied, Code: "unverified", Reason: "nul\x00"},
	} {
		if err := submit(t, Delete).Close(e); !errors.Is(err, ErrNoReason) {
			t.Errorf("%+v: %v", e, err)
		}
	}
	r := submit(t, Delete)
	if err := r.Close(Ending{Result: ResultComplete}); !errors.Is(err, ErrTransition) {
		t.Errorf("complete without any work: %v", err)
	}
	if err := r.Move(Closing); !errors.Is(err, ErrTransition) {
		t.Errorf("closing without an ending: %v", err)
	}
	if err := r.Close(Ending{Result: ResultDenied, Code: "unverified", Reason: "We could not verify who you are."}); err != nil {
		t.Fatal(err)
	}
	if err := r.Move(Closed); err != nil || r.State() != Closed {
		t.Errorf("closing: %v, state %s", err, r.State())
	}
}

func TestRestoreRefusesWhatCannotBe(t *testing.T) {
	good := *submit(t, Delete)
	for name, c := range map[string]struct {
		change func(*Request)
		right  Right
		state  State
		v      Verification
	}{
		"unknown right":        {nil, "forget", Received, Unverified{}},
		"unknown state":        {nil, Delete, "lost", Unverified{}},
		"no verification":      {nil, Delete, Received, nil},
		"closed without end":   {nil, Delete, Closed, attested},
		"ended while running":  {func(r *Request) { r.Ending = &Ending{Result: ResultComplete} }, Delete, Running, attested},
		"never received":       {func(r *Request) { r.Terms.Received = time.Time{} }, Delete, Received, Unverified{}},
		"no level":             {func(r *Request) { r.Terms.Level = "" }, Delete, Received, Unverified{}},
		"verified not enough":  {func(r *Request) { r.Terms.Level = ReasonablyHigh }, Delete, Running, Verified{Method: "m", Level: Reasonable, At: receivedAt, By: "b"}},
		"half a verification":  {nil, Delete, Running, Verified{Level: ReasonablyHigh}},
		"opt-out with a level": {nil, OptOutSaleShare, Received, nil},
	} {
		r := good
		if c.change != nil {
			c.change(&r)
		}
		if _, err := Restore(r, c.right, c.state, c.v); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
	r, err := Restore(good, Delete, Running, attested)
	if err != nil || r.Right() != Delete || r.State() != Running {
		t.Errorf("a good one: %v", err)
	}
}

// Whatever is tried in whatever order, a request stays one that can be stored
// and restored, and work never starts for somebody nobody vouched for.
func TestAnyOrderOfStepsStaysSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		right := rapid.SampledFrom(Rights()).Draw(rt, "right")
		r := submit(t, right)
		for range rapid.IntRange(0, 30).Draw(rt, "steps") {
			before := r.State()
			var err error
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				err = r.Attest(attested)
			case 1, 2:
				err = r.Move(rapid.SampledFrom(States()).Draw(rt, "to"))
			case 3:
				err = r.Close(Ending{Result: rapid.SampledFrom(Results()).Draw(rt, "result"), Code: "code", Reason: "reason"})
			}
			if err != nil && r.State() != before {
				rt.Fatalf("a refused step moved %s to %s", before, r.State())
			}
			v, ok := r.Verification()
			if ok != right.Verifiable() {
				rt.Fatalf("%s: verification %v", right, v)
			}
			if _, done := v.(Verified); right.Verifiable() && !done && (r.State() == Running || r.State() == Packaging) {
				rt.Fatalf("%s runs unverified", right)
			}
			if _, err := Restore(*r, right, r.State(), v); err != nil {
				rt.Fatalf("cannot restore: %v", err)
			}
		}
	})
}

func TestID(t *testing.T) {
	a, b := NewID(), NewID()
	if a == b || a > b {
		t.Errorf("%s and %s: want different and in order", a, b)
	}
	if got, err := ParseID(string(a)); err != nil || got != a {
		t.Errorf("parsing %s: %v", a, err)
	}
	for _, bad := range []string{"", "x", strings.ToUpper(string(a)), "{" + string(a) + "}", "urn:uuid:" + string(a), "00000000-0000-4000-8000-000000000000"} {
		if _, err := ParseID(bad); !errors.Is(err, ErrID) {
			t.Errorf("parsing %q: %v", bad, err)
		}
	}
}

func TestRight(t *testing.T) {
	for _, r := range Rights() {
		if got, err := ParseRight(string(r)); err != nil || got != r || !r.Action().Valid() {
			t.Errorf("%s: %v, action %q", r, err, r.Action())
		}
	}
	if _, err := ParseRight("forget"); err == nil || Right("forget").Valid() || Right("").Verifiable() {
		t.Error("an unknown right is taken for one")
	}
}

func TestDate(t *testing.T) {
	d, err := ParseDate("2028-02-29")
	if err != nil || d.AddDays(1).String() != "2028-03-01" || d.AddDays(-59).String() != "2028-01-01" || d.Weekday() != time.Tuesday {
		t.Errorf("%v, %v", d, err)
	}
	for _, bad := range []string{"2027-02-29", "2027-2-9", "x", "2027-02-09T00:00:00Z"} {
		if _, err := ParseDate(bad); err == nil {
			t.Errorf("%q is taken for a date", bad)
		}
	}
	var zero Date
	if err := zero.UnmarshalText(nil); err != nil || !zero.IsZero() || zero.String() != "" {
		t.Errorf("no day: %v, %q", err, zero)
	}
}

func TestInstantIsTheEndOfTheLocalDay(t *testing.T) {
	due := terms(Delete).Due
	got, err := due.Instant(Date{2027, time.March, 14}) // clocks go forward that day
	if err != nil || !got.Equal(time.Date(2027, 3, 15, 7, 0, 0, 0, time.UTC)) {
		t.Errorf("%v, %v", got, err)
	}
	due.Zone = "Mars/Olympus"
	if _, err := due.Instant(today); err == nil {
		t.Error("an unknown zone is taken")
	}
}
