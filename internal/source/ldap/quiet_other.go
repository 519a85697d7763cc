//go:build !unix

package ldap

import (
	"errors"
	"net"
	"os"
	"time"
)

// polling is nil: nothing can be read there without waiting.
func polling(net.Conn) func([]byte) (int, error) { return nil }

// quiet is true of a connection on which nothing has come and which has not ended.
func quiet(n net.Conn) bool {
	var b [1]byte
	if n.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false
	}
	_, err := n.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && n.SetReadDeadline(time.Time{}) == nil
}
