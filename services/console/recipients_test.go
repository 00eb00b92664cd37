package console

import (
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// A recipient that is silent beyond its deadline, and one that can't be reached,
// are things that wait for a person.
func TestTodayTellsOfRecipients_DE3(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, waiting())
	if a := d.fetch(t, "/today"); strings.Contains(a.text(), "Recipients") {
		t.Error("recipients are shown and there are none")
	}
	row := func(recipient string, state request.OnwardState, deadline time.Time, failed string) store.Onward {
		return store.Onward{
			ID: request.NewID(), RequestID: id, Recipient: recipient, State: state, Failed: failed, DecidedAt: now.AddDate(0, 0, -10), Deadline: deadline,
		}
	}
	_, err := d.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		snaps[0].Onward = append(snaps[0].Onward,
			row("mailer", request.OnwardTold, now.Add(-time.Hour), ""), row("host", request.OnwardTold, now.Add(time.Hour), ""),
			row("adnet", request.OnwardWaiting, now.Add(time.Hour), "no_channel"), row("buyer", request.OnwardAcknowledged, now.Add(-time.Hour), ""))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.fetch(t, "/today").says(t, "Recipients overdue 1", "Recipients not reached 1")
}
