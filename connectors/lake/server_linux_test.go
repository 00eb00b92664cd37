package lake

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps a server from outliving tests that are cut off.
func dieWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
