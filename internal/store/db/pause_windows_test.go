package db_test

import "syscall"

// Nothing has a process stand still on Windows: the test of it fails there.
const pause, resume = syscall.Signal(19), syscall.Signal(18)
