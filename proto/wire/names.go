package wire

import (
	"fmt"
	"regexp"
)

// Streams, buckets and fixed subjects.
const (
	StreamJobs       = "HABEAS_JOBS"
	StreamEvidence   = "HABEAS_EVIDENCE"
	StreamDiscovered = "HABEAS_DISCOVERED"
	StreamEvents     = "HABEAS_EVENTS"

	BucketConnectors = "habeas_connectors"

	SubjectLogged = "habeas.v1.logged"

	subjectJobs       = "habeas.v1.job."
	subjectEvidence   = "habeas.v1.evidence."
	subjectDiscovered = "habeas.v1.discovered."
	subjectEvents     = "habeas.v1.event."
	subjectHints      = "habeas.v1.hint."
	subjectMatch      = "habeas.v1.match."
	subjectMatched    = "habeas.v1.matched."
	subjectTask       = "habeas.v1.task."
	subjectTasked     = "habeas.v1.tasked."
	subjectPeople     = "habeas.v1.people."
	subjectPeopled    = "habeas.v1.peopled."
)

// Durable consumers of the rooms.
const (
	ConsumerCoordinatorEvidence   = "coordinator-evidence"
	ConsumerCoordinatorDiscovered = "coordinator-discovered"
	ConsumerCoordinatorLogged     = "coordinator-logged"
	ConsumerAudit                 = "audit"
)

// Headers of every message.
const (
	// HeaderType is the full protobuf name of the body, "habeas.v1.Job", or of
	// a record's predicate. A reader refuses types it does not know.
	HeaderType = "Habeas-Type"
	// HeaderContentType is ContentProto, ContentRecord or ContentEvent.
	HeaderContentType = "Content-Type"

	ContentProto  = "application/protobuf"
	ContentRecord = "application/vnd.dsse+json"
	ContentEvent  = "application/cloudevents+json"
)

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

// CheckName returns an error when name can't be a connector's or room's name.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("name %q: want 1 to 40 lower-case letters, digits and hyphens, starting with a letter", name)
	}
	return nil
}

// JobSubject is where a connector's jobs are published.
func JobSubject(connector string) string { return subjectJobs + connector }

// EvidenceSubject is where an issuer publishes its records.
func EvidenceSubject(issuer string) string { return subjectEvidence + issuer }

// DiscoveredSubject is where a connector publishes what it resolved.
func DiscoveredSubject(connector string) string { return subjectDiscovered + connector }

// EventSubject is where changes of one request are told.
func EventSubject(requestID string) string { return subjectEvents + requestID }

// HintSubject is a plain NATS subject that wakes a room early. A lost hint
// costs time and nothing else.
func HintSubject(room string) string { return subjectHints + room }

// WithdrawnSubject is a plain NATS subject on which a connector is told of jobs
// it must not do any more, as their ids separated by spaces. It lies under the
// connector's own inbox prefix, which its user may subscribe to and no other
// connector may. A message that is lost costs nothing but work that nobody wants
// any more: a withdrawn job's answer changes nothing.
func WithdrawnSubject(connector string) string { return "_INBOX_" + connector + ".withdrawn" }

// IssuerOf returns the last token of an evidence or discovered subject.
func IssuerOf(subject string) string {
	for _, prefix := range []string{subjectEvidence, subjectDiscovered} {
		if len(subject) > len(prefix) && subject[:len(prefix)] == prefix {
			return subject[len(prefix):]
		}
	}
	return ""
}

// JobConsumer is the durable consumer of a connector on StreamJobs.
func JobConsumer(connector string) string { return "connector-" + connector }

// ExportBucket is the object store bucket of a connector's export parts. Each
// connector has its own, so that none can overwrite another's.
func ExportBucket(connector string) string { return "habeas_exports_" + connector }

// MatchSubject is where a connector is asked to compare what a person says of
// herself with what its system holds.
func MatchSubject(connector string) string { return subjectMatch + connector }

// MatchedSubject is where a connector answers the asker that goes by token.
// With "*" for the connector it is what the asker subscribes to.
func MatchedSubject(connector, token string) string { return subjectMatched + connector + "." + token }

// TaskSubject is where a connector whose work is done by people is asked about
// its tasks.
func TaskSubject(connector string) string { return subjectTask + connector }

// TaskedSubject is where a connector answers the desk that goes by token. With
// "*" for the connector it is what the desk subscribes to.
func TaskedSubject(connector, token string) string { return subjectTasked + connector + "." + token }

// PeopleSubject is where a connector is asked whom its system holds.
func PeopleSubject(connector string) string { return subjectPeople + connector }

// PeopledSubject is where a connector answers the asker that goes by token.
func PeopledSubject(connector, token string) string { return subjectPeopled + connector + "." + token }
