package api

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"rollcall.dev/rollcall/internal/setting"
)

// rates lets each name (a key's ID, an address) ask so many times a second. It
// counts on this node alone: a shared count would cost a write for every request.
type rates struct {
	limit setting.Rates
	now   func() time.Time
	mu    sync.Mutex
	by    map[string]*rate.Limiter
}

// mostNames is how many names are remembered. When there are more, those that
// have rested long enough to have their whole burst again are forgotten.
const mostNames = 10_000

func newRates(limit setting.Rates, now func() time.Time) *rates {
	return &rates{limit: limit, now: now, by: map[string]*rate.Limiter{}}
}

func (r *rates) of(name string) *rate.Limiter {
	if l := r.by[name]; l != nil {
		return l
	}
	if len(r.by) >= mostNames {
		for n, l := range r.by {
			if l.TokensAt(r.now()) >= float64(r.limit.Burst) {
				delete(r.by, n)
			}
		}
	}
	if len(r.by) >= mostNames {
		clear(r.by) // ten thousand at once: rather let some through than grow for ever
	}
	l := rate.NewLimiter(rate.Limit(r.limit.PerSecond), max(1, r.limit.Burst))
	if r.limit.PerSecond == 0 {
		l = rate.NewLimiter(rate.Inf, 0)
	}
	r.by[name] = l
	return l
}

// take counts a request. It gives the whole seconds after which to come again, 0
// when it is let through.
func (r *rates) take(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, now := r.of(name), r.now()
	if l.AllowN(now, 1) {
		return 0
	}
	return r.seconds(l, now)
}

// wait is take for somebody who is not counted yet.
func (r *rates) wait(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, now := r.by[name], r.now()
	if l == nil || l.Limit() == rate.Inf || l.TokensAt(now) >= 1 {
		return 0
	}
	return r.seconds(l, now)
}

func (r *rates) seconds(l *rate.Limiter, now time.Time) int {
	return max(1, int(math.Ceil((1-l.TokensAt(now))/float64(r.limit.PerSecond))))
}
