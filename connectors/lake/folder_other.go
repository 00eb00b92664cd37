//go:build !linux

package lake

import (
	"io/fs"
	"os"
)

// Rewriting a folder safely needs exchange and leases, which only Linux has.
// Elsewhere the engine finds and copies, and refuses to erase with errNotHere.

func versionFrom(info fs.FileInfo) version {
	return version{size: info.Size(), mtime: info.ModTime().UnixNano(), links: 1}
}

func lock(*os.File) error { return errNotHere }

type lease struct{}

func takeLease(*os.File) (lease, error) { return lease{}, errNotHere }

func (lease) broken() bool { return true }

func exchange(_, _ string) error { return errNotHere }

func sameAccess(*os.File, fs.FileInfo) error { return errNotHere }
