package opendsr

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// APIVersion is the version of the protocol this package speaks.
const APIVersion = "2.0"

// The headers of a signed message, and their names in version 1.0.
const (
	HeaderDomain       = "X-OpenDSR-Processor-Domain"
	HeaderSignature    = "X-OpenDSR-Signature"
	HeaderDomainOld    = "X-OpenGDPR-Processor-Domain"
	HeaderSignatureOld = "X-OpenGDPR-Signature"
)

// RequestType says what the processor is asked to do.
type RequestType string

// The request types of the specification, and one extension of this product.
const (
	Access      RequestType = "access"
	Portability RequestType = "portability"
	Erasure     RequestType = "erasure"
	// Suppress asks the processor to stop using the identities for the
	// controller's advertising and to keep them off its lists. OpenDSR has no
	// such type, so it is sent only to a processor whose discovery document
	// names it: a processor that does not know it is never sent an erasure
	// in its place by accident.
	Suppress RequestType = "suppress"
)

// Status is the state of a request at the processor.
type Status string

// The statuses. A request is finished when it is completed or cancelled.
const (
	Pending    Status = "pending" // accepted, not started, may be cancelled
	InProgress Status = "in_progress"
	Completed  Status = "completed"
	Cancelled  Status = "cancelled"
)

// rank orders the statuses; zero is no status of the protocol.
func (s Status) rank() int {
	return 1 + slices.Index([]Status{Pending, InProgress, Completed, Cancelled}, s)
}

// Identity names the data subject to a processor. It is personal data.
type Identity struct {
	Type   string `json:"identity_type"`
	Value  string `json:"identity_value,omitempty"` // absent in a discovery document
	Format string `json:"identity_format"`          // raw, sha256, sha1 or md5
}

// String implements [fmt.Stringer] without the value.
func (i Identity) String() string { return i.Type + "/" + i.Format }

// GoString implements [fmt.GoStringer] without the value.
func (i Identity) GoString() string { return i.String() }

// kind returns the identity without its value.
func (i Identity) kind() Identity { return Identity{Type: i.Type, Format: i.Format} }

// SHA256 returns the identity with its raw value, trimmed and in lower case,
// replaced by the lower-case hex SHA-256 of it. The specification leaves the
// form open; this is the one processors document.
func (i Identity) SHA256() Identity {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(i.Value))))
	return Identity{Type: i.Type, Value: hex.EncodeToString(sum[:]), Format: "sha256"}
}

// Request is a data subject request as sent to a processor.
type Request struct {
	Regulation         string                     `json:"regulation"` // gdpr or ccpa
	ID                 string                     `json:"subject_request_id"`
	Type               RequestType                `json:"subject_request_type"`
	Submitted          time.Time                  `json:"submitted_time"` // when the data subject asked
	Identities         []Identity                 `json:"subject_identities"`
	APIVersion         string                     `json:"api_version"`
	StatusCallbackURLs []string                   `json:"status_callback_urls,omitempty"`
	Extensions         map[string]json.RawMessage `json:"extensions,omitempty"` // by processor domain
}

// Discovery is a processor's description of itself.
type Discovery struct {
	APIVersion     string        `json:"api_version"`
	Identities     []Identity    `json:"supported_identities"`
	RequestTypes   []RequestType `json:"supported_subject_request_types"`
	CertificateURL string        `json:"processor_certificate"`
}

// Supports reports whether the processor takes requests of type t.
func (d Discovery) Supports(t RequestType) bool { return slices.Contains(d.RequestTypes, t) }

// Takes returns those of ids that the processor says it understands.
func (d Discovery) Takes(ids []Identity) []Identity {
	var taken []Identity
	for _, id := range ids {
		if slices.Contains(d.Identities, id.kind()) {
			taken = append(taken, id)
		}
	}
	return taken
}

// Receipt is a processor's acknowledgement of a request.
type Receipt struct {
	ID       string `json:"subject_request_id"`
	Received Time   `json:"received_time"`
	Expected Time   `json:"expected_completion_time"`
}

// Progress is what a processor reports of a request, when asked or by callback.
type Progress struct {
	ID          string `json:"subject_request_id"`
	Status      Status `json:"request_status"`
	Expected    Time   `json:"expected_completion_time"`
	CallbackURL string `json:"status_callback_url"` // in callbacks only
}

// parseProgress decodes a status or callback body.
func parseProgress(body []byte) (Progress, error) {
	var p Progress
	if err := json.Unmarshal(body, &p); err != nil {
		return Progress{}, fmt.Errorf("reading the status: %w", jsonError(err))
	}
	if !ValidID(p.ID) {
		return Progress{}, errors.New("reading the status: subject_request_id is not a lower-case UUID")
	}
	if p.Status.rank() == 0 {
		return Progress{}, errors.New("reading the status: request_status is none of pending, in_progress, completed, cancelled")
	}
	return p, nil
}

// Time is an RFC 3339 instant that tolerates what processors send: null, an
// empty string, or no zone, which means UTC.
type Time struct{ time.Time }

// UnmarshalJSON implements [json.Unmarshaler].
func (t *Time) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*t = Time{}
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("a time must be a string")
	}
	if s == "" {
		*t = Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if parsed, err := time.Parse(layout, s); err == nil {
			*t = Time{parsed.UTC()}
			return nil
		}
	}
	return errors.New("a time is not in RFC 3339 form")
}

// RequestID turns an idempotency key into a subject_request_id: the same key
// gives the same lower-case UUID of version 4 form, so that a retry names the
// request it may already have sent.
func RequestID(key string) string {
	sum := sha256.Sum256([]byte("opendsr\x00" + key))
	sum[6] = sum[6]&0x0f | 0x40
	sum[8] = sum[8]&0x3f | 0x80
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ValidID reports whether id is a lower-case UUID. The version is not checked:
// processors echo what they were given.
func ValidID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range []byte(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

// jsonError strips from a decoding error whatever it quotes of the input.
func jsonError(err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON at byte %d", syntax.Offset)
	}
	return errors.New("not the expected JSON")
}
