package delivery

import (
	"errors"
	"fmt"
	"syscall"
)

// Errors of building and opening packages.
var (
	// ErrPart is wrapped by every [PartError]: the same build will not succeed
	// with this part; its connector has to export again.
	ErrPart = errors.New("the export part cannot be used")
	// ErrScan says that the last look for items that may never be disclosed
	// could not be taken. There is no package without it.
	ErrScan = errors.New("the content scan could not be run")
	// ErrNotFound says that there is no such package, or no longer.
	ErrNotFound = errors.New("no such package")
	// ErrNotReadable says that a package is damaged or was made for another key.
	ErrNotReadable = errors.New("the package is damaged or was made for another key")
)

// PartError names the part that a build failed on. Its text holds no content
// of the part.
type PartError struct {
	Connector, Object string
	Err               error
}

func (e *PartError) Error() string {
	return fmt.Sprintf("export part %s of connector %s: %v", e.Object, e.Connector, e.Err)
}

// Unwrap makes a PartError match [ErrPart] and its cause.
func (e *PartError) Unwrap() []error { return []error{ErrPart, e.Err} }

// writeError says what to do about a write that did not succeed.
func writeError(doing, where string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%s: the disk is full: make room under %s: %w", doing, where, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
