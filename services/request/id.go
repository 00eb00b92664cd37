package request

import (
	"errors"

	"github.com/google/uuid"
)

// ID names a request or a job: a UUID version 7 in its canonical text form. It
// sorts by the time it was made and says nothing of the person.
type ID string

// ErrID says that a text is not an ID.
var ErrID = errors.New("not a request id: want a UUID version 7 such as 0190c1a2-7b3c-7def-8123-456789abcdef")

// NewID makes a fresh ID.
func NewID() ID {
	// NewV7 fails only when the system has no randomness, and then
	// crypto/rand has ended the program already.
	return ID(uuid.Must(uuid.NewV7()).String())
}

// ParseID checks text that came from outside. It accepts the canonical form
// only, so that one ID has one spelling. The error is [ErrID].
func ParseID(text string) (ID, error) {
	u, err := uuid.Parse(text)
	if err != nil || u.Version() != 7 || u.String() != text {
		return "", ErrID
	}
	return ID(text), nil
}
