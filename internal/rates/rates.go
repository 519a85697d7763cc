// Package rates says how often a name (a key, a connection, an address) may ask. The
// endpoints let requests through by it.
package rates

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is how often.
type Limit struct {
	PerSecond float64 // 0 for as often as one likes
	Burst     int     // at once, after a rest; 1 at least
}

func (l Limit) burst() int { return max(1, l.Burst) }

// Names counts on this node alone: a shared count would cost a write for every
// request. The zero value counts from nothing.
type Names struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// most is how many names are remembered. Of more, those at rest are forgotten, and
// where that is not enough all: rather let some through than grow for ever.
const most = 10_000

// Take counts n requests of a name. It gives the whole seconds after which to come
// again, 0 when they are let through. Clients that count on whole seconds wait for
// five minutes, and give up in the end, where they get anything else (Okta, "Error
// handling and timeouts"). More than a burst could ever hold count as one burst.
func (s *Names) Take(name string, n int, l Limit, now time.Time) int {
	if l.PerSecond <= 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.of(name, l, now)
	n = min(n, one.Burst())
	if one.AllowN(now, n) {
		return 0
	}
	return seconds(one, n, now)
}

// Wait is what Take would give for one request, which is not counted.
func (s *Names) Wait(name string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[name]
	if one == nil || one.TokensAt(now) >= 1 {
		return 0
	}
	return seconds(one, 1, now)
}

func (s *Names) of(name string, l Limit, now time.Time) *rate.Limiter {
	one := s.by[name]
	if one == nil {
		if len(s.by) >= most {
			for other, lim := range s.by {
				if lim.TokensAt(now) >= float64(lim.Burst()) {
					delete(s.by, other)
				}
			}
		}
		if s.by == nil || len(s.by) >= most {
			s.by = map[string]*rate.Limiter{}
		}
		one = rate.NewLimiter(rate.Limit(l.PerSecond), l.burst())
		s.by[name] = one
	}
	if one.Limit() != rate.Limit(l.PerSecond) || one.Burst() != l.burst() { // settings were changed
		one.SetLimitAt(now, rate.Limit(l.PerSecond))
		one.SetBurstAt(now, l.burst())
	}
	return one
}

func seconds(one *rate.Limiter, n int, now time.Time) int {
	return max(1, int(math.Ceil((float64(n)-one.TokensAt(now))/float64(one.Limit()))))
}
