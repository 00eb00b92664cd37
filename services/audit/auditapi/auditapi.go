// Package auditapi is what the audit room says over HTTP to other programs,
// and a client that reads it. Answers that can be long are streams of one JSON
// object a line; the last line says that it is the last, so that an answer
// that was cut off is never taken for a whole one.
package auditapi

import "time"

// Line is one line of a stream. Exactly one field is set.
type Line struct {
	Head     *Head     `json:"head,omitempty"`
	Record   *Record   `json:"record,omitempty"`
	Rejected *Rejected `json:"rejected,omitempty"`
	Request  *Request  `json:"request,omitempty"`
	End      *End      `json:"end,omitempty"`
	// Witnesses is there in the answer about witnesses alone.
	Witnesses *Witnesses `json:"witnesses,omitempty"`
	// Error says why the stream stops here.
	Error string `json:"error,omitempty"`
}

// Head begins a stream.
type Head struct {
	// Origin is the log's name.
	Origin string `json:"origin"`
	// VerifierKey is the log's public key in note format.
	VerifierKey string `json:"verifier_key"`
	// Checkpoint is the signed head that every proof of the stream is against.
	Checkpoint string `json:"checkpoint"`
	// Start and Consistency are there for a range: the signed head before it,
	// and the proof (RFC 6962, section 2.1.2) that Checkpoint begins with it.
	Start       string   `json:"start,omitempty"`
	Consistency [][]byte `json:"consistency,omitempty"`
	// Period is there for a period.
	Period *Period `json:"period,omitempty"`
	// Policy is the C2SP tlog-policy of the log's witnesses; empty when it has
	// none. The checkpoint has then the cosignatures that there are.
	Policy string `json:"policy,omitempty"`
	// Authorities are the public keys (PKIX DER) that are trusted from
	// configuration.
	Authorities [][]byte `json:"authorities"`
}

// Witnesses says who cosigns the log's heads, and how far they are.
type Witnesses struct {
	// Policy is the C2SP tlog-policy; empty when the log has no witnesses.
	Policy string `json:"policy,omitempty"`
	// Size is that of the newest head that was signed.
	Size int64 `json:"size"`
	// Witnesses are those of the policy, in its order.
	Witnesses []Witness `json:"witnesses,omitempty"`
	// QuorumSize is the size of the newest head that a quorum cosigned, -1 when
	// there is none; QuorumTime is when, as the last of them says; Checkpoint is
	// that head with the cosignatures.
	QuorumSize int64     `json:"quorum_size"`
	QuorumTime time.Time `json:"quorum_time,omitzero"`
	Checkpoint string    `json:"checkpoint,omitempty"`
	// Incident says, for people, that a witness knows another history and that
	// the log does not go on.
	Incident string `json:"incident,omitempty"`
}

// Witness is one witness of the log.
type Witness struct {
	// Name is what the policy calls it, KeyName and KeyID what its signatures do.
	Name    string `json:"name"`
	KeyName string `json:"key_name"`
	KeyID   string `json:"key_id"`
	// Size is that of the newest head that it cosigned, -1 for none, and Time is
	// when, as it says.
	Size int64     `json:"size"`
	Time time.Time `json:"time,omitzero"`
	// Trouble says why it does not cosign the newest, when it was asked to.
	Trouble string `json:"trouble,omitempty"`
}

// Period is a stretch of the log: the leaves between the last head signed before
// From, which is the head's Start or the log's beginning, and the last one signed
// before To, which is Close. What became of them is told up to the checkpoint.
type Period struct {
	// From and To are days, UTC, yyyy-mm-dd; To is not part of it.
	From string `json:"from"`
	To   string `json:"to"`
	// Close is the signed head that ends it, and CloseConsistency the proof that
	// the checkpoint begins with it.
	Close            string   `json:"close"`
	CloseConsistency [][]byte `json:"close_consistency,omitempty"`
	// StartSize, CloseSize and EndSize are the sizes of the three heads.
	StartSize int64 `json:"start_size"`
	CloseSize int64 `json:"close_size"`
	EndSize   int64 `json:"end_size"`
	// CloseRoot is the root of Close, in hex: what samples are drawn by.
	CloseRoot string `json:"close_root"`
	// Types counts its leaves by type. Erased are those of them whose record was
	// destroyed at the end of its retention.
	Types  map[string]int64 `json:"types,omitempty"`
	Erased int64            `json:"erased,omitempty"`
}

// Record is one leaf with its envelope.
type Record struct {
	// Leaf is its number.
	Leaf int64 `json:"leaf"`
	// Type is the record's type, such as "outcome".
	Type string `json:"type"`
	// Digest is SHA-256 of the envelope.
	Digest []byte `json:"digest"`
	// Envelope is nil once it was erased.
	Envelope []byte `json:"envelope,omitempty"`
	// Proof is a C2SP tlog-proof@v1 against the head's checkpoint.
	Proof string `json:"proof"`
	// LoggedAt is when it was appended.
	LoggedAt time.Time `json:"logged_at"`
}

// Rejected is a record that was refused.
type Rejected struct {
	// Digest is SHA-256 of what was published.
	Digest []byte `json:"digest"`
	// Subject is where.
	Subject string `json:"subject"`
	// Reason is a code: malformed, unknown_key, bad_signature, wrong_issuer,
	// key_not_valid, not_authorised or incomplete.
	Reason string `json:"reason"`
	// Detail says it in words.
	Detail string `json:"detail"`
	// KeyID is the key it claims to be signed with.
	KeyID string `json:"key_id,omitempty"`
	// RejectedAt is when it was refused.
	RejectedAt time.Time `json:"rejected_at"`
}

// Request is one request of a population (11 CCR 7101(b)).
type Request struct {
	// RequestID is the request.
	RequestID string `json:"request_id"`
	// Regime and Right are the law and the nature of the request.
	Regime string `json:"regime"`
	Right  string `json:"right"`
	// Channel is the manner in which it was made.
	Channel string `json:"channel"`
	// ReceiveDate is its date in the regime's time zone, yyyy-mm-dd.
	ReceiveDate string `json:"receive_date"`
	// ReceiveTime is when it was received.
	ReceiveTime time.Time `json:"receive_time"`
	// AnswerTime is when it was answered; zero while it is open.
	AnswerTime time.Time `json:"answer_time,omitzero"`
	// Result is the nature of the answer, and ReasonCode the basis of a denial;
	// empty while it is open.
	Result     string `json:"result,omitempty"`
	ReasonCode string `json:"reason_code,omitempty"`
	// IntakeLeaf and ClosureLeaf are where the log says so; ClosureLeaf is -1
	// while it is open.
	IntakeLeaf  int64 `json:"intake_leaf"`
	ClosureLeaf int64 `json:"closure_leaf"`
	// Records is how many records the log has of it.
	Records int `json:"records"`
}

// End ends a stream.
type End struct {
	// Count is the number of records, rejected records or requests in it.
	Count int `json:"count"`
}
