package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// MaxProof is the most bytes a document of a task may have: sealed, and with
// what is around it, it must fit into one message.
const MaxProof = 768 << 10

// Bounds of the files that people attach for a copy.
const (
	// MaxCopyPiece is the most bytes of a file that travel in one message.
	MaxCopyPiece = 512 << 10
	// MaxCopyFile is the most bytes of one file, and MaxCopy of all files of one
	// task.
	MaxCopyFile = 16 << 20
	MaxCopy     = 128 << 20
	// MaxCopyFiles is how many files a task may have.
	MaxCopyFiles = 50
	// MaxCopyRecords is how many records one file may hold.
	MaxCopyRecords = 100_000
)

// CopyTypes are what a file for a copy may be.
func CopyTypes() []string {
	return []string{"application/json", "text/csv", "text/plain", "application/pdf"}
}

// SealQuestion seals what a desk asks to the connector's key.
func (k SealKey) SealQuestion(q *habeasv1.TaskQuestion, reader string) ([]byte, error) {
	return k.sealMatch("a question about tasks", q.GetCallId(), q, reader)
}

// SealAnswer seals what a connector answers to the desk's key.
func (k SealKey) SealAnswer(a *habeasv1.TaskAnswer, reader string) ([]byte, error) {
	return k.sealMatch("an answer about tasks", a.GetCallId(), a, reader)
}

// OpenQuestion opens what writer sealed to k for the given call.
func (k SealKey) OpenQuestion(sealed []byte, writer, callID string) (*habeasv1.TaskQuestion, error) {
	q := &habeasv1.TaskQuestion{}
	if err := k.openMatch("a question about tasks", sealed, writer, q); err != nil {
		return nil, err
	}
	if q.GetCallId() != callID || callID == "" {
		return nil, fmt.Errorf("opening a question about tasks: call_id: %w", ErrNotForUs)
	}
	return q, nil
}

// OpenAnswer opens what writer sealed to k in answer to the given call.
func (k SealKey) OpenAnswer(sealed []byte, writer, callID string) (*habeasv1.TaskAnswer, error) {
	a := &habeasv1.TaskAnswer{}
	if err := k.openMatch("an answer about tasks", sealed, writer, a); err != nil {
		return nil, err
	}
	if a.GetCallId() != callID || callID == "" {
		return nil, fmt.Errorf("opening an answer about tasks: call_id: %w", ErrNotForUs)
	}
	return a, nil
}

// CheckTaskCall names the first field of a call that is missing.
func CheckTaskCall(c *habeasv1.TaskCall, connector string) error {
	if c.GetCallId() == "" || c.GetConnector() != connector || len(c.GetSealedQuestion()) == 0 {
		return errors.New("call about tasks: call_id, connector and sealed_question are required, and connector is ours")
	}
	return nil
}

// ParseTaskCall reads a call that was made to a connector.
func ParseTaskCall(body []byte, connector string) (*habeasv1.TaskCall, error) {
	c := &habeasv1.TaskCall{}
	if err := proto.Unmarshal(body, c); err != nil {
		return nil, errors.New("call about tasks: not a TaskCall message")
	}
	return c, CheckTaskCall(c, connector)
}
