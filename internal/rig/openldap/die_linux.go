package openldap

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends the server when a test is killed before it could call Stop.
func dieWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
