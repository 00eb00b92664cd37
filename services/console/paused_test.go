package console

import (
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// A late request that waits for a paused connector says so, and does not say that
// it goes on by itself.
func TestPausedIsWhy(t *testing.T) {
	d := newDesk(t)
	id := d.add(t, made{right: request.Delete, state: request.Running, received: now.AddDate(0, 0, -47), jobs: []store.Job{
		{Connector: "crm", Action: request.ActionErase, State: request.JobPlanned, Code: store.CodePaused, Message: "the connector is paused"},
	}})
	a := d.fetch(t, "/requests/"+string(id))
	a.says(t, "2 days late. This is why:", "crm is paused.", "when somebody resumes crm")
	if strings.Contains(a.text(), "It goes on by itself") {
		t.Error("it says that it goes on by itself")
	}
}
