//go:build unix

package ldap

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// quiet is true of a connection on which nothing has come and which has not ended.
// It does not wait.
func quiet(n net.Conn) bool {
	s, ok := n.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil || n.SetReadDeadline(time.Time{}) != nil { // one of its last use may be over
		return false
	}
	silent := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := syscall.Read(int(fd), b[:])
		silent = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && silent
}
