package operate

// The variable that makes this test's program a node.
const childDSN = "ROLLCALL_OPERATE_DSN"

func child() int { return 1 }
