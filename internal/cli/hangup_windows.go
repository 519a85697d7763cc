package cli

import "os"

// hangup is nothing Windows knows.
var hangup []os.Signal
