//go:build unix

package db_test

import "syscall"

// What has a process stand still, and go on.
const pause, resume = syscall.SIGSTOP, syscall.SIGCONT
