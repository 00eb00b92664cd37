package verify_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/internal/sms/smstest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// phones is a rig with a provider of text messages.
type phones struct {
	*rig
	twilio *smstest.Twilio
}

func newPhones(t *testing.T, change ...func(*verify.Config)) *phones {
	t.Helper()
	p := smstest.NewTwilio(t)
	s, err := sms.NewTwilio(sms.Twilio{Account: smstest.Account, Secret: smstest.Token, Service: "MG1"}, p.URL, true)
	if err != nil {
		t.Fatal(err)
	}
	texts := func(c *verify.Config) {
		c.Text, c.Host = sms.Within{Sender: s, Prefixes: []string{"+1"}}, "privacy.example.com"
	}
	return &phones{rig: newRig(t, append([]func(*verify.Config){texts}, change...)...), twilio: p}
}

// byPhone begins to verify a new request of who gave a number and no address.
func (r *phones) byPhone(right request.Right, number string, c verify.Claimed) request.ID {
	r.t.Helper()
	who := request.NewIdentifier(request.Phone, number)
	taken, err := r.intake.Take(r.t.Context(), []intake.Entry{{Submission: request.Submission{
		Right: right, Channel: request.ChannelWeb, Identifiers: []request.Identifier{who},
	}}}, "test")
	if err != nil || taken[0].Err != nil {
		r.t.Fatal(err, taken)
	}
	c.Anchor = who
	if err := r.room.Open(r.t.Context(), taken[0].ID, c); err != nil {
		r.t.Fatal(err)
	}
	return taken[0].ID
}

var inText = regexp.MustCompile(`\b\d{6}\b`)

// texted is the code in the n-th text message.
func (r *phones) texted(n int) string {
	r.t.Helper()
	return inText.FindString(r.twilio.Wait(r.t, n)[n-1].Body)
}

func (r *phones) send(id request.ID, number string) {
	r.t.Helper()
	if err := r.room.SendText(r.t.Context(), id, number); err != nil {
		r.t.Fatal(err)
	}
}

// VE-4: who has no address but a number gets her code there, and the code and
// one more data point make her who she says.
func TestPhoneCode_VE4(t *testing.T) {
	r := newPhones(t)
	id := r.byPhone(request.KnowCategories, "(415) 555-0123", verify.Claimed{Language: "es", Points: points("postal_code", "94110", "phone", "415 555 0123")})
	r.work()
	r.want(id, request.AwaitingVerification) // the number by which she is found is not a data point besides
	code := r.texted(1)
	if got := r.twilio.Texts()[0]; got.To != plantedPhone || !strings.HasSuffix(got.Body, "\n\n@privacy.example.com #"+code) || !strings.Contains(got.Body, "Example Inc.: su clave es ") {
		t.Errorf("the message is %+v", got)
	}
	if err := r.answer(id, code); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.Accepted)
	req, err := r.intake.Lookup(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	v, _ := req.Verification()
	if got, ok := v.(request.Verified); !ok || got.Method != verify.MethodPoints || !slices.Equal(got.Points, []string{"postal_code", "phone_code"}) {
		t.Errorf("the evidence says %+v", v)
	}
	r.work()
	if n := len(r.twilio.Texts()); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
}

// A number is one thing, known or held: it never counts twice.
func TestPhoneCountsOnce_VE4(t *testing.T) {
	r := newPhones(t)
	id := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("phone", "415.555.0123")})
	r.send(id, "")
	r.work()
	if err := r.answer(id, r.texted(1)); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.AwaitingVerification)
	if err := r.answer(id, r.code(1)); err != nil { // the mailbox is another thing
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.Accepted)
}

// VE-17: a code goes to a number that a record of hers holds, whole, and to no
// other; what is said, stored and asked is the same either way.
func TestPhoneNoOracle_VE17(t *testing.T) {
	r := newPhones(t)
	known := r.open(request.Delete, planted, verify.Claimed{Points: points("postal_code", "94110")})
	for name, number := range map[string]string{
		"one that nobody holds":          "+14155550199",
		"one abroad that ends alike":     "+494155550123",
		"one with a longer country code": "+3584155550123",
	} {
		if err := r.room.SendText(t.Context(), known, number); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		r.work()
	}
	unknown := r.byPhone(request.Delete, "+14155550199", verify.Claimed{Points: points("postal_code", "94110")})
	other := r.open(request.Delete, stranger, verify.Claimed{})
	r.send(other, plantedPhone) // a stranger can't have texts sent to her
	r.work()
	r.work()
	if got := r.twilio.Texts(); len(got) != 0 {
		t.Fatalf("messages went to %+v", got)
	}
	before := r.systems.asked
	r.send(known, plantedPhone)
	r.send(unknown, plantedPhone)
	if err := r.room.SendText(t.Context(), request.NewID(), plantedPhone); !errors.Is(err, verify.ErrGone) {
		t.Errorf("a request that is not there: %v", err)
	}
	if r.systems.asked != before {
		t.Error("systems are asked while the requester waits")
	}
	r.work()
	r.work()
	if got := r.twilio.Texts(); len(got) != 1 || got[0].To != plantedPhone {
		t.Fatalf("messages went to %+v, want one to the number held", got)
	}
	r.want(known, r.state(unknown))
	for range 2 {
		if a, b := r.answer(known, "123"), r.answer(unknown, "123"); !errors.Is(a, verify.ErrCode) || a.Error() != b.Error() {
			t.Errorf("a wrong code says %v and %v", a, b)
		}
	}
	if a, b := r.room.Resend(t.Context(), known), r.room.Resend(t.Context(), unknown); a != nil || b != nil {
		t.Errorf("asking for a new code says %v and %v", a, b)
	}
	a, err := r.store.GetCase(t.Context(), known)
	b, err2 := r.store.GetCase(t.Context(), other)
	if err != nil || err2 != nil || a.UpdatedAt.IsZero() {
		t.Fatal(err, err2)
	}
	at := b.UpdatedAt
	r.now = r.now.Add(time.Minute)
	if err := r.answer(other, "123"); !errors.Is(err, verify.ErrCode) {
		t.Error(err)
	}
	if b, err = r.store.GetCase(t.Context(), other); err != nil || !b.UpdatedAt.After(at) {
		t.Errorf("a wrong code for somebody unknown is not written down, so it is quicker: %v", err)
	}
	for _, secret := range []string{plantedPhone, "4155550123", "4155550199"} {
		if strings.Contains(r.logs.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	var fields request.FieldErrors
	if err := r.room.SendText(t.Context(), known, "call 415 me"); !errors.As(err, &fields) || strings.Contains(err.Error(), "415 me") {
		t.Errorf("what is no number: %v", err)
	}
}

// VE-3: a code by text has the limits of one by e-mail: tries, age, and what
// guessing leads to.
func TestPhoneCodeIsGuessedInVain_VE3(t *testing.T) {
	r := newPhones(t)
	id := r.byPhone(request.KnowCategories, plantedPhone, verify.Claimed{Points: points("postal_code", "94110")})
	r.work()
	code := r.texted(1)
	wrong := "111111"
	if code == wrong {
		wrong = "222222"
	}
	for range verify.DefaultPolicy().Tries {
		if err := r.answer(id, wrong); !errors.Is(err, verify.ErrCode) {
			t.Fatal(err)
		}
	}
	if err := r.answer(id, code); !errors.Is(err, verify.ErrCode) {
		t.Errorf("after too many tries the right code gives %v", err)
	}
	if err := r.room.LoggedIn(t.Context(), id, r.now); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.AwaitingVerification)
	late := r.byPhone(request.KnowCategories, plantedPhone, verify.Claimed{})
	r.work()
	code = r.texted(2)
	r.now = r.now.Add(25 * time.Hour)
	if err := r.answer(late, code); !errors.Is(err, verify.ErrCode) {
		t.Errorf("a code of yesterday gives %v", err)
	}
}

// VE-17: over all requests one number is sent ten codes a day, whoever asks, and
// asking for one more looks like asking for any.
func TestNumberIsSpared_VE17(t *testing.T) {
	r := newPhones(t)
	var last request.ID
	for range 12 {
		last = r.byPhone(request.Delete, plantedPhone, verify.Claimed{})
	}
	r.work()
	if err := r.room.Resend(t.Context(), last); err != nil {
		t.Errorf("asking for one more: %v", err)
	}
	r.work()
	if n := len(r.twilio.Texts()); n != 10 {
		t.Errorf("%d messages were sent in a day, want 10", n)
	}
	r.now = r.now.Add(24 * time.Hour)
	if err := r.room.Resend(t.Context(), last); err != nil {
		t.Error(err)
	}
	r.work()
	if n := len(r.twilio.Texts()); n != 11 {
		t.Errorf("%d messages after a day, want 11", n)
	}
}

// VE-7: the number that a correction is about proves nothing.
func TestDisputedPhone_VE7(t *testing.T) {
	r := newPhones(t)
	id := r.open(request.KnowCategories, planted, verify.Claimed{Disputed: []string{"phone"}})
	r.send(id, plantedPhone)
	r.work()
	r.work()
	if n := len(r.twilio.Texts()); n != 0 {
		t.Errorf("%d messages went to a number that may be wrong", n)
	}
}

// The pairs: Twilio did not take the message, or did and its answer was lost;
// the second try ends with one message, and with the code in it she gets on.
func TestTextIsSentOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		fail   func(*phones)
		before int
	}{
		{"it did not happen", func(r *phones) { r.twilio.Fail(503, 20503, "") }, 0},
		{"it happened and the answer was lost", func(r *phones) { r.twilio.LoseAnswers(true) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPhones(t)
			c.fail(r)
			id := r.byPhone(request.KnowCategories, plantedPhone, verify.Claimed{Points: points("postal_code", "94110")})
			r.work()
			if n := len(r.twilio.Texts()); n != c.before {
				t.Fatalf("%d messages, want %d", n, c.before)
			}
			r.twilio.Fail(0, 0, "")
			r.twilio.LoseAnswers(false)
			r.work()
			r.work()
			if n := len(r.twilio.Texts()); n != 1 {
				t.Errorf("%d messages were sent, want 1", n)
			}
			if err := r.answer(id, r.texted(1)); err != nil {
				t.Fatal(err)
			}
			r.work()
			r.want(id, request.Accepted)
		})
	}
}

// crashing stops at its first message, before or after it goes out.
type crashing struct {
	sms.Sender
	after bool
	down  bool
	stop  context.CancelFunc
}

func (c *crashing) Send(ctx context.Context, m sms.Message) error {
	if c.down {
		return c.Sender.Send(ctx, m)
	}
	c.down = true
	defer c.stop()
	if !c.after {
		return context.Canceled
	}
	return c.Sender.Send(ctx, m)
}

// A crash between sending and writing that down, or before either, keeps nobody
// out: the same code goes out again, and once only.
func TestTextAfterACrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprint("sent: ", after), func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			r := newPhones(t, func(c *verify.Config) { c.Text = &crashing{Sender: c.Text, after: after, stop: stop} })
			id := r.byPhone(request.KnowCategories, plantedPhone, verify.Claimed{Points: points("postal_code", "94110")})
			r.now = r.now.Add(time.Minute)
			_, _ = r.room.Work(ctx) // it dies in the middle
			r.work()
			r.work()
			if n := len(r.twilio.Texts()); n != 1 {
				t.Fatalf("%d messages were sent, want 1", n)
			}
			if err := r.answer(id, r.texted(1)); err != nil {
				t.Fatal(err)
			}
			r.work()
			r.want(id, request.Accepted)
		})
	}
}

// A provider that is busy is left alone for as long as it says; one that
// refuses the number is not asked again until the person asks for another code.
func TestTextIsRefused(t *testing.T) {
	r := newPhones(t)
	r.twilio.Fail(429, 20429, "600")
	id := r.byPhone(request.KnowCategories, plantedPhone, verify.Claimed{})
	r.work()
	calls := r.twilio.Calls()
	r.work()
	if r.twilio.Calls() != calls {
		t.Error("a busy provider was not left alone")
	}
	r.twilio.Fail(400, 21610, "")
	r.now = r.now.Add(10 * time.Minute)
	r.work()
	if calls = r.twilio.Calls(); calls < 2 {
		t.Fatalf("%d calls, want another try", calls)
	}
	r.work()
	r.now = r.now.Add(time.Hour)
	r.work()
	if r.twilio.Calls() != calls {
		t.Error("a number that was refused was tried again")
	}
	if !strings.Contains(r.logs.String(), "21610") || strings.Contains(r.logs.String(), "4155550123") {
		t.Errorf("the log does not say why, or says to whom: %s", r.logs)
	}
	r.twilio.Fail(0, 0, "")
	if err := r.room.Resend(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	r.work()
	if n := len(r.twilio.Texts()); n != 1 {
		t.Errorf("%d messages after she asked for another code, want 1", n)
	}
}

// VE-14: a consumer whose agent has a signed permission confirms it by phone.
func TestAgentIsConfirmedByPhone_VE14(t *testing.T) {
	r := newPhones(t, func(c *verify.Config) { c.Policy.Agent = verify.AgentConsumerConfirmed })
	id := r.take(request.Delete, planted)
	err := r.room.ByAgent(t.Context(), id, verify.Authority{Permission: permission(r.rig), Anchor: request.NewIdentifier(request.Phone, plantedPhone)})
	if err != nil {
		t.Fatal(err)
	}
	r.work()
	if got := r.twilio.Wait(t, 1)[0].Body; !strings.Contains(got, "an agent made a privacy request for you") {
		t.Errorf("she is told %q", got)
	}
	if err := r.answer(id, r.texted(1)); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.Accepted)
}

// VE-11: the number goes with the rest, and never lies in clear.
func TestPhoneIsForgotten_VE11(t *testing.T) {
	r := newPhones(t)
	id := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110")})
	r.send(id, plantedPhone)
	r.work()
	if err := r.answer(id, r.texted(1)); err != nil {
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.Accepted)
	got, err := r.store.GetCase(t.Context(), id)
	if err != nil || got.Sealed != nil || got.WrappedKey != nil || got.PurgedAt.IsZero() {
		t.Errorf("the case is %+v, %v", got, err)
	}
	records, err := r.store.Unlogged(t.Context(), r.now.Add(time.Hour), 100)
	if err != nil || !slices.ContainsFunc(records, func(rec store.Record) bool { return rec.Type == string(wire.RecordRetention) }) {
		t.Errorf("no record says that the data is gone: %v", err)
	}
	if _, err := sqlCheckpoint(r.path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(r.path)
	if err != nil || strings.Contains(string(content), "4155550123") || strings.Contains(r.logs.String(), "4155550123") {
		t.Errorf("the database or the log holds the number, %v", err)
	}
}

// Texts fit one message for a company of a usual name, in the letters of
// GSM 03.38, so that they arrive whole.
func TestTextsAreShort(t *testing.T) {
	r := newPhones(t)
	for _, language := range verify.Languages() {
		for what, open := range map[string]func() request.ID{
			"code": func() request.ID { return r.byPhone(request.Delete, plantedPhone, verify.Claimed{Language: language}) },
			"confirm": func() request.ID {
				return r.byPhone(request.Delete, plantedPhone, verify.Claimed{Language: language, Confirm: true})
			},
		} {
			open()
			r.work()
			r.want(open(), request.AwaitingVerification)
			text := r.twilio.Texts()[len(r.twilio.Texts())-1].Body
			for _, message := range []string{text, r.room.DownloadText(language, "123456")} {
				if n := len([]rune(message)); n > 160 || strings.Trim(message, "é\n ") == "" || strings.ContainsAny(message, "áíóúñ¿¡’") {
					t.Errorf("%s in %s: %d letters, or some that are not in the alphabet: %q", what, language, n, message)
				}
			}
		}
	}
}

// What counts as the same number is the same for requests and for what systems
// hold: a number both can read, both read alike. Countries that add or drop digits
// behind their code, as Madagascar does, are left out: who asks is understood, but
// what a system holds is never guessed at.
func TestNumbersAreReadAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(\+1 ?|\+49 |1-|011 ?49 ?|0049)?\(?[2-9][0-9]{2}\)?[ .-]?[2-9][0-9]{2}[ .-]?[0-9]{4}`).Draw(t, "number")
		held := wire.InForm(wire.FormE164, text)
		id, err := request.NewIdentifier(request.Phone, text).Normalize()
		if err != nil || held == "" || strings.HasPrefix(text, "00") { // dialled so outside North America alone
			return
		}
		if id.Reveal() != held {
			t.Errorf("%q is %q as an identifier and %q in a record", text, id.Reveal(), held)
		}
		if again := wire.InForm(wire.FormE164, id.Reveal()); again != held {
			t.Errorf("%q is %q and then %q", text, held, again)
		}
	})
}
