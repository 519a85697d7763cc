package setting

import "time"

// Console is how long people stay signed in.
type Console struct {
	SessionIdle time.Duration // a session that is not used ends
	SessionMax  time.Duration // any session ends
}

// DefaultConsole is in force where a file says nothing.
func DefaultConsole() Console {
	return Console{SessionIdle: 12 * time.Hour, SessionMax: 7 * 24 * time.Hour}
}
