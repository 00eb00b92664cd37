//go:build !unix || solaris || aix

package manual

import "os"

// lockFile does nothing: without advisory locks, run one instance.
func lockFile(*os.File) error   { return nil }
func unlockFile(*os.File) error { return nil }
