package ldap

import (
	"context"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/fault"
)

// Who is in a deny group is found out by reading all groups, which is too much for
// each sign-in. What is known is used for a minute, and for some more while it is
// read anew: who is put into such a group is let in for that long at most, and
// nobody is where it cannot be read.

const (
	deniedFresh = time.Minute
	deniedStale = 5 * time.Minute
)

type deniedCache struct {
	set *settings
	now func() time.Time
	ctx context.Context
	end context.CancelFunc
	all sync.WaitGroup

	mu     sync.Mutex
	closed bool
	known  denied
	at     time.Time     // when known was read
	busy   chan struct{} // closed at the end of the reading under way; nil for none
	failed error         // of the last reading
}

func (d *deniedCache) begin(set *settings, now func() time.Time) {
	d.set, d.now = set, now
	d.ctx, d.end = context.WithCancel(context.Background())
}

func (d *deniedCache) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	d.all.Wait()
}

// get gives who is denied; nil where there are no deny groups.
func (d *deniedCache) get(ctx context.Context) (denied, error) {
	if len(d.set.deny) == 0 {
		return nil, nil
	}
	d.mu.Lock()
	known, age := d.known, d.now().Sub(d.at)
	if known != nil && age < deniedFresh {
		d.mu.Unlock()
		return known, nil
	}
	if d.busy == nil && !d.closed {
		d.busy = make(chan struct{})
		d.all.Go(d.read)
	}
	busy := d.busy
	d.mu.Unlock()
	if known != nil && age < deniedStale {
		return known, nil
	}
	if busy == nil {
		return nil, errClosed
	}
	select {
	case <-busy:
	case <-ctx.Done():
		return nil, fault.New(fault.Unavailable, "ldap: read the deny groups: %w", context.Cause(ctx))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known, d.failed
}

// read reads the groups on a connection of its own, for as long as it takes.
func (d *deniedCache) read() {
	found, err := d.set.whoIsDenied(d.ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed = err; err == nil {
		d.known, d.at = found, d.now()
	} else if d.now().Sub(d.at) >= deniedStale {
		d.known = nil
	}
	close(d.busy)
	d.busy = nil
}

func (s *settings) whoIsDenied(ctx context.Context) (denied, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.close()
	d, err := c.readRoot()
	if err != nil {
		return nil, s.explain("read the root DSE", err)
	}
	r, err := newReading(c, s, d, nil, nil)
	if err != nil {
		return nil, err
	}
	err = r.readDenied()
	return r.denied, err
}
