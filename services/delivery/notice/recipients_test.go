package notice_test

import (
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// The answer says how many recipients were told and confirmed, and explains why
// a third party was not told, in the company's words.
func TestRecipientsInTheAnswer_DE4(t *testing.T) {
	const why = "The buyer got the data without anything by which it could find you again, and kept no copy of the list."
	for name, c := range map[string]struct {
		language   string
		rows       []store.Onward
		want, none []string
	}{
		"told and explained": {"en", []store.Onward{
			{Recipient: "mailer", State: request.OnwardAcknowledged}, {Recipient: "host", State: request.OnwardTold},
			{Recipient: "broker", State: request.OnwardExcused, Code: "impossible", Explanation: why},
		}, []string{"2 companies that had received your information", "1 of 2 confirmed", "could not be told", why}, []string{"mailer", "broker"}},
		"all confirmed": {"es", []store.Onward{{Recipient: "mailer", State: request.OnwardAcknowledged}},
			[]string{"Avisamos de su solicitud a 1 empresa", "confirmó que cumplió su parte"}, []string{"No fue posible avisar"}},
		"nobody to tell": {"en", nil, []string{"2 records were deleted"}, []string{"companies that had received", "could not be told"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ending := closed(request.Ending{Result: request.ResultCompleteWithExceptions})
			id := r.add(request.Delete, store.NoticeAnswer, email(), func(req *request.Request) {
				ending(req)
				req.Case.Language = c.language
			}, eraseJob("crm", `{"done":{},"stores":[{"store":"contacts","locatedCount":"2"}]}`))
			_, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
				s := snaps[0]
				if len(c.rows) > 0 {
					s.Request.Case.Onward, s.Changed = &request.Onward{}, true
				}
				for _, o := range c.rows {
					o.ID, o.RequestID, o.DecidedAt, o.Deadline = request.NewID(), id, received, received
					s.Onward = append(s.Onward, o)
				}
				return nil
			})
			ok(t, err)
			r.once()
			text := r.mail.Wait(t, 1)[0].Text
			for _, part := range c.want {
				if !strings.Contains(text, part) {
					t.Errorf("it does not say %q:\n%s", part, text)
				}
			}
			for _, part := range c.none {
				if strings.Contains(text, part) {
					t.Errorf("it says %q:\n%s", part, text)
				}
			}
		})
	}
}

// The answer to a correction names those from whom the company had what was
// wrong, in both languages (11 CCR 7023(i)).
func TestSourcesInTheAnswer_CO1(t *testing.T) {
	for language, says := range map[string]string{"en": "from others: Enricher Ltd.; registry.", "es": "de otros: Enricher Ltd.; registry."} {
		r := newRig(t)
		r.room.Name = func(id string) string { return map[string]string{"enricher": "Enricher Ltd."}[id] }
		ending := closed(request.Ending{Result: request.ResultComplete})
		id := r.add(request.Correct, store.NoticeAnswer, email(), func(req *request.Request) {
			ending(req)
			req.Case.Language = language
		})
		_, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
			s := snaps[0]
			s.Request.Case.Onward, s.Changed = &request.Onward{}, true
			for i, o := range []store.Onward{
				{Recipient: "enricher", Basis: request.BasisSource, State: request.OnwardWaiting},
				{Recipient: "registry", Basis: request.BasisSource, State: request.OnwardExcused, Code: request.SourceNamed},
			} {
				o.ID, o.RequestID, o.DecidedAt, o.Deadline = request.NewID(), id, received.Add(time.Duration(i)*time.Second), received
				s.Onward = append(s.Onward, o)
			}
			return nil
		})
		ok(t, err)
		r.once()
		text := r.mail.Wait(t, 1)[0].Text
		if !strings.Contains(text, says) || strings.Contains(text, "companies that had received") {
			t.Errorf("%s: want %q in\n%s", language, says, text)
		}
	}
}

// What was deidentified is told as that, and not counted as deleted.
func TestDeidentifiedInTheAnswer_DE14(t *testing.T) {
	r := newRig(t)
	r.add(request.Delete, store.NoticeAnswer, email(), closed(request.Ending{Result: request.ResultComplete}),
		eraseJob("hotel", `{"done":{},"stores":[{"store":"people","locatedCount":"1"},{"store":"stays","locatedCount":"4","deidentifiedCount":"4"}]}`))
	r.once()
	text := r.mail.Wait(t, 1)[0].Text
	for _, part := range []string{"1 record was deleted.", "4 records were not deleted but deidentified", "publicly committed"} {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q:\n%s", part, text)
		}
	}
}

// Records that were emptied or masked are told apart from those that are gone.
func TestEmptiedAndMaskedInTheAnswer_DE14(t *testing.T) {
	r := newRig(t)
	r.add(request.Delete, store.NoticeAnswer, email(), closed(request.Ending{Result: request.ResultComplete}),
		eraseJob("hotel", `{"done":{},"stores":[{"store":"people","locatedCount":"3","emptiedCount":"1"},{"store":"stays","locatedCount":"4","maskedCount":"4"}]}`))
	r.once()
	text := r.mail.Wait(t, 1)[0].Text
	for _, part := range []string{"2 records were deleted.", "1 record was not removed but emptied", "4 records were not removed but masked"} {
		if !strings.Contains(text, part) {
			t.Errorf("it does not say %q:\n%s", part, text)
		}
	}
}
