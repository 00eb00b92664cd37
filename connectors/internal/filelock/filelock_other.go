//go:build !unix || solaris || aix

package filelock

import "os"

// Lock does nothing.
func Lock(*os.File) error { return nil }

// Unlock does nothing.
func Unlock(*os.File) error { return nil }
