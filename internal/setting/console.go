package setting

import (
	"net/netip"
	"time"
)

// Console is how people sign in, and for how long.
type Console struct {
	SessionIdle time.Duration // a session that is not used ends
	SessionMax  time.Duration // any session ends
	// TrustedProxies are those whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
}

// DefaultConsole is in force where a file says nothing.
func DefaultConsole() Console {
	return Console{SessionIdle: 12 * time.Hour, SessionMax: 7 * 24 * time.Hour}
}
