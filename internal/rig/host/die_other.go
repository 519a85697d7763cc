//go:build !linux

package host

import (
	"os"
	"os/exec"
)

// dieWithUs has no counterpart here: a killed test leaves its server behind.
func dieWithUs(*exec.Cmd) {}

// killAll ends the server, where it still is there; its children are left to it.
func killAll(server *os.Process) { _ = server.Kill() }
