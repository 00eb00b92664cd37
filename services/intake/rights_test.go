package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func body(right string, more string) string {
	return `{"right":"` + right + `","identifiers":[{"kind":"email","value":"jane@example.com"}]` + more + `}`
}

const verifiedHigh = `,"verification":{"method":"account_login","level":"reasonably_high"}`

// ends finishes a request as the coordinator would.
func (r *rig) ends(id request.ID, e request.Ending) {
	r.t.Helper()
	_, err := r.store.Store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		s.Changed = true
		if e.Result.Answered() {
			if err := s.Request.Move(request.Running); err != nil {
				return err
			}
			if s.Request.Right().Packaged() {
				if err := s.Request.Move(request.Packaging); err != nil {
					return err
				}
			}
		}
		return s.Request.Close(e)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) at(t time.Time) { r.room.Now = func() time.Time { return t } }

func (r *rig) notices() (kinds []string) {
	r.t.Helper()
	all, err := r.store.Store.Notices(r.t.Context(), 100)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, n := range all {
		kinds = append(kinds, string(n.Kind))
	}
	slices.Sort(kinds)
	return kinds
}

func (r *rig) decisionsOf(id request.ID) (out []string) {
	r.t.Helper()
	records, err := r.store.Store.Unlogged(r.t.Context(), now.AddDate(10, 0, 0), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range records {
		if rec.RequestID != id || rec.Type != string(wire.RecordDecision) {
			continue
		}
		parsed, err := wire.ParseRecord(rec.Envelope)
		if err != nil {
			r.t.Fatal(err)
		}
		d := parsed.Predicate.(*habeasv1.DecisionRecord)
		out = append(out, strings.TrimSpace(d.GetDecision()+" "+d.GetCode()))
	}
	return out
}

func TestUndesignatedCountsAllTheSame_IN2_CL1(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		v := r.post("/v1/requests", body("delete", `,"channel":"support_chat"`)).view(http.StatusCreated)
		if !v.Undesignated || v.Due["respond"] != "2026-04-16" || v.Due["acknowledge"] == "" {
			t.Errorf("it is %+v", v)
		}
		if got := r.notices(); !slices.Equal(got, []string{"fix_it", "receipt"}) {
			t.Errorf("to be told: %v", got)
		}
		if v := r.post("/v1/requests", body("delete", `,"channel":"web"`)).view(http.StatusCreated); v.Undesignated {
			t.Error("the web form is undesignated")
		}
		r.room.Channels = []request.Channel{request.ChannelEmail}
		if v := r.post("/v1/requests", body("delete", `,"channel":"web"`)).view(http.StatusCreated); !v.Undesignated {
			t.Error("a channel the company did not name is designated")
		}
		// An opt-out gets no receipt to wait for.
		r.room.Channels = nil
		before := len(r.notices())
		r.submit(optOut)
		if got := r.notices(); len(got) != before {
			t.Errorf("an opt-out is told %v", got)
		}
	})
}

func TestSecondStep_IN5_OO6(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		v := r.post("/v1/requests", body("delete", `,"two_step":true`+verifiedHigh)).view(http.StatusCreated)
		if v.State != request.Received || !v.Unconfirmed || v.Due["respond"] != "2026-04-16" {
			t.Fatalf("after one step it is %+v", v)
		}
		r.at(now.AddDate(0, 0, 5))
		confirmed := r.post("/v1/requests/"+string(v.ID)+"/confirm", "").view(http.StatusOK)
		if confirmed.State != request.Accepted || confirmed.Due["respond"] != "2026-04-16" {
			t.Errorf("confirmed on day 5 it is %s, due %s", confirmed.State, confirmed.Due["respond"])
		}
		again := r.post("/v1/requests/"+string(v.ID)+"/confirm", "").view(http.StatusOK)
		if again.Version != confirmed.Version {
			t.Error("confirming twice changed it")
		}

		for _, right := range []request.Right{request.OptInSaleShare, request.OptInSPI} {
			in := r.post("/v1/requests", body(string(right), "")).view(http.StatusCreated)
			if in.State != request.Received || !in.Unconfirmed {
				t.Fatalf("one step of %s: %+v", right, in)
			}
			if v := r.post("/v1/requests/"+string(in.ID)+"/confirm", "").view(http.StatusOK); v.Result != request.ResultComplete || v.State != request.Closing {
				t.Errorf("two steps of %s: %+v", right, v)
			}
			stored, _, err := r.store.Get(t.Context(), in.ID)
			if err != nil || len(stored.Case.Children) != 1 || stored.Case.Children[0].Origin != request.FromConsent || stored.Case.Children[0].Right != right {
				t.Errorf("nobody will be told of %s: %+v, %v", right, stored.Case.Children, err)
			}
			never := r.post("/v1/requests", body(string(right), "")).view(http.StatusCreated)
			r.post("/v1/requests/"+string(never.ID)+"/deny", `{"code":"unverified_delete","reason":"x"}`).problem(http.StatusUnprocessableEntity)
			r.post("/v1/requests/"+string(never.ID)+"/deny", `{"code":"unconfirmed","reason":"It was not confirmed."}`).view(http.StatusOK)
		}
		r.post("/v1/requests", body("opt_out_sale_share", `,"two_step":true`)).problem(http.StatusUnprocessableEntity).names(t, "body.two_step")
	})
}

// RE-1: no caller can keep a request out of the log by calling it made up.
func TestNobodyMakesUp_RE1(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		r.post("/v1/requests", `{"right":"delete","channel":"probe","identifiers":[{"kind":"email","value":"jane@example.com"}]}`).
			problem(http.StatusUnprocessableEntity).names(t, "body.channel")
	})
}

// CL-5: an opt-out by a form counts wherever the choice is asked for, until an
// opt-in in two steps; what a signal did is left to who heard it.
func TestChoseElsewhere_CL5(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		chose := func(kind request.Kind, value string) bool {
			t.Helper()
			out, err := r.room.ChoseElsewhere(t.Context(), []request.Identifier{request.NewIdentifier(kind, value)})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if chose(request.Email, "jane@example.com") {
			t.Error("a stranger is opted out")
		}
		r.submit(optOut)
		r.submit(`{"right":"opt_out_sale_share","channel":"gpc","identifiers":[{"kind":"cookie_id","value":"c1"}]}`)
		if !chose(request.Email, "jane@example.com") || chose(request.CookieID, "c1") {
			t.Error("want the form alone to count")
		}
		r.at(time.Date(2027, 4, 2, 20, 0, 0, 0, time.UTC))
		in := r.post("/v1/requests", `{"right":"opt_in_sale_share","identifiers":[{"kind":"email","value":"jane@example.com"}]}`).view(http.StatusCreated)
		if !chose(request.Email, "jane@example.com") {
			t.Error("one step opted her in")
		}
		r.post("/v1/requests/"+string(in.ID)+"/confirm", "").want(http.StatusOK)
		if chose(request.Email, "jane@example.com") {
			t.Error("two steps did not opt her in")
		}
	})
}

func TestChoice_OO6_OO10(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		type choice struct {
			OptedOut bool   `json:"opted_out"`
			MayAsk   bool   `json:"may_ask"`
			NoReask  string `json:"no_reask_before"`
			Minor    string `json:"minor"`

			Limited    bool   `json:"limited"`
			MayAskSPI  bool   `json:"may_ask_spi"`
			NoReaskSPI string `json:"no_reask_spi_before"`
		}
		ask := func(email string) (c choice) {
			t.Helper()
			a := r.post("/v1/choices", `{"identifiers":[{"kind":"email","value":"`+email+`"}]}`)
			a.want(http.StatusOK)
			if err := json.Unmarshal(a.body, &c); err != nil {
				t.Fatal(err)
			}
			return c
		}
		if got := ask("jane@example.com"); got != (choice{}) {
			t.Errorf("a stranger: %+v", got)
		}
		r.submit(optOut)
		if got := ask("Jane@Example.com"); got != (choice{OptedOut: true, NoReask: "2027-03-02"}) {
			t.Errorf("opted out: %+v", got)
		}
		r.submit(strings.ReplaceAll(strings.Replace(optOut, "opt_out_sale_share", "limit_spi", 1), "jane@", "lee@"))
		if got := ask("lee@example.com"); got != (choice{Limited: true, NoReaskSPI: "2027-03-02"}) {
			t.Errorf("limited: %+v", got)
		}
		r.at(time.Date(2027, 3, 2, 20, 0, 0, 0, time.UTC))
		if got := ask("lee@example.com"); !got.Limited || !got.MayAskSPI {
			t.Errorf("limited for a year: %+v", got)
		}
		back := r.post("/v1/requests", `{"right":"opt_in_spi","identifiers":[{"kind":"email","value":"lee@example.com"}]}`).view(http.StatusCreated)
		if !ask("lee@example.com").Limited {
			t.Error("one step took the limit back")
		}
		r.post("/v1/requests/"+string(back.ID)+"/confirm", "").want(http.StatusOK)
		if got := ask("lee@example.com"); got.Limited || got.OptedOut {
			t.Errorf("two steps did not take the limit back: %+v", got)
		}
		if got := ask("jane@example.com"); !got.MayAsk {
			t.Errorf("a year later: %+v", got)
		}
		r.post("/v1/requests", `{"right":"know_categories","minor":"13_to_15","identifiers":[{"kind":"email","value":"kim@example.com"}]}`).want(http.StatusCreated)
		if got := ask("kim@example.com"); !got.OptedOut || got.MayAsk || got.Minor != "13_to_15" {
			t.Errorf("a known 15-year-old: %+v", got)
		}
		in := r.post("/v1/requests", `{"right":"opt_in_sale_share","minor":"13_to_15","identifiers":[{"kind":"email","value":"kim@example.com"}]}`).view(http.StatusCreated)
		if !ask("kim@example.com").OptedOut {
			t.Error("one step opted a child in")
		}
		r.post("/v1/requests/"+string(in.ID)+"/confirm", "").want(http.StatusOK)
		if ask("kim@example.com").OptedOut {
			t.Error("their own two steps did not opt them in")
		}
		r.post("/v1/choices", `{"identifiers":[{"kind":"name","value":"Jane Doe"}]}`).problem(http.StatusUnprocessableEntity).names(t, "body.identifiers")
	})
}

func TestLookBack_IN8(t *testing.T) {
	r := newRig(t)
	r.at(time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC))
	for name, c := range map[string]struct {
		more, since string
		clipped     bool
	}{
		"usual": {"", "2025-11-22", false}, "everything": {`,"everything":true`, "2022-01-01", false},
		"from a day": {`,"from":"2024-02-29"`, "2024-02-29", false}, "before the law": {`,"from":"2021-06-01"`, "2022-01-01", true},
	} {
		v := r.post("/v1/requests", body("know_specific", c.more)).view(http.StatusCreated)
		if v.Since != c.since || v.Clipped != c.clipped {
			t.Errorf("%s: since %s, clipped %v", name, v.Since, v.Clipped)
		}
	}
	r.post("/v1/requests", body("know_specific", `,"from":"planted"`)).problem(http.StatusUnprocessableEntity).names(t, "body.from")
}

func TestHouseholdIsLoggedAndRefused_IN9(t *testing.T) {
	r := newRig(t)
	v := r.post("/v1/requests", body("know_specific", `,"subject":"household"`+verifiedHigh)).view(http.StatusCreated)
	if v.State != request.Closing || v.Result != request.ResultDenied || v.ReasonCode != "household" || v.Reason == "" {
		t.Errorf("it is %+v", v)
	}
}

func TestParentOfAChild_IN10(t *testing.T) {
	r := newRig(t)
	child := `,"minor":"under_13","requester":"parent"`
	r.post("/v1/requests", body("delete", child+verifiedHigh)).problem(http.StatusUnprocessableEntity).names(t, "body.verification")
	v := r.post("/v1/requests", body("delete", child)).view(http.StatusCreated)
	path := "/v1/requests/" + string(v.ID) + "/verification"
	r.post(path, `{"method":"account_login","level":"reasonably_high"}`).problem(http.StatusUnprocessableEntity).names(t, "body.verification")
	if v := r.post(path, `{"method":"account_login","level":"reasonably_high","parent":"signed_consent"}`).view(http.StatusOK); v.State != request.Accepted {
		t.Errorf("with proof it is %s", v.State)
	}
	if v := r.post("/v1/requests", body("opt_out_sale_share", `,"minor":"under_13"`)).view(http.StatusCreated); v.State != request.Accepted {
		t.Errorf("a child's opt-out is %s", v.State)
	}
	r.post("/v1/requests", body("opt_in_sale_share", `,"minor":"under_13"`)).problem(http.StatusUnprocessableEntity).names(t, "body.requester")
}

func TestExtension_CL3(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(waiting)
		path := "/v1/requests/" + string(id) + "/extension"
		r.post(path, `{"reason":""}`).problem(http.StatusUnprocessableEntity)
		r.at(time.Date(2026, 4, 17, 12, 0, 0, 0, time.UTC))
		r.post(path, `{"reason":"two systems are slow"}`).problem(http.StatusConflict)
		r.at(time.Date(2026, 4, 16, 12, 0, 0, 0, time.UTC))
		v := r.post(path, `{"reason":"two systems are slow"}`).view(http.StatusOK)
		if v.AnswerBy != "2026-05-31" || v.Extension != "two systems are slow" {
			t.Errorf("extended to %s", v.AnswerBy)
		}
		r.post(path, `{"reason":"again"}`).problem(http.StatusConflict)
		if got := r.notices(); !slices.Contains(got, "extension") {
			t.Errorf("to be told: %v", got)
		}
		if got := r.decisionsOf(id); !slices.Equal(got, []string{"extended"}) {
			t.Errorf("on record: %v", got)
		}
		req, _ := r.get(id)
		if want := time.Date(2026, 6, 1, 7, 0, 0, 0, time.UTC); !req.RespondBy.Equal(want) {
			t.Errorf("late from %s, want %s", req.RespondBy, want)
		}
		r.post("/v1/requests/"+string(r.submit(optOut))+"/extension", `{"reason":"x"}`).problem(http.StatusConflict)
	})
}

func TestHoldsOverTheAPI_DE12_VE3(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(deletion)
		path := "/v1/requests/" + string(id)
		r.post(path+"/holds", `{"kind":"police"}`).problem(http.StatusConflict)
		v := r.post(path+"/holds", `{"kind":"police","ref":"26-1182"}`, HeaderActor, "ana").view(http.StatusOK)
		if len(v.Holds) != 1 || v.Holds[0].Until == nil || !v.Holds[0].Until.Equal(now.AddDate(0, 0, 90)) || v.Holds[0].By != "ana" {
			t.Fatalf("held: %+v", v.Holds)
		}
		hold := path + "/holds/" + string(v.Holds[0].ID)
		if v := r.post(hold+"/renew", "").view(http.StatusOK); !v.Holds[0].Until.Equal(now.AddDate(0, 0, 180)) {
			t.Errorf("renewed until %s", v.Holds[0].Until)
		}
		r.post(hold+"/renew", "").problem(http.StatusConflict)
		if v := r.post(hold+"/end", "").view(http.StatusOK); v.Holds[0].Ended == nil {
			t.Error("it has no end")
		}
		if got := r.decisionsOf(id); !slices.Equal(got, []string{"held police", "hold_renewed police", "hold_ended"}) {
			t.Errorf("on record: %v", got)
		}
		r.post("/v1/requests/"+string(r.submit(optOut))+"/holds", `{"kind":"legal","ref":"x"}`).problem(http.StatusConflict)

		v = r.post(path+"/holds", `{"kind":"suspicion","reason":"new device"}`).view(http.StatusOK)
		if v.State != request.AwaitingVerification || v.Verified != nil || v.NeedsLevel != request.ReasonablyHigh {
			t.Errorf("under suspicion it is %s, %+v", v.State, v.Verified)
		}
		r.post(path+"/verification", `{"method":"account_login","level":"reasonably_high"}`).problem(http.StatusConflict)
		if v := r.post(path+"/verification", `{"method":"data_points_and_declaration","level":"reasonably_high"}`).view(http.StatusOK); v.State != request.Accepted {
			t.Errorf("after the further check it is %s", v.State)
		}
	})
}

func TestDenial_RE9_OO9_CL9(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id := r.submit(optOut)
		path := "/v1/requests/" + string(id) + "/deny"
		r.post(path, `{"code":"","reason":"x"}`).problem(http.StatusUnprocessableEntity).names(t, "body.code")
		r.post(path, `{"code":"household","reason":"x"}`).problem(http.StatusUnprocessableEntity).names(t, "body.code")
		r.post(path, `{"code":"fraud","reason":"we believe this is fraud"}`).problem(http.StatusUnprocessableEntity).names(t, "body: ")
		const documented = `{"code":"fraud","reason":"we believe this is fraud","evidence":{"document":"memo 2026-14"}}`
		r.post(path, documented).problem(http.StatusUnprocessableEntity).names(t, "header.Habeas-Actor")
		if v := r.post(path, documented, HeaderActor, "ana").view(http.StatusOK); v.State != request.Accepted || len(v.Approvals) != 1 {
			t.Errorf("one person made it %s", v.State)
		}
		r.post(path, documented, HeaderActor, "ana").problem(http.StatusConflict)
		if v := r.post(path, documented, HeaderActor, "ben").view(http.StatusOK); v.Result != request.ResultDenied || v.ReasonCode != "fraud" {
			t.Errorf("two people made it %s", v.State)
		}
		if got := r.decisionsOf(id); !slices.Equal(got, []string{"denial_asked fraud", "denied fraud"}) {
			t.Errorf("on record: %v", got)
		}
	})
}

func TestThirdRequestToKnow_CL8(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		const decline = `{"code":"too_many","reason":"two were answered this year","evidence":{"facts":"January and June"}}`
		for _, day := range []time.Time{time.Date(2026, 1, 10, 20, 0, 0, 0, time.UTC), time.Date(2026, 6, 1, 20, 0, 0, 0, time.UTC)} {
			r.at(day)
			id := r.post("/v1/requests", body("know_categories", verifiedHigh)).view(http.StatusCreated).ID
			r.post("/v1/requests/"+string(id)+"/deny", decline, HeaderActor, "ana").problem(http.StatusConflict)
			r.ends(id, request.Ending{Result: request.ResultComplete})
		}
		r.at(time.Date(2026, 12, 20, 20, 0, 0, 0, time.UTC))
		third := r.post("/v1/requests", body("know_categories", verifiedHigh)).view(http.StatusCreated)
		if third.State != request.Accepted {
			t.Errorf("the third is %s: it is never declined by itself", third.State)
		}
		for _, who := range []string{"ana", "ben"} {
			r.post("/v1/requests/"+string(third.ID)+"/deny", decline, HeaderActor, who).want(http.StatusOK)
		}
		if req, _ := r.get(third.ID); req.Ending == nil || req.Ending.Code != "too_many" {
			t.Errorf("two people did not decline it: %s", req.State())
		}
		stranger := r.post("/v1/requests", `{"right":"know_categories","identifiers":[{"kind":"email","value":"bob@example.com"}]}`).view(http.StatusCreated)
		r.post("/v1/requests/"+string(stranger.ID)+"/deny", decline, HeaderActor, "ana").problem(http.StatusConflict)
	})
}

func TestFailedVerification_VE8_VE9(t *testing.T) {
	r := newRig(t)
	r.room.PolicyURL = "https://example.com/privacy"
	id := r.post("/v1/requests", body("know_specific", "")).view(http.StatusCreated).ID
	v := r.post("/v1/requests/"+string(id)+"/verification-failure", `{"level":"reasonable"}`).view(http.StatusOK)
	if v.ReasonCode != "unverified_specific" || len(v.Children) != 1 || v.Children[0].Right != request.KnowCategories || v.Children[0].Origin != request.FromFallback {
		t.Errorf("specific pieces: %+v", v)
	}
	id = r.post("/v1/requests", body("know_categories", "")).view(http.StatusCreated).ID
	v = r.post("/v1/requests/"+string(id)+"/verification-failure", `{}`).view(http.StatusOK)
	if v.ReasonCode != "unverified_categories" || len(v.Children) != 0 || v.Offers == nil || v.Offers.PolicyURL != "https://example.com/privacy" {
		t.Errorf("categories: %+v", v)
	}
	r.post("/v1/requests/"+string(r.submit(optOut))+"/verification-failure", `{}`).problem(http.StatusConflict)
}

func TestDeniedDeletionOffersOptOut_VE10(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		fail := func() View {
			t.Helper()
			return r.post("/v1/requests/"+string(r.submit(waiting))+"/verification-failure", `{}`).view(http.StatusOK)
		}
		quiet := fail()
		if quiet.Offers != nil {
			t.Errorf("a business that does not sell offers %+v", quiet.Offers)
		}
		r.post("/v1/requests/"+string(quiet.ID)+"/opt-out", "").problem(http.StatusConflict)
		r.room.SellsOrShares = true
		v := fail()
		if v.Offers == nil || !v.Offers.OptOut {
			t.Fatalf("it offers %+v", v.Offers)
		}
		first := r.post("/v1/requests/"+string(v.ID)+"/opt-out", "").view(http.StatusOK)
		if first.Right != request.OptOutSaleShare || first.State != request.Accepted || first.Parent != v.ID || first.Origin != request.FromOffer {
			t.Errorf("one click made %+v", first)
		}
		if again := r.post("/v1/requests/"+string(v.ID)+"/opt-out", "").view(http.StatusOK); again.ID != first.ID {
			t.Error("the same click made another request")
		}
		if v := fail(); v.Offers != nil {
			t.Errorf("one who has opted out is asked again: %+v", v.Offers)
		}
	})
}

func TestAppeal_RG2(t *testing.T) {
	r := newRig(t)
	if err := r.room.Regimes.Confirm("us-va"); err != nil {
		t.Skipf("us-va is not described: %v", err)
	}
	id := r.post("/v1/requests", body("delete", `,"regime":"us-va"`)).view(http.StatusCreated).ID
	r.post("/v1/requests/"+string(id)+"/appeal", "").problem(http.StatusConflict)
	if v := r.post("/v1/requests/"+string(id)+"/verification-failure", `{}`).view(http.StatusOK); v.Offers == nil || !v.Offers.Appeal {
		t.Fatalf("a denial under Virginia's law comes with %+v", v.Offers)
	}
	appeal := r.post("/v1/requests/"+string(id)+"/appeal", "").view(http.StatusOK)
	if appeal.Right != request.Appeal || appeal.AnswerBy != request.DateOf(now, time.UTC).AddDays(60).String() || appeal.Parent != id || appeal.Verified != nil {
		t.Errorf("the appeal is %+v", appeal)
	}
	if again := r.post("/v1/requests/"+string(id)+"/appeal", "").view(http.StatusOK); again.ID != appeal.ID {
		t.Error("appealing twice made two")
	}
	granted := r.post("/v1/requests/"+string(appeal.ID)+"/grant", "").view(http.StatusOK)
	if granted.Result != request.ResultComplete || len(granted.Children) != 1 || granted.Children[0].Right != request.Delete {
		t.Errorf("granted: %+v", granted)
	}
	ca := r.post("/v1/requests/"+string(r.submit(waiting))+"/verification-failure", `{}`).view(http.StatusOK)
	if ca.Offers != nil {
		t.Errorf("California gives no appeal: %+v", ca.Offers)
	}
}

func TestCorrections_CO1_CO2(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		const value = "2 Righted Road"
		v := r.post("/v1/requests", body("correct", `,"corrections":[{"field":"street","value":"`+value+`"}]`+verifiedHigh)).view(http.StatusCreated)
		if !slices.Equal(v.Disputed, []string{"street"}) || v.State != request.Accepted {
			t.Errorf("it is %+v", v)
		}
		path := "/v1/requests/" + string(v.ID) + "/statements"
		long := strings.Repeat("planted ", 251)
		r.post(path, `{"field":"diagnosis","text":"`+long+`"}`).problem(http.StatusUnprocessableEntity).names(t, "body.text")
		said := strings.TrimSpace(strings.Repeat("planted ", 250))
		if v := r.post(path, `{"field":"diagnosis","text":"`+said+`"}`).view(http.StatusOK); !v.Stated {
			t.Error("the statement is not kept")
		}
		req, _ := r.get(v.ID)
		for what, b := range map[string][]byte{"corrections": req.Corrections, "statements": req.Statements, "logs": []byte(r.logs.String())} {
			if strings.Contains(string(b), value) || strings.Contains(string(b), "planted") {
				t.Errorf("the %s are in clear", what)
			}
		}
		key, err := r.room.Vault.Unwrap(t.Context(), req.WrappedKey)
		if err != nil {
			t.Fatal(err)
		}
		defer key.Destroy()
		sealed, err := key.OpenCorrections(req.ID, req.Corrections)
		if err != nil || len(sealed) != 1 || sealed[0].Value.Reveal() != value {
			t.Errorf("sealed: %d corrections, %v", len(sealed), err)
		}
		statements, err := r.room.Statements(t.Context(), r.room.people([]request.Identifier{request.NewIdentifier(request.Email, "jane@example.com")}))
		if err != nil || len(statements) != 1 || statements[0].Field != "diagnosis" || statements[0].Value.Reveal() != said {
			t.Errorf("to go with the record: %d statements, %v", len(statements), err)
		}
		r.post("/v1/requests/"+string(r.submit(deletion))+"/statements", `{"field":"x","text":"y"}`).problem(http.StatusConflict)
	})
}

func TestErasureGoesBehindTheCopy_DE15(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		know := r.post("/v1/requests", body("know_specific", "")).view(http.StatusCreated).ID
		after := r.submit(deletion)
		req, _ := r.get(after)
		if len(req.Case.Holds) != 1 || req.Case.Holds[0].Ref != string(know) || req.Case.Holds[0].Kind != request.OrderHold {
			t.Errorf("an erasure after a copy: %+v", req.Case.Holds)
		}
		stranger := r.submit(`{"right":"delete","identifiers":[{"kind":"email","value":"bob@example.com"}]` + verifiedHigh + `}`)
		if req, _ := r.get(stranger); len(req.Case.Holds) != 0 {
			t.Errorf("a stranger's erasure: %+v", req.Case.Holds)
		}
		// The copy comes second: the erasure that has not begun goes behind it.
		copied := r.post("/v1/requests", `{"right":"know_specific","identifiers":[{"kind":"email","value":"bob@example.com"}]}`).view(http.StatusCreated).ID
		if req, _ := r.get(stranger); len(req.Case.Holds) != 1 || req.Case.Holds[0].Ref != string(copied) {
			t.Errorf("an erasure before a copy: %+v", req.Case.Holds)
		}
		if req, _ := r.get(copied); !slices.Equal(req.Case.Blocks, []request.ID{stranger}) {
			t.Errorf("the copy tells %v when it is answered", req.Case.Blocks)
		}
		// Both in one call.
		a := r.post("/v1/requests:bulk", fmt.Sprintf(`{"requests":[%s,%s]}`,
			`{"right":"delete","identifiers":[{"kind":"email","value":"kim@example.com"}]`+verifiedHigh+`}`, `{"right":"opt_out_sale_share","identifiers":[{"kind":"email","value":"kim@example.com"}]}`))
		var out struct{ Results []struct{ ID request.ID } }
		if err := json.Unmarshal(a.body, &out); err != nil || len(out.Results) != 2 {
			t.Fatalf("%v: %s", err, a.body)
		}
		if req, _ := r.get(out.Results[0].ID); len(req.Case.Holds) != 1 || req.Case.Holds[0].Ref != string(out.Results[1].ID) {
			t.Errorf("an erasure beside an opt-out: %+v", req.Case.Holds)
		}
		if req, _ := r.get(out.Results[1].ID); req.State() != request.Accepted {
			t.Errorf("the opt-out is %s: it waits for nothing", req.State())
		}
	})
}

// staff are those whose training is current.
type staff []string

func (s staff) Trained(_ context.Context, who string, _ time.Time) error {
	if slices.Contains(s, who) {
		return nil
	}
	return fmt.Errorf("%w", ErrUntrained)
}

func TestOnlyTheTrainedDecide_RE5(t *testing.T) {
	r := newRig(t)
	r.room.Training = staff{"ana"}
	id := r.submit(waiting)
	path := "/v1/requests/" + string(id)
	for _, call := range [][2]string{{"/deny", `{"code":"unverified_delete","reason":"x"}`}, {"/extension", `{"reason":"x"}`}, {"/holds", `{"kind":"legal","ref":"x"}`}} {
		r.post(path+call[0], call[1], HeaderActor, "ben").problem(http.StatusForbidden)
		r.post(path+call[0], call[1]).problem(http.StatusForbidden)
	}
	r.post(path+"/deny", `{"code":"unverified_delete","reason":"x"}`, HeaderActor, "ana").view(http.StatusOK)
}

// Crashes between any two lines of a decision: it did not happen, or it
// happened and the answer was lost; doing it again is harmless.
func TestDecisionsSurviveALostAnswer_DE15(t *testing.T) {
	r := newRig(t)
	id := r.submit(waiting)
	path := "/v1/requests/" + string(id) + "/extension"
	r.store.down = true
	r.post(path, `{"reason":"slow"}`).want(http.StatusServiceUnavailable)
	r.store.down = false
	if req, _ := r.get(id); req.Request.Extension != nil {
		t.Error("what failed happened")
	}
	r.store.lost = true
	r.post(path, `{"reason":"slow"}`).want(http.StatusServiceUnavailable)
	r.store.lost = false
	if req, _ := r.get(id); req.Request.Extension == nil {
		t.Error("what happened is not there")
	}
	if err := r.room.Extend(t.Context(), id, "slow"); !errors.Is(err, request.ErrExtension) {
		t.Errorf("again: %v", err)
	}
	if got := r.decisionsOf(id); len(got) != 1 {
		t.Errorf("on record: %v", got)
	}
}
