//go:build unix

package ldap

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// polling reads what has come on a connection, without waiting. Of TLS it cannot be told
// whether what has come is a whole record.
func polling(n net.Conn) func([]byte) (int, error) {
	s, ok := n.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	var into []byte
	var got int
	var failed error
	once := func(fd uintptr) bool {
		got, failed = syscall.Read(int(fd), into)
		return true
	}
	return func(b []byte) (int, error) {
		into = b
		err := raw.Read(once)
		into = nil
		switch {
		case err != nil: // its time is over, or it is closed: who waits finds out
			return 0, nil
		case got > 0:
			return got, nil
		case failed == nil || errors.Is(failed, syscall.EAGAIN) || errors.Is(failed, syscall.EINTR):
			return 0, nil // at the end of the stream too
		}
		return 0, failed
	}
}

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
