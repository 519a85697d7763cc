package host

import (
	"os"
	"os/exec"
	"syscall"
)

// dieWithUs ends the server when a test is killed before it could call Stop.
// The signal goes to it alone, and asks, so that it ends its children too. Its
// group is its own, for killAll.
func dieWithUs(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	cmd.SysProcAttr.Setpgid = true
}

// killAll ends the server and its children, which would go on without it. Who is not there
// any more is as good as ended.
func killAll(server *os.Process) { _ = syscall.Kill(-server.Pid, syscall.SIGKILL) }
