//go:build !linux

package dirsrv

import (
	"os/exec"
	"os/user"
)

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "dirsrv"
}

func giveAway(string) error { return nil }

func asServerUser(*exec.Cmd) {}
