// Package tries counts the tries to prove who one is, in the database that all
// nodes share, and hands on how long somebody has to wait. Tries are counted before
// they are made: a thousand at once are no more than one after the other. What a
// try is counted for is kept as a keyed digest: it may be a password typed into the
// wrong field.
package tries

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"net/netip"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// Rule says how many tries are let through, and how long the waits are after them.
type Rule struct {
	Free    int           // tries without a wait
	First   time.Duration // the wait after them; each further try doubles it,
	Longest time.Duration // up to this
	// After LockAfter tries the wait is LockFor at least; 0 for no such thing.
	LockAfter int
	LockFor   time.Duration
	Forget    time.Duration // after the last try they are forgotten
	// Each takes one try off for each Each that went by since the last; 0 for none.
	// It is for what many people share.
	Each time.Duration
}

// Wait is how long to wait after so many tries.
func (r Rule) Wait(tries int) time.Duration {
	if tries < r.Free {
		return 0
	}
	wait := r.First
	for range tries - r.Free {
		if wait *= 2; wait >= r.Longest {
			break
		}
	}
	wait = min(wait, r.Longest)
	if r.LockAfter > 0 && tries >= r.LockAfter {
		wait = max(wait, r.LockFor)
	}
	return wait
}

// after gives how many of the tries still count when so long has gone by since the
// last.
func (r Rule) after(tries int, since time.Duration) int {
	if since >= r.Forget {
		return 0
	}
	if r.Each > 0 && since > 0 {
		tries -= int(min(since/r.Each, time.Duration(tries)))
	}
	return tries
}

// Counter is what a try is counted for.
type Counter struct {
	ID   string // a keyed digest
	Rule Rule
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

// Table is one table of counters: id, tries, wait_until, at and told_at.
type Table struct {
	DB   *db.DB
	Name string
}

// Begin counts a try, or gives a *TooManyError and counts nothing. It takes the
// locks of counters alone.
func (t Table) Begin(ctx context.Context, counters []Counter, now time.Time) error {
	return t.DB.Write(ctx, func(tx *db.Tx) error {
		// In one order, so that two nodes do not wait for each other.
		for _, c := range slices.SortedFunc(slices.Values(counters), func(a, b Counter) int { return cmp.Compare(a.ID, b.ID) }) {
			if _, err := tx.Exec(ctx, `INSERT INTO `+t.Name+` (id, tries, wait_until, at) VALUES ($1, 0, 0, $2) ON CONFLICT (id) DO NOTHING`, c.ID, db.Micros(now)); err != nil {
				return err
			}
			var tries int
			var until, at int64
			err := tx.QueryRowContext(ctx, `SELECT tries, wait_until, at FROM `+t.Name+` WHERE id = $1`+tx.Locked(), c.ID).Scan(&tries, &until, &at)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return db.Explain("count a try to sign in", err)
			}
			if wait := db.Time(until).Sub(now); until > 0 && wait > 0 {
				return &TooManyError{Wait: wait}
			}
			tries = c.Rule.after(tries, now.Sub(db.Time(at))) + 1
			if _, err := tx.Exec(ctx, `UPDATE `+t.Name+` SET tries = $2, wait_until = $3, at = $4 WHERE id = $1`,
				c.ID, tries, db.Micros(now.Add(c.Rule.Wait(tries))), db.Micros(now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// GiveBack takes tries back that were neither right nor wrong. It does not forget
// those before them.
func (t Table) GiveBack(ctx context.Context, tx *db.Tx, counters []Counter, now time.Time) error {
	for _, c := range slices.SortedFunc(slices.Values(counters), func(a, b Counter) int { return cmp.Compare(a.ID, b.ID) }) {
		if _, err := tx.Exec(ctx, `UPDATE `+t.Name+` SET tries = tries - 1, wait_until = CASE WHEN tries - 1 < $2 THEN 0 ELSE CAST($3 AS bigint) END WHERE id = $1 AND tries > 0`,
			c.ID, c.Rule.Free, db.Micros(now)); err != nil {
			return err
		}
	}
	return nil
}

// Forget forgets the tries that were counted for somebody.
func (t Table) Forget(ctx context.Context, tx *db.Tx, counters []Counter) error {
	for _, c := range slices.SortedFunc(slices.Values(counters), func(a, b Counter) int { return cmp.Compare(a.ID, b.ID) }) {
		if _, err := tx.Exec(ctx, `DELETE FROM `+t.Name+` WHERE id = $1`, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// Due reports whether something about a counter may be told of: it was not, for so
// long. It only looks, so that who guesses does not hold up those who write events.
func (t Table) Due(ctx context.Context, id string, every time.Duration, now time.Time) (bool, error) {
	var last int64
	if err := t.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(max(told_at), 0) FROM `+t.Name+` WHERE id = $1`, id).Scan(&last); err != nil {
		return false, db.Explain("look when a try was told of", err)
	}
	return now.Sub(db.Time(last)) >= every, nil
}

// Tell notes that it is told of now, in the transaction that does; false where
// somebody else was quicker.
func (t Table) Tell(ctx context.Context, tx *db.Tx, id string, every time.Duration, now time.Time) (bool, error) {
	n, err := tx.Exec(ctx, `UPDATE `+t.Name+` SET told_at = $2 WHERE id = $1 AND told_at <= $3`, id, db.Micros(now), db.Micros(now.Add(-every)))
	return n > 0, err
}

// Take gives how many tries were counted, and forgets them.
func (t Table) Take(ctx context.Context, tx *db.Tx, id string) (n int, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT tries FROM `+t.Name+` WHERE id = $1`+tx.Locked(), id).Scan(&n); err != nil {
		return 0, db.Explain("read how many tries there were", err)
	}
	_, err = tx.Exec(ctx, `UPDATE `+t.Name+` SET tries = 0 WHERE id = $1`, id)
	return n, err
}

// Prune takes away what is older than any rule remembers.
func (t Table) Prune(ctx context.Context, before time.Time) error {
	return t.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM `+t.Name+` WHERE id IN (SELECT id FROM `+t.Name+` WHERE at < $1`+tx.Unlocked()+`)`, db.Micros(before))
		return err
	})
}

// Network is what a network address is counted as: itself, or in IPv6 the /64 that
// one customer has; "" where it is not known.
func Network(from netip.Addr) string {
	if !from.IsValid() {
		return ""
	}
	from = from.Unmap().WithZone("")
	if from.Is6() {
		if p, err := from.Prefix(64); err == nil {
			return p.String()
		}
	}
	return from.String()
}
