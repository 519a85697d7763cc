package admins

import (
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Tries are counted before they are made, in the database that all nodes share: a
// thousand at once are no more than one after the other. Each is counted for the
// e-mail address, whether anybody has it or not, and for the network address.
// Where the administrator signed in from this address before, it is counted for
// the two together instead: a stranger can keep an e-mail address waiting, but not
// whoever sits where they always sit.
const (
	freeTries     = 5  // of an e-mail address
	freeOfNetwork = 20 // of a network address, which many people may share
	firstWait     = 5 * time.Second
	longestWait   = 15 * time.Minute
	triesForget   = 24 * time.Hour // after the last try
	tellEvery     = time.Minute
	knownFor      = 90 * 24 * time.Hour // an address is, after the last sign-in from it
)

// counter is what a try is counted for.
type counter struct {
	id   string
	free int
}

// waitAfter is how long to wait after so many tries.
func waitAfter(tries, free int) time.Duration {
	wait := firstWait
	if tries < free {
		return 0
	}
	for range tries - free {
		if wait *= 2; wait >= longestWait {
			return longestWait
		}
	}
	return wait
}

// TooManyError says that there were too many tries. It is a fault.Denied.
type TooManyError struct{ Wait time.Duration }

func (e *TooManyError) Error() string { return "too many tries; wait a little" }

// Unwrap gives it its kind and hint.
func (e *TooManyError) Unwrap() error {
	return fault.New(fault.Denied, "too many tries").WithHint("try again in %s", max(time.Second, e.Wait.Round(time.Second)))
}

// Waits gives how long to wait where an error is about too many tries.
func Waits(err error) (time.Duration, bool) {
	var t *TooManyError
	if errors.As(err, &t) {
		return t.Wait, true
	}
	return 0, false
}

// countedFor gives the counters of a try, of which the first is the person's.
func (s *Admins) countedFor(kind, who string, from netip.Addr, known bool) ([]counter, error) {
	texts := []string{kind + "\x00" + who}
	free := []int{freeTries}
	if known {
		texts[0] += "\x00" + network(from)
	} else if from.IsValid() {
		texts, free = append(texts, "network\x00"+network(from)), append(free, freeOfNetwork)
	}
	out := make([]counter, len(texts))
	for i, text := range texts {
		id, err := s.Ring.Fingerprint("administrator tries", text)
		if err != nil {
			return nil, err
		}
		out[i] = counter{id, free[i]}
	}
	return out, nil
}

// Locks are taken in one order everywhere: the events, then administrators, then
// tries. begin is alone in taking tries only.

// begin counts a try, or gives a *TooManyError and counts nothing.
func (s *Admins) begin(ctx context.Context, counters []counter) error {
	now := s.now()
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		// In one order, so that two nodes do not wait for each other.
		for _, c := range slices.SortedFunc(slices.Values(counters), func(a, b counter) int { return compare(a.id, b.id) }) {
			if _, err := tx.Exec(ctx, `INSERT INTO admin_tries (id, tries, wait_until, at) VALUES ($1, 0, 0, $2) ON CONFLICT (id) DO NOTHING`, c.id, db.Micros(now)); err != nil {
				return err
			}
			var tries int
			var until int64
			var at int64
			err := tx.QueryRowContext(ctx, `SELECT tries, wait_until, at FROM admin_tries WHERE id = $1`+tx.Locked(), c.id).Scan(&tries, &until, &at)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return db.Explain("count a try to sign in", err)
			}
			if now.Sub(db.Time(at)) >= triesForget {
				tries = 0
			}
			if wait := db.Time(until).Sub(now); until > 0 && wait > 0 {
				return &TooManyError{Wait: wait}
			}
			tries++
			if _, err := tx.Exec(ctx, `UPDATE admin_tries SET tries = $2, wait_until = $3, at = $4 WHERE id = $1`,
				c.id, tries, db.Micros(now.Add(waitAfter(tries, c.free))), db.Micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
}

func compare(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}

// giveBack takes a try back that was neither right nor wrong: the password was
// right, and the code is still to come. It does not forget those before it.
func giveBack(ctx context.Context, tx *db.Tx, counters []counter, now time.Time) error {
	for _, c := range counters {
		if _, err := tx.Exec(ctx, `UPDATE admin_tries SET tries = tries - 1, wait_until = CASE WHEN tries - 1 < $2 THEN 0 ELSE CAST($3 AS bigint) END WHERE id = $1 AND tries > 0`,
			c.id, c.free, db.Micros(now)); err != nil {
			return err
		}
	}
	return nil
}

// forgive forgets the tries of the person who signed in. Those of the network
// address are only given back: somebody's own account must not pay for tries at
// those of others.
func forgive(ctx context.Context, tx *db.Tx, counters []counter, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM admin_tries WHERE id = $1`, counters[0].id); err != nil {
		return err
	}
	return giveBack(ctx, tx, counters[1:], now)
}

// failed tells of a try that was wrong, once a minute. a is nil for an e-mail
// address nobody has; the address itself is then left out, people type passwords
// into that field.
func (s *Admins) failed(ctx context.Context, a *Administrator, c counter, from netip.Addr, agent, factor string) error {
	now := s.now()
	var last int64
	if err := s.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(max(told_at), 0) FROM admin_tries WHERE id = $1`, c.id).Scan(&last); err != nil {
		return db.Explain("look when a try was told of", err)
	}
	if now.Sub(db.Time(last)) < tellEvery {
		return nil // who only guesses does not hold up those who write events
	}
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM admin_tries WHERE id IN (SELECT id FROM admin_tries WHERE at < $1`+tx.Unlocked()+`)`, db.Micros(now.Add(-triesForget)))
		return err
	})
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE admin_tries SET told_at = $2 WHERE id = $1 AND told_at <= $3`, c.id, db.Micros(now), db.Micros(now.Add(-tellEvery)))
		if err != nil || n == 0 {
			return err
		}
		what, organization := &about{}, ""
		if a != nil {
			what, organization = aboutOf(a), a.Organization
		}
		what.Address, what.Agent, what.Factor = ShownAddress(from), ShownAgent(agent), factor
		return told(ctx, tx, event.AdminSignInFailed, organization, "stranger", now, nil, what)
	})
}

// knows reports whether an administrator signed in from this network before.
func (s *Admins) knows(ctx context.Context, admin string, from netip.Addr) (known bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM admin_addresses WHERE admin = $1 AND address = $2 AND at > $3)`,
		admin, network(from), db.Micros(s.now().Add(-knownFor))).Scan(&known)
	return known && from.IsValid(), db.Explain("look an address up", err)
}

func (s *Admins) remember(ctx context.Context, tx *db.Tx, admin string, from netip.Addr, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM admin_addresses WHERE admin = $1 AND at < $2`, admin, db.Micros(now.Add(-knownFor))); err != nil || !from.IsValid() {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO admin_addresses (admin, address, at) VALUES ($1, $2, $3) ON CONFLICT (admin, address) DO UPDATE SET at = excluded.at`,
		admin, network(from), db.Micros(now))
	return err
}
