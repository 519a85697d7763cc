package host

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends the server when a test is killed before it could call Stop.
func dieWithUs(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
}
