//go:build unix && !solaris && !aix

package manual

import (
	"errors"
	"os"
	"syscall"
)

// lockFile waits for the exclusive lock of f; the kernel frees it when the
// process ends.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
