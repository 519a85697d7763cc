package postgres

import (
	"errors"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// serverUser is who the server runs as when we are root: the packaged user,
// or nobody.
func serverUser() (uid, gid int) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			return uid, gid
		}
	}
	return 65534, 65534
}

func giveAway(paths ...string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid := serverUser()
	var errs []error
	for _, p := range paths {
		errs = append(errs, os.Chown(p, uid, gid))
	}
	return errors.Join(errs...)
}

func asServerUser(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if os.Geteuid() != 0 {
		return
	}
	uid, gid := serverUser()
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: false}
}

// dieWithUs ends the server when a test is killed before it could call Stop.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr.Pdeathsig = syscall.SIGINT }
