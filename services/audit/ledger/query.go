package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// errNoLog says that the database has no log yet.
var errNoLog = errors.New("the database has no log")

// Statements that both databases share.
const (
	selectLeaves   = `SELECT number, digest, request_id, type, issuer, envelope, logged_at FROM leaf`
	selectRejected = `SELECT digest, subject, reason, detail, key_id, envelope, rejected_at FROM rejected`
	// Keys stay for as long as anything they signed can be checked, and so do
	// the records that say what was erased.
	erasable = ` WHERE number >= $1 AND number <= $2 AND envelope IS NOT NULL AND type NOT IN ('key', 'retention')`
)

func (q Query) where() (string, []any) {
	var conditions []string
	var args []any
	add := func(condition string, arg any) {
		args = append(args, arg)
		conditions = append(conditions, fmt.Sprintf("%s $%d", condition, len(args)))
	}
	if q.RequestID != "" {
		// The constant lets the planner use the partial index.
		conditions = append(conditions, "request_id <> ''")
		add("request_id =", q.RequestID)
	}
	switch q.Type {
	case "":
	case "key", "retention", "intake":
		// Written out, so that the planner may use the partial index.
		conditions = append(conditions, "type = '"+q.Type+"'")
	default:
		add("type =", q.Type)
	}
	add("number >=", q.First)
	return " WHERE " + strings.Join(conditions, " AND ") + " ORDER BY number", args
}

func rejectedWhere(keyID string) (string, []any) {
	if keyID == "" {
		return " ORDER BY rejected_at", nil
	}
	return " WHERE reason = 'unknown_key' AND key_id = $1", []any{keyID}
}

func toDigest(b []byte) ([sha256.Size]byte, error) {
	if len(b) != sha256.Size {
		return [sha256.Size]byte{}, fmt.Errorf("a digest in the database has %d bytes: %w", len(b), ErrCorrupt)
	}
	return [sha256.Size]byte(b), nil
}
