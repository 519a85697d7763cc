package okta

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
)

// longest is how long a quota is waited for at most: windows are of a minute, and
// what says more is wrong.
const longest = 5 * time.Minute

// hurried is how long it is waited for while somebody looks on.
const hurried = 5 * time.Second

// quota keeps each family's rate limit above the share that is left to others.
type quota struct {
	clock rest.Clock
	share int // percent that is ours

	mu     sync.Mutex
	until  map[family]time.Time // when a family may be asked again
	limits map[family]int       // as last told
}

// state is what an answer says of its quota.
type state struct {
	limit, remaining int
	wait             time.Duration // until it is full again
}

// readQuota reads X-Rate-Limit-Limit, -Remaining and -Reset, which is a time in seconds
// since 1970. It is reckoned by the clock that set the answer's Date: ours may go wrong.
func readQuota(h http.Header, now time.Time) (state, bool) {
	number := func(name string) (int64, bool) {
		n, err := strconv.ParseInt(strings.TrimSpace(h.Get(name)), 10, 64)
		return n, err == nil && n >= 0
	}
	limit, ok1 := number("X-Rate-Limit-Limit")
	remaining, ok2 := number("X-Rate-Limit-Remaining")
	reset, ok3 := number("X-Rate-Limit-Reset")
	if !ok1 || !ok2 || !ok3 || limit > 1<<30 || remaining > 1<<30 || reset > 1<<40 {
		return state{}, false
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	wait := min(time.Unix(reset, 0).Sub(now), longest)
	return state{limit: int(limit), remaining: int(remaining), wait: max(wait, 0)}, true
}

// note takes in an answer's.
func (q *quota) note(f family, h http.Header) {
	at := q.clock.Now()
	s, ok := readQuota(h, at)
	if !ok {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limits[f] = s.limit
	// Of very small limits at least one request a window is ours.
	if left := s.limit * (100 - q.share) / 100; s.remaining <= left && s.wait > 0 && s.limit > 1 {
		q.until[f] = at.Add(s.wait + time.Second)
	}
}

// wait returns when a family may be asked again.
func (q *quota) wait(ctx context.Context, f family) error {
	for {
		q.mu.Lock()
		left := q.until[f].Sub(q.clock.Now())
		q.mu.Unlock()
		if left <= 0 {
			return ctx.Err()
		}
		if rest.Hurried(ctx) && left > hurried {
			return fault.New(fault.Unavailable, "okta: %d%% of the rate limit of %s is used up for the next %s", q.share, f, left.Round(time.Second)).WithHint("try again after that; other programs may be asking Okta, or rate_share may be small")
		}
		if err := q.clock.Sleep(ctx, left); err != nil {
			return err
		}
	}
}

// limit is a family's, as last told; 0 where it was not.
func (q *quota) limit(f family) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limits[f]
}
