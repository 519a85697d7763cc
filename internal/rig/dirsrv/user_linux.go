package dirsrv

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Started by root, the server would change to its own user by itself and then
// outlive a killed test; so it is started as that user.
const packagedUser = "dirsrv"

func userName() string {
	if os.Geteuid() == 0 {
		return packagedUser
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return packagedUser
}

func serverUser() (uid, gid int, ok bool) {
	u, err := user.Lookup(packagedUser)
	if os.Geteuid() != 0 || err != nil {
		return 0, 0, false
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	return uid, gid, err1 == nil && err2 == nil
}

// giveAway makes everything below a folder the server's.
func giveAway(dir string) error {
	uid, gid, ok := serverUser()
	if !ok {
		return nil
	}
	for above := filepath.Dir(dir); above != filepath.Dir(above); above = filepath.Dir(above) {
		if info, err := os.Stat(above); err == nil && info.Mode()&0o001 == 0 {
			return fmt.Errorf("389ds rig: the server runs as %s, whom %s does not let through", packagedUser, above)
		}
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	})
}

func asServerUser(cmd *exec.Cmd) {
	if uid, gid, ok := serverUser(); ok {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
}
