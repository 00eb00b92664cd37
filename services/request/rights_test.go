package request

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever is done to a request to opt out or to limit, in whatever order, it
// never waits for a verification, is never held and never has one (11 CCR
// 7060(b), 7026(f)).
func TestNoPathFromOptOutToVerification_VE1(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		right := rapid.SampledFrom([]Right{OptOutSaleShare, LimitSPI, OptInSaleShare, OptInSPI}).Draw(rt, "right")
		r, err := New(NewID(), Submission{Right: right, TwoStep: right.OptsIn()}, terms(OptOutSaleShare))
		if err != nil {
			rt.Fatal(err)
		}
		now := receivedAt
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(40*24*time.Hour)).Draw(rt, "later")))
			act(rt, r, now)
			if _, has := r.Verification(); has || r.State() == AwaitingVerification || r.State() == Held || r.Level() != "" {
				rt.Fatalf("%s is %s, level %q", right, r.State(), r.Level())
			}
			if _, err := Restore(*r, right, r.State(), nil); err != nil {
				rt.Fatalf("what it became can't be stored: %v", err)
			}
		}
	})
}

// Whatever is done to a request that is verified, it is worked on only while an
// attestation of the level it needs stands and nothing holds it.
func TestWorkNeedsVerificationAndNoHold_VE3(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		right := rapid.SampledFrom([]Right{KnowCategories, KnowSpecific, Delete, Correct}).Draw(rt, "right")
		r, err := New(NewID(), Submission{Right: right, Minor: rapid.SampledFrom([]Minor{"", Under13}).Draw(rt, "minor")}, terms(right))
		if err != nil {
			rt.Fatal(err)
		}
		now := receivedAt
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*24*time.Hour)).Draw(rt, "later")))
			act(rt, r, now)
			if _, err := Restore(*r, right, r.State(), r.verification); err != nil {
				rt.Fatalf("what it became can't be stored: %v", err)
			}
			switch r.State() {
			case Accepted, Held, Resolving, Running, Packaging:
				v, ok := r.verification.(Verified)
				if !ok || !v.Level.AtLeast(r.Level()) {
					rt.Fatalf("%s without the verification it needs: %+v, needs %s", r.State(), r.verification, r.Level())
				}
				if r.Case.NeedsParent() && v.Parent == "" {
					rt.Fatalf("a child's request is %s without a parent", r.State())
				}
			}
			if held := r.Restrain(now); held != (r.State() == Held) {
				rt.Fatalf("held %v and %s", held, r.State())
			}
		}
	})
}

// act does one thing to a request, allowed or not.
func act(rt *rapid.T, r *Request, now time.Time) {
	level := rapid.SampledFrom([]Level{Reasonable, ReasonablyHigh}).Draw(rt, "level")
	id := ID("hold-" + rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "hold"))
	// Errors are the answer to what is not allowed; what must hold is checked after.
	switch rapid.IntRange(0, 11).Draw(rt, "act") {
	case 0:
		_ = r.Move(rapid.SampledFrom(States()).Draw(rt, "to"))
	case 1:
		v := Verified{Method: rapid.SampledFrom([]string{MethodAccountLogin, "declaration"}).Draw(rt, "method"), Level: level, At: now, By: "x"}
		v.Parent = rapid.SampledFrom([]string{"", "signed_consent"}).Draw(rt, "parent")
		_ = r.Attest(v)
	case 2:
		kind := rapid.SampledFrom([]HoldKind{LegalHold, PoliceHold, SuspicionHold, CoolingHold, OrderHold}).Draw(rt, "kind")
		_ = r.Hold(Hold{ID: id, Kind: kind, Ref: "7", Reason: "odd", Since: now, Until: now.AddDate(0, 0, 9)})
	case 3:
		_ = r.EndHold(id, "x", now)
	case 4:
		_ = r.RenewHold(id, now)
	case 5:
		_ = r.Raise(level)
	case 6:
		_ = r.Doubt()
	case 7:
		r.Restrain(now)
	case 8:
		_ = r.Confirm()
	case 9:
		_, _ = r.Lapse(now)
	case 10:
		_ = r.FailVerification(level, now)
	case 11:
		_ = r.Extend(DateOf(now, time.UTC), "late")
	}
}

func verifiedRequest(t testing.TB, right Right, level Level) *Request {
	t.Helper()
	r := submit(t, right)
	for _, err := range []error{r.Move(AwaitingVerification), r.Attest(Verified{Method: "declaration", Level: level, At: receivedAt, By: "x"}), r.Move(Accepted)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func TestPoliceDirection_DE12(t *testing.T) {
	r := verifiedRequest(t, Delete, Reasonable)
	if err := r.Hold(Hold{ID: "h", Kind: PoliceHold, Since: receivedAt}); !errors.Is(err, ErrHold) {
		t.Errorf("without a case number: %v", err)
	}
	if err := r.Hold(Hold{ID: "h", Kind: PoliceHold, Ref: "26-1182", Since: receivedAt}); err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return receivedAt.AddDate(0, 0, n) }
	if !r.Restrain(day(89)) || r.Public() != Running {
		t.Errorf("day 89: %s, told as %s", r.State(), r.Public())
	}
	if r.Restrain(day(91)) || r.State() != Accepted {
		t.Errorf("day 91 without renewal: %s", r.State())
	}
	if err := r.RenewHold("h", day(91)); !errors.Is(err, ErrHold) {
		t.Errorf("renewing one that ended: %v", err)
	}
	if err := r.RenewHold("h", day(80)); err != nil {
		t.Fatal(err)
	}
	if !r.Restrain(day(179)) || r.Restrain(day(181)) {
		t.Errorf("renewed by 90 days: %s", r.State())
	}
	if err := r.RenewHold("h", day(100)); !errors.Is(err, ErrHold) {
		t.Errorf("renewing twice: %v", err)
	}
	for _, right := range []Right{KnowSpecific, Correct} {
		if err := verifiedRequest(t, right, ReasonablyHigh).Hold(Hold{ID: "h", Kind: PoliceHold, Ref: "1", Since: receivedAt}); !errors.Is(err, ErrHold) {
			t.Errorf("a direction not to delete on %s: %v", right, err)
		}
	}
	if err := submit(t, OptOutSaleShare).Hold(Hold{ID: "h", Kind: LegalHold, Ref: "1", Since: receivedAt}); !errors.Is(err, ErrNeverHeld) {
		t.Errorf("holding an opt-out: %v", err)
	}
}

func TestSuspicionForcesAnotherCheck_VE3(t *testing.T) {
	r := verifiedRequest(t, Delete, ReasonablyHigh)
	if err := errors.Join(r.Hold(Hold{ID: "s", Kind: SuspicionHold, Reason: "log-in from a new country", Since: receivedAt}), r.Doubt()); err != nil {
		t.Fatal(err)
	}
	if r.State() != AwaitingVerification {
		t.Fatalf("a flagged account is %s", r.State())
	}
	login := Verified{Method: MethodAccountLogin, Level: ReasonablyHigh, At: receivedAt, By: "x"}
	if err := r.Attest(login); !errors.Is(err, ErrSuspicious) {
		t.Errorf("a valid log-in: %v", err)
	}
	other := Verified{Method: "data_points_and_declaration", Level: ReasonablyHigh, At: receivedAt, By: "x"}
	if err := errors.Join(r.Attest(other), r.Move(Accepted)); err != nil || r.Restrain(receivedAt) {
		t.Errorf("after the further check: %v, %s", err, r.State())
	}
}

func TestUnverifiedAtDay45_CL4_VE8_VE9(t *testing.T) {
	last := submit(t, Delete).LastCall()
	if day := DateOf(last, mustLoad(t)); day != today.AddDays(45) {
		t.Fatalf("the last call is on %s", day)
	}
	for _, c := range []struct {
		right   Right
		reached Level
		code    string
		child   Right
	}{
		{KnowSpecific, Reasonable, "unverified_specific", KnowCategories}, {KnowSpecific, "", "unverified_specific", ""},
		{KnowCategories, "", "unverified_categories", ""}, {Delete, Reasonable, "unverified_delete", ""}, {Correct, "", "unverified_correct", ""},
	} {
		r := submit(t, c.right)
		if err := r.Move(AwaitingVerification); err != nil {
			t.Fatal(err)
		}
		r.Case.Reached = c.reached
		if lapsed, err := r.Lapse(last.Add(-time.Second)); lapsed || err != nil {
			t.Errorf("%s lapsed early: %v", c.right, err)
		}
		lapsed, err := r.Lapse(last)
		if !lapsed || err != nil || r.State() != Closing || r.Ending.Result != ResultDenied || r.Ending.Code != c.code || r.Ending.Reason == "" {
			t.Fatalf("%s at day 45: %v, %s, %+v", c.right, err, r.State(), r.Ending)
		}
		if (len(r.Case.Children) == 1) != (c.child != "") {
			t.Fatalf("%s falls back to %+v", c.right, r.Case.Children)
		}
		if c.child == "" {
			continue
		}
		child, err := r.MakeChild(r.Case.Children[0], last)
		if err != nil {
			t.Fatal(err)
		}
		if child.Right() != c.child || child.State() != Accepted || child.Terms.Due != r.Terms.Due || child.Case.Origin != FromFallback || child.Case.Parent != r.ID {
			t.Errorf("the fallback is %s, %s, due %s", child.Right(), child.State(), child.AnswerBy())
		}
		if v, _ := child.Verification(); v.(Verified).Level != Reasonable {
			t.Errorf("the fallback is verified as %+v", v)
		}
	}
}

func mustLoad(t testing.TB) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestChildNeedsParent_IN10_OO10(t *testing.T) {
	r, err := New(NewID(), Submission{Right: Delete, Minor: Under13}, terms(Delete))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Move(AwaitingVerification); err != nil {
		t.Fatal(err)
	}
	v := attested
	if err := r.Attest(v); !errors.Is(err, ErrNoParent) {
		t.Errorf("without proof of the parent: %v", err)
	}
	if lapsed, err := r.Lapse(r.LastCall()); !lapsed || err != nil || r.Ending.Code != string(DenyNoParent) {
		t.Errorf("at day 45: %v, %+v", err, r.Ending)
	}
	// An opt-out of the same child asks for nothing.
	out, err := New(NewID(), Submission{Right: OptOutSaleShare, Minor: Under13}, terms(OptOutSaleShare))
	if err != nil || out.Move(Accepted) != nil {
		t.Errorf("a child's opt-out: %v", err)
	}
}

func TestDisputedFieldVerifiesNothing_VE7(t *testing.T) {
	r, err := New(NewID(), Submission{Right: Correct, Corrections: []Correction{{Field: "postal_code", Value: NewSecret("90210")}}}, terms(Correct))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Move(AwaitingVerification); err != nil {
		t.Fatal(err)
	}
	v := Verified{Method: "data_points", Level: Reasonable, At: receivedAt, By: "x", Points: []string{"phone", "postal_code"}}
	if err := r.Attest(v); !errors.Is(err, ErrLevelTooLow) {
		t.Errorf("with the disputed field as the second point: %v", err)
	}
	v.Points = []string{"phone", "phone"}
	if err := r.Attest(v); !errors.Is(err, ErrLevelTooLow) {
		t.Errorf("one point twice: %v", err)
	}
	v.Points = append(v.Points, "customer_since", "postal_code")
	if err := r.Attest(v); err != nil {
		t.Errorf("with two others: %v", err)
	}
}

func TestLookBackIsRefusedWithFactsOnly_KN11(t *testing.T) {
	r := submit(t, KnowSpecific)
	r.Terms.Due.LookBackFrom = today.AddDays(-365)
	r.Terms.Since = Date{2022, time.January, 1}
	for _, facts := range []map[string]string{
		nil, {"explanation": "disproportionate effort"}, {"systems": "4", "hours": "900", "cost": "80000"},
		{"explanation": "x", "systems": "4", "planted": "y"},
	} {
		if err := r.Narrow(facts); !errors.Is(err, ErrEvidence) {
			t.Errorf("facts %v: %v", facts, err)
		}
	}
	if err := r.Narrow(map[string]string{"explanation": "tapes are read one by one", "systems": "tape archive", "hours": "900"}); err != nil {
		t.Fatal(err)
	}
	if got := r.Since(); got != r.Terms.Due.LookBackFrom {
		t.Errorf("it reaches back to %s", got)
	}
	usual := submit(t, KnowSpecific)
	usual.Terms.Due.LookBackFrom, usual.Terms.Since = today.AddDays(-365), today.AddDays(-365)
	if err := usual.Narrow(map[string]string{"explanation": "x", "systems": "y", "hours": "z"}); !errors.Is(err, ErrTransition) {
		t.Errorf("narrowing the usual twelve months: %v", err)
	}
}

func TestRefusalNeedsWhatItsCodeDemands_RE9_OO9_CL9(t *testing.T) {
	for name, c := range map[string]struct {
		needs []string
		given map[string]string
		want  string
	}{
		"nothing needed": {nil, nil, ""}, "given": {[]string{"facts"}, map[string]string{"facts": "x"}, ""},
		"missing": {[]string{"facts", "document"}, map[string]string{"facts": "x"}, "evidence.document"}, "empty": {[]string{"facts"}, map[string]string{"facts": ""}, "evidence.facts"},
		"not asked": {[]string{"facts"}, map[string]string{"facts": "x", "gossip": "y"}, "evidence.gossip"}, "control": {[]string{"facts"}, map[string]string{"facts": "a\x00"}, "evidence.facts"},
	} {
		err := CheckEvidence(c.needs, c.given)
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, ErrEvidence) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTwoDifferentPeopleApprove_CL9(t *testing.T) {
	r := submit(t, Delete)
	if enough, err := r.Approve("cap/crm/900", "ana", receivedAt); enough || err != nil {
		t.Errorf("the first: %v, %v", enough, err)
	}
	if _, err := r.Approve("cap/crm/900", "ana", receivedAt); !errors.Is(err, ErrSamePerson) {
		t.Errorf("the same again: %v", err)
	}
	if _, err := r.Approve("cap/crm/900", "", receivedAt); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody: %v", err)
	}
	if enough, err := r.Approve("cap/crm/901", "ben", receivedAt); enough || err != nil {
		t.Errorf("another number: %v, %v", enough, err)
	}
	if enough, err := r.Approve("cap/crm/900", "ben", receivedAt); !enough || err != nil {
		t.Errorf("the second: %v, %v", enough, err)
	}
}

func TestKnowRequestsThatCount_CL8(t *testing.T) {
	r := submit(t, KnowSpecific)
	day := func(m time.Month, d int) Date { return Date{2026, m, d} }
	past := []Past{
		{ID: "a", Right: KnowSpecific, Result: ResultComplete, Day: day(1, 10)}, {ID: "a", Right: KnowSpecific, Result: ResultComplete, Day: day(1, 10)},
		{ID: "b", Right: KnowCategories, Result: ResultPartial, Day: day(6, 1)}, {ID: "c", Right: Delete, Result: ResultComplete, Day: day(6, 2)},
		{ID: "d", Right: Correct, Result: ResultComplete, Day: day(6, 3)}, {ID: "e", Right: KnowSpecific, Result: ResultDenied, Day: day(6, 4)},
		{ID: "f", Right: KnowCategories, Result: ResultComplete, Day: day(6, 5), Case: Case{Origin: FromFallback}}, {ID: r.ID, Right: KnowSpecific, Result: ResultComplete, Day: today},
	}
	if got := r.AnsweredKnow(past); len(got) != 2 || got[0] != day(1, 10) || got[1] != day(6, 1) {
		t.Errorf("they are %v", got)
	}
}

func TestRepeatedCorrection_CO3(t *testing.T) {
	of := func(papers bool, fields ...string) *Request {
		s := Submission{Right: Correct, NewPapers: papers}
		for _, f := range fields {
			s.Corrections = append(s.Corrections, Correction{Field: f, Value: NewSecret("x")})
		}
		r, err := New(NewID(), s, terms(Correct))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	past := []Past{{ID: "a", Right: Correct, Result: ResultDenied, Code: string(DenyAccurate), Day: today.AddDays(-150), Case: Case{Disputed: []string{"birth_date"}}}}
	recent := func(d Date) bool { return today.AddDays(-181).Before(d) }
	long := func(Date) bool { return false }
	for name, c := range map[string]struct {
		r      *Request
		barred func(Date) bool
		want   bool
	}{
		"month five":           {of(false, "birth_date"), recent, true},
		"with new papers":      {of(true, "birth_date"), recent, false},
		"month seven":          {of(false, "birth_date"), long, false},
		"another field":        {of(false, "street"), recent, false},
		"one of them is fresh": {of(false, "birth_date", "street"), recent, false},
	} {
		if got := c.r.Repeats(past, c.barred); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// KN-4: how an answer comes is chosen for requests to know alone, and holds for
// the request that follows when pieces can't be given out.
func TestAnswerByMail_KN4(t *testing.T) {
	for right, answers := range map[Right]map[Answer]bool{
		KnowSpecific: {AnswerHere: true, AnswerByMail: true, "pigeon": false}, KnowCategories: {AnswerByMail: true}, Delete: {AnswerHere: true, AnswerByMail: false},
	} {
		for answer, good := range answers {
			s := Submission{Regime: "us-ca-ccpa", Right: right, Identifiers: []Identifier{NewIdentifier(Email, "a@example.com")}, Answer: answer}
			if err := s.Validate(); (err == nil) != good {
				t.Errorf("%s by %q: %v", right, answer, err)
			}
		}
	}
	r, err := New(NewID(), Submission{Regime: "us-ca-ccpa", Right: KnowSpecific, Answer: AnswerByMail}, terms(KnowSpecific))
	if err != nil {
		t.Fatal(err)
	}
	if r.Case.Answer != AnswerByMail || r.Case.IsZero() {
		t.Errorf("the case is %+v", r.Case)
	}
	child, err := r.MakeChild(Child{ID: NewID(), Right: KnowCategories, Origin: FromFallback}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if child.Case.Answer != AnswerByMail {
		t.Errorf("what follows comes by %q", child.Case.Answer)
	}
}

func TestStatementOf250Words_CO2(t *testing.T) {
	words := func(n int) Secret { return NewSecret(strings.Repeat("planted ", n)) }
	if err := CheckStatement("diagnosis", words(250)); err != nil {
		t.Errorf("250 words: %v", err)
	}
	for name, err := range map[string]error{"251 words": CheckStatement("diagnosis", words(251)), "no words": CheckStatement("diagnosis", Secret{}), "no field": CheckStatement("", words(3))} {
		var errs FieldErrors
		if !errors.As(err, &errs) || strings.Contains(err.Error(), "planted") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChoice_OO6_OO10(t *testing.T) {
	at := func(n int) time.Time { return receivedAt.AddDate(0, 0, n) }
	year := today.AddDays(365)
	out := Past{ID: "o", Right: OptOutSaleShare, State: Running, Received: at(0), Due: Due{NoReask: year}}
	in := Past{ID: "i", Right: OptInSaleShare, State: Closing, Result: ResultComplete, Received: at(9)}
	child := Past{ID: "c", Right: Delete, Case: Case{Minor: From13}}
	limit := Past{ID: "l", Right: LimitSPI, State: Closed, Result: ResultComplete, Received: at(0), Due: Due{NoReask: year}}
	lift := Past{ID: "k", Right: OptInSPI, State: Closed, Result: ResultComplete, Received: at(9)}
	for name, c := range map[string]struct {
		past  []Past
		today Date
		want  Choice
	}{
		"never asked":            {nil, today, Choice{}},
		"opted out":              {[]Past{out}, today.AddDays(9), Choice{OptedOut: true, NoReask: year}},
		"a year later":           {[]Past{out}, year, Choice{OptedOut: true, NoReask: year, MayAsk: true}},
		"one step of opting in":  {[]Past{out, {ID: "i", Right: OptInSaleShare, State: Received, Received: at(9), Case: Case{Unconfirmed: true}}}, today.AddDays(10), Choice{OptedOut: true, NoReask: year}},
		"both steps":             {[]Past{out, in}, today.AddDays(10), Choice{NoReask: year}},
		"out again":              {[]Past{out, in, {ID: "p", Right: OptOutSaleShare, Received: at(20), Due: Due{NoReask: year.AddDays(20)}}}, today.AddDays(21), Choice{OptedOut: true, NoReask: year.AddDays(20)}},
		"refused as fraud":       {[]Past{{ID: "o", Right: OptOutSaleShare, Result: ResultDenied, Received: at(0)}}, today, Choice{}},
		"15, never asked":        {[]Past{child}, today, Choice{OptedOut: true, Minor: From13}},
		"15, opted in by itself": {[]Past{child, in}, today, Choice{Minor: From13}},
		"limited":                {[]Past{limit}, today, Choice{Limited: true, NoReaskSPI: year}},
		"limited for a year":     {[]Past{limit}, year, Choice{Limited: true, NoReaskSPI: year, MayAskSPI: true}},
		"one step of lifting":    {[]Past{limit, {ID: "k", Right: OptInSPI, State: Received, Received: at(9), Case: Case{Unconfirmed: true}}}, today, Choice{Limited: true, NoReaskSPI: year}},
		"lifted in two steps":    {[]Past{limit, lift}, today, Choice{NoReaskSPI: year}},
		"limited again":          {[]Past{limit, lift, {ID: "m", Right: LimitSPI, Received: at(20), Due: Due{NoReask: year}}}, today, Choice{Limited: true, NoReaskSPI: year}},
		"each by itself":         {[]Past{out, limit, lift}, today, Choice{OptedOut: true, NoReask: year, NoReaskSPI: year}},
		"and the other way":      {[]Past{out, in, limit}, today, Choice{NoReask: year, Limited: true, NoReaskSPI: year}},
	} {
		if got := ChoiceOf(c.past, c.today); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	for _, right := range []Right{OptInSaleShare, OptInSPI} {
		r, err := New(NewID(), Submission{Right: right, TwoStep: true}, terms(OptOutSaleShare))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(Ending{Result: ResultComplete}); !errors.Is(err, ErrUnconfirmed) {
			t.Errorf("%s with one step: %v", right, err)
		}
		if err := errors.Join(r.Confirm(), r.Close(Ending{Result: ResultComplete})); err != nil {
			t.Errorf("%s with two: %v", right, err)
		}
	}
}

func TestTwoStepDeletion_IN5(t *testing.T) {
	r, err := New(NewID(), Submission{Right: Delete, TwoStep: true}, terms(Delete))
	if err != nil {
		t.Fatal(err)
	}
	due := r.AnswerBy()
	if err := r.Move(AwaitingVerification); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("going on after one step: %v", err)
	}
	if err := errors.Join(r.Confirm(), r.Confirm(), r.Move(AwaitingVerification)); err != nil {
		t.Fatal(err)
	}
	if r.AnswerBy() != due || due != today.AddDays(45) {
		t.Errorf("due on %s, want day 45 from the first step", r.AnswerBy())
	}
	never, err := New(NewID(), Submission{Right: Delete, TwoStep: true}, terms(Delete))
	if err != nil {
		t.Fatal(err)
	}
	if lapsed, err := never.Lapse(never.LastCall()); !lapsed || err != nil || never.Ending.Code != string(DenyUnconfirmed) {
		t.Errorf("never confirmed: %v, %+v", err, never.Ending)
	}
}

func TestRaise_VE6(t *testing.T) {
	r := verifiedRequest(t, Delete, Reasonable)
	if err := r.Raise(Reasonable); err != nil || r.State() != Accepted {
		t.Errorf("a level that is reached: %v, %s", err, r.State())
	}
	if err := r.Raise(ReasonablyHigh); err != nil || r.State() != AwaitingVerification || r.Level() != ReasonablyHigh {
		t.Fatalf("a higher one: %v, %s", err, r.State())
	}
	if err := r.Attest(Verified{Method: "declaration", Level: Reasonable, At: receivedAt, By: "x"}); !errors.Is(err, ErrLevelTooLow) {
		t.Errorf("the old level: %v", err)
	}
	high := verifiedRequest(t, Delete, ReasonablyHigh)
	if err := high.Raise(ReasonablyHigh); err != nil || high.State() != Accepted {
		t.Errorf("one that has it already: %v, %s", err, high.State())
	}
}

func TestReservedRights(t *testing.T) {
	for _, r := range ReservedRights() {
		if _, err := ParseRight(string(r)); err == nil || r.Valid() || !strings.Contains(err.Error(), "reserved") {
			t.Errorf("%s: %v", r, err)
		}
	}
}
