package scim

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limits counts requests by name, on this node alone: a shared count would cost a
// write for every request.
type limits struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// mostLimits is how many names are counted. Of more, those at rest are forgotten.
const mostLimits = 10_000

// strangers without a good token may try so often, from one address.
const (
	strangerRate  = 5
	strangerBurst = 50
)

// take counts n requests of a name. It gives the whole seconds after which to come
// again, 0 when they are let through. A client that counts on whole seconds waits for
// five minutes, and gives up in the end, where it gets anything else (Okta, "Error
// handling and timeouts").
func (l *limits) take(name string, n, perSecond, burst int, now time.Time) int {
	if perSecond <= 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.by == nil {
		l.by = map[string]*rate.Limiter{}
	}
	one := l.by[name]
	if one == nil {
		if len(l.by) >= mostLimits {
			for other, lim := range l.by {
				if lim.TokensAt(now) >= float64(lim.Burst()) {
					delete(l.by, other)
				}
			}
		}
		if len(l.by) >= mostLimits {
			clear(l.by)
		}
		one = rate.NewLimiter(rate.Limit(perSecond), max(1, burst))
		l.by[name] = one
	}
	if one.Limit() != rate.Limit(perSecond) || one.Burst() != max(1, burst) { // settings were changed
		one.SetLimitAt(now, rate.Limit(perSecond))
		one.SetBurstAt(now, max(1, burst))
	}
	if one.AllowN(now, min(n, one.Burst())) {
		return 0
	}
	return max(1, int(math.Ceil((float64(min(n, one.Burst()))-one.TokensAt(now))/float64(perSecond))))
}

// rests reports how long a name has to wait, without counting.
func (l *limits) rests(name string, now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[name]
	if one == nil || one.TokensAt(now) >= 1 {
		return 0
	}
	return max(1, int(math.Ceil((1-one.TokensAt(now))/float64(one.Limit()))))
}
