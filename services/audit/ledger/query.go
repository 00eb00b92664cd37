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
	// The types are written out, so that the planner may use the partial index.
	selectAround = `SELECT number FROM leaf WHERE type IN ('key', 'retention') AND (number < $1 OR number >= $2) AND number < $3
		UNION SELECT l.number FROM leaf i JOIN leaf l ON l.request_id = i.request_id AND l.request_id <> ''
		WHERE i.type = 'intake' AND i.number >= $1 AND i.number < $2 AND (l.number < $1 OR l.number >= $2) AND l.number < $3`
	selectIntakes = `SELECT number FROM leaf WHERE type = 'intake' AND number >= $1 AND number < $2 ORDER BY number`
	selectTally   = `SELECT type, count(*), sum(CASE WHEN envelope IS NULL THEN 1 ELSE 0 END) FROM leaf WHERE number >= $1 AND number < $2 GROUP BY type`
	selectRests   = `SELECT request_id, number, type, CASE WHEN type = 'closure' THEN envelope END FROM leaf WHERE request_id <> '' AND request_id `
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
	if q.Below > 0 {
		add("number <", q.Below)
	}
	limit := ""
	if q.Limit > 0 {
		args = append(args, q.Limit)
		limit = fmt.Sprintf(" LIMIT $%d", len(args))
	}
	return " WHERE " + strings.Join(conditions, " AND ") + " ORDER BY number" + limit, args
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

// add counts a record of a request in.
func (r Rest) add(number int64, typ string, envelope []byte) Rest {
	if r.Records++; r.Records == 1 {
		r.ClosureLeaf = -1
	}
	if typ == "closure" {
		r.ClosureLeaf, r.Closure = number, envelope
	}
	return r
}
