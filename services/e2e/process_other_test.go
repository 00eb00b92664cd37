//go:build !linux

package e2e

import "syscall"

// dieWithParent makes a child end with the test where the system can do that.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
