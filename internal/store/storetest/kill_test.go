package storetest

const childDSN = "ROLLCALL_STORETEST_DSN"

func child() int { return 0 }
