//go:build !windows

package cli

import (
	"os"
	"syscall"
)

// hangup asks a server to read its configuration anew.
var hangup = []os.Signal{syscall.SIGHUP}
