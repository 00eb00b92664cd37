package onward_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// A service provider is written to once, in a message that names nobody; when it
// is silent it is reminded, a few times, and is overdue from its deadline on.
func TestToldAndReminded_DE3(t *testing.T) {
	r := newRig(t)
	o := r.add(request.Delete, request.Running, "mailer")
	r.once()
	r.once()
	letters := r.mail.Letters()
	if len(letters) != 1 {
		t.Fatalf("%d letters, want 1", len(letters))
	}
	l := letters[0]
	if !strings.Contains(l.To, "privacy@mailer.example") || !strings.Contains(l.Text, r.room.Link(o.ID)) || !strings.Contains(l.Text, "DPA-1") || !strings.Contains(l.Text, "2026-03-12") {
		t.Errorf("the letter: %+v", l)
	}
	for _, part := range []string{"delete it", "pass this on to your own service providers and contractors"} { // 11 CCR 7022(c)
		if !strings.Contains(l.Text, part) {
			t.Errorf("the letter does not say %q", part)
		}
	}
	if all := l.Subject + l.Text; strings.Contains(all, planted) || strings.Contains(all, cookie) {
		t.Error("the letter names the person")
	}
	if got := r.row(o); got.State != request.OnwardTold || !got.ToldAt.Equal(*r.now.Load()) {
		t.Errorf("%+v", got)
	}
	for range 10 {
		r.pass(6 * 24 * time.Hour)
		r.once()
	}
	letters = r.mail.Letters()
	if len(letters) != 5 {
		t.Fatalf("%d letters after two months, want the notice and 4 reminders", len(letters))
	}
	ids := map[string]bool{}
	for i, l := range letters {
		ids[l.MessageID] = true
		if i > 0 && !strings.HasPrefix(l.Subject, "Reminder: ") {
			t.Errorf("subject %q", l.Subject)
		}
	}
	if len(ids) != len(letters) {
		t.Error("two messages have one id")
	}
	r.saidAll("recipient_told mailer", "recipient_reminded mailer", "recipient_reminded mailer", "recipient_reminded mailer", "recipient_reminded mailer")
	over, err := r.store.OverdueOnward(t.Context(), *r.now.Load(), 10)
	if ok(t, err); len(over) != 1 || over[0].ID != o.ID {
		t.Errorf("overdue: %+v", over)
	}
}

// A third party that bought is asked to delete, one that got data after an
// opt-out to stop; both to pass it on.
func TestWhatIsAsked_DE4_OO3(t *testing.T) {
	r := newRig(t)
	for right, want := range map[request.Right][]string{
		request.Delete:          {"Please delete it", "tell those to whom you gave it"},
		request.OptOutSaleShare: {"Please stop selling and sharing it", "tell those to whom you gave it since"},
	} {
		o := r.add(right, request.Running, "adnet")
		_, text := r.ask(t, http.MethodGet, r.path(o), "")
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: the page does not say %q", right, part)
			}
		}
	}
}

// What a mail server does not take is tried again; what it took and did not say
// so goes out again under the same message id.
func TestMailFails_DE3(t *testing.T) {
	for name, c := range map[string]struct {
		fails func(*mailtest.Server)
		code  string
		wait  time.Duration
		sent  int
	}{
		"refused for now":    {func(s *mailtest.Server) { s.Refuse("451 4.3.0 later") }, onward.CodeUnavailable, time.Minute, 1},
		"refused for good":   {func(s *mailtest.Server) { s.Refuse("550 5.1.1 no such user") }, onward.CodeRefused, 24 * time.Hour, 1},
		"the answer is lost": {func(s *mailtest.Server) { s.LoseAnswers(true) }, onward.CodeUnavailable, time.Minute, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			o := r.add(request.Delete, request.Running, "mailer")
			c.fails(r.mail)
			r.once()
			if got := r.row(o); got.State != request.OnwardWaiting || got.Failed != c.code || got.Tries != 1 || !got.NextAt.Equal(r.now.Load().Add(c.wait)) {
				t.Errorf("%+v", got)
			}
			r.saidAll()
			r.mail.Refuse("")
			r.mail.LoseAnswers(false)
			r.once() // not yet
			r.pass(c.wait)
			r.once()
			letters := r.mail.Letters()
			if len(letters) != c.sent || letters[0].MessageID != letters[len(letters)-1].MessageID {
				t.Errorf("%d letters, want %d of one id", len(letters), c.sent)
			}
			if got := r.row(o); got.State != request.OnwardTold || got.Failed != "" || got.Tries != 0 {
				t.Errorf("%+v", got)
			}
			r.saidAll("recipient_told mailer")
		})
	}
}

// failing is a store whose next write fails: it did not happen, or it happened
// and the answer was lost.
type failing struct {
	*litestore.Store
	fail     atomic.Bool
	happened bool
}

var errGone = errors.New("the connection is gone")

func (f *failing) Advance(ctx context.Context, sel store.Selector, withJobs bool, decide func([]*store.Snapshot) error) ([]*store.Snapshot, error) {
	if !f.fail.Swap(false) {
		return f.Store.Advance(ctx, sel, withJobs, decide)
	}
	if f.happened {
		if _, err := f.Store.Advance(ctx, sel, withJobs, decide); err != nil {
			return nil, err
		}
	}
	return nil, errGone
}

// The store goes away after a message went out: the message goes out again under
// its id, or not at all, and it is on record once.
func TestStoreFailsAfterSending_DE3(t *testing.T) {
	for _, happened := range []bool{false, true} {
		f := &failing{happened: happened}
		r := newRig(t, func(c *onward.Config) {
			f.Store = c.Store.(*litestore.Store) //nolint:forcetypeassert // it is the rig's
			c.Store = f
		})
		o := r.add(request.Delete, request.Running, "mailer")
		f.fail.Store(true)
		if _, err := r.room.Once(t.Context()); !errors.Is(err, errGone) {
			t.Fatalf("happened %v: %v", happened, err)
		}
		r.once()
		want := 2
		if happened {
			want = 1
		}
		if letters := r.mail.Letters(); len(letters) != want || letters[0].MessageID != letters[want-1].MessageID {
			t.Errorf("happened %v: %d letters, want %d of one id", happened, len(letters), want)
		}
		if got := r.row(o); got.State != request.OnwardTold {
			t.Errorf("happened %v: %+v", happened, got)
		}
		r.saidAll("recipient_told mailer")

		f.fail.Store(true)
		if err := r.room.Acknowledge(t.Context(), o.ID, onward.Recipient); !errors.Is(err, errGone) {
			t.Fatalf("happened %v: %v", happened, err)
		}
		ok(t, r.room.Acknowledge(t.Context(), o.ID, onward.Recipient))
		r.saidAll("recipient_told mailer", "recipient_acknowledged mailer")
	}
}

// A webhook is called without naming anybody. What it does not take is tried
// again under the same key; it is not followed elsewhere.
func TestWebhook_DE4(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		lose   bool
		code   string
		calls  int
	}{
		"away":               {http.StatusServiceUnavailable, false, onward.CodeUnavailable, 1},
		"busy":               {http.StatusTooManyRequests, false, onward.CodeUnavailable, 1},
		"refuses":            {http.StatusBadRequest, false, onward.CodeRefused, 1},
		"points elsewhere":   {http.StatusTemporaryRedirect, false, onward.CodeRefused, 1},
		"the answer is lost": {http.StatusAccepted, true, onward.CodeUnavailable, 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			o := r.add(request.Delete, request.Running, "adnet")
			r.hook.set(c.status, c.lose)
			r.once()
			if got := r.row(o); got.State != request.OnwardWaiting || got.Failed != c.code {
				t.Errorf("%+v", got)
			}
			r.hook.set(http.StatusAccepted, false)
			r.pass(24 * time.Hour)
			r.once()
			h := r.hook
			if len(h.calls) != c.calls || h.keys[0] != h.keys[len(h.keys)-1] || h.calls[0].URL != r.room.Link(o.ID) || h.calls[0].Asked != "delete" {
				t.Errorf("calls %+v with keys %q", h.calls, h.keys)
			}
			if got := h.raw.String(); strings.Contains(got, planted) || strings.Contains(got, cookie) {
				t.Error("the call names the person")
			}
			r.saidAll("recipient_told adnet")
		})
	}
}

// Somebody nobody can reach waits, and says why.
func TestNoWayToTell_DE4(t *testing.T) {
	r := newRig(t, func(c *onward.Config) { c.Mail = nil })
	for _, c := range [][2]string{{"mute", onward.CodeNoChannel}, {"mailer", onward.CodeNoChannel}, {"gone", onward.CodeUnknown}} {
		recipient, code := c[0], c[1]
		o := r.add(request.Delete, request.Running, recipient)
		r.once()
		if got := r.row(o); got.State != request.OnwardWaiting || got.Failed != code {
			t.Errorf("%s: %+v", recipient, got)
		}
		ok(t, r.room.Acknowledge(t.Context(), o.ID, "dana")) // a person told it another way
		if got := r.row(o); got.State != request.OnwardAcknowledged || got.AcknowledgedBy != "dana" {
			t.Errorf("%s: %+v", recipient, got)
		}
	}
	r.saidAll("recipient_acknowledged mute", "recipient_acknowledged mailer", "recipient_acknowledged gone")
}

// Staff have a notice sent again, whatever became of it before; what a person was
// told another way is kept with the notice and not in the evidence.
func TestStaffSendAgain_DE3(t *testing.T) {
	r := newRig(t, func(c *onward.Config) { c.Mail = nil })
	o := r.add(request.Delete, request.Running, "mailer")
	r.once()
	if got := r.row(o); got.Failed != onward.CodeNoChannel || got.Tries != 1 || !got.NextAt.After(*r.now.Load()) {
		t.Fatalf("before: %+v", got)
	}
	desk, err := onward.NewDesk(onward.Config{Store: r.store, Signer: r.room.Signer, Now: r.room.Now}) // the console's, in another process
	ok(t, err)
	ok(t, desk.Again(t.Context(), o.ID))
	ok(t, desk.Again(t.Context(), o.ID)) // it is about to be sent
	if got := r.row(o); got.Failed != "" || got.Tries != 0 || !got.NextAt.Equal(*r.now.Load()) || got.State != request.OnwardWaiting {
		t.Errorf("after: %+v", got)
	}
	for _, note := range []string{"", "  ", strings.Repeat("x", onward.MostNote+1)} {
		var fields request.FieldErrors
		if err := desk.Note(t.Context(), o.ID, "dana", note); !errors.As(err, &fields) {
			t.Errorf("a note of %d characters: %v", len(note), err)
		}
	}
	if err := desk.Note(t.Context(), o.ID, onward.Recipient, "said so"); err == nil {
		t.Error("somebody passes for the recipient")
	}
	ok(t, desk.Note(t.Context(), o.ID, "dana", " by phone, Mr. Note \n"))
	if got := r.row(o); got.State != request.OnwardAcknowledged || got.AcknowledgedBy != "dana" || got.Note != "by phone, Mr. Note" {
		t.Errorf("acknowledged: %+v", got)
	}
	ok(t, desk.Note(t.Context(), o.ID, "erin", "again")) // changes nothing
	if got := r.row(o); got.Note != "by phone, Mr. Note" {
		t.Errorf("noted twice: %+v", got)
	}
	if err := desk.Again(t.Context(), o.ID); !errors.Is(err, request.ErrOnwardAcknowledged) {
		t.Errorf("sending what is acknowledged: %v", err)
	}
	if err := desk.Again(t.Context(), request.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("sending nothing: %v", err)
	}
	r.saidAll("recipient_sent_again mailer", "recipient_acknowledged mailer")
	records, err := r.store.Unlogged(t.Context(), r.now.Load().AddDate(1, 0, 0), 100)
	ok(t, err)
	for _, one := range records {
		if bytes.Contains(one.Envelope, []byte("Mr. Note")) {
			t.Error("a record holds the note")
		}
	}
}

// Who was reminded as often as it may be is reminded once more when staff say so.
func TestStaffRemindOnceMore_DE3(t *testing.T) {
	r := newRig(t)
	o := r.add(request.OptOutSaleShare, request.Running, "adnet")
	for range 5 {
		r.once()
		r.pass(5 * 24 * time.Hour)
	}
	r.once()
	before := r.row(o)
	if !before.NextAt.IsZero() || before.State != request.OnwardTold {
		t.Fatalf("before: %+v", before)
	}
	ok(t, r.room.Again(t.Context(), o.ID))
	r.once()
	if got := r.row(o); got.Reminders != before.Reminders+1 || !got.NextAt.IsZero() {
		t.Errorf("after: %+v", got)
	}
	r.hook.mu.Lock()
	defer r.hook.mu.Unlock()
	if n := len(r.hook.keys); n != 6 || r.hook.keys[n-1] == r.hook.keys[n-2] {
		t.Errorf("calls: %v", r.hook.keys)
	}
}

// Who acknowledges after the answer is taken at their word, on record, and the
// closure stays what it was.
func TestLateAcknowledgement_DE3(t *testing.T) {
	var published atomic.Int64
	r := newRig(t, func(c *onward.Config) {
		c.Publish = func(*nats.Msg) error { published.Add(1); return nil }
	})
	o := r.add(request.Delete, request.Closing, "mailer")
	before, _, err := r.store.Get(t.Context(), o.RequestID)
	ok(t, err)
	var many sync.WaitGroup
	for range 8 {
		many.Go(func() {
			if err := r.room.Acknowledge(t.Context(), o.ID, onward.Recipient); err != nil {
				t.Error(err)
			}
		})
	}
	many.Wait()
	after, _, err := r.store.Get(t.Context(), o.RequestID)
	ok(t, err)
	if after.Version != before.Version || !bytes.Equal(after.RecordDigests, before.RecordDigests) || after.State() != request.Closing {
		t.Error("the request changed")
	}
	if got := r.row(o); got.State != request.OnwardAcknowledged || got.AcknowledgedBy != onward.Recipient {
		t.Errorf("%+v", got)
	}
	r.saidAll("recipient_acknowledged mailer")
	if published.Load() != 1 {
		t.Errorf("%d records published, want 1", published.Load())
	}
}

// A room that lacks something says what.
func TestNew(t *testing.T) {
	if _, err := onward.New(onward.Config{}); err == nil || !strings.Contains(err.Error(), "required") {
		t.Errorf("an empty room: %v", err)
	}
}
