//go:build unix

package operate

import "syscall"

// What has a node stand still, and go on.
const pause, resume = syscall.SIGSTOP, syscall.SIGCONT
