package lake

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func versionFrom(info fs.FileInfo) version {
	v := version{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		v.inode, v.links = st.Ino, int(st.Nlink) //nolint:gosec // a count of names
	}
	return v
}

// lock takes the advisory lock by which replacements keep out of each other's
// way, also across processes. It returns errBusy when somebody has it.
func lock(file *os.File) error {
	err := control(file, func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errBusy
	}
	if err != nil {
		return fmt.Errorf("locking: %w", err)
	}
	return nil
}

// lease is the kernel's word that nobody has a file open for writing.
type lease struct {
	file *os.File // nil where the kernel gives no leases
}

// takeLease asks for a read lease (fcntl(2), F_SETLEASE). While it is held, a
// program that opens the file for writing waits and the lease counts as broken.
// It returns errBusy when the file is open for writing. File systems without
// leases, and files of another owner, leave only the comparison of versions.
func takeLease(file *os.File) (lease, error) {
	err := control(file, func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
		return err
	})
	switch {
	case errors.Is(err, unix.EAGAIN):
		return lease{}, errBusy
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return lease{}, nil
	case err != nil:
		return lease{}, fmt.Errorf("taking a lease: %w", err)
	}
	return lease{file: file}, nil
}

// broken reports whether somebody wants to write since the lease was taken.
func (l lease) broken() bool {
	if l.file == nil {
		return false
	}
	var state int
	err := control(l.file, func(fd int) (err error) {
		state, err = unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
		return err
	})
	return err != nil || state != unix.F_RDLCK
}

// exchange swaps two names in one step, so that neither is ever missing and
// whatever had a name is still there to be put back.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("this file system can't exchange two files in one step: %w", err)
	}
	if errors.Is(err, unix.ENOENT) {
		return errVanished
	}
	if err != nil {
		return fmt.Errorf("exchanging files: %w", err)
	}
	return nil
}

// sameAccess gives file the mode and, where they differ, the owners of old.
func sameAccess(file *os.File, old fs.FileInfo) error {
	now, err := file.Stat()
	if err != nil {
		return reason(err)
	}
	a, ok1 := old.Sys().(*syscall.Stat_t)
	b, ok2 := now.Sys().(*syscall.Stat_t)
	if ok1 && ok2 && (a.Uid != b.Uid || a.Gid != b.Gid) {
		if err := file.Chown(int(a.Uid), int(a.Gid)); err != nil {
			return fmt.Errorf("keeping the file's owner: %w", reason(err))
		}
	}
	if err := file.Chmod(old.Mode().Perm()); err != nil {
		return fmt.Errorf("keeping the file's mode: %w", reason(err))
	}
	return nil
}

func control(file *os.File, do func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := conn.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}
