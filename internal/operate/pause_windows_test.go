package operate

import "syscall"

// Nothing has a node stand still on Windows: the test of it fails there.
const pause, resume = syscall.Signal(19), syscall.Signal(18)
