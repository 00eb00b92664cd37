package main

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
)

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "habeas.log", Err: syscall.ENOSPC}
}

// TestLogGoesToTheTerminalWhenTheDiskIsFull: a line is written once, to the
// file or to the terminal.
func TestLogGoesToTheTerminalWhenTheDiskIsFull(t *testing.T) {
	for _, c := range []struct {
		name           string
		file           io.Writer
		wrote, instead string
	}{
		{"room", &bytes.Buffer{}, "line\n", ""},
		{"no room", fullDisk{}, "", "line\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var instead bytes.Buffer
			if n, err := (logWriter{file: c.file, instead: &instead}).Write([]byte("line\n")); n != 5 || err != nil {
				t.Errorf("wrote %d bytes: %v", n, err)
			}
			if b, ok := c.file.(*bytes.Buffer); ok && b.String() != c.wrote {
				t.Errorf("the file has %q", b)
			}
			if instead.String() != c.instead {
				t.Errorf("the terminal has %q", instead.String())
			}
		})
	}
}
