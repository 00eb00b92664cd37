package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// MaxPeople is the most bytes a page of people may have before it is sealed:
// with what is around it, it must fit into one message.
const MaxPeople = 768 << 10

// SealPeopleQuestion seals which page is wanted to the connector's key.
func (k SealKey) SealPeopleQuestion(q *habeasv1.PeopleQuestion, reader string) ([]byte, error) {
	return k.sealMatch("a question about people", q.GetCallId(), q, reader)
}

// SealPeoplePage seals a page to the asker's key.
func (k SealKey) SealPeoplePage(p *habeasv1.PeoplePage, reader string) ([]byte, error) {
	return k.sealMatch("a page of people", p.GetCallId(), p, reader)
}

// OpenPeopleQuestion opens what writer sealed to k for the given call.
func (k SealKey) OpenPeopleQuestion(sealed []byte, writer, callID string) (*habeasv1.PeopleQuestion, error) {
	q := &habeasv1.PeopleQuestion{}
	if err := k.openMatch("a question about people", sealed, writer, q); err != nil {
		return nil, err
	}
	if q.GetCallId() != callID || callID == "" {
		return nil, fmt.Errorf("opening a question about people: call_id: %w", ErrNotForUs)
	}
	return q, nil
}

// OpenPeoplePage opens what writer sealed to k in answer to the given call.
func (k SealKey) OpenPeoplePage(sealed []byte, writer, callID string) (*habeasv1.PeoplePage, error) {
	p := &habeasv1.PeoplePage{}
	if err := k.openMatch("a page of people", sealed, writer, p); err != nil {
		return nil, err
	}
	if p.GetCallId() != callID || callID == "" {
		return nil, fmt.Errorf("opening a page of people: call_id: %w", ErrNotForUs)
	}
	return p, nil
}

// ParsePeopleCall reads a call that was made to a connector, and names the first
// field that is missing.
func ParsePeopleCall(body []byte, connector string) (*habeasv1.PeopleCall, error) {
	c := &habeasv1.PeopleCall{}
	if err := proto.Unmarshal(body, c); err != nil {
		return nil, errors.New("call about people: not a PeopleCall message")
	}
	if c.GetCallId() == "" || c.GetConnector() != connector || len(c.GetSealedQuestion()) == 0 {
		return nil, errors.New("call about people: call_id, connector and sealed_question are required, and connector is ours")
	}
	return c, nil
}
