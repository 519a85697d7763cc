package db

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience is how long a process that is to end waits for a PostgreSQL that says nothing.
const patience = 5 * time.Second

var errSilent = errors.New("it did not answer, and this process was told to end")

// Leaving is for a process that was told to end. What it still has to write (why a run
// ended, that a lease is free) gets all the time it takes, while PostgreSQL answers: where
// it does not (its machine sleeps, the network to it is gone) each of these would wait for
// its own limit. The connections are cut then. Nothing is lost by it: whoever finds the
// run takes over from a process that was killed in the same way. It returns when the
// database is closed or cut.
func (d *DB) Leaving() {
	if d.Dialect != PostgreSQL {
		return // who waits for a file waits for its lock, which has a limit
	}
	for d.life.Err() == nil {
		ctx, cancel := context.WithTimeout(d.life, patience)
		conn, err := pgx.Connect(ctx, d.dsn)
		if err == nil {
			err = errors.Join(conn.Ping(ctx), conn.Close(ctx))
		}
		silent := err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded)
		cancel()
		if silent {
			d.lines.cut()
			return
		}
		select {
		case <-time.After(time.Second):
		case <-d.life.Done():
		}
	}
}

// lines are the connections to PostgreSQL, to be cut all at once.
type lines struct {
	whole context.Context // until they are cut
	end   context.CancelFunc
	mu    sync.Mutex
	open  map[*line]struct{}
}

func newLines() *lines {
	l := &lines{open: map[*line]struct{}{}}
	l.whole, l.end = context.WithCancel(context.Background())
	return l
}

type line struct {
	net.Conn
	of *lines
}

// Close ends one of them, unless it was cut.
func (l *line) Close() error {
	l.of.mu.Lock()
	_, whole := l.of.open[l]
	delete(l.of.open, l)
	l.of.mu.Unlock()
	if !whole {
		return nil
	}
	return l.Conn.Close()
}

// through has what a way of dialling gives be among them.
func (l *lines) through(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(l.whole, cancel)()
		conn, err := dial(ctx, network, address)
		l.mu.Lock()
		defer l.mu.Unlock()
		switch {
		case l.whole.Err() != nil:
			if err == nil {
				_ = conn.Close() //nolint:errcheck // nobody has heard of it yet
			}
			return nil, errSilent // not that it was cancelled: nobody did
		case err != nil:
			return nil, err
		}
		one := &line{conn, l}
		l.open[one] = struct{}{}
		return one, nil
	}
}

func (l *lines) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
	for one := range l.open {
		_ = one.Conn.Close() //nolint:errcheck // nobody is there to hear of it
	}
	clear(l.open)
}
