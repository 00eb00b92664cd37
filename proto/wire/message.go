package wire

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// ErrType is wrapped by errors of messages whose Habeas-Type a reader does not
// know; such a message is terminated and never guessed at.
var ErrType = errors.New("unknown message type")

// JobMessage makes the message for a job. Its id is the job's with the
// attempt, so that publishing the same attempt twice stores it once.
func JobMessage(j *habeasv1.Job) (*nats.Msg, error) {
	if err := CheckJob(j); err != nil {
		return nil, err
	}
	return protoMessage(JobSubject(j.GetConnector()), j, j.GetJobId()+"/"+strconv.Itoa(int(j.GetAttempt())))
}

// ParseJob reads and checks a job.
func ParseJob(h nats.Header, body []byte) (*habeasv1.Job, error) {
	j := &habeasv1.Job{}
	if err := parse(h, body, j); err != nil {
		return nil, err
	}
	return j, CheckJob(j)
}

// CheckJob names the first field of a job that is missing or wrong.
func CheckJob(j *habeasv1.Job) error {
	for _, f := range []struct {
		name string
		ok   bool
	}{
		{"job_id", j.GetJobId() != "" && len(j.GetJobId()) <= 64},
		{"request_id", j.GetRequestId() != "" && len(j.GetRequestId()) <= 64},
		{"connector", CheckName(j.GetConnector()) == nil},
		{"action", j.GetAction() != habeasv1.Action_ACTION_UNSPECIFIED},
		{"sealed_subject", len(j.GetSealedSubject()) > 0},
		{"sealer_key", j.GetSealerKey() != ""},
		{"subject_commitment", len(j.GetSubjectCommitment()) == 32},
		{"plan_digest", len(j.GetPlanDigest()) == 32},
		{"due_time", j.GetDueTime().IsValid()},
		{"attempt", j.GetAttempt() >= 1},
		{"export_recipient", j.GetAction() != habeasv1.Action_ACTION_EXPORT || j.GetExportRecipient() != ""},
	} {
		if !f.ok {
			return fmt.Errorf("job: field %s is missing or malformed", f.name)
		}
	}
	return nil
}

// DiscoveredMessage makes the message for resolved identifiers. Its id is of
// what was sealed: the same message published twice is one, and what a job that
// was sent again finds anew is another.
func DiscoveredMessage(d *habeasv1.Discovered) (*nats.Msg, error) {
	if d.GetJobId() == "" || CheckName(d.GetConnector()) != nil || len(d.GetSealedSubject()) == 0 || d.GetSealerKey() == "" {
		return nil, errors.New("discovered: job_id, connector, sealed_subject and sealer_key are required")
	}
	sum := sha256.Sum256(d.GetSealedSubject())
	return protoMessage(DiscoveredSubject(d.GetConnector()), d, d.GetJobId()+"/discovered/"+hex.EncodeToString(sum[:8]))
}

// ParseDiscovered reads a Discovered message.
func ParseDiscovered(h nats.Header, body []byte) (*habeasv1.Discovered, error) {
	d := &habeasv1.Discovered{}
	if err := parse(h, body, d); err != nil {
		return nil, err
	}
	if d.GetJobId() == "" || d.GetConnector() == "" {
		return nil, errors.New("discovered: job_id and connector are required")
	}
	return d, nil
}

// LoggedMessage makes the message for a batch of new leaves.
func LoggedMessage(l *habeasv1.Logged) (*nats.Msg, error) {
	return protoMessage(SubjectLogged, l, l.GetOrigin()+"/"+strconv.FormatInt(l.GetSize(), 10))
}

// ParseLogged reads a Logged message.
func ParseLogged(h nats.Header, body []byte) (*habeasv1.Logged, error) {
	l := &habeasv1.Logged{}
	return l, parse(h, body, l)
}

// RecordMessage makes the message for a record.
func RecordMessage(r *Record) *nats.Msg {
	return RecordEnvelopeMessage(r.Issuer(), r.Envelope, r.Digest[:])
}

// RecordEnvelopeMessage makes the message for a record kept as its bytes.
func RecordEnvelopeMessage(issuer string, envelope, digest []byte) *nats.Msg {
	msg := nats.NewMsg(EvidenceSubject(issuer))
	msg.Header.Set(HeaderContentType, ContentRecord)
	msg.Header.Set(nats.MsgIdHdr, hex.EncodeToString(digest))
	msg.Data = envelope
	return msg
}

func protoMessage(subject string, m proto.Message, id string) (*nats.Msg, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	if len(body) > MaxMessage {
		return nil, fmt.Errorf("encoding %s: %d bytes is over the limit of %d", m.ProtoReflect().Descriptor().FullName(), len(body), MaxMessage)
	}
	msg := nats.NewMsg(subject)
	msg.Header.Set(HeaderType, string(m.ProtoReflect().Descriptor().FullName()))
	msg.Header.Set(HeaderContentType, ContentProto)
	msg.Header.Set(nats.MsgIdHdr, id)
	msg.Data = body
	return msg, nil
}

func parse(h nats.Header, body []byte, m proto.Message) error {
	want := string(m.ProtoReflect().Descriptor().FullName())
	if have := h.Get(HeaderType); have != want {
		return fmt.Errorf("message of type %q, want %q: %w", have, want, ErrType)
	}
	if err := proto.Unmarshal(body, m); err != nil {
		return fmt.Errorf("decoding %s: %w", want, err)
	}
	return nil
}
