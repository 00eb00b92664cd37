package request

import (
	"errors"
	"time"
)

// Onward is how far the recipients of a person's data have been found and told
// of a deletion or an opt-out (11 CCR 7022(b)-(c), 7026(f)).
type Onward struct {
	// Round is the request's round for which the recipients were found; less than
	// zero before they were.
	Round int `json:"round"`
	// Look is when the request looks again: for the ledger's answer, or because
	// somebody has not acknowledged by then.
	Look time.Time `json:"look,omitzero"`
}

// OnwardState is how far telling one recipient has come.
type OnwardState string

// The states. Waiting and told are the ones that something is still expected
// of.
const (
	OnwardWaiting      OnwardState = "waiting"      // to be told
	OnwardTold         OnwardState = "told"         // has to acknowledge
	OnwardAcknowledged OnwardState = "acknowledged" // says that it did
	OnwardExcused      OnwardState = "excused"      // not told; the person is told why (11 CCR 7022(b)(3))
)

// SourceNamed is the code of a source that nobody can tell: the person is told its
// name instead (11 CCR 7023(i)).
const SourceNamed = "named_to_the_person"

// BasisSource is how a row says that a company is told because what it gave was
// wrong, and not because it got something.
const BasisSource = "source"

// Open reports whether something is still expected.
func (s OnwardState) Open() bool { return s == OnwardWaiting || s == OnwardTold }

// EndUnacknowledged is the code of a request that was answered before every
// recipient had acknowledged.
const EndUnacknowledged = "recipients_unacknowledged"

// Reasons why staff can't step in for a recipient.
var (
	// ErrOnwardExcused says that nothing is expected of a recipient.
	ErrOnwardExcused = errors.New("nothing is expected of this recipient: the consumer was told why")
	// ErrOnwardAcknowledged says that there is nothing left to send.
	ErrOnwardAcknowledged = errors.New("the recipient has acknowledged: there is nothing to send")
	// ErrOnwardConnector says that a connector's job is what has to be tried again.
	ErrOnwardConnector = errors.New("a connector tells this recipient: try its job again on the request's page")
)
