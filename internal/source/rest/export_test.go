package rest

// ErrTimeout is the cause with which Clock.Limit ends a request.
var ErrTimeout = errTimeout
