package aftercare

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request/store"
)

// EventMessage makes the CloudEvent of an incident (CloudEvents 1.0, structured
// JSON), as issuer tells it. Its subject is the incident.
func EventMessage(issuer string, i store.Incident) (*nats.Msg, error) {
	body, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": i.ID, "source": "urn:habeas:" + issuer, "type": "org.habeas-data.incident." + string(i.Kind) + ".v1",
		"subject": i.ID, "time": i.OpenedAt.Format(time.RFC3339Nano), "datacontenttype": "application/json",
		"data": map[string]any{"connector": i.Connector, "store": i.Store, "records": i.Records, "request_id": string(i.RequestID)},
	})
	if err != nil {
		return nil, fmt.Errorf("making an event: %w", err)
	}
	msg := nats.NewMsg(wire.EventSubject(i.ID))
	msg.Header.Set(wire.HeaderContentType, wire.ContentEvent)
	msg.Header.Set(nats.MsgIdHdr, "incident/"+i.ID)
	msg.Data = body
	return msg, nil
}
